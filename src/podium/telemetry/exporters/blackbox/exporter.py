"""The blackbox exporter: probes a target when it is scraped.

`/probe?target=&module=` probes and answers with probe_*; `debug=true` answers with the probe's log too. A probe may take as long as its
module says, or as the scrape may take (Prometheus tells in a header) less TIMEOUT_OFFSET_S, whichever is less; what is not done by then
failed.

Bound: PROBES_MAX at once; one more is refused with 503.

Source: blackbox_exporter prober/handler.go, main.go.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path
from typing import Any

from podium import __version__
from podium.instrument.exposition import render, respond
from podium.instrument.log import logger
from podium.instrument.metrics import Registry
from podium.instrument.process_metrics import register_process
from podium.telemetry.exporters import serving
from podium.telemetry.exporters.blackbox import dns, grpc, http, modules, tcp
from podium.telemetry.exporters.blackbox.icmp import IcmpProber
from podium.telemetry.exporters.blackbox.modules import DnsModule, GrpcModule, HttpModule, IcmpModule, Module, TcpModule
from podium.telemetry.exporters.blackbox.probing import Failed, Run
from podium.telemetry.exporters.errors import BadConfiguration
from podium.world.http_messages import HttpRequest, Response
from podium.world.interface import World

log = logger("exporters.blackbox")

TIMEOUT_OFFSET_S = 0.5
TIMEOUT_S = 120.0
PROBES_MAX = 256
RECENT_MAX = 100
TARGET_CHARS_MAX = 8192
DEFAULT_MODULE = "http_2xx"
DEFAULTS = """\
modules:
  http_2xx: {prober: http}
  http_post_2xx: {prober: http, http: {method: POST}}
  tcp_connect: {prober: tcp}
  icmp: {prober: icmp}
  grpc: {prober: grpc}
"""


class BlackboxExporter:
    """`path` is the configuration file, None for DEFAULTS. Raises BadConfiguration when it cannot be used."""

    def __init__(self, world: World, path: Path | None = None) -> None:
        self._world = world
        self._path = path
        self._icmp = IcmpProber(world)
        self._probers: dict[type, Callable[[Any, Run], Awaitable[bool]]] = {
            HttpModule: http.probe, TcpModule: tcp.probe, DnsModule: dns.probe, IcmpModule: self._icmp.probe, GrpcModule: grpc.probe,
        }  # fmt: skip
        self._running = 0
        self._recent: deque[tuple[str, str, bool]] = deque(maxlen=RECENT_MAX)
        self.registry = registry = Registry()
        register_process(registry)
        text = "Whether the last reload of the configuration succeeded."
        self._reload_succeeded = registry.gauge("blackbox_exporter_config_last_reload_successful", text).labels()
        text = "When the configuration was loaded last, in seconds since the epoch."
        self._reloaded = registry.gauge("blackbox_exporter_config_last_reload_success_timestamp_seconds", text).labels()
        self._unknown = registry.counter("blackbox_module_unknown_total", "Probes that named no known module.").labels()
        registry.constant("blackbox_exporter_build_info", "The version of this exporter; always 1.", {"version": __version__})
        self._text = ""
        self._modules: dict[str, Module] = {}
        self.reload()

    def reload(self) -> None:
        """Raises BadConfiguration; what was there then stays in force."""
        self._reload_succeeded.set(0)
        try:
            text = self._path.read_text() if self._path is not None else DEFAULTS
        except (OSError, UnicodeDecodeError) as error:
            raise BadConfiguration(f"{self._path}: {error}") from error
        self._modules, self._text = modules.parse(text), text
        self._reload_succeeded.set(1)
        self._reloaded.set(self._world.clock.now().timestamp())

    async def handle(self, request: HttpRequest) -> Response:
        match request.path:
            case "/probe":
                return await self._probe(request)
            case "/metrics":
                return self.registry.respond(request.headers)
            case "/-/healthy":
                return serving.text(200, "Healthy")
            case "/-/reload":
                return self._reload(request)
            case "/config":
                return Response(200, _without_secrets(self._text).encode(), serving.TEXT)
            case "/":
                return self._page()
        return serving.text(404, "404 page not found")

    def _reload(self, request: HttpRequest) -> Response:
        if request.method not in ("POST", "PUT"):
            return serving.text(405, "This endpoint requires a POST request.")
        try:
            self.reload()
        except BadConfiguration as error:
            log.warning("configuration not reloaded", error=str(error))
            return serving.text(500, f"failed to reload config: {error}")
        return serving.text(200, "")

    async def _probe(self, request: HttpRequest) -> Response:
        name = serving.parameter(request, "module") or DEFAULT_MODULE
        target, hostname = serving.parameter(request, "target"), serving.parameter(request, "hostname")
        module = self._modules.get(name)
        if module is None:
            self._unknown.add()
            return serving.text(400, f'Unknown module "{name}"')
        if not target or len(target) > TARGET_CHARS_MAX or any(c in target + hostname for c in "\r\n\0"):
            return serving.text(400, "Target parameter is missing" if not target else "Target parameter is not valid")
        try:
            timeout_s = _timeout_s(request.headers.get(serving.TIMEOUT_HEADER, ""), module.timeout_s)
        except ValueError:
            return serving.text(500, "Failed to parse timeout from Prometheus header")
        if self._running >= PROBES_MAX:
            return serving.text(503, f"{PROBES_MAX} probes are running already")
        run = await self.run(module, target, hostname, timeout_s)
        if serving.parameter(request, "debug") == "true":
            return Response(200, _debug(run, name), serving.TEXT)
        return respond(run.page.families.values(), request.headers)

    async def run(self, module: Module, target: str, hostname: str = "", timeout_s: float = TIMEOUT_S) -> Run:
        """One probe, whatever becomes of it."""
        run = Run(target, hostname)
        clock = self._world.clock
        began_s, succeeded = clock.monotonic(), False
        self._running += 1
        try:
            async with asyncio.timeout(timeout_s):
                succeeded = await self._probers[type(module.probe)](module.probe, run)
        except TimeoutError:
            run.log(f"the probe did not end within {timeout_s:g} s")
        except (Failed, OSError, ssl.SSLError, UnicodeError) as error:
            run.log(str(error))
        finally:
            self._running -= 1
        run.gauge("probe_success", "Whether the probe succeeded.", succeeded)
        run.gauge("probe_duration_seconds", "How long the probe took.", clock.monotonic() - began_s)
        self._recent.appendleft((module.name, target, succeeded))
        return run

    def _page(self) -> Response:
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(target[:200])}</td><td>{'Success' if ok else 'Failure'}</td></tr>"
            for name, target, ok in self._recent
        )
        known = ", ".join(escape(name) for name in self._modules)
        body = serving.links({"Metrics": "/metrics", "Configuration": "/config"})
        return serving.page("Blackbox exporter", f"{body}<p>Modules: {known}</p><table>{rows}</table>")


def _timeout_s(header: str, module_s: float) -> float:
    """Raises ValueError."""
    scrape_s = float(header) if header else TIMEOUT_S
    if not 0 < scrape_s < 86400:
        raise ValueError(header)
    if header:
        scrape_s = scrape_s - TIMEOUT_OFFSET_S if scrape_s > TIMEOUT_OFFSET_S else scrape_s
    return min(scrape_s, module_s) if module_s else scrape_s


def _debug(run: Run, module: str) -> bytes:
    log_text = "".join(f"{line}\n" for line in run.lines)
    return (
        b"Logs for the probe:\n"
        + log_text.encode()
        + b"\n\nMetrics that would have been returned:\n"
        + render(run.page.families.values())
        + (b"\n\nModule: " + module.encode() + b"\n")
    )


_SECRETS = ("password", "bearer_token", "credentials", "authorization", "cookie")


def _without_secrets(text: str) -> str:
    """The configuration with what may be secret replaced, line by line: a flow mapping in one line is replaced whole."""
    lines = []
    for line in text.splitlines():
        lowered = line.lower()
        position = min((lowered.find(word) for word in _SECRETS if word in lowered), default=-1)
        key, colon, value = line[position:].partition(":") if position >= 0 else ("", "", "")
        lines.append(f"{line[:position]}{key}: <secret>" if colon and value.strip() else line)
    return "\n".join(lines) + "\n"
