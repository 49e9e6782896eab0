"""Stores on other servers, as a query sees them: asked before it is evaluated, joined with what is here.

Each is asked for all selectors at once. One that fails for one selector gives nothing to the query, and the answer says so in a warning: half
of a store's answers would be wrong without a sign of it. The same selector over the same time is asked for once.

Source: upstream's secondary queriers, storage/fanout.go.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from podium.telemetry.metrics.errors import MetricsError
from podium.telemetry.metrics.promql.reads import Key, Read
from podium.telemetry.metrics.samples import Selection
from podium.world.interface import Clock

READS_AT_ONCE = 10
"""Of one query at one server."""


class Remote(Protocol):
    """A store that takes time to answer."""

    @property
    def name(self) -> str: ...

    async def select(self, read: Read) -> Selection | None:
        """None: it is not to be asked for this. Raises MetricsError, whose text becomes the warning."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, for `explain`."""

    remote: str
    read: Read
    seconds: float
    series: int
    samples: int


@dataclass(frozen=True, slots=True)
class Gathered:
    selections: Mapping[Key, Sequence[Selection]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    asked: Sequence[Asked] = ()


async def gather(remotes: Sequence[Remote], wanted: Mapping[Key, Read], clock: Clock) -> Gathered:
    """What the remotes have, in their order."""
    if not remotes or not wanted:
        return Gathered()
    answers = await asyncio.gather(*(_ask(remote, list(dict.fromkeys(wanted.values())), clock) for remote in remotes))
    selections: dict[Key, list[Selection]] = {}
    warnings: list[str] = []
    asked: list[Asked] = []
    for answer in answers:
        asked += answer.asked
        if answer.warning:
            warnings.append(answer.warning)
            continue
        for key, read in wanted.items():
            if (found := answer.selections.get(read)) is not None and found.labels.count:
                selections.setdefault(key, []).append(found)
    return Gathered(selections, tuple(dict.fromkeys(warnings)), tuple(asked))


@dataclass(slots=True)
class _Answer:
    selections: dict[Read, Selection] = field(default_factory=dict)
    warning: str = ""
    asked: list[Asked] = field(default_factory=list)


async def _ask(remote: Remote, wanted: Sequence[Read], clock: Clock) -> _Answer:
    answer, turns = _Answer(), asyncio.Semaphore(READS_AT_ONCE)

    async def one(read: Read) -> None:
        async with turns:
            if answer.warning:
                return
            began = clock.monotonic()
            try:
                found = await remote.select(read)
            except MetricsError as error:
                answer.warning = str(error)
                return
            if found is not None:
                answer.selections[read] = found
                samples = sum(c.values.size for c in found.columns) + sum(len(h.times) for h in found.histograms)
                answer.asked.append(Asked(remote.name, read, clock.monotonic() - began, found.labels.count, samples))

    await asyncio.gather(*(one(read) for read in wanted))
    return answer
