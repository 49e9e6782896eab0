"""Aggregation groups: alerts of one route with the same group labels, told of together.

A group's first notification waits `group_wait` for more alerts to come (not at all when its first alert is older than that); from then on it is
flushed every `group_interval`. A flush takes all its alerts; when it went well, the resolved ones are forgotten, and an empty group ends.

Each group is a task, owned by a supervisor: one that waits for a receiver delays no other. Bound: GROUPS_MAX; an alert that would open one
more is not grouped, which is logged and counted.

Source: upstream's dispatch/dispatch.go.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from podium.instrument.log import logger
from podium.telemetry.metrics.alertmanager.alerts import Alert, label_order, label_set_text, ordered
from podium.telemetry.metrics.alertmanager.measurements import Measurements
from podium.telemetry.metrics.alertmanager.pipeline import Flush, Pipeline
from podium.telemetry.metrics.alertmanager.routes import Route
from podium.world.interface import World
from podium.world.supervisor import Supervisor

_log = logger("alertmanager.groups")
GROUPS_MAX = 20_000


class Group:
    def __init__(self, route: Route, labels: dict[str, str], world: World, pipeline: Pipeline) -> None:
        self.route, self.labels = route, labels
        self.key = f"{route.key}:{label_set_text(labels)}"
        self.alerts: dict[str, Alert] = {}
        self.muted_by: tuple[str, ...] = ()
        self._world, self._pipeline = world, pipeline
        self._next_s = world.clock.monotonic() + route.group_wait_s

    def hurry(self) -> None:
        """The first flush is due now."""
        self._next_s = self._world.clock.monotonic()

    async def run(self) -> None:
        """Until the group is empty."""
        clock = self._world.clock
        while True:
            await asyncio.sleep(max(0.0, self._next_s - clock.monotonic()))
            self._next_s = clock.monotonic() + self.route.group_interval_s
            await self._flush(clock.now())
            if not self.alerts:
                return

    async def _flush(self, now: datetime) -> None:
        taken = dict(self.alerts)
        if not taken:
            return
        alerts = ordered(a if a.resolved_at(now) else replace(a, ends_at=None) for a in taken.values())
        flush = Flush(self.key, self.labels, self.route, alerts, now)
        went_well = await self._pipeline.notify(flush)
        self.muted_by = flush.muted_by
        if went_well:
            for name, alert in taken.items():
                if alert.resolved_at(now) and self.alerts.get(name) is alert:
                    del self.alerts[name]


class Dispatcher:
    """All groups of one configuration."""

    def __init__(self, root: Route, world: World, pipeline: Pipeline, measurements: Measurements) -> None:
        self._root, self._world, self._pipeline, self._measurements = root, world, pipeline, measurements
        self._groups: dict[tuple[str, tuple[tuple[str, str], ...]], Group] = {}
        self._tasks = Supervisor("alertmanager.groups")

    def put(self, alert: Alert) -> None:
        """Into the groups of its routes."""
        for route in self._root.matching(alert.labels):
            labels = route.group_labels(alert.labels)
            key = (route.identity, tuple(sorted(labels.items())))
            group = self._groups.get(key)
            if group is None:
                group = self._open(key, route, labels, alert)
            if group is not None:
                group.alerts[alert.fingerprint] = alert

    def groups(self) -> list[Group]:
        return list(self._groups.values())

    async def stop(self) -> None:
        await self._tasks.stop()

    def _open(self, key: tuple[str, tuple[tuple[str, str], ...]], route: Route, labels: dict[str, str], alert: Alert) -> Group | None:
        if len(self._groups) >= GROUPS_MAX:
            self._measurements.group_limit.add()
            _log.error("too many aggregation groups, cannot create new group for alert", alert=alert.name, limit=GROUPS_MAX)
            return None
        group = self._groups[key] = Group(route, labels, self._world, self._pipeline)
        if alert.starts_at + timedelta(seconds=route.group_wait_s) < self._world.clock.now():
            group.hurry()
        self._measurements.groups.set(len(self._groups))
        self._tasks.start(group.key, self._run(key, group))
        return group

    async def _run(self, key: tuple[str, tuple[tuple[str, str], ...]], group: Group) -> None:
        try:
            await group.run()
        finally:
            if self._groups.get(key) is group:
                del self._groups[key]
            self._measurements.groups.set(len(self._groups))


def sorted_groups(groups: Iterable[Group]) -> list[Group]:
    """As the API lists them: by labels, then receiver."""
    return sorted(groups, key=lambda g: (label_order(g.labels), g.route.receiver))
