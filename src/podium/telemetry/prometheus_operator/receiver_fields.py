"""The integrations of an AlertmanagerConfig's receivers: each field of the resource beside its name in alertmanager.yml, and its form.

One table makes both: the schema of the resource, and the text of the configuration. What is not in the table is not in the schema either.

Source: the Prometheus operator's API reference (AlertmanagerConfig v1alpha1); Alertmanager's configuration reference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from podium.telemetry.metrics.alertmanager.fields import parse_duration
from podium.telemetry.prometheus_operator.credentials import Credentials
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.schemas import (
    BOOLEAN,
    DURATION,
    HTTP,
    INTEGER,
    KEY,
    STRING,
    STRINGS,
    TEXTS,
    TLS,
    Schema,
    listed,
    one_of,
    record,
)

Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """`render` makes the value of alertmanager.yml from (credentials, value, path of the field). It may raise ResourceRefused."""

    schema: Schema
    render: Callable[[Credentials, Any, str], Any]


@dataclass(frozen=True, slots=True)
class Integration:
    """`fields`: theirs -> (ours, form). `required`: theirs, which the schema demands."""

    name: str
    ours: str
    fields: Mapping[str, tuple[str, Form]]
    required: tuple[str, ...] = ()


def _same(credentials: Credentials, value: Any, where: str) -> Any:
    return value


def _pairs(credentials: Credentials, value: Any, where: str) -> Config:
    return {pair["key"]: pair["value"] for pair in value}


def _http(credentials: Credentials, value: Any, where: str) -> Config:
    """proxyURL goes before proxyUrl, as upstream has it; whoever gives two kinds of credentials is refused when the text is read."""
    return credentials.http({**value, "proxyUrl": value.get("proxyURL") or value.get("proxyUrl")}, where)


def _sigv4(credentials: Credentials, value: Any, where: str) -> Config:
    config = {
        ours: value[theirs] for theirs, ours in (("region", "region"), ("profile", "profile"), ("roleArn", "role_arn")) if theirs in value
    }
    for theirs, ours in (("accessKey", "access_key"), ("secretKey", "secret_key")):
        if value.get(theirs):
            config[ours] = credentials.secret(value[theirs], f"{where}.{theirs}")
    return config


def _go_duration(credentials: Credentials, value: Any, where: str) -> str:
    """Alertmanager reads these as Go does, which knows no days."""
    return f"{round(parse_duration(value) * 1000)}ms"


TEXT = Form(STRING, _same)
FLAG = Form(BOOLEAN, _same)
NUMBER = Form(INTEGER, _same)
LIST = Form(STRINGS, _same)
MAP = Form(TEXTS, _same)
SPAN = Form(DURATION, _go_duration)
SECRET = Form(KEY, lambda credentials, value, where: credentials.secret(value, where))
SECRET_URL = Form(KEY, lambda credentials, value, where: credentials.secret(value, where).strip())
PAIRS = Form(listed(record(("key", "value"), key={**STRING, "minLength": 1}, value=STRING)), _pairs)
_FILES = ("caFile", "certFile", "keyFile")
_TLS: Schema = {**TLS, "properties": {name: schema for name, schema in TLS["properties"].items() if name not in _FILES}}
_OAUTH2: Schema = {**HTTP["oauth2"], "properties": {**HTTP["oauth2"]["properties"], "tlsConfig": _TLS}}
TLS_FORM = Form(_TLS, lambda credentials, value, where: credentials.tls(value, where))
HTTP_FORM = Form(record(bearerTokenSecret=KEY, proxyURL=STRING, **{**HTTP, "tlsConfig": _TLS, "oauth2": _OAUTH2}), _http)
SIGV4 = Form(record(region=STRING, accessKey=KEY, secretKey=KEY, profile=STRING, roleArn=STRING), _sigv4)

Fields = dict[str, tuple[str, Form]]


def _snake(name: str) -> str:
    """titleLink -> title_link, iconURL -> icon_url, chatID -> chat_id."""
    found = ""
    for place, letter in enumerate(name):
        if letter.isupper() and place and not name[place - 1].isupper():
            found += "_"
        found += letter.lower()
    return found


def _of(form: Form, *names: str) -> Fields:
    return {name: (_snake(name), form) for name in names}


def render_fields(fields: Mapping[str, tuple[str, Form]], credentials: Credentials, given: Mapping[str, Any], where: str) -> Config:
    """Raises ResourceRefused."""
    return {
        ours: form.render(credentials, given[theirs], f"{where}.{theirs}")
        for theirs, (ours, form) in fields.items()
        if given.get(theirs) is not None
    }


def schema_of(fields: Mapping[str, tuple[str, Form]], required: tuple[str, ...] = ()) -> Schema:
    return record(required, **{theirs: form.schema for theirs, (_, form) in fields.items()})


def _nested(fields: Fields, required: tuple[str, ...] = ()) -> Form:
    def render(credentials: Credentials, value: Any, where: str) -> Any:
        return render_fields(fields, credentials, value, where)

    return Form(schema_of(fields, required), render)


def _list_of(form: Form) -> Form:
    def render(credentials: Credentials, value: Any, where: str) -> Any:
        return [form.render(credentials, item, f"{where}[{index}]") for index, item in enumerate(value)]

    return Form(listed(form.schema), render)


_EVERY: Fields = {**_of(FLAG, "sendResolved"), **_of(HTTP_FORM, "httpConfig")}
_SLACK_ACTION = _nested(
    {**_of(TEXT, "type", "text", "url", "style", "name", "value"),
     "confirm": ("confirm", _nested(_of(TEXT, "text", "title", "okText", "dismissText"), ("text",)))},
    ("type", "text"),
)  # fmt: skip
_SLACK_FIELD = _nested({**_of(TEXT, "title", "value"), **_of(FLAG, "short")}, ("title", "value"))
_RESPONDER_KINDS = ("team", "teams", "user", "escalation", "schedule")
_RESPONDER = _nested({**_of(TEXT, "id", "name", "username"), "type": ("type", Form(one_of(*_RESPONDER_KINDS), _same))}, ("type",))

INTEGRATIONS: tuple[Integration, ...] = (
    Integration("opsgenieConfigs", "opsgenie_configs", {
        **_EVERY, **_of(SECRET, "apiKey"), **_of(FLAG, "updateAlerts"), "details": ("details", PAIRS),
        **_of(TEXT, "apiURL", "message", "description", "source", "tags", "note", "priority", "entity", "actions"),
        "responders": ("responders", _list_of(_RESPONDER)),
    }),
    Integration("pagerdutyConfigs", "pagerduty_configs", {
        **_EVERY, **_of(SECRET, "routingKey", "serviceKey"), "details": ("details", PAIRS), **_of(SPAN, "timeout"),
        **_of(TEXT, "url", "client", "clientURL", "description", "severity", "class", "group", "component", "source"),
        "pagerDutyImageConfigs": ("images", _list_of(_nested(_of(TEXT, "src", "href", "alt")))),
        "pagerDutyLinkConfigs": ("links", _list_of(_nested({"href": ("href", TEXT), "alt": ("text", TEXT)}))),
    }),
    Integration("discordConfigs", "discord_configs", {
        **_EVERY, "apiURL": ("webhook_url", SECRET_URL), **_of(TEXT, "title", "message", "content", "username", "avatarURL"),
    }, ("apiURL",)),
    Integration("slackConfigs", "slack_configs", {
        **_EVERY, **_of(SECRET_URL, "apiURL"), **_of(FLAG, "shortFields", "linkNames"), **_of(LIST, "mrkdwnIn"), **_of(SPAN, "timeout"),
        **_of(TEXT, "channel", "username", "color", "title", "titleLink", "pretext", "text", "footer", "fallback", "callbackId",
              "iconEmoji", "iconURL", "imageURL", "thumbURL"),
        "fields": ("fields", _list_of(_SLACK_FIELD)), "actions": ("actions", _list_of(_SLACK_ACTION)),
    }),
    Integration("webhookConfigs", "webhook_configs", {
        **_EVERY, **_of(TEXT, "url"), "urlSecret": ("url", SECRET_URL), **_of(NUMBER, "maxAlerts"), **_of(SPAN, "timeout"),
    }),
    Integration("emailConfigs", "email_configs", {
        **_of(FLAG, "sendResolved", "requireTLS"), **_of(SECRET, "authPassword", "authSecret"), "headers": ("headers", PAIRS),
        **_of(TEXT, "to", "from", "hello", "smarthost", "authUsername", "authIdentity", "html", "text"), **_of(TLS_FORM, "tlsConfig"),
    }),
    Integration("victoropsConfigs", "victorops_configs", {
        **_EVERY, **_of(SECRET, "apiKey"), "customFields": ("custom_fields", PAIRS),
        **_of(TEXT, "apiUrl", "routingKey", "messageType", "entityDisplayName", "stateMessage", "monitoringTool"),
    }, ("routingKey",)),
    Integration("pushoverConfigs", "pushover_configs", {
        **_EVERY, **_of(SECRET, "userKey", "token"), **_of(FLAG, "html", "monospace"), **_of(SPAN, "ttl", "retry", "expire"),
        **_of(TEXT, "title", "message", "url", "urlTitle", "device", "sound", "priority"),
    }),
    Integration("snsConfigs", "sns_configs", {
        **_EVERY, **_of(SIGV4, "sigv4"), **_of(MAP, "attributes"),
        **_of(TEXT, "apiURL", "topicARN", "subject", "phoneNumber", "targetARN", "message"),
    }),
    Integration("telegramConfigs", "telegram_configs", {
        **_EVERY, **_of(SECRET, "botToken"), **_of(TEXT, "apiURL", "message"), **_of(NUMBER, "chatID", "messageThreadID"),
        **_of(FLAG, "disableNotifications"), "parseMode": ("parse_mode", Form(one_of("MarkdownV2", "Markdown", "HTML"), _same)),
    }),
    Integration("webexConfigs", "webex_configs", {**_EVERY, **_of(TEXT, "apiURL", "message", "roomID")}, ("roomID",)),
    Integration("msteamsConfigs", "msteams_configs", {
        **_EVERY, "webhookUrl": ("webhook_url", SECRET_URL), **_of(TEXT, "title", "summary", "text"),
    }, ("webhookUrl",)),
    Integration("msteamsv2Configs", "msteamsv2_configs", {
        **_EVERY, "webhookURL": ("webhook_url", SECRET_URL), **_of(TEXT, "title", "text"),
    }),
)  # fmt: skip
UNSUPPORTED = ("wechatConfigs", "rocketchatConfigs", "mattermostConfigs")
"""Integrations of upstream's that Podium does not send to: refused by name."""


def without_files(given: Any, where: str) -> None:
    """Receivers are written by those who may write in a namespace, and files are the host's: none is read for them (upstream's are a
    container's). Raises ResourceRefused for a field that names one."""
    for name, value in given.items() if isinstance(given, dict) else enumerate(given) if isinstance(given, list) else ():
        path = f"{where}[{name}]" if isinstance(name, int) else f"{where}.{name}"
        if isinstance(name, str) and name.endswith("File"):
            raise ResourceRefused(f"{path} is not supported: use a Secret")
        if name != "attributes":
            without_files(value, path)
