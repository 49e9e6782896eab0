"""The TCP prober: a connection, TLS perhaps, and a dialogue of expected and sent lines.

`${1}` in what is sent stands for a group of the last expected line. Bounds: LINE_BYTES_MAX in a line, LINES_MAX lines.

Source: blackbox_exporter prober/tcp.go.
"""

import asyncio
import re
import ssl
from typing import Any

from podium.telemetry.exporters.blackbox.modules import Exchange, TcpModule
from podium.telemetry.exporters.blackbox.probing import Failed, Run, connect, resolve, show_tls, split_target, tls_context

LINE_BYTES_MAX = 64 * 1024
LINES_MAX = 10_000
_GROUP = re.compile(r"\$(?:\{(\w+)\}|(\w+)|(\$))")


async def probe(module: TcpModule, run: Run) -> bool:
    run.failed_by_pattern(False)
    host, port = split_target(run.target)
    address = await resolve(host, module.reach, run)
    reader, writer = await connect(address, port, module.reach)
    try:
        if module.use_tls:
            await _start_tls(module, run, writer, host)
        for exchange in module.exchanges:
            await _step(module, run, exchange, reader, writer, host)
    finally:
        writer.close()
    return True


async def _start_tls(module: TcpModule, run: Run, writer: asyncio.StreamWriter, host: str) -> None:
    try:
        await writer.start_tls(tls_context(module.tls), server_hostname=module.tls.server_name or run.hostname or host)
    except ssl.SSLError as error:
        raise Failed(f"TLS: {error}") from error
    show_tls(run, writer.get_extra_info("ssl_object"), not module.tls.insecure_skip_verify)


async def _step(
    module: TcpModule, run: Run, exchange: Exchange, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
) -> None:
    send, match = exchange.send, None
    if exchange.expect is not None:
        match = await _expected(run, exchange, reader)
        send = _filled(send, match)
        if exchange.labels:
            labels = [(name, _filled(value, match)) for name, value in exchange.labels]
            run.gauge("probe_expect_info", "What an expected line told; always 1.", 1, *labels)
    if send:
        run.log(f"sending {send[:200]!r}")
        writer.write(send.encode() + b"\n")
        await writer.drain()
    if exchange.starttls:
        await _start_tls(module, run, writer, host)


async def _expected(run: Run, exchange: Exchange, reader: asyncio.StreamReader) -> Any:
    for _ in range(LINES_MAX):
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            line = error.partial
        except asyncio.LimitOverrunError as error:
            raise Failed(f"a line is longer than {LINE_BYTES_MAX} bytes") from error
        text = line.rstrip(b"\r\n").decode("utf-8", "replace")
        if line and (match := exchange.expect.search(text)):
            run.log(f"{exchange.expect.pattern!r} matches {text[:200]!r}")
            return match
        if not line or not line.endswith(b"\n"):
            break
    run.failed_by_pattern(True)
    raise Failed(f"no line matches {exchange.expect.pattern!r}")


def _filled(template: str, match: Any) -> str:
    """As Go's Regexp.Expand: an unknown group is empty."""

    def group(reference: "re.Match[str]") -> str:
        if reference[3]:
            return "$"
        name = reference[1] or reference[2]
        try:
            return match.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError):
            return ""

    return _GROUP.sub(group, template)
