"""Amazon SNS: Publish to a topic, a phone number or an endpoint, signed with SigV4.

Credentials, in this order: the `sigv4` section, the environment (AWS_ACCESS_KEY_ID, ...), the shared credentials file (`profile`). With
`role_arn` they are exchanged for those of the role (STS AssumeRole) for an hour.

Source: upstream's notify/sns; AWS' API reference of SNS and STS.
"""

import configparser
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, HttpReply, Notification, check
from podium.telemetry.metrics.alertmanager.notifiers.posting import USER_AGENT, send
from podium.telemetry.metrics.alertmanager.signing import Credentials, sign

MESSAGE_BYTES_MAX, SMS_BYTES_MAX = 256 * 1024, 1600
ROLE_LIFETIME_S, ROLE_MARGIN_S = 3600, 300


async def notify(notification: Notification) -> None:
    signing = notification.settings["sigv4"]
    region = signing.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "")
    if not region:
        raise NotificationError("region not configured in sns.sigv4.region or in default credentials chain", is_retriable=True)
    credentials = await _credentials(notification, signing, region)
    url = notification.setting("api_url") or f"https://sns.{region}.amazonaws.com/"
    reply = await _call(notification, url, "sns", region, credentials, publish_parameters(notification))
    check(reply, detail=_aws_error)


def publish_parameters(notification: Notification) -> dict[str, str]:
    """Those of the action Publish."""
    parameters = {"Action": "Publish", "Version": "2010-03-31"}
    bytes_max = MESSAGE_BYTES_MAX
    topic = notification.setting("topic_arn")
    if topic:
        parameters["TopicArn"] = topic
        if topic.endswith(".fifo"):
            parameters["MessageDeduplicationId"] = parameters["MessageGroupId"] = notification.key_hash
    if notification.settings.get("phone_number"):
        parameters["PhoneNumber"] = notification.setting("phone_number")
        bytes_max = SMS_BYTES_MAX
    if notification.settings.get("target_arn"):
        parameters["TargetArn"] = notification.setting("target_arn")
    attributes = {notification.text(name): notification.text(value) for name, value in notification.settings.get("attributes", {}).items()}
    message = notification.setting("message")
    if len(message.encode()) > bytes_max:
        message = message.encode()[:bytes_max].decode(errors="ignore")
        attributes["truncated"] = "true"
    parameters["Message"] = message
    if notification.settings.get("subject"):
        parameters["Subject"] = notification.setting("subject")
    for number, (name, value) in enumerate(sorted(attributes.items()), 1):
        entry = f"MessageAttributes.entry.{number}"
        parameters |= {f"{entry}.Name": name, f"{entry}.Value.DataType": "String", f"{entry}.Value.StringValue": value}
    return parameters


async def _call(
    notification: Notification, url: str, service: str, region: str, credentials: Credentials, parameters: Mapping[str, str]
) -> HttpReply:
    body = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(parameters.items())).encode()
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8", "host": urlsplit(url).netloc, "user-agent": USER_AGENT}
    signed = sign("POST", url, headers, body, service=service, region=region, credentials=credentials, now=notification.world.clock.now())
    signed.pop("host")
    return await send(notification.transport, HttpMessage("POST", url, body, signed), notification.settings)


def _aws_error(reply: HttpReply) -> str:
    found = re.search(r"<Message>(.*?)</Message>", reply.body.decode(errors="replace"), re.DOTALL)
    return found[1] if found else reply.body.decode(errors="replace")


# Credentials


@dataclass(frozen=True, slots=True)
class _Role:
    credentials: Credentials
    until: datetime


_roles: dict[str, _Role] = {}
ROLES_MAX = 1_000


async def _credentials(notification: Notification, signing: Mapping[str, Any], region: str) -> Credentials:
    base = _base_credentials(signing)
    role = signing.get("role_arn")
    if not role:
        return base
    now = notification.world.clock.now()
    name = hashlib.sha256(f"{base.access_key}/{role}/{signing.get('external_id', '')}".encode()).hexdigest()
    known = _roles.get(name)
    if known is not None and known.until > now:
        return known.credentials
    parameters = {"Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": role, "RoleSessionName": "alertmanager",
                  "DurationSeconds": str(ROLE_LIFETIME_S)}  # fmt: skip
    if signing.get("external_id"):
        parameters["ExternalId"] = signing["external_id"]
    host = f"sts-fips.{region}.amazonaws.com" if signing.get("use_fips_sts_endpoint") else f"sts.{region}.amazonaws.com"
    reply = await _call(notification, f"https://{host}/", "sts", region, base, parameters)
    check(reply, detail=_aws_error)
    text = reply.body.decode(errors="replace")
    parts = [re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    if not all(parts):
        raise NotificationError("STS gave no credentials", is_retriable=True)
    credentials = Credentials(*(part[1].strip() for part in parts if part))
    if len(_roles) >= ROLES_MAX:
        _roles.clear()
    _roles[name] = _Role(credentials, now + timedelta(seconds=ROLE_LIFETIME_S - ROLE_MARGIN_S))
    return credentials


def _base_credentials(signing: Mapping[str, Any]) -> Credentials:
    if signing.get("access_key"):
        return Credentials(signing["access_key"], signing["secret_key"])
    environment = os.environ
    if not signing.get("profile") and environment.get("AWS_ACCESS_KEY_ID") and environment.get("AWS_SECRET_ACCESS_KEY"):
        return Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], environment.get("AWS_SESSION_TOKEN", ""))
    path = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
    parser = configparser.ConfigParser(interpolation=None)
    profile = signing.get("profile") or environment.get("AWS_PROFILE", "default")
    try:
        parser.read(path)
        section = parser[profile]
        return Credentials(section["aws_access_key_id"], section["aws_secret_access_key"], section.get("aws_session_token", ""))
    except (KeyError, configparser.Error, OSError, UnicodeDecodeError):
        raise NotificationError(
            f"no AWS credentials: neither sigv4.access_key, nor the environment, nor profile {profile} of {path}", is_retriable=True
        ) from None
