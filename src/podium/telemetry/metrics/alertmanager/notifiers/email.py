"""E-mail: a multipart message of a text and an HTML part, as templates make them.

Headers are rendered one by one; a line break in one is refused, so no template can add headers or recipients. Source: upstream's notify/email;
RFC 5322, RFC 2045 to 2047.
"""

from email.errors import HeaderParseError
from email.header import Header
from email.headerregistry import Address
from email.utils import getaddresses
from quopri import encodestring

from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.notification import Mail, Notification
from podium.telemetry.metrics.templates.times import format_time

SUBJECT = '{{ template "email.default.subject" . }}'
RECIPIENTS_MAX = 1_000
RFC1123Z = "Mon, 02 Jan 2006 15:04:05 -0700"


async def notify(notification: Notification) -> None:
    settings = notification.settings
    sender = _addresses(notification.setting("from"), "from")
    if len(sender) != 1:
        raise NotificationError(f"must be exactly one 'from' address (got: {len(sender)})", is_retriable=False)
    recipients = _addresses(notification.setting("to"), "to")
    host, port = settings["smarthost"]
    await notification.transport.mail(Mail(host, int(port), sender[0], tuple(recipients), content(notification)), settings)


def _addresses(text: str, what: str) -> list[str]:
    try:
        pairs = getaddresses([text], strict=True)  # since 3.11.10
    except TypeError:
        pairs = getaddresses([text])
    addresses = [address for _, address in pairs]
    try:
        for address in addresses:
            if not address or any(c.isspace() or c in "<>" for c in address):
                raise ValueError(f"no address in {text!r}")
            if address.isascii():
                Address(addr_spec=address)
    except (ValueError, IndexError, HeaderParseError) as error:
        raise NotificationError(f"parse '{what}' addresses: {error}", is_retriable=False, reason="clientError") from error
    if len(addresses) > RECIPIENTS_MAX:
        raise NotificationError(f"more than {RECIPIENTS_MAX} '{what}' addresses", is_retriable=False)
    return addresses


def content(notification: Notification) -> bytes:
    """The whole message, with CRLF."""
    settings, world = notification.settings, notification.world
    headers = {"Subject": SUBJECT, "To": settings["to"], "From": settings["from"], **settings["headers"]}
    lines = [f"{name}: {_header(name, notification.text(value))}" for name, value in sorted(headers.items())]
    host = settings.get("hello") or "localhost"
    if "Message-Id" not in headers:
        lines.append(f"Message-Id: <{world.uid()}@{host}>")
    if settings.get("threading", {}).get("enabled"):
        day = "" if settings["threading"]["thread_by_date"] == "none" else format_time(notification.now, "2006-01-02")
        root = f"<alert-{notification.key_hash[:16]}-{day}@alertmanager>"
        lines += [f"References: {root}", f"In-Reply-To: {root}"]
    boundary = f"podium-{world.uid().replace('-', '')}"
    lines += [
        f"Date: {format_time(world.clock.now(), RFC1123Z)}",
        f"Content-Type: multipart/alternative;  boundary={boundary}",
        "MIME-Version: 1.0",
        "",
    ]
    parts = []
    if settings.get("text"):
        parts.append(("text/plain", notification.text(settings["text"])))
    if settings.get("html"):
        parts.append(("text/html", notification.html(settings["html"])))
    for kind, text in parts:
        lines += [f"--{boundary}", "Content-Transfer-Encoding: quoted-printable", f"Content-Type: {kind}; charset=UTF-8", ""]
        encoded = encodestring(text.encode().replace(b"\r\n", b"\n"), quotetabs=False)
        lines += encoded.decode("ascii").split("\n")
    lines += [f"--{boundary}--", ""]
    return "\r\n".join(lines).encode()


def _header(name: str, value: str) -> str:
    if "\n" in value or "\r" in value:
        if name != "Subject":
            raise NotificationError(f'header "{name}" has a line break', is_retriable=False, reason="clientError")
        value = " ".join(value.split())
    return value if value.isascii() else Header(value, "utf-8", maxlinelen=2_000).encode()
