"""All jobs: a pool for each, kept over reloads when its configuration did not change.

`apply` takes the jobs of a configuration, `update` what discovery found for one; both are synchronous. Tasks belong to the engine's own supervisor,
which `stop` ends. Targets are shown as /api/v1/targets wants them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from podium.telemetry.metrics.configuration.scraping import ScrapeConfig
from podium.telemetry.metrics.discovery.groups import Group
from podium.telemetry.metrics.exposition.page import PageSource
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.outbound.client import OutboundClient
from podium.telemetry.metrics.outbound.interface import Requester
from podium.telemetry.metrics.scrape.counts import ScrapeCounts
from podium.telemetry.metrics.scrape.loop import TargetLoop
from podium.telemetry.metrics.scrape.pool import ScrapePool
from podium.telemetry.metrics.scrape.targets import Dropped
from podium.telemetry.metrics.storage import Appendable
from podium.world.interface import World
from podium.world.supervisor import Supervisor

RequesterMaker = Callable[[ScrapeConfig], Requester]


@dataclass(frozen=True, slots=True)
class JobTargets:
    """Of one job; `dropped` may be fewer than `dropped_count` (keep_dropped_targets)."""

    job: str
    active: Sequence[TargetLoop]
    dropped: Sequence[Dropped]
    dropped_count: int


class ScrapeEngine:
    def __init__(
        self, storage: Appendable, world: World, *, requester: RequesterMaker | None = None, seed: int = 0,
        sources: Mapping[str, PageSource] | None = None,
    ) -> None:  # fmt: skip
        """`requester` makes what asks the targets of a job: sockets unless given. `seed` moves the scrapes of this server against another's.
        `sources` are targets in this process, by the URL at which others scrape them."""
        self._sources = sources or {}
        self._storage = storage
        self._world = world
        self._make_requester = requester or (lambda config: OutboundClient(config.http, world, compression=config.enable_compression))
        self._seed = seed
        self.counts = ScrapeCounts()
        self._supervisor = Supervisor("scrape")
        self._pools: dict[str, ScrapePool] = {}
        self._requesters: dict[str, Requester] = {}
        self._groups: dict[str, Mapping[str, Group]] = {}

    def apply(self, jobs: Sequence[ScrapeConfig]) -> None:
        """Jobs that are the same go on; changed ones start anew without a break in their series; those that are gone end."""
        wanted = {job.job_name: job for job in jobs}
        for name in [name for name in self._pools if name not in wanted]:
            self._pools.pop(name).end()
            self._close(name)
            self._groups.pop(name, None)
            self.counts.syncs.pop(name, None)
        for name, job in wanted.items():
            pool = self._pools.get(name)
            if pool is not None and pool.config == job:
                continue
            if pool is not None:
                pool.stop()
                self._close(name)
            self._requesters[name] = self._make_requester(job)
            self._pools[name] = ScrapePool(
                job, self._storage, self._requesters[name], self._world, self._supervisor, seed=self._seed, counts=self.counts,
                sources=self._sources,
            )  # fmt: skip
            if name in self._groups:
                self._pools[name].sync(self._groups[name].values())

    def _close(self, name: str) -> None:
        self._supervisor.start(f"close/{name}", self._requesters.pop(name).aclose())

    def update(self, job: str, groups: Mapping[str, Group]) -> None:
        """All groups of the job, by source. A job that is not there is ignored: it was removed meanwhile."""
        pool = self._pools.get(job)
        if pool is not None:
            self._groups[job] = dict(groups)
            pool.sync(groups.values())

    def targets(self, jobs: Iterable[str] | None = None) -> list[JobTargets]:
        """In the order of the configuration."""
        wanted = None if jobs is None else set(jobs)
        return [
            JobTargets(name, pool.active, pool.dropped, pool.dropped_count)
            for name, pool in self._pools.items()
            if wanted is None or name in wanted
        ]

    def config(self, job: str) -> ScrapeConfig | None:
        """None: there is no such job."""
        pool = self._pools.get(job)
        return pool.config if pool is not None else None

    def labels_of_targets(self) -> list[tuple[str, Labels]]:
        """(job, public labels) of all active targets."""
        return [(name, loop.target.labels) for name, pool in self._pools.items() for loop in pool.active]

    async def stop(self) -> None:
        """The server stops: nothing is marked stale, as it is expected to come back."""
        for pool in self._pools.values():
            pool.stop()
        await self._supervisor.stop()
        for requester in self._requesters.values():
            await requester.aclose()
        self._pools.clear()
        self._requesters.clear()
