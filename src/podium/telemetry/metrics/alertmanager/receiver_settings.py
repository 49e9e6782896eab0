"""What a receiver's integrations may be told, kind by kind: fields, defaults, checks.

A table per kind: decoders of its fields, values of those that are not given, a check after reading (`Kind.check`) and one that completes it
from the global section (`Kind.complete`), with upstream's messages. Kinds of upstream's that Podium does not send to are refused by name.

Source: upstream's config/notifiers.go and notify/*/config.go.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from podium.telemetry.metrics.alertmanager.errors import ConfigurationError
from podium.telemetry.metrics.alertmanager.fields import (
    Decoder,
    anything,
    at_most_one,
    boolean,
    go_duration,
    integer,
    list_of,
    map_of,
    secret,
    secret_url,
    string,
    struct,
    url,
)  # fmt: skip
from podium.telemetry.metrics.alertmanager.http_settings import HTTP, TLS

Settings = dict[str, Any]


def _nothing(settings: Settings) -> None:
    pass


def _complete_nothing(settings: Settings, general: Settings) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Kind:
    name: str  # as in NAME_configs
    fields: dict[str, Decoder]
    defaults: Settings = field(default_factory=dict)
    sends_resolved: bool = True
    check: Callable[[Settings], None] = _nothing
    complete: Callable[[Settings, Settings], None] = _complete_nothing

    def decoder(self, type_name: str) -> Decoder:
        return struct(type_name, {"send_resolved": boolean, "http_config": HTTP, **self.fields}, self._read)

    def _read(self, settings: Settings) -> None:
        for name, value in {"send_resolved": self.sends_resolved, **self.defaults}.items():
            settings.setdefault(name, value)
        self.check(settings)


def _template(name: str) -> str:
    return '{{ template "' + name + '" . }}'


def _strings(*names: str) -> dict[str, Decoder]:
    return dict.fromkeys(names, string)


def _one_of(*names: str) -> Callable[[Settings], None]:
    def check(settings: Settings) -> None:
        if not any(settings.get(name) for name in names):
            raise ConfigurationError(f"one of {' or '.join(names)} must be configured")
        at_most_one(settings, *names)

    return check


def _from_global(settings: Settings, general: Settings, own: str, theirs: str, complaint: str = "") -> None:
    settings[own] = settings.get(own) or general.get(theirs, "")
    if complaint and not settings[own]:
        raise ConfigurationError(complaint)


def _slash(settings: Settings, name: str) -> None:
    if not settings[name].endswith("/"):
        settings[name] += "/"


WEBHOOK = Kind(
    "webhook",
    {"url": secret_url, "url_file": string, "max_alerts": integer, "timeout": go_duration, "payload": anything},
    check=_one_of("url", "url_file"),
)

# E-mail


def _check_email(settings: Settings) -> None:
    if not settings.get("to"):
        raise ConfigurationError("missing to address in email config")
    headers: dict[str, str] = {}
    for name, value in settings.get("headers", {}).items():
        canonical = "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))
        if canonical in headers:
            raise ConfigurationError(f'duplicate header "{canonical}" in email config')
        if not re.fullmatch(r"[!-9;-~]+", canonical):
            raise ConfigurationError(f'invalid header name "{canonical}" in email config')
        headers[canonical] = value
    settings["headers"] = headers
    threading = settings.get("threading", {})
    if threading.get("enabled"):
        for name in ("References", "In-Reply-To"):
            if name in headers:
                raise ConfigurationError(f"conflicting configuration: threading.enabled conflicts with custom {name} header")
        if threading.get("thread_by_date") not in ("none", "daily"):
            raise ConfigurationError("threading.thread_by_date must be either 'none' or 'daily'")


def _complete_email(settings: Settings, general: Settings) -> None:
    _from_global(settings, general, "smarthost", "smtp_smarthost", "no global SMTP smarthost set")
    _from_global(settings, general, "from", "smtp_from", "no global SMTP from set")
    for name in ("hello", "auth_username", "auth_secret", "auth_secret_file", "auth_identity", "tls_config"):
        _from_global(settings, general, name, f"smtp_{name}")
    if not settings.get("auth_password") and not settings.get("auth_password_file"):
        _from_global(settings, general, "auth_password", "smtp_auth_password")
        _from_global(settings, general, "auth_password_file", "smtp_auth_password_file")
    settings.setdefault("require_tls", general["smtp_require_tls"])
    settings.setdefault("force_implicit_tls", general.get("smtp_force_implicit_tls"))


def host_port(text: str) -> tuple[str, str]:
    """Raises ConfigurationError."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise ConfigurationError(f"address {text}: missing port in address" if not colon else f"address {text}: too many colons in address")
    if not port:
        raise ConfigurationError(f'address "{text}": port cannot be empty')
    if not port.isdecimal() or int(port) > 65535:
        raise ConfigurationError(f"address {text}: invalid port")
    return host.strip("[]"), port


def _smarthost(reader: Any, node: Any) -> Any:
    from podium.telemetry.metrics.alertmanager.fields import parsed

    return parsed(host_port)(reader, node)


EMAIL = Kind(
    "email",
    {
        **_strings("to", "from", "hello", "auth_username", "auth_password_file", "auth_secret_file", "auth_identity", "html", "text"),
        "smarthost": _smarthost, "auth_password": secret, "auth_secret": secret, "headers": map_of(string), "require_tls": boolean,
        "tls_config": TLS, "force_implicit_tls": boolean,
        "threading": struct("config.ThreadingConfig", {"enabled": boolean, "thread_by_date": string}),
    },
    {"html": _template("email.default.html"), "text": ""},
    sends_resolved=False,
    check=_check_email,
    complete=_complete_email,
)  # fmt: skip

# Slack


def _check_action(action: Settings) -> None:
    for name in ("type", "text"):
        if not action.get(name):
            raise ConfigurationError(f"missing {name} in Slack action configuration")
    if action.get("url"):
        for name in ("name", "value", "confirm"):
            action.pop(name, None)
    elif not action.get("name"):
        raise ConfigurationError("missing name or url in Slack action configuration")


def _requires(what: str, *names: str) -> Callable[[Settings], None]:
    def check(settings: Settings) -> None:
        for name in names:
            if not settings.get(name):
                raise ConfigurationError(f"missing {name} in {what}")

    return check


_CONFIRM = struct(
    "config.SlackConfirmationField",
    _strings("text", "title", "ok_text", "dismiss_text"),
    _requires("Slack confirmation configuration", "text"),
)
_ACTION = struct("config.SlackAction", {**_strings("type", "text", "url", "style", "name", "value"), "confirm": _CONFIRM}, _check_action)
_FIELD = struct(
    "config.SlackField", {**_strings("title", "value"), "short": boolean}, _requires("Slack field configuration", "title", "value")
)


def _check_slack(settings: Settings) -> None:
    at_most_one(settings, "api_url", "api_url_file")
    at_most_one(settings, "app_token", "app_token_file")
    if (settings.get("api_url") or settings.get("api_url_file")) and (settings.get("app_token") or settings.get("app_token_file")):
        raise ConfigurationError("at most one of api_url/api_url_file & app_token/app_token_file must be configured")


def _complete_slack(settings: Settings, general: Settings) -> None:
    _from_global(settings, general, "app_url", "slack_app_url")
    http = settings.get("http_config")
    has_token = settings.get("app_token") or settings.get("app_token_file")
    if not has_token and not (http or {}).get("authorization") and not settings.get("api_url"):
        _from_global(settings, general, "app_token", "slack_app_token")
        _from_global(settings, general, "app_token_file", "slack_app_token_file")
    if not settings.get("api_url") and not settings.get("api_url_file"):
        _from_global(settings, general, "api_url", "slack_api_url")
        _from_global(settings, general, "api_url_file", "slack_api_url_file")
    token, token_file = settings.get("app_token"), settings.get("app_token_file")
    if not (settings["api_url"] or settings.get("api_url_file") or token or token_file):
        raise ConfigurationError("no Slack API URL nor App token set either inline or in a file")
    if token or token_file:
        http = dict(http if http is not None else general["http_config"])
        if http.get("authorization"):
            raise ConfigurationError("http authorization can't be set when using Slack App tokens")
        http["authorization"] = {"type": "Bearer", "credentials": token, "credentials_file": token_file}
        settings["http_config"], settings["api_url"], settings["api_url_file"] = http, settings["app_url"], ""


_SLACK_TEXTS = ("color", "username", "title", "pretext", "text", "fallback", "footer")
SLACK = Kind(
    "slack",
    {
        **_strings(*_SLACK_TEXTS, "api_url_file", "app_token_file", "channel", "title_link", "message_text", "callback_id", "icon_emoji",
                   "icon_url", "image_url", "thumb_url"),
        "api_url": secret_url, "app_token": secret, "app_url": url, "fields": list_of(_FIELD), "actions": list_of(_ACTION),
        "short_fields": boolean, "link_names": boolean, "mrkdwn_in": list_of(string), "update_message": boolean, "timeout": go_duration,
    },
    {
        **{name: _template(f"slack.default.{name}") for name in _SLACK_TEXTS},
        "title_link": _template("slack.default.titlelink"), "callback_id": _template("slack.default.callbackid"),
        "icon_emoji": _template("slack.default.iconemoji"), "icon_url": _template("slack.default.iconurl"),
    },
    sends_resolved=False,
    check=_check_slack,
    complete=_complete_slack,
)  # fmt: skip

# On call

PAGERDUTY_DETAILS = {
    "firing": "{{ .Alerts.Firing | toJson }}",
    "resolved": "{{ .Alerts.Resolved | toJson }}",
    "num_firing": "{{ .Alerts.Firing | len }}",
    "num_resolved": "{{ .Alerts.Resolved | len }}",
}


def _check_pagerduty(settings: Settings) -> None:
    if not any(settings.get(name) for name in ("routing_key", "service_key", "routing_key_file", "service_key_file")):
        raise ConfigurationError("missing service or routing key in PagerDuty config")
    at_most_one(settings, "routing_key", "routing_key_file")
    at_most_one(settings, "service_key", "service_key_file")
    settings["source"] = settings.get("source") or settings["client"]
    settings["details"] = {**PAGERDUTY_DETAILS, **settings.get("details", {})}


PAGERDUTY = Kind(
    "pagerduty",
    {
        **_strings("service_key_file", "routing_key_file", "client", "client_url", "description", "source", "severity", "class",
                   "component", "group"),
        "service_key": secret, "routing_key": secret, "url": url, "details": map_of(anything), "timeout": go_duration,
        "images": list_of(struct("config.PagerdutyImage", _strings("src", "alt", "href"))),
        "links": list_of(struct("config.PagerdutyLink", _strings("href", "text"))),
    },
    {
        "description": _template("pagerduty.default.description"), "client": _template("pagerduty.default.client"),
        "client_url": _template("pagerduty.default.clientURL"),
    },
    check=_check_pagerduty,
    complete=lambda settings, general: _from_global(settings, general, "url", "pagerduty_url", "no global PagerDuty URL set"),
)  # fmt: skip

_RESPONDER_TYPES = "^(team|teams|user|escalation|schedule)$"


def _check_opsgenie(settings: Settings) -> None:
    at_most_one(settings, "api_key", "api_key_file")
    for responder in settings.get("responders", ()):
        if not any(responder.get(name) for name in ("id", "username", "name")):
            raise ConfigurationError(f"opsGenieConfig responder {responder} has to have at least one of id, username or name specified")
        if "{{" not in responder.get("type", ""):
            responder["type"] = responder.get("type", "").lower()
            if not re.match(_RESPONDER_TYPES, responder["type"]):
                raise ConfigurationError(f"opsGenieConfig responder {responder} type does not match valid options {_RESPONDER_TYPES}")


def _complete_opsgenie(settings: Settings, general: Settings) -> None:
    _from_global(settings, general, "api_url", "opsgenie_api_url", "no global OpsGenie URL set")
    _slash(settings, "api_url")
    if not settings.get("api_key_file"):
        _from_global(settings, general, "api_key", "opsgenie_api_key")
    if not settings.get("api_key"):
        _from_global(
            settings, general, "api_key_file", "opsgenie_api_key_file", "no global OpsGenie API Key set either inline or in a file"
        )


OPSGENIE = Kind(
    "opsgenie",
    {
        **_strings("api_key_file", "message", "description", "source", "entity", "actions", "tags", "note", "priority"),
        "api_key": secret, "api_url": url, "details": map_of(string), "update_alerts": boolean,
        "responders": list_of(struct("config.OpsGenieConfigResponder", _strings("id", "name", "username", "type"))),
    },
    {name: _template(f"opsgenie.default.{name}") for name in ("message", "description", "source")},
    check=_check_opsgenie,
    complete=_complete_opsgenie,
)  # fmt: skip

_VICTOROPS_FIXED = ("routing_key", "message_type", "state_message", "entity_display_name", "monitoring_tool", "entity_id", "entity_state")


def _check_victorops(settings: Settings) -> None:
    if not settings.get("routing_key"):
        raise ConfigurationError("missing Routing key in VictorOps config")
    at_most_one(settings, "api_key", "api_key_file")
    for name in _VICTOROPS_FIXED:
        if name in settings.get("custom_fields", {}):
            raise ConfigurationError(
                f"victorOps config contains custom field {name} which cannot be used as it conflicts with the fixed/static fields"
            )


def _complete_victorops(settings: Settings, general: Settings) -> None:
    _from_global(settings, general, "api_url", "victorops_api_url", "no global VictorOps URL set")
    _slash(settings, "api_url")
    if not settings.get("api_key_file"):
        _from_global(settings, general, "api_key", "victorops_api_key")
    if not settings.get("api_key"):
        _from_global(settings, general, "api_key_file", "victorops_api_key_file", "no global VictorOps API Key set")


VICTOROPS = Kind(
    "victorops",
    {
        **_strings("api_key_file", "routing_key", "message_type", "state_message", "entity_display_name", "monitoring_tool"),
        "api_key": secret, "api_url": url, "custom_fields": map_of(string),
    },
    {
        "message_type": "CRITICAL",
        **{name: _template(f"victorops.default.{name}") for name in ("state_message", "entity_display_name", "monitoring_tool")},
    },
    check=_check_victorops,
    complete=_complete_victorops,
)  # fmt: skip
