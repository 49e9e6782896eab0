"""What the integrations for chats and phones may be told; see receiver_settings.py. KINDS lists every kind there is.

Source: upstream's config/notifiers.go and notify/*/config.go.
"""

from typing import Any

from podium.telemetry.metrics.alertmanager.errors import ConfigurationError
from podium.telemetry.metrics.alertmanager.fields import (
    at_most_one,
    boolean,
    go_duration,
    integer,
    map_of,
    secret,
    secret_url,
    string,
    struct,
    url,
)
from podium.telemetry.metrics.alertmanager.receiver_settings import (
    EMAIL,
    OPSGENIE,
    PAGERDUTY,
    SLACK,
    VICTOROPS,
    WEBHOOK,
    Kind,
    Settings,
    _from_global,
    _one_of,
    _strings,
    _template,
)  # fmt: skip

_WEBHOOK_URL: dict[str, Any] = {"webhook_url": secret_url, "webhook_url_file": string}

DISCORD = Kind(
    "discord",
    {**_WEBHOOK_URL, **_strings("content", "title", "message", "username", "avatar_url")},
    {name: _template(f"discord.default.{name}") for name in ("title", "message")},
    check=_one_of("webhook_url", "webhook_url_file"),
)
MSTEAMS = Kind(
    "msteams",
    {**_WEBHOOK_URL, **_strings("title", "summary", "text")},
    {name: _template(f"msteams.default.{name}") for name in ("title", "summary", "text")},
    check=_one_of("webhook_url", "webhook_url_file"),
)
MSTEAMS_V2 = Kind(
    "msteamsv2",
    {**_WEBHOOK_URL, **_strings("title", "text")},
    {name: _template(f"msteamsv2.default.{name}") for name in ("title", "text")},
    check=_one_of("webhook_url", "webhook_url_file"),
)


def _check_telegram(settings: Settings) -> None:
    at_most_one(settings, "bot_token", "bot_token_file")
    if not settings.get("chat_id") and not settings.get("chat_id_file"):
        raise ConfigurationError("missing chat_id or chat_id_file on telegram_config")
    at_most_one(settings, "chat_id", "chat_id_file")
    if settings["parse_mode"] not in ("", "Markdown", "MarkdownV2", "HTML"):
        raise ConfigurationError("unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML or empty string")


def _complete_telegram(settings: Settings, general: Settings) -> None:
    _from_global(settings, general, "api_url", "telegram_api_url")
    if not settings.get("bot_token") and not settings.get("bot_token_file"):
        _from_global(settings, general, "bot_token", "telegram_bot_token")
        _from_global(settings, general, "bot_token_file", "telegram_bot_token_file")
        if not settings["bot_token"] and not settings["bot_token_file"]:
            raise ConfigurationError("missing bot_token or bot_token_file on telegram_config")


TELEGRAM = Kind(
    "telegram",
    {
        **_strings("bot_token_file", "chat_id_file", "message", "parse_mode"),
        "api_url": url, "bot_token": secret, "chat_id": integer, "message_thread_id": integer, "disable_notifications": boolean,
    },
    {"message": _template("telegram.default.message"), "parse_mode": "HTML"},
    check=_check_telegram,
    complete=_complete_telegram,
)  # fmt: skip


def _check_pushover(settings: Settings) -> None:
    for name in ("user_key", "token"):
        _one_of(name, f"{name}_file")(settings)
    if settings.get("html") and settings.get("monospace"):
        raise ConfigurationError("at most one of monospace & html must be configured")


PUSHOVER = Kind(
    "pushover",
    {
        **_strings("user_key_file", "token_file", "title", "message", "url", "url_title", "device", "sound", "priority"),
        "user_key": secret, "token": secret, "retry": go_duration, "expire": go_duration, "ttl": go_duration, "html": boolean,
        "monospace": boolean,
    },
    {
        **{name: _template(f"pushover.default.{name}") for name in ("title", "message", "url")},
        "priority": '{{ if eq .Status "firing" }}2{{ else }}0{{ end }}', "retry": 60.0, "expire": 3600.0,
    },
    check=_check_pushover,
)  # fmt: skip


def _check_webex(settings: Settings) -> None:
    if not settings.get("room_id"):
        raise ConfigurationError("missing room_id on webex_config")
    if not settings.get("http_config", {}).get("authorization"):
        raise ConfigurationError("missing webex_configs.http_config.authorization")


WEBEX = Kind(
    "webex",
    {"api_url": url, **_strings("message", "room_id")},
    {"message": _template("webex.default.message")},
    check=_check_webex,
    complete=lambda settings, general: _from_global(settings, general, "api_url", "webex_api_url", "no global Webex URL set"),
)

_SIGV4 = struct(
    "sigv4.SigV4Config",
    {**_strings("region", "access_key", "profile", "role_arn", "external_id"), "secret_key": secret, "use_fips_sts_endpoint": boolean},
)


def _check_sns(settings: Settings) -> None:
    if sum(bool(settings.get(name)) for name in ("topic_arn", "phone_number", "target_arn")) != 1:
        raise ConfigurationError("must provide either a Target ARN, Topic ARN, or Phone Number for SNS config")
    if settings.get("use_aws_http_client"):
        raise ConfigurationError("use_aws_http_client is not supported: leave it out, requests are signed without AWS' own client")
    signing = settings.setdefault("sigv4", {})
    if bool(signing.get("access_key")) != bool(signing.get("secret_key")):
        raise ConfigurationError("must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config")
    if (signing.get("profile") or signing.get("role_arn")) and signing.get("access_key"):
        raise ConfigurationError("sigv4: give either an access_key or a profile or role_arn")


SNS = Kind(
    "sns",
    {
        **_strings("api_url", "topic_arn", "phone_number", "target_arn", "subject", "message"),
        "sigv4": _SIGV4, "attributes": map_of(string), "use_aws_http_client": boolean,
    },
    {name: _template(f"sns.default.{name}") for name in ("subject", "message")},
    check=_check_sns,
)  # fmt: skip

KINDS = {
    kind.name: kind
    for kind in (WEBHOOK, EMAIL, SLACK, PAGERDUTY, OPSGENIE, VICTOROPS, DISCORD, MSTEAMS, MSTEAMS_V2, TELEGRAM, PUSHOVER, WEBEX, SNS)
}
UNSUPPORTED = ("incidentio", "jira", "mattermost", "rocketchat", "wechat")
"""Upstream sends to these; Podium does not, and says so."""

TYPE_NAMES = {
    "webhook": "WebhookConfig", "email": "EmailConfig", "slack": "SlackConfig", "pagerduty": "PagerdutyConfig", "opsgenie": "OpsGenieConfig",
    "victorops": "VictorOpsConfig", "discord": "DiscordConfig", "msteams": "MSTeamsConfig", "msteamsv2": "MSTeamsV2Config",
    "telegram": "TelegramConfig", "pushover": "PushoverConfig", "webex": "WebexConfig", "sns": "SNSConfig",
}  # fmt: skip
