"""A notification on its way to one integration, and what integrations are: functions that send one or raise NotificationError."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from podium.telemetry.metrics.alertmanager.alerts import Alert
from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.notification_data import Data
from podium.telemetry.metrics.alertmanager.notification_templates import NotificationTemplates
from podium.telemetry.metrics.templates.errors import TemplateError
from podium.world.interface import World

SECRET_FILE_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpMessage:
    method: str
    url: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HttpReply:
    """Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to a server, ready to be sent: `content` with its headers and CRLF."""

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    content: bytes


class Transport(Protocol):
    """How notifications leave: over the network, or into a rehearsal. Both raise NotificationError, ConnectionError or TimeoutError."""

    async def http(self, message: HttpMessage, settings: Mapping[str, Any]) -> HttpReply:
        """`settings` is an http_config. Any status is a reply."""
        ...

    async def mail(self, mail: Mail, settings: Mapping[str, Any]) -> None:
        """`settings` are those of the e-mail integration. Returns when the server has taken it."""
        ...


@dataclass(slots=True)
class Notification:
    """`alerts` are those that are told of, in order; the ends of firing ones are None. `notes` may be changed: they are in `notes` again
    when the same group is next notified of."""

    group_key: str
    alerts: list[Alert]
    now: datetime
    data: Data
    settings: Mapping[str, Any]
    templates: NotificationTemplates
    transport: Transport
    world: World
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def is_resolved(self) -> bool:
        return self.data.status == "resolved"

    @property
    def key_hash(self) -> str:
        """Of the group: the same for all its notifications."""
        return sha256(self.group_key.encode()).hexdigest()

    def text(self, name_or_text: str) -> str:
        """A setting's text (not its name), rendered. Raises NotificationError."""
        try:
            return self.templates.text(name_or_text, self.data)
        except TemplateError as error:
            raise NotificationError(str(error), is_retriable=False, reason="clientError") from error

    def html(self, text: str) -> str:
        try:
            return self.templates.html(text, self.data)
        except TemplateError as error:
            raise NotificationError(str(error), is_retriable=False, reason="clientError") from error

    def setting(self, name: str) -> str:
        """The setting of that name, rendered; empty without one. Raises NotificationError."""
        return self.text(str(self.settings.get(name) or ""))

    def secret(self, name: str) -> str:
        """The setting, or the content of the file that NAME_file names, without the white space around it. Raises NotificationError."""
        if self.settings.get(name):
            return str(self.settings[name])
        return read_secret(str(self.settings.get(f"{name}_file") or ""))


def read_secret(path: str) -> str:
    """Empty without a path. Raises NotificationError."""
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            content = file.read(SECRET_FILE_BYTES_MAX + 1)
        if len(content) > SECRET_FILE_BYTES_MAX:
            raise NotificationError(f"{path} is larger than {SECRET_FILE_BYTES_MAX} bytes", is_retriable=False)
        return content.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotificationError(f"could not read {path}: {getattr(error, 'strerror', None) or error}", is_retriable=False) from error


Notifier = Callable[[Notification], Awaitable[None]]


def failure_reason(status: int) -> str:
    if status in (401, 403):
        return "authError"
    if status == 429:
        return "rateLimited"
    return {4: "clientError", 5: "serverError"}.get(status // 100, "other")


DETAIL_CHARS_MAX = 500


def check(reply: HttpReply, retriable: tuple[int, ...] = (), detail: Callable[[HttpReply], str] | None = None) -> None:
    """Raises NotificationError unless the status is 2xx; 5xx and `retriable` ones may be tried again."""
    if reply.status // 100 == 2:
        return
    said = detail(reply) if detail is not None else reply.body.decode(errors="replace").strip()
    message = f"unexpected status code {reply.status}" + (f": {said[:DETAIL_CHARS_MAX]}" if said else "")
    raise NotificationError(
        message, is_retriable=reply.status // 100 == 5 or reply.status in retriable, reason=failure_reason(reply.status)
    )


def truncate(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def truncate_bytes(text: str, bytes_max: int) -> str:
    data = text.encode()
    return text if len(data) <= bytes_max else data[: bytes_max - 3].decode(errors="ignore") + "…"
