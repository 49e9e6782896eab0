"""Telegram (Bot API's sendMessage) and Pushover.

Source: upstream's notify/telegram and notify/pushover; the services' API references.
"""

from typing import Any
from urllib.parse import urlencode

import orjson

from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, HttpReply, Notification, check, failure_reason, truncate
from podium.telemetry.metrics.alertmanager.notifiers.posting import USER_AGENT, post_json, send

TELEGRAM_MESSAGE_CHARS_MAX = 4096
TELEGRAM_TOO_LONG = "This notification is longer than Telegram allows: shorten the template of its message."
PUSHOVER_URL = "https://api.pushover.net/1/messages.json"
PUSHOVER_TITLE_CHARS_MAX, PUSHOVER_MESSAGE_CHARS_MAX, PUSHOVER_LINK_CHARS_MAX = 250, 1024, 512


async def notify_telegram(notification: Notification) -> None:
    settings = notification.settings
    if settings["parse_mode"] == "HTML":  # cut HTML would not be HTML any more
        text = notification.html(str(settings["message"]))
        text = text if len(text) <= TELEGRAM_MESSAGE_CHARS_MAX else TELEGRAM_TOO_LONG
    else:
        text = truncate(notification.setting("message"), TELEGRAM_MESSAGE_CHARS_MAX)
    message: dict[str, Any] = {"chat_id": notification.secret("chat_id"), "text": text, "disable_web_page_preview": "true"}
    if settings.get("message_thread_id"):
        message["message_thread_id"] = str(settings["message_thread_id"])
    if settings.get("disable_notifications"):
        message["disable_notification"] = "true"
    if settings["parse_mode"]:
        message["parse_mode"] = settings["parse_mode"]
    url = f"{settings['api_url'].rstrip('/')}/bot{notification.secret('bot_token')}/sendMessage"
    reply = await post_json(notification, url, message)
    said = _telegram_error(reply)
    if said:
        raise NotificationError(f"telegram: {said} ({reply.status})", is_retriable=True, reason=failure_reason(reply.status))


def _telegram_error(reply: HttpReply) -> str:
    try:
        answer = orjson.loads(reply.body)
        return "" if answer.get("ok") else str(answer.get("description") or "unknown error")
    except (ValueError, AttributeError):
        return "" if reply.status // 100 == 2 else f"unexpected status code {reply.status}"


async def notify_pushover(notification: Notification) -> None:
    settings, setting = notification.settings, notification.setting
    render = notification.html if settings.get("html") else notification.text
    message = truncate(render(str(settings["message"])), PUSHOVER_MESSAGE_CHARS_MAX).strip() or "(no details)"
    fields = {
        "token": notification.text(notification.secret("token")), "user": notification.text(notification.secret("user_key")),
        "title": truncate(setting("title"), PUSHOVER_TITLE_CHARS_MAX), "message": message,
        "url": truncate(setting("url"), PUSHOVER_LINK_CHARS_MAX), "url_title": setting("url_title"), "priority": setting("priority"),
        "retry": str(int(settings["retry"])), "expire": str(int(settings["expire"])), "device": setting("device"), "sound": setting("sound"),
    }  # fmt: skip
    if settings.get("html"):
        fields["html"] = "1"
    if settings.get("monospace"):
        fields["monospace"] = "1"
    if int(settings.get("ttl") or 0) > 0:
        fields["ttl"] = str(int(settings["ttl"]))
    url = f"{PUSHOVER_URL}?{urlencode(sorted(fields.items()))}"
    headers = {"content-type": "text/plain", "user-agent": USER_AGENT}
    check(await send(notification.transport, HttpMessage("POST", url, b"", headers), settings))
