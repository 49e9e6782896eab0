"""Webhooks: version 4 of the message, or a payload of the user's own.

Source: upstream's notify/webhook; the webhook section of its configuration reference.
"""

from dataclasses import replace
from typing import Any

import yaml

from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.notification import Notification, check
from podium.telemetry.metrics.alertmanager.notifiers.posting import post_json

VERSION = "4"


async def notify(notification: Notification) -> None:
    notification, left_out = truncated(notification)
    url = notification.text(notification.secret("url"))
    if not url:
        raise NotificationError("webhook URL is empty after templating", is_retriable=False)
    check(await post_json(notification, url, message(notification, left_out)))


def truncated(notification: Notification) -> tuple[Notification, int]:
    """(with at most `max_alerts` alerts, how many were left out). Everything else that is said, the status too, is then of those alerts."""
    alerts_max = int(notification.settings.get("max_alerts") or 0)
    left_out = len(notification.data.alerts) - alerts_max if alerts_max else 0
    if left_out <= 0:
        return notification, 0
    return replace(notification, data=notification.data.first(alerts_max)), left_out


def message(notification: Notification, left_out: int) -> Any:
    payload = notification.settings.get("payload")
    if payload is not None:
        return rendered(notification, payload)
    return {**notification.data.to_json(), "version": VERSION, "groupKey": notification.group_key, "truncatedAlerts": left_out}


def rendered(notification: Notification, value: Any) -> Any:
    """All texts in it, keys too, as templates; a text that becomes YAML of another kind (a number, a list) becomes that value."""
    if isinstance(value, str):
        text = notification.text(value)
        if text == value:
            return value
        try:
            found = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            return text
        return found if isinstance(found, int | float | list | dict) or found is None else text
    if isinstance(value, list):
        return [rendered(notification, item) for item in value]
    if isinstance(value, dict):
        return {notification.text(str(key)): rendered(notification, item) for key, item in value.items()}
    return value
