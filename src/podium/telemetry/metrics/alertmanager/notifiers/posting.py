"""Sending JSON to a service: the request that almost every integration makes."""

import asyncio
from collections.abc import Mapping
from typing import Any

from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, HttpReply, Notification, Transport
from podium.telemetry.metrics.alertmanager.notification_templates import go_json

USER_AGENT = "Alertmanager/podium"


async def post_json(
    notification: Notification, url: str, value: Any, *, method: str = "POST", headers: Mapping[str, str] | None = None
) -> HttpReply:
    """Any status is a reply. Raises NotificationError (retriable) when nobody answers."""
    body = value if isinstance(value, bytes) else (go_json(value) + "\n").encode()
    all_headers = {"content-type": "application/json", "user-agent": USER_AGENT, **(headers or {})}
    return await send(notification.transport, HttpMessage(method, url, body, all_headers), notification.settings)


async def send(transport: Transport, message: HttpMessage, settings: Mapping[str, Any]) -> HttpReply:
    """Within the integration's `timeout`, when it has one. Errors never show the URL: it may hold a secret."""
    limit_s = settings.get("timeout") or None
    try:
        async with asyncio.timeout(limit_s):
            return await transport.http(message, settings.get("http_config") or {})
    except TimeoutError as error:
        said = f"configured timeout reached ({limit_s:g}s)" if limit_s else "the receiver did not answer in time"
        raise NotificationError(said, is_retriable=True) from error
    except (ConnectionError, OSError) as error:
        raise NotificationError(f"{type(error).__name__}: {error}", is_retriable=True) from error
