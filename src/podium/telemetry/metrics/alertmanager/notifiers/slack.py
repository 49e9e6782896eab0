"""Slack: incoming webhooks, and chat.postMessage with an app's token (which can update a message it has posted).

Source: upstream's notify/slack; Slack's reference of attachments.
"""

from typing import Any

import orjson

from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.notification import HttpReply, Notification, check, truncate
from podium.telemetry.metrics.alertmanager.notifiers.posting import post_json

TITLE_CHARS_MAX = 1024


async def notify(notification: Notification) -> None:
    settings = notification.settings
    url = notification.secret("api_url")
    message = _message(notification)
    if settings.get("update_message") and notification.notes.get("threadTs") and notification.notes.get("channelId"):
        base, _, method = url.rpartition("/")
        url = f"{base}/chat.update" if method == "chat.postMessage" else url
        message = {"channel": notification.notes["channelId"], "ts": notification.notes["threadTs"], **_without(message, "channel")}
    reply = await post_json(notification, url, message)
    check(reply)
    _judge(notification, reply, str(message.get("channel", "")))


def _judge(notification: Notification, reply: HttpReply, channel: str) -> None:
    """Slack says 200 to what it does not do, too."""
    if not reply.headers.get("content-type", "").startswith("application/json"):
        if reply.body.strip() != b"ok":
            said = reply.body[:200].decode(errors="replace")
            raise NotificationError(
                f'channel "{channel}": received an error response from Slack: {said}', is_retriable=False, reason="clientError"
            )
        return
    try:
        answer = orjson.loads(reply.body)
    except ValueError as error:
        raise NotificationError(f'channel "{channel}": could not unmarshal JSON response: {error}', is_retriable=True) from error
    if not isinstance(answer, dict) or not answer.get("ok"):
        said = str(answer.get("error", "")) if isinstance(answer, dict) else ""
        raise NotificationError(f'channel "{channel}": error response from Slack: {said}', is_retriable=False, reason="clientError")
    if notification.settings.get("update_message") and answer.get("ts") and answer.get("channel"):
        notification.notes["threadTs"], notification.notes["channelId"] = str(answer["ts"]), str(answer["channel"])


def _message(notification: Notification) -> dict[str, Any]:
    settings, setting = notification.settings, notification.setting
    attachment = _without_empty(
        {"title": truncate(setting("title"), TITLE_CHARS_MAX), "title_link": setting("title_link"), "pretext": setting("pretext")}
    )
    attachment |= {"text": setting("text"), "fallback": setting("fallback"), "callback_id": setting("callback_id")}
    if settings.get("fields"):
        attachment["fields"] = [
            {
                "title": notification.text(field["title"]),
                "value": notification.text(field["value"]),
                "short": field.get("short", settings.get("short_fields", False)),
            }
            for field in settings["fields"]
        ]
    if settings.get("actions"):
        attachment["actions"] = [_action(notification, action) for action in settings["actions"]]
    attachment |= _without_empty({"image_url": setting("image_url"), "thumb_url": setting("thumb_url")})
    attachment["footer"] = setting("footer")
    attachment |= _without_empty({"color": setting("color")})
    attachment["mrkdwn_in"] = settings.get("mrkdwn_in") or ["fallback", "pretext", "text"]
    names = ("channel", "username", "icon_emoji", "icon_url")
    message = _without_empty({**{name: setting(name) for name in names}, "link_names": settings.get("link_names", False)})
    return {**message, **_without_empty({"text": setting("message_text")}), "attachments": [attachment]}


def _action(notification: Notification, action: dict[str, Any]) -> dict[str, Any]:
    texts = {name: notification.text(action.get(name, "")) for name in ("type", "text", "url", "style", "name", "value")}
    rendered: dict[str, Any] = _without_empty(texts)
    if "confirm" in action:
        names = ("text", "title", "ok_text", "dismiss_text")
        rendered["confirm"] = _without_empty({name: notification.text(action["confirm"].get(name, "")) for name in names})
    return rendered


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}
