"""The HTTP prober: one request and its redirects, over HTTP/1.1, with the time of each phase.

Bounds: HEAD_BYTES_MAX of an answer's head, the module's limit of its body (as sent and as decompressed), REDIRECTS_MAX.

Source: blackbox_exporter prober/http.go; RFC 9110, RFC 9112.
"""

import asyncio
import base64
import ssl
import zlib
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.cookies import CookieError, SimpleCookie
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import httptools

from podium import __version__
from podium.telemetry.exporters.blackbox.modules import HttpModule
from podium.telemetry.exporters.blackbox.probing import Failed, Run, connect, resolve, show_tls, tls_context

REDIRECTS_MAX = 10
HEAD_BYTES_MAX = 256 * 1024
READ_BYTES = 64 * 1024
PHASES = ("resolve", "connect", "tls", "processing", "transfer")
_DURATION, _DURATION_TEXT = "probe_http_duration_seconds", "How long a phase of the requests took, all redirects together."
_SAFE = "/%:@!$&'()*+,;=~-._"
_PRIVATE = ("authorization", "cookie", "proxy-authorization")


@dataclass(slots=True)
class Answer:
    """`body` is as sent, `oversized` when there was more of it. Header names are lower-case; repeated ones are all kept."""

    status: int = 0
    version: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    oversized: bool = False
    complete: bool = False
    cut_off: bool = False
    head_bytes: int = 0

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]


async def probe(module: HttpModule, run: Run) -> bool:
    target = run.target if run.target.startswith(("http://", "https://")) else f"http://{run.target}"
    for name, text in (
        ("probe_http_status_code", "The status of the answer."),
        ("probe_http_content_length", "The length that the answer gives for its body; -1 when it gives none."),
        ("probe_http_uncompressed_body_length", "The length of the body, decompressed."),
        ("probe_http_redirects", "Redirects followed."),
        ("probe_http_ssl", "Whether the last request was over TLS."),
        ("probe_http_version", "The version of HTTP of the answer."),
    ):
        run.gauge(name, text, 0)
    run.failed_by_pattern(False)
    answer, encrypted = await _follow(module, run, target)
    return _judge(module, run, answer, encrypted)


async def _follow(module: HttpModule, run: Run, url: str) -> tuple[Answer, bool]:
    method, body, cookies = module.method, module.body, SimpleCookie()
    first = _split(url).hostname
    for count in range(REDIRECTS_MAX + 1):
        parts = _split(url)
        answer = await _exchange(module, run, url, method, body, cookies, own_host=parts.hostname == first, first=count == 0)
        location = answer.header("location")
        if answer.status not in (301, 302, 303, 307, 308) or not location:
            return answer, parts.scheme == "https"
        run.gauge("probe_http_redirects", "", count + 1)  # one that is not followed counts as well, as upstream
        if not module.follow_redirects:
            return answer, parts.scheme == "https"
        for cookie in answer.all("set-cookie"):
            try:
                cookies.load(cookie)
            except CookieError:
                run.log("a cookie cannot be read")
        url = _joined(url, location)
        run.log(f"redirected to {url[:500]}")
        if answer.status in (301, 302, 303) and method not in ("GET", "HEAD"):
            method, body = "GET", b""
    raise Failed(f"stopped after {REDIRECTS_MAX} redirects")


def _split(url: str) -> SplitResult:
    """Raises Failed for what is no URL with a host."""
    try:
        parts = urlsplit(url)
        if parts.port == 0 or not parts.hostname:
            raise ValueError("it has no host")
    except ValueError as error:
        raise Failed(f"{url[:200]!r} is no URL: {error}") from error
    return parts


def _joined(url: str, location: str) -> str:
    try:
        joined = urljoin(url, location)
        scheme = urlsplit(joined).scheme
    except ValueError as error:
        raise Failed(f"redirected to {location[:200]!r}, which is no URL: {error}") from error
    if scheme not in ("http", "https"):
        raise Failed(f"redirected to {joined[:200]!r}, which is not HTTP")
    return joined


async def _exchange(
    module: HttpModule, run: Run, url: str, method: str, body: bytes, cookies: SimpleCookie, *, own_host: bool, first: bool
) -> Answer:
    parts = _split(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    try:
        address = await resolve(host, module.reach, run)
    finally:
        run.phase(_DURATION, _DURATION_TEXT, "resolve", loop.time() - began_s)
    for phase in PHASES[1:]:
        run.phase(_DURATION, _DURATION_TEXT, phase, 0.0)
    began_s = loop.time()
    reader, writer = await connect(address, port, module.reach)
    connected_s = loop.time()
    run.phase(_DURATION, _DURATION_TEXT, "connect", connected_s - began_s)
    try:
        if parts.scheme == "https":
            await _start_tls(module, run, writer, run.hostname if first and run.hostname else host)
            run.phase(_DURATION, _DURATION_TEXT, "tls", loop.time() - connected_s)
        sent_s = loop.time()
        writer.write(_request(module, run, parts, method, body, cookies, own_host=own_host, first=first))
        answer = await _receive(module, run, reader, method, sent_s)
    finally:
        writer.close()
    _show(run, answer, parts.scheme == "https")
    return answer


async def _start_tls(module: HttpModule, run: Run, writer: asyncio.StreamWriter, host: str) -> None:
    context = tls_context(module.tls, ("http/1.1",))
    try:
        await writer.start_tls(context, server_hostname=module.tls.server_name or host)
    except ssl.SSLError as error:
        raise Failed(f"TLS: {error}") from error
    show_tls(run, writer.get_extra_info("ssl_object"), not module.tls.insecure_skip_verify)


def _request(
    module: HttpModule, run: Run, parts: SplitResult, method: str, body: bytes, cookies: SimpleCookie, *, own_host: bool, first: bool
) -> bytes:
    path, query = quote(parts.path or "/", safe=_SAFE), quote(parts.query, safe=_SAFE + "?")
    netloc = parts.netloc.rpartition("@")[2]
    headers = {
        "host": run.hostname if first and run.hostname else netloc,
        "user-agent": f"podium-blackbox/{__version__}",
        "connection": "close",
    }
    if module.compression:
        headers["accept-encoding"] = module.compression
    if own_host and (credentials := _authorization(module)):
        headers["authorization"] = credentials
    for name, value in module.headers:
        if own_host or name.lower() not in _PRIVATE:
            headers[name.lower()] = value
    if cookies and own_host:
        headers["cookie"] = "; ".join(f"{name}={morsel.coded_value}" for name, morsel in cookies.items())
    if body or method in ("POST", "PUT", "PATCH"):
        headers["content-length"] = str(len(body))
    line = f"{method} {path}{'?' + query if query else ''} HTTP/1.1\r\n"
    text = line + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    return text.encode("utf-8", "surrogateescape") + body


def _authorization(module: HttpModule) -> str:
    if module.username:
        return "Basic " + base64.b64encode(f"{module.username}:{module.password}".encode()).decode()
    if not module.authorization_file:
        return module.authorization
    try:
        with open(module.authorization_file) as file:
            return f"{module.authorization} {file.read(65536).strip()}"
    except OSError as error:
        raise Failed(f"credentials cannot be read: {error}") from error


class _Callbacks:
    """What the parser tells."""

    def __init__(self, answer: Answer, body_bytes_max: int) -> None:
        self.answer = answer
        self._body_bytes_max = body_bytes_max
        self.head_done = False
        self.interim = False
        self.parser: httptools.HttpResponseParser | None = None

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answer.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        assert self.parser is not None
        self.answer.status, self.answer.version = self.parser.get_status_code(), self.parser.get_http_version()
        self.interim = 100 <= self.answer.status < 200
        self.head_done = not self.interim

    def on_body(self, body: bytes) -> None:
        room = self._body_bytes_max - len(self.answer.body)
        self.answer.oversized = self.answer.oversized or len(body) > room
        self.answer.body += body[:room]

    def on_message_complete(self) -> None:
        if self.interim:
            self.answer.headers.clear()
        else:
            self.answer.complete = True


async def _receive(module: HttpModule, run: Run, reader: asyncio.StreamReader, method: str, sent_s: float) -> Answer:
    loop = asyncio.get_running_loop()
    answer = Answer()
    callbacks = _Callbacks(answer, module.body_bytes_max)
    parser = callbacks.parser = httptools.HttpResponseParser(callbacks)
    first_s = 0.0
    try:
        while not answer.complete and not answer.oversized:
            data = await reader.read(READ_BYTES)
            first_s = first_s or loop.time()
            if not data:
                break
            answer.head_bytes += len(data) if not callbacks.head_done else 0
            if answer.head_bytes > HEAD_BYTES_MAX + READ_BYTES:
                raise Failed("the answer's head is too large")
            parser.feed_data(data)
            if callbacks.head_done and method == "HEAD":
                break
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise Failed(f"the answer is not HTTP: {error}") from error
    finally:
        if callbacks.head_done:
            run.phase(_DURATION, _DURATION_TEXT, "processing", first_s - sent_s)
            run.phase(_DURATION, _DURATION_TEXT, "transfer", loop.time() - first_s)
    if not callbacks.head_done:
        raise Failed("the server closed the connection before it answered")
    length = answer.header("content-length")
    chunked = "chunked" in answer.header("transfer-encoding").lower()
    wants_more = chunked or (length.isdigit() and len(answer.body) != int(length))
    answer.cut_off = not answer.complete and not answer.oversized and method != "HEAD" and wants_more
    return answer


def _show(run: Run, answer: Answer, encrypted: bool) -> None:
    length = answer.header("content-length")
    run.gauge("probe_http_status_code", "", answer.status)
    run.gauge("probe_http_content_length", "", int(length) if length.isdigit() else 0 if answer.status in (204, 304) else -1)
    run.gauge("probe_http_uncompressed_body_length", "", len(answer.body))
    run.gauge("probe_http_version", "", float(answer.version or 0))
    run.gauge("probe_http_ssl", "", encrypted)
    _last_modified(run, answer)
    run.log(f"status {answer.status}, {len(answer.body)} bytes")


def _judge(module: HttpModule, run: Run, answer: Answer, encrypted: bool) -> bool:
    succeeded = _status_fits(module, run, answer)
    body = _decompressed(module, run, answer)
    run.gauge("probe_http_uncompressed_body_length", "", len(body))
    if answer.cut_off:
        run.log("the answer was cut off")
        succeeded = False
    if answer.oversized:
        run.log(f"the body is larger than {module.body_bytes_max} bytes")
        succeeded = False
    if module.valid_versions and f"HTTP/{answer.version}" not in module.valid_versions:
        run.log(f"HTTP/{answer.version} is none of the valid versions")
        succeeded = False
    if (encrypted and module.fail_if_ssl) or (not encrypted and module.fail_if_not_ssl):
        run.log(f"the last request was over {'TLS' if encrypted else 'plain TCP'}")
        succeeded = False
    if succeeded and (why := _mismatch(module, answer, body)):
        run.log(why)
        run.failed_by_pattern(True)
        succeeded = False
    return succeeded


def _status_fits(module: HttpModule, run: Run, answer: Answer) -> bool:
    fits = answer.status in module.valid_status_codes if module.valid_status_codes else 200 <= answer.status < 300
    if not fits:
        run.log(f"status {answer.status} is not valid")
    return fits


def _decompressed(module: HttpModule, run: Run, answer: Answer) -> bytes:
    """Whatever the answer says of its encoding, as upstream: it was asked for. Bounded: what unpacks to more than the limit fails the probe."""
    if module.compression in ("", "identity") or not answer.body:
        return bytes(answer.body)
    unpacker = zlib.decompressobj(zlib.MAX_WBITS + 16 if module.compression == "gzip" else -zlib.MAX_WBITS)
    try:
        data = unpacker.decompress(bytes(answer.body), module.body_bytes_max)
    except zlib.error as error:
        run.gauge("probe_http_uncompressed_body_length", "", 0)
        raise Failed(f"the body cannot be decompressed: {error}") from error
    if unpacker.unconsumed_tail:
        answer.oversized = True
    return data


def _mismatch(module: HttpModule, answer: Answer, body: bytes) -> str:
    """Which expression decides against the answer; empty when none does."""
    text = body.decode("utf-8", "replace") if module.body_forbidden or module.body_required else ""
    for pattern in module.body_forbidden:
        if pattern.search(text):
            return f"the body matches {pattern.pattern!r}"
    for pattern in module.body_required:
        if not pattern.search(text):
            return f"the body does not match {pattern.pattern!r}"
    for matches, forbidden in ((module.headers_forbidden, True), (module.headers_required, False)):
        for match in matches:
            values = answer.all(match.header)
            if not values:
                if not match.allow_missing:
                    return f"header {match.header!r} is missing"
            elif any(match.pattern.search(value) for value in values) is forbidden:
                return f"header {match.header!r} {'matches' if forbidden else 'does not match'} {match.pattern.pattern!r}"
    return ""


def _last_modified(run: Run, answer: Answer) -> None:
    try:
        when = parsedate_to_datetime(answer.header("last-modified"))
    except (ValueError, TypeError, IndexError):
        return
    text = "The Last-Modified header of the answer, in seconds since the epoch."
    run.gauge("probe_http_last_modified_timestamp_seconds", text, when.timestamp())
