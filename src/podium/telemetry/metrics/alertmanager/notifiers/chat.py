"""Discord, Microsoft Teams (connector cards and workflows) and WebEx: one message per notification, posted to a webhook.

Source: upstream's notify/discord, notify/msteams, notify/msteamsv2 and notify/webex; the services' references.
"""

from typing import Any

from podium.telemetry.metrics.alertmanager.notification import Notification, check, truncate, truncate_bytes
from podium.telemetry.metrics.alertmanager.notifiers.posting import post_json

DISCORD_TITLE_CHARS_MAX, DISCORD_DESCRIPTION_CHARS_MAX, DISCORD_CONTENT_CHARS_MAX = 256, 4096, 2000
DISCORD_RED, DISCORD_GREEN = 0x992D22, 0x2ECC71
TEAMS_RED, TEAMS_GREEN = "8C1A1A", "2DC72D"
WEBEX_MESSAGE_BYTES_MAX = 7439


async def notify_discord(notification: Notification) -> None:
    embed = {
        "title": truncate(notification.setting("title"), DISCORD_TITLE_CHARS_MAX),
        "description": truncate(notification.setting("message"), DISCORD_DESCRIPTION_CHARS_MAX),
        "color": DISCORD_GREEN if notification.is_resolved else DISCORD_RED,
    }
    message: dict[str, Any] = {"content": truncate(notification.setting("content"), DISCORD_CONTENT_CHARS_MAX), "embeds": [embed]}
    for name in ("username", "avatar_url"):
        if notification.settings.get(name):
            message[name] = notification.settings[name]
    check(await post_json(notification, notification.secret("webhook_url"), message))


async def notify_msteams(notification: Notification) -> None:
    message = {
        "@context": "http://schema.org/extensions",
        "type": "MessageCard",
        "title": notification.setting("title"),
        "summary": notification.setting("summary"),
        "text": notification.setting("text"),
        "themeColor": TEAMS_GREEN if notification.is_resolved else TEAMS_RED,
    }
    check(await post_json(notification, notification.secret("webhook_url"), message))


async def notify_msteams_v2(notification: Notification) -> None:
    title = {
        "type": "TextBlock", "text": notification.setting("title"), "weight": "Bolder", "size": "Medium", "wrap": True, "style": "heading",
        "color": "Good" if notification.is_resolved else "Attention",
    }  # fmt: skip
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.2",
        "body": [title, {"type": "TextBlock", "text": notification.setting("text"), "wrap": True}], "msteams": {"width": "full"},
    }  # fmt: skip
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    check(await post_json(notification, notification.secret("webhook_url"), {"type": "message", "attachments": [attachment]}))


async def notify_webex(notification: Notification) -> None:
    message = {
        "markdown": truncate_bytes(notification.setting("message"), WEBEX_MESSAGE_BYTES_MAX),
        "roomId": notification.setting("room_id"),
    }
    check(await post_json(notification, str(notification.settings["api_url"]), message))
