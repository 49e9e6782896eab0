"""Fake services on loopback: an HTTP server that writes down requests, and an SMTP server."""

import asyncio
import base64
import hmac
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from podium.world.http_messages import HttpRequest, Response
from podium.world.http_server import Connection, HttpServer

Answer = Callable[[HttpRequest], Response | None]


@dataclass
class FakeHttp:
    """`answer` may answer otherwise than with 200; None hangs."""

    requests: list[HttpRequest] = field(default_factory=list)
    answer: Answer = lambda request: Response(200, b"")
    url: str = ""
    port: int = 0

    async def start(self, tls: ssl.SSLContext | None = None) -> HttpServer:
        server = HttpServer(self._handle, tls)  # type: ignore[arg-type]
        self.port = await server.listen("127.0.0.1", 0)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        return server

    def _handle(self, request: HttpRequest, connection: Connection) -> object:
        self.requests.append(request)
        answer = self.answer(request)
        return answer if answer is not None else asyncio.sleep(3600)


@dataclass
class FakeSmtp:
    """Speaks enough SMTP to take one message a connection. `extensions` are offered; after STARTTLS those of `secure_extensions`."""

    extensions: tuple[str, ...] = ("8BITMIME",)
    secure_extensions: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    password: str = ""
    refuse: str = ""
    lines: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    port: int = 0

    async def start(self, implicit: ssl.SSLContext | None = None) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=implicit)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        offered = self.extensions

        async def say(text: str) -> None:
            writer.write(text.encode() + b"\r\n")
            await writer.drain()

        async def hear() -> str:
            text = (await reader.readline()).decode().rstrip()
            self.lines.append(text)
            return text

        await say("220 fake ready")
        while text := await hear():
            verb = text.split()[0].upper()
            if self.refuse and text.startswith(self.refuse):
                await say("550 no")
            elif verb == "EHLO":
                names = ["fake", *offered]
                for name in names[:-1]:
                    await say(f"250-{name}")
                await say(f"250 {names[-1]}")
            elif verb == "STARTTLS":
                await say("220 go ahead")
                assert self.tls is not None
                await writer.start_tls(self.tls)
                offered = self.secure_extensions
            elif verb == "AUTH":
                await say("235 welcome" if await self._auth(text.split(), say, hear) else "535 wrong")
            elif verb == "DATA":
                await say("354 go on")
                message = b""
                while (row := await reader.readline()) != b".\r\n":
                    message += row
                self.messages.append(message)
                await say("250 taken")
            elif verb == "QUIT":
                await say("221 bye")
                break
            else:
                await say("250 fine")
        writer.close()

    async def _auth(self, words: list[str], say: Callable[[str], object], hear: Callable[[], object]) -> bool:
        if words[1] == "PLAIN":
            _, user, password = base64.b64decode(words[2]).decode().split("\0")
        elif words[1] == "LOGIN":
            await say("334 VXNlcm5hbWU6")  # type: ignore[misc]
            user = base64.b64decode(await hear()).decode()  # type: ignore[misc]
            await say("334 UGFzc3dvcmQ6")  # type: ignore[misc]
            password = base64.b64decode(await hear()).decode()  # type: ignore[misc]
        else:
            challenge = b"<1@fake>"
            await say("334 " + base64.b64encode(challenge).decode())  # type: ignore[misc]
            user, digest = base64.b64decode(await hear()).decode().split()  # type: ignore[misc]
            right = hmac.new(self.password.encode(), challenge, "md5").hexdigest()
            password = self.password if digest == right else ""
        self.users.append(user)
        return password == self.password


def certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """(certificate, key) files, made anew."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )  # fmt: skip
    return files
