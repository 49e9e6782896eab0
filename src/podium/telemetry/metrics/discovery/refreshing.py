"""Discovery by asking again and again: at once, then at every interval. A failure is logged once until it changes, and leaves what was found."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from podium.instrument.log import logger
from podium.telemetry.metrics.discovery.groups import Sink, TargetGroup
from podium.telemetry.metrics.errors import MetricsError

log = logger("metrics.discovery")

Refresh = Callable[[], Awaitable[Sequence[TargetGroup]]]


class DiscoveryFailed(MetricsError):
    """What was asked for targets did not answer, or not in its format: the targets of before stay; later may be better."""


async def refreshing(name: str, interval_ms: int, refresh: Refresh, sink: Sink) -> None:
    """Until it is cancelled. `refresh` raises MetricsError or OSError."""
    last = ""
    while True:
        try:
            sink(await refresh())
            last = ""
        except (MetricsError, OSError) as error:
            if str(error) != last:
                log.error("targets cannot be discovered", discovery=name, error=str(error))
            last = str(error)
        await asyncio.sleep(interval_ms / 1000)


class Shrinking:
    """Numbered groups: names those that were there last time and are not any more, so that they are removed."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def complete(self, place: str, groups: Sequence[TargetGroup]) -> list[TargetGroup]:
        """`groups` have the sources `place:0`, `place:1`, ...; empty ones are added for what is gone."""
        gone = range(len(groups), self._counts.get(place, 0))
        self._counts[place] = len(groups)
        return [*groups, *(TargetGroup(f"{place}:{number}") for number in gone)]

    def places(self) -> list[str]:
        return list(self._counts)
