"""Runs the discovery of jobs (and of anything else that has targets) and hands on their groups.

Groups of one name come from several discoverers; what they say is kept by source and told as a whole, at once for static groups and the first
answers, later at most every QUIET_S, so that a burst of changes is one update. Discoverers of a section that did not change go on over reloads.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podium.instrument.exposition import Family, Page
from podium.instrument.log import logger
from podium.telemetry.metrics.configuration.discovery import Discovery, FileDiscoveryConfig
from podium.telemetry.metrics.configuration.http import HttpConfig
from podium.telemetry.metrics.discovery.dns import DnsDiscoverer, Resolver, SystemResolver
from podium.telemetry.metrics.discovery.files import FileDiscoverer
from podium.telemetry.metrics.discovery.groups import ADDRESS, Discoverer, Group, KeptGroup, Sink, TargetGroup
from podium.telemetry.metrics.discovery.http import HttpDiscoverer
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.outbound.client import OutboundClient
from podium.telemetry.metrics.outbound.interface import Requester
from podium.world.interface import World
from podium.world.supervisor import Supervisor

QUIET_S = 0.5
RESTART_S = 5.0
STATIC = "static_configs"

log = logger("metrics.discovery")

Update = Callable[[str, Mapping[str, Group]], None]
"""(name, all its groups by source)."""
Maker = Callable[[Any], Discoverer]
"""From a section of the configuration."""


def core_makers(
    world: World, *, requester: Callable[[HttpConfig], Requester] | None = None, resolver: Resolver | None = None
) -> dict[str, Maker]:
    """For the kinds that this package knows, by key."""
    make = requester or (lambda http: OutboundClient(http, world))

    def files(config: FileDiscoveryConfig) -> Discoverer:
        return FileDiscoverer(config, world)

    return {
        "file_sd_configs": files,
        "http_sd_configs": lambda config: HttpDiscoverer(config, make(config.http)),
        "dns_sd_configs": lambda config: DnsDiscoverer(config, resolver or SystemResolver()),
    }


@dataclass(slots=True)
class _Named:
    """`groups` by discoverer and source."""

    discovery: Discovery
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    groups: dict[tuple[int, str], Group] = field(default_factory=dict)
    waiting: asyncio.TimerHandle | None = None
    failed: int = 0


async def _kept_running(name: str, discoverer: Discoverer, sink: Sink) -> None:
    """A discoverer that ends by an error that it does not expect is started again: what others discover goes on."""
    while True:
        try:
            await discoverer.run(sink)
        except Exception as error:
            log.error("discovery ended in an internal error", discovery=name, error=error)
        await asyncio.sleep(RESTART_S)


class DiscoveryRunner:
    """`supervisor` owns the discoverers' tasks."""

    def __init__(self, makers: Mapping[str, Maker], supervisor: Supervisor, update: Update) -> None:
        self._makers = makers
        self._supervisor = supervisor
        self._update = update
        self._named: dict[str, _Named] = {}
        self._updates = 0

    def apply(self, wanted: Mapping[str, Discovery]) -> None:
        """What is discovered from now on, by name. Names that are gone are not told of again."""
        for name in [name for name, named in self._named.items() if wanted.get(name) != named.discovery]:
            self._stop(self._named.pop(name))
        for name, discovery in wanted.items():
            if name not in self._named:
                self._start(name, discovery)

    def _start(self, name: str, discovery: Discovery) -> None:
        named = self._named[name] = _Named(discovery)
        number = 0
        for key, sections in discovery.items():
            if key == STATIC:
                for position, group in enumerate(sections):
                    targets = tuple({ADDRESS: address} for address in group.targets)
                    named.groups[-1, str(position)] = TargetGroup(str(position), targets, group.labels)
                continue
            for section in sections:
                try:
                    discoverer = self._makers[key](section)
                except ConfigurationError as error:  # of this machine (no cluster to be found), not of the file
                    named.failed += 1
                    log.error("discovery cannot be started", discovery=f"{name}/{key}", error=str(error))
                    continue
                sink = self._sink(name, named, number)
                named.tasks.append(self._supervisor.start(f"discovery/{name}/{key}", _kept_running(f"{name}/{key}", discoverer, sink)))
                number += 1
        self._tell(name, named)

    def _sink(self, name: str, named: _Named, number: int) -> Sink:
        def sink(groups: Sequence[TargetGroup]) -> None:
            changed = False
            for group in groups:
                key = (number, group.source)
                if group.targets and named.groups.get(key) != group:
                    named.groups[key] = KeptGroup(group)
                    changed = True
                elif not group.targets:
                    changed = named.groups.pop(key, None) is not None or changed
            if changed and named.waiting is None and self._named.get(name) is named:
                named.waiting = asyncio.get_running_loop().call_later(QUIET_S, self._tell, name, named)

        return sink

    def _tell(self, name: str, named: _Named) -> None:
        named.waiting = None
        self._updates += 1
        self._update(name, {f"{number}/{source}" if number >= 0 else source: group for (number, source), group in named.groups.items()})

    def _stop(self, named: _Named) -> None:
        for task in named.tasks:
            task.cancel()
        if named.waiting is not None:
            named.waiting.cancel()

    def families(self, name: str) -> list[Family]:
        """What it counts, under upstream's names; `name` says what the targets are for (scrape, notify)."""
        page = Page()
        for config, named in self._named.items():
            found = sum(group.count for group in named.groups.values())
            page.gauge("prometheus_sd_discovered_targets", "Targets that were discovered.", found, (("config", config), ("name", name)))
        page.gauge(
            "prometheus_sd_failed_configs",
            "Sections that cannot be run.",
            sum(named.failed for named in self._named.values()),
            (("name", name),),
        )
        page.counter("prometheus_sd_updates_total", "Times that targets were told of.", self._updates, (("name", name),))
        return list(page.families.values())

    def stop(self) -> None:
        for named in self._named.values():
            self._stop(named)
        self._named.clear()
