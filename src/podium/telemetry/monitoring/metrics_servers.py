"""The Prometheus servers that the operator plans, run in this process; each with a store of its own on disk.

Invariant: a configuration that cannot be used leaves the one of before at work. A change of the settings (retention, limits of queries, the
address...) starts a server anew, on the same disk; any other change is taken by the one that runs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium import __version__
from podium.telemetry.metrics.configuration.configuration import Configuration
from podium.telemetry.metrics.discovery.runner import Maker
from podium.telemetry.metrics.errors import ConfigurationError, StorageFailed
from podium.telemetry.metrics.exposition.page import PageSource
from podium.telemetry.metrics.rules.rule import Group
from podium.telemetry.metrics.server.server import MetricsServer, ServerOptions
from podium.telemetry.metrics.server.sources import Switches
from podium.telemetry.metrics.tsdb.options import Options as StoreOptions
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.telemetry.monitoring.server_control import ServerControl
from podium.telemetry.prometheus_operator.server_settings import ServerSettings
from podium.world.http_messages import HttpRequest, Response
from podium.world.interface import World
from podium.world.supervisor import Supervisor

Key = tuple[str, str, str]
"""Resource, namespace, name."""
Answer = Callable[[HttpRequest], Awaitable[Response]]


@dataclass(slots=True)
class Running:
    server: MetricsServer
    settings: ServerSettings
    answer: Answer
    watched: "asyncio.Task[Any]"


class MetricsServers:
    def __init__(
        self, world: World, supervisor: Supervisor, makers: Mapping[str, Maker], *,
        sources: Mapping[str, PageSource] | None = None,
        open_store: Callable[[Path, World, StoreOptions], Tsdb] = Tsdb.open,
    ) -> None:  # fmt: skip
        self._world, self._supervisor, self._makers = world, supervisor, makers
        self._sources, self._open_store = sources, open_store
        self._running: dict[Key, Running] = {}

    def get(self, key: Key) -> Running | None:
        return self._running.get(key)

    async def run(
        self, key: Key, configuration: Configuration, groups: Sequence[Group], settings: ServerSettings, directory: Path, url: str
    ) -> None:
        """`url` is where it answers, told to receivers unless the settings have another. Raises ConfigurationError."""
        running = self._running.get(key)
        if running is not None and running.settings != settings:
            await self.end(key)
            running = None
        if running is None:
            running = self._running[key] = self._open(key, settings, directory, url)
        running.server.apply(configuration, groups)
        running.answer = running.server.application(ServerControl(running.server, self._world))

    def _open(self, key: Key, settings: ServerSettings, directory: Path, url: str) -> Running:
        """Raises ConfigurationError when its store cannot be opened."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            store = self._open_store(directory, self._world, settings.store)
        except (StorageFailed, OSError) as error:
            raise ConfigurationError(str(error)) from error
        switches = Switches(
            admin_api=settings.admin_api, lifecycle=False, remote_write_receiver=settings.remote_write_receiver,
            features=settings.engine.features,
        )  # fmt: skip
        options = ServerOptions(
            directory=directory, external_url=settings.external_url or url, version=__version__, switches=switches, engine=settings.engine,
            timing=settings.timing,
        )  # fmt: skip
        server = MetricsServer(store, self._world, options, makers=self._makers, sources=self._sources)
        server.start()
        watched = self._supervisor.start(f"server/{'/'.join(key)}", server.failed())
        return Running(server, settings, server.application(), watched)

    async def end(self, key: Key) -> None:
        running = self._running.pop(key, None)
        if running is not None:
            running.watched.cancel()
            await running.server.stop()
            await running.server.store.close()

    async def stop(self) -> None:
        for key in list(self._running):
            await self.end(key)
