"""`podium metrics serve`: a server from a prometheus.yml, over HTTP, until SIGTERM; SIGHUP or POST /-/reload read the file again.

A configuration that is wrong at the start ends the process with what is wrong; later it is logged, and the one of before goes on.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from podium.instrument.exposition import Family
from podium.instrument.log import logger
from podium.telemetry.metrics.configuration.configuration import Configuration, load_file
from podium.telemetry.metrics.configuration.discovery import CORE_KINDS
from podium.telemetry.metrics.discovery.runner import Maker
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.promql.parser import STABLE
from podium.telemetry.metrics.promql.token_stream import Features
from podium.telemetry.metrics.rules.documents import read as read_rules
from podium.telemetry.metrics.rules.errors import RuleFileError
from podium.telemetry.metrics.rules.rule import Group
from podium.telemetry.metrics.server import about
from podium.telemetry.metrics.server.application import REQUEST_BYTES_MAX
from podium.telemetry.metrics.server.notifications import ENDING
from podium.telemetry.metrics.server.server import MetricsServer, ServerOptions
from podium.telemetry.metrics.tsdb.options import Options as StoreOptions
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world.http_server import HttpServer
from podium.world.interface import World
from podium.world.real import RealWorld
from podium.world.supervisor import Supervisor

_log = logger("metrics.server")


@dataclass(frozen=True, slots=True)
class Settings:
    """Of the command line. `flags` are shown on /api/v1/status/flags, beside those that the server itself knows."""

    config: Path
    data_dir: Path
    host: str
    port: int
    options: ServerOptions
    store: StoreOptions
    flags: dict[str, str]
    kinds: Mapping[str, type] = field(default_factory=lambda: CORE_KINDS)
    """Of discovery, beside the engine's own; `makers` are theirs."""
    makers: Callable[[World, Supervisor], Mapping[str, Maker]] | None = None


def load_all(path: Path, kinds: Mapping[str, type] = CORE_KINDS, features: Features = STABLE) -> tuple[Configuration, list[Group]]:
    """The configuration and the groups of its rule files. Raises ConfigurationError."""
    configuration = load_file(path, kinds, environment=os.environ)
    groups: list[Group] = []
    for pattern in configuration.rule_files:
        for file in sorted(Path("/").glob(str(Path(pattern).absolute()).lstrip("/"))):
            try:
                groups += read_rules(file.read_bytes(), str(file), features)
            except OSError as error:
                raise ConfigurationError(f"{file}: {error.strerror}") from error
            except RuleFileError:
                raise
    return configuration, groups


class Standalone:
    """The server and its process: what the management API asks of it."""

    def __init__(self, settings: Settings, server: MetricsServer, world: World) -> None:
        self.settings, self.server = settings, server
        self.stopping = asyncio.Event()
        self._ready = False
        self._http: HttpServer | None = None
        self._tasks = Supervisor("serve")

    def ready(self) -> bool:
        return self._ready

    async def reload(self) -> None:
        try:
            configuration, groups = load_all(self.settings.config, self.settings.kinds, self.settings.options.switches.features)
            self.server.apply(configuration, groups)
        except ConfigurationError:
            self.server.refused()
            raise
        if self._http is not None:
            self._http.handler = self.server.application(self).serve

    def stop(self) -> None:
        self.server.notifications.add(ENDING)
        self.stopping.set()

    def configuration(self) -> str:
        return self.server.configuration.printed()

    def flags(self) -> dict[str, str]:
        return dict(sorted({**about.flags(self.server), **self.settings.flags}.items()))

    def runtime(self) -> dict[str, Any]:
        return about.runtime(self.server)

    def self_metrics(self) -> list[Family]:
        return self.server.self_metrics()

    async def serve(self) -> None:
        """Until `stop`. Raises ConfigurationError when the file is wrong or the port is taken."""
        self._http = http = HttpServer(self.server.application(self).serve, body_bytes_max=REQUEST_BYTES_MAX)
        self.server.start()
        try:
            await self.reload()
            try:
                port = await http.listen(self.settings.host, self.settings.port)
            except OSError as error:
                place = f"{self.settings.host}:{self.settings.port}"
                raise ConfigurationError(f"cannot listen on {place}: {error.strerror or error}; use another --listen") from error
            print(f"podium metrics: serving on http://{self.settings.host}:{port}", flush=True)
            self._ready = True
            self._tasks.start("server", self.server.failed())
            await self._tasks.until(self.stopping)
        finally:
            await self._tasks.stop()
            await http.close()
            await self.server.stop()
            await self.server.store.close()

    def reload_soon(self) -> None:
        """SIGHUP: what is wrong is logged."""
        self._tasks.start("reload", self._reload_logged())

    async def _reload_logged(self) -> None:
        try:
            await self.reload()
        except ConfigurationError as error:
            _log.error("the configuration cannot be loaded; the one of before goes on", reason=str(error))


def store_options(given: StoreOptions, configuration: Configuration) -> StoreOptions:
    """The command line's, and what the configuration's section `storage` says; it is read at the start only."""
    section = configuration.storage
    if section is None:
        return given
    changes: dict[str, int] = {}
    if section.exemplars is not None:
        changes["exemplars_max"] = section.exemplars.max_exemplars
    if section.tsdb is not None:
        changes["out_of_order_window_ms"] = section.tsdb.out_of_order_time_window
        if (retention := section.tsdb.retention) is not None:
            changes |= {"retention_ms": retention.time or given.retention_ms, "retention_bytes": retention.size or given.retention_bytes}
    return replace(given, **changes)


def run(settings: Settings) -> None:
    """Raises ConfigurationError, OSError, StorageFailed."""
    import uvloop

    async def main() -> None:
        world = RealWorld()
        configuration, _ = load_all(
            settings.config, settings.kinds, settings.options.switches.features
        )  # a wrong file is told before the store is touched
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        store = Tsdb.open(settings.data_dir, world, store_options(settings.store, configuration))
        discovery = Supervisor("discovery")
        makers = settings.makers(world, discovery) if settings.makers is not None else None
        standalone = Standalone(settings, MetricsServer(store, world, settings.options, makers=makers), world)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, standalone.stop)
        loop.add_signal_handler(signal.SIGHUP, standalone.reload_soon)
        try:
            await standalone.serve()
        finally:
            await discovery.stop()

    uvloop.run(main())
