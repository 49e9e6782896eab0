"""The Prometheus servers that the operator plans, run in this process; each with a store of its own on disk.

Invariant: a configuration that cannot be used leaves the one of before at work. A change of the settings (retention, limits of queries, the
address...) starts a server anew, on the same disk; any other change is taken by the one that runs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from podium.telemetry.metrics.configuration.configuration import Configuration
from podium.telemetry.metrics.discovery.runner import Maker
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.exposition.page import PageSource
from podium.telemetry.metrics.outbound.client import OutboundMaker
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
Answer = Callable[[HttpRequest, object], Awaitable[Response | None]]
OpenStore = Callable[[str, StoreOptions], tuple[Tsdb, ServerOptions]]
"""Raises ConfigurationError."""


@dataclass(slots=True)
class Running:
    server: MetricsServer
    settings: ServerSettings
    answer: Answer
    watched: "asyncio.Task[Any]"


class MetricsServers:
    """`open_store` takes the name of what belongs to one server; `sources` and `outbound` are as a MetricsServer takes them."""

    def __init__(
        self, world: World, supervisor: Supervisor, makers: Mapping[str, Maker], open_store: OpenStore, *,
        sources: Mapping[str, PageSource] | None = None, outbound: OutboundMaker | None = None,
    ) -> None:  # fmt: skip
        self._world, self._supervisor, self._makers, self._open_store = world, supervisor, makers, open_store
        self._sources, self._outbound = sources, outbound
        self._running: dict[Key, Running] = {}

    def get(self, key: Key) -> Running | None:
        return self._running.get(key)

    async def run(
        self, key: Key, configuration: Configuration, groups: Sequence[Group], settings: ServerSettings, folder: str, url: str
    ) -> None:
        """`folder` names its state; `url` is where it answers, told to receivers unless the settings have another. Raises ConfigurationError."""
        running = self._running.get(key)
        if running is not None and running.settings != settings:
            await self.end(key)
            running = None
        if running is None:
            running = self._running[key] = self._open(key, settings, folder, url)
        try:
            running.server.apply(configuration, groups)
        except ConfigurationError:
            running.server.refused()
            raise
        running.answer = running.server.application(ServerControl(running.server)).serve

    def _open(self, key: Key, settings: ServerSettings, folder: str, url: str) -> Running:
        """Raises ConfigurationError when its store cannot be opened."""
        store, options = self._open_store(folder, settings.store)
        switches = Switches(
            admin_api=settings.admin_api, lifecycle=False, remote_write_receiver=settings.remote_write_receiver, otlp_receiver=settings.otlp_receiver,
            features=settings.engine.features,
        )  # fmt: skip
        options = replace(
            options, external_url=settings.external_url or url, switches=switches, engine=settings.engine, timing=settings.timing
        )
        server = MetricsServer(store, self._world, options, makers=self._makers, outbound=self._outbound, sources=self._sources)
        server.start()
        watched = self._supervisor.start(f"server/{'/'.join(key)}", server.failed())
        return Running(server, settings, server.application().serve, watched)

    async def end(self, key: Key) -> None:
        running = self._running.pop(key, None)
        if running is not None:
            running.watched.cancel()
            await running.server.stop()
            await running.server.store.close()

    async def stop(self) -> None:
        for key in list(self._running):
            await self.end(key)
