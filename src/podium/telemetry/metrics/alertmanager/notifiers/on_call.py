"""PagerDuty (events API v2, and v1 for service keys), Opsgenie, VictorOps: an incident per group, opened, updated and closed by its key.

Source: upstream's notify/pagerduty, notify/opsgenie and notify/victorops; the services' API references.
"""

from typing import Any

import orjson

from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.notification import HttpReply, Notification, check, truncate
from podium.telemetry.metrics.alertmanager.notification_templates import go_json
from podium.telemetry.metrics.alertmanager.notifiers.posting import post_json
from podium.telemetry.metrics.alertmanager.notifiers.webhook import rendered

PAGERDUTY_EVENT_BYTES_MAX = 512_000
PAGERDUTY_SUMMARY_CHARS_MAX = 1024
PAGERDUTY_V1_URL = "https://events.pagerduty.com/generic/2010-04-15/create_event.json"
OPSGENIE_MESSAGE_CHARS_MAX = 130
VICTOROPS_MESSAGE_CHARS_MAX = 20_480


# PagerDuty


async def notify_pagerduty(notification: Notification) -> None:
    event = "resolve" if notification.is_resolved else "trigger"
    details = {notification.text(str(key)): rendered(notification, value) for key, value in notification.settings["details"].items()}
    summary = truncate(notification.setting("description"), PAGERDUTY_SUMMARY_CHARS_MAX)
    if notification.settings.get("service_key") or notification.settings.get("service_key_file"):
        message = _pagerduty_v1(notification, event, summary, details)
        reply = await post_json(notification, PAGERDUTY_V1_URL, _fit(message, message, "details"))
        check(reply, retriable=(403,), detail=_pagerduty_detail)
    else:
        message = _pagerduty_v2(notification, event, summary, details)
        reply = await post_json(notification, str(notification.settings["url"]), _fit(message, message["payload"], "custom_details"))
        check(reply, retriable=(429,), detail=_pagerduty_detail)


def _key(notification: Notification, name: str, what: str) -> str:
    key = notification.text(notification.secret(name))
    if not key:
        raise NotificationError(f"{what} key cannot be empty", is_retriable=False)
    return key


def _pagerduty_v1(notification: Notification, event: str, summary: str, details: dict[str, Any]) -> dict[str, Any]:
    message = {
        "service_key": _key(notification, "service_key", "service"),
        "incident_key": notification.key_hash,
        "event_type": event,
        "description": summary,
        "event_action": "",
        "payload": None,
    }
    if event == "trigger":
        message |= _given({"client": notification.setting("client"), "client_url": notification.setting("client_url")})
    return {**message, "details": details}


def _pagerduty_v2(notification: Notification, event: str, summary: str, details: dict[str, Any]) -> dict[str, Any]:
    settings, setting = notification.settings, notification.setting
    payload: dict[str, Any] = {"summary": summary, "source": setting("source"), "severity": setting("severity") or "error"}
    payload |= _given({name: setting(name) for name in ("class", "component", "group")})
    payload["custom_details"] = details
    message = {
        "routing_key": _key(notification, "routing_key", "routing"), "dedup_key": notification.key_hash, "event_action": event,
        "payload": payload, **_given({"client": setting("client"), "client_url": setting("client_url")}),
    }  # fmt: skip
    images = [{name: notification.text(image.get(name, "")) for name in ("src", "alt", "href")} for image in settings.get("images", ())]
    links = [{name: notification.text(link.get(name, "")) for name in ("href", "text")} for link in settings.get("links", ())]
    return {**message, **_given({"images": [i for i in images if i["src"]], "links": [one for one in links if one["href"]]})}


def _fit(message: dict[str, Any], holder: dict[str, Any], name: str) -> bytes:
    """Without the details when it would be too large."""
    body = go_json(message).encode()
    if len(body) <= PAGERDUTY_EVENT_BYTES_MAX:
        return body + b"\n"
    holder[name] = {"error": "Custom details have been removed because the original event exceeds the maximum size of 512KB"}
    return go_json(message).encode() + b"\n"


def _pagerduty_detail(reply: HttpReply) -> str:
    if reply.status != 400:
        return ""
    try:
        said = orjson.loads(reply.body)
        return f"{said.get('message', '')}: {','.join(map(str, said.get('errors') or ()))}"
    except (ValueError, AttributeError, TypeError):
        return ""


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


# Opsgenie


async def notify_opsgenie(notification: Notification) -> None:
    base = f"{notification.settings['api_url']}v2/alerts"
    alias = notification.key_hash
    key = notification.text(notification.secret("api_key"))
    headers = {"authorization": f"GenieKey {key}"}

    async def send(method: str, url: str, value: dict[str, Any]) -> None:
        check(await post_json(notification, url, value, method=method, headers=headers), retriable=(429,))

    if notification.is_resolved:
        await send("POST", f"{base}/{alias}/close?identifierType=alias", {"source": notification.setting("source")})
        return
    message = _opsgenie_message(notification, alias)
    await send("POST", base, message)
    if notification.settings.get("update_alerts"):
        await send("PUT", f"{base}/{alias}/message?identifierType=alias", _given({"message": message["message"]}))
        await send("PUT", f"{base}/{alias}/description?identifierType=alias", _given({"description": message.get("description", "")}))


def _opsgenie_message(notification: Notification, alias: str) -> dict[str, Any]:
    setting = notification.setting
    details = {**notification.data.common_labels}
    details |= {name: notification.text(value) for name, value in notification.settings.get("details", {}).items()}
    message = {
        "alias": alias, "message": truncate(setting("message"), OPSGENIE_MESSAGE_CHARS_MAX),
        **_given({"description": setting("description")}), "details": dict(sorted(details.items())), "source": setting("source"),
    }  # fmt: skip
    return message | _given({
        "responders": _responders(notification), "tags": _split(setting("tags")), "note": setting("note"), "priority": setting("priority"),
        "entity": setting("entity"), "actions": _split(setting("actions")),
    })  # fmt: skip


def _responders(notification: Notification) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for responder in notification.settings.get("responders", ()):
        rendered_one = {name: notification.text(responder.get(name, "")) for name in ("id", "name", "username", "type")}
        if not any(rendered_one.values()):
            continue
        if rendered_one["type"] == "teams":
            found += [{"name": team, "type": "team"} for team in _split(rendered_one["name"])]
        else:
            found.append({**_given({name: rendered_one[name] for name in ("id", "name", "username")}), "type": rendered_one["type"]})
    return found


def _split(text: str) -> list[str]:
    return [part for part in text.strip().split(",") if part]


# VictorOps


async def notify_victorops(notification: Notification) -> None:
    url = f"{notification.settings['api_url']}{notification.secret('api_key')}/{notification.setting('routing_key')}"
    kind = notification.setting("message_type")
    if notification.is_resolved:
        kind = "RECOVERY"
    elif kind not in ("INFO", "WARNING", "CRITICAL"):
        kind = "CRITICAL"
    message = {
        "entity_display_name": notification.setting("entity_display_name"),
        "entity_id": notification.key_hash,
        "message_type": kind,
        "monitoring_tool": notification.setting("monitoring_tool"),
        "state_message": truncate(notification.setting("state_message"), VICTOROPS_MESSAGE_CHARS_MAX),
    }
    message |= {name: notification.text(value) for name, value in notification.settings.get("custom_fields", {}).items()}
    check(await post_json(notification, url, dict(sorted(message.items()))))
