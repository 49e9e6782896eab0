"""Runs the groups of a server: a task each, at steady times; takes a new configuration without losing state.

A group is evaluated at `offset + n x interval`, where the offset comes from its name, so that groups spread and an evaluation's times do not
depend on when the server started. At most GROUPS_AT_ONCE are evaluated at a time. Evaluations that were missed (the one before took too long)
are counted and left out.

Source: Prometheus' documentation, "Recording rules"; upstream's slots of rules/group.go.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace

from podium.instrument.log import logger
from podium.telemetry.metrics.errors import MetricsError
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.rules.evaluation import GroupState, Server, evaluate
from podium.telemetry.metrics.rules.restoring import restore
from podium.telemetry.metrics.rules.rule import Group
from podium.telemetry.metrics.samples import STALE, Sample
from podium.world.supervisor import Supervisor

GROUPS_AT_ONCE, WAITING_GROUPS_AT_ONCE = 4, 20
"""Groups that are evaluated side by side, each a slice at a time: more would all finish later, and let others wait longer for their turn; where
queries wait for other servers it is more."""

_log = logger("metrics.rules")


class RuleSchedule:
    def __init__(self, server: Server, *, restoring: bool = True) -> None:
        self.server = server
        self.groups: dict[str, GroupState] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._supervisor = Supervisor("rules")
        self._restoring = restoring
        self._turns = asyncio.Semaphore(GROUPS_AT_ONCE)
        self._at_once = GROUPS_AT_ONCE

    def configure(self, groups: Sequence[Group], **changes: object) -> None:
        """These groups from now on, with what changed of the server (external_labels, interval_ms...). Groups that stay the same go on;
        those that changed keep the state of rules that did not; the series of those that are gone end."""
        changed = bool(changes) and any(getattr(self.server, name) != value for name, value in changes.items())
        if changed:
            self.server = replace(self.server, **changes)  # type: ignore[arg-type]  # fields by name
        wanted = {group.key: group for group in groups}
        gone: list[Labels] = []
        for key, state in list(self.groups.items()):
            if key not in wanted:
                self._stop(key)
                gone += self.groups.pop(key).end()
            elif changed or state.group != wanted[key]:
                self._stop(key)
        for key, group in wanted.items():
            if key in self._tasks:
                continue
            state = GroupState.of(group, restored=not self._restoring)
            if (before := self.groups.get(key)) is not None:
                state.take_over(before)
            self.groups[key] = state
            self._tasks[key] = self._supervisor.start(key, self._run(state))
        self.groups = {key: self.groups[key] for key in wanted}
        if gone:
            now_ms = self._now_ms()
            self.server.storage.append_samples([Sample(labels, now_ms, STALE) for labels in gone])

    def allow(self, groups: int) -> None:
        """So many to be evaluated at a time, from now on."""
        if groups != self._at_once:
            self._turns, self._at_once = asyncio.Semaphore(groups), groups

    def _stop(self, key: str) -> None:
        if (task := self._tasks.pop(key, None)) is not None:
            task.cancel()

    def _now_ms(self) -> int:
        return int(self.server.world.clock.now().timestamp() * 1000)

    async def _due(self, at_ms: int, interval_ms: int, key: str) -> int:
        """Waits until then; the time to evaluate at. It is another one when the clock was set back meanwhile: then no group waits until it
        has caught up, but goes on from there, as upstream's."""
        wait_s = (at_ms - self._now_ms()) / 1000
        await asyncio.sleep(min(max(0.0, wait_s), interval_ms / 1000))
        now_ms = self._now_ms()
        return at_ms if now_ms > at_ms - interval_ms else next_slot_ms(key, interval_ms, now_ms) - interval_ms

    async def _run(self, state: GroupState) -> None:
        interval_ms = state.interval_ms(self.server)
        at_ms = next_slot_ms(state.group.key, interval_ms, self._now_ms())
        rounds = 0
        while True:
            at_ms = await self._due(at_ms, interval_ms, state.group.key)
            try:
                async with self._turns:
                    await evaluate(state, self.server, at_ms)
                rounds += 1
                if rounds == 2:
                    restore(state, self.server, self._now_ms())
            except MetricsError as error:
                _log.warning("evaluating a group of rules failed", group=state.group.name, file=state.group.file, reason=str(error))
            behind = max(0, (self._now_ms() - at_ms) // interval_ms - 1)
            state.missed += behind
            state.iterations += 1 + behind
            at_ms += (behind + 1) * interval_ms

    async def stop(self) -> None:
        await self._supervisor.stop()


def next_slot_ms(key: str, interval_ms: int, now_ms: int) -> int:
    """The group's next time of evaluation after `now_ms`."""
    offset_ms = int.from_bytes(hashlib.md5(key.encode(), usedforsecurity=False).digest()[:8], "big") % interval_ms
    return now_ms - (now_ms - offset_ms) % interval_ms + interval_ms
