"""The targets of one job: what discovery found becomes loops, one for each target, started and ended as they come and go.

Bounds: `target_limit` (then every scrape of the job fails and says so), `keep_dropped_targets` of those that relabelling dropped are shown (0: up to
DROPPED_SHOWN_MAX), ENDING_MAX loops that wait for the end of their series.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from podium.instrument.log import logger
from podium.telemetry.metrics.configuration.scraping import ScrapeConfig
from podium.telemetry.metrics.discovery.groups import Group
from podium.telemetry.metrics.exposition.page import PageSource
from podium.telemetry.metrics.outbound.interface import Requester
from podium.telemetry.metrics.scrape.counts import ScrapeCounts
from podium.telemetry.metrics.scrape.errors import BadTarget
from podium.telemetry.metrics.scrape.failure_log import FailureLog
from podium.telemetry.metrics.scrape.loop import TargetLoop
from podium.telemetry.metrics.scrape.targets import Dropped, Target, TargetMaker
from podium.telemetry.metrics.storage import Appendable
from podium.world.interface import World
from podium.world.supervisor import Supervisor

DROPPED_SHOWN_MAX = 100_000
ENDING_MAX = 100_000
ERRORS_LOGGED_MAX = 10

log = logger("metrics.scrape")


_Made = tuple[Group, list[Target | Dropped | BadTarget]]
"""A group and what was made of it."""


@dataclass(slots=True)
class _Running:
    loop: TargetLoop
    task: "asyncio.Task[None]"


class ScrapePool:
    """`supervisor` owns the loops' tasks. `sources`: targets in this process, by URL."""

    def __init__(
        self, config: ScrapeConfig, storage: Appendable, requester: Requester, world: World, supervisor: Supervisor, *, seed: int = 0,
        counts: ScrapeCounts | None = None, sources: Mapping[str, PageSource] | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        self._sources = sources or {}
        self.dropped: list[Dropped] = []
        self.dropped_count = 0
        self._storage = storage
        self._requester = requester
        self._world = world
        self._supervisor = supervisor
        self._seed = seed
        self._counts = counts or ScrapeCounts()
        self._maker = TargetMaker(config)
        self._made_of: dict[int, _Made] = {}  # by the group's identity: most groups are those of the last sync
        self._running: dict[bytes, _Running] = {}
        self._ending: dict[asyncio.Task[None], None] = {}
        self._failures = FailureLog(config.scrape_failure_log_file, config.job_name, world) if config.scrape_failure_log_file else None

    @property
    def active(self) -> list[TargetLoop]:
        return [running.loop for running in self._running.values()]

    def sync(self, groups: Iterable[Group]) -> None:
        """Makes the loops those of these groups: all of the job's, not only what changed."""
        found = self._targets(groups)
        self._counts.synced(self.config.job_name)
        for identity in [identity for identity in self._running if identity not in found]:
            self._end(self._running.pop(identity))
        for identity, target in found.items():
            running = self._running.get(identity)
            if running is None:
                self._running[identity] = self._start(target)
            else:
                running.loop.target = target  # labels before relabelling may have changed
        limit = self.config.limits.target_limit
        over = f"target_limit exceeded (number of targets: {len(found)}, limit: {limit})" if 0 < limit < len(found) else ""
        self._counts.over_target_limit += bool(over)
        for running in self._running.values():
            running.loop.forced_error = over

    def _targets(self, groups: Iterable[Group]) -> Mapping[bytes, Target]:
        found: dict[bytes, Target] = {}
        dropped: dict[Dropped, None] = {}
        wrong: list[BadTarget] = []
        self.dropped_count = 0
        keep = self.config.limits.keep_dropped_targets or DROPPED_SHOWN_MAX
        made_of: dict[int, _Made] = {}
        for group in groups:
            known = self._made_of.get(id(group))
            results = known[1] if known is not None else list(self._maker.of(group))
            made_of[id(group)] = (group, results)
            for made in results:
                if isinstance(made, Target):
                    found.setdefault(made.identity, made)
                elif isinstance(made, Dropped):
                    self.dropped_count += 1
                    if len(dropped) < keep:
                        dropped[made] = None
                else:
                    wrong.append(made)
        self._made_of = made_of
        self.dropped = list(dropped)
        for error in wrong[:ERRORS_LOGGED_MAX]:
            log.error("no target can be made", job=self.config.job_name, error=str(error), more=max(0, len(wrong) - ERRORS_LOGGED_MAX))
        return found

    def _start(self, target: Target) -> _Running:
        loop = TargetLoop(
            target, self.config, self._storage, self._requester, self._world, seed=self._seed, counts=self._counts,
            source=self._sources.get(target.url),
        )  # fmt: skip
        if self._failures is not None:
            loop.on_failure = self._failures.write
        return _Running(loop, self._supervisor.start(f"scrape/{self.config.job_name}/{target.url}", loop.run()))

    def _end(self, running: _Running) -> None:
        running.task.cancel()
        labels = running.loop.target.labels

        def is_back() -> bool:
            return any(other.loop.target.labels == labels for other in self._running.values())

        if len(self._ending) < ENDING_MAX:
            task = self._supervisor.start(f"scrape-end/{self.config.job_name}/{running.loop.target.url}", running.loop.end(is_back))
            self._ending[task] = None
            task.add_done_callback(lambda task: self._ending.pop(task, None))

    def end(self) -> None:
        """The job is gone: its targets end."""
        for running in self._running.values():
            self._end(running)
        self._running.clear()

    def stop(self) -> None:
        """At once and without a trace in the store: the server stops, or the job goes on with another configuration."""
        for running in self._running.values():
            running.task.cancel()
        for task in list(self._ending):
            task.cancel()
        self._running.clear()
