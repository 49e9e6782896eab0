"""SMTP: handing one message to a server, over any pair of streams.

STARTTLS and authentication (CRAM-MD5, PLAIN, LOGIN) as the server offers and the settings say; a password goes only over TLS or to this
machine. Bound: LINE_BYTES_MAX of an answer, REPLY_LINES_MAX. Source: RFC 5321, 3207, 4954; upstream's notify/email for the order of things.
"""

import asyncio
import base64
import hmac
import ssl
from collections.abc import Mapping
from typing import Any

from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.notification import Mail, read_secret

LINE_BYTES_MAX = 4096
REPLY_LINES_MAX = 100
LOCAL = ("localhost", "127.0.0.1", "::1")


class Smtp:
    """One conversation. Every method raises NotificationError or OSError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_tls: bool) -> None:
        self._reader, self._writer = reader, writer
        self._is_tls = is_tls
        self._extensions: dict[str, str] = {}

    async def deliver(self, mail: Mail, settings: Mapping[str, Any], tls: ssl.SSLContext) -> None:
        await self._expect(2, "greeting")
        await self._hello(settings)
        if settings.get("require_tls") and not self._is_tls:
            if "STARTTLS" not in self._extensions:
                server = f"{mail.host}:{mail.port}"
                raise NotificationError(
                    f"'require_tls' is true (default) but \"{server}\" does not advertise the STARTTLS extension", is_retriable=True
                )
            await self._command("STARTTLS", 2, "send STARTTLS command")
            name = (settings.get("tls_config") or {}).get("server_name") or mail.host
            await self._writer.start_tls(tls, server_hostname=name)
            self._is_tls = True
            await self._hello(settings)
        if settings.get("auth_username") and "AUTH" in self._extensions:
            await self._authenticate(mail, settings)
        await self._command(f"MAIL FROM:<{mail.sender}>{self._utf8(mail)}", 2, "send MAIL command")
        for recipient in mail.recipients:
            await self._command(f"RCPT TO:<{recipient}>", 2, "send RCPT command")
        await self._command("DATA", 3, "send DATA command")
        stuffed = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in mail.content.split(b"\r\n"))
        self._writer.write(stuffed + b".\r\n" if stuffed.endswith(b"\r\n") else stuffed + b"\r\n.\r\n")
        await self._writer.drain()
        await self._expect(2, "delivery failure")
        try:
            await self._command("QUIT", 2, "quit")
        except (NotificationError, OSError):
            pass  # the message was taken

    def _utf8(self, mail: Mail) -> str:
        body = " BODY=8BITMIME" if "8BITMIME" in self._extensions else ""
        if all(address.isascii() for address in (mail.sender, *mail.recipients)):
            return body
        if "SMTPUTF8" not in self._extensions:
            raise NotificationError("the server does not take addresses beyond ASCII (SMTPUTF8)", is_retriable=False)
        return body + " SMTPUTF8"

    async def _hello(self, settings: Mapping[str, Any]) -> None:
        name = settings.get("hello") or "localhost"
        if any(c.isspace() for c in name):
            raise NotificationError(f"hello has white space: {name!r}", is_retriable=False)
        code, lines = await self._say(f"EHLO {name}")
        if code // 100 != 2:
            await self._command(f"HELO {name}", 2, "send EHLO command")
            lines = []
        found = (line.partition(" ") for line in lines[1:])
        self._extensions = {keyword.upper(): rest for keyword, _, rest in found}

    async def _authenticate(self, mail: Mail, settings: Mapping[str, Any]) -> None:
        user = str(settings["auth_username"])
        problems: list[str] = []
        for mechanism in self._extensions["AUTH"].split():
            name = "auth_secret" if mechanism == "CRAM-MD5" else "auth_password"
            if mechanism not in ("CRAM-MD5", "PLAIN", "LOGIN"):
                problems.append(f"unknown auth mechanism: {mechanism}")
                continue
            secret = str(settings.get(name) or "") or read_secret(str(settings.get(f"{name}_file") or ""))
            if not secret:
                problems.append(f"missing {name.removeprefix('auth_')} for {mechanism} auth mechanism")
                continue
            if mechanism != "CRAM-MD5" and not self._is_tls and mail.host not in LOCAL:
                raise NotificationError(f"{mechanism} auth: unencrypted connection", is_retriable=True)
            await self._prove(mechanism, user, secret, str(settings.get("auth_identity") or ""))
            return
        raise NotificationError(f"find auth mechanism: {'; '.join(problems)}", is_retriable=True)

    async def _prove(self, mechanism: str, user: str, secret: str, identity: str) -> None:
        what = f"{mechanism} auth"
        if mechanism == "PLAIN":
            await self._command(f"AUTH PLAIN {_encoded(chr(0).join((identity, user, secret)))}", 2, what, shown="AUTH PLAIN")
            return
        lines = await self._command(f"AUTH {mechanism}", 3, what)
        if mechanism == "LOGIN":
            await self._command(_encoded(user), 3, what)
            await self._command(_encoded(secret), 2, what, shown="password")
            return
        try:
            challenge = base64.b64decode(lines[-1], validate=True)
        except ValueError as error:
            raise NotificationError(f"{what}: bad challenge", is_retriable=True) from error
        digest = hmac.new(secret.encode(), challenge, "md5").hexdigest()
        await self._command(_encoded(f"{user} {digest}"), 2, what)

    async def _command(self, line: str, wanted: int, what: str, shown: str = "") -> list[str]:
        """The lines of an answer of that class; raises NotificationError for another one."""
        code, lines = await self._say(line)
        if code // 100 != wanted:
            raise _refused(code, lines, what)
        return lines

    async def _expect(self, wanted: int, what: str) -> None:
        code, lines = await self._answer()
        if code // 100 != wanted:
            raise _refused(code, lines, what)

    async def _say(self, line: str) -> tuple[int, list[str]]:
        if "\r" in line or "\n" in line:
            raise NotificationError("a command with a line break", is_retriable=False)
        self._writer.write(line.encode() + b"\r\n")
        await self._writer.drain()
        return await self._answer()

    async def _answer(self) -> tuple[int, list[str]]:
        lines: list[str] = []
        while len(lines) < REPLY_LINES_MAX:
            try:
                raw = await self._reader.readuntil(b"\n")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                raise ConnectionResetError("the SMTP server ended the connection") from error
            text = raw.decode(errors="replace").rstrip()
            if len(raw) > LINE_BYTES_MAX or not text[:3].isdecimal():
                raise NotificationError(f"not an SMTP answer: {text[:80]}", is_retriable=True)
            lines.append(text[4:])
            if text[3:4] != "-":
                return int(text[:3]), lines
        raise NotificationError("the SMTP server's answer does not end", is_retriable=True)


def _refused(code: int, lines: list[str], what: str) -> NotificationError:
    reason = "authError" if code in (530, 534, 535, 538) else "serverError" if code < 500 else "clientError"
    return NotificationError(f"{what}: {code} {' '.join(lines)[:300]}", is_retriable=True, reason=reason)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
