"""Events live for an hour, as upstream's --event-ttl says; the rest of the cluster's objects live until they are deleted."""

import asyncio
from datetime import datetime

from podium.api.core import Core, Object
from podium.objects.resources import resource
from podium.store.errors import RevisionMismatch

EVENT_TTL_S = 3600.0
PERIOD_S = 60.0


async def expire_events(core: Core) -> None:
    """Runs for ever."""
    prefix = resource("events").prefix
    while True:
        await asyncio.sleep(PERIOD_S)
        now_s = core.world.clock.now().timestamp()
        for record in (await core.store.range(prefix)).records:
            if now_s - _last_seen_s(record.value) > EVENT_TTL_S:
                try:
                    await core.store.delete(record.key, expected=record.revision)
                except RevisionMismatch:
                    continue


def _last_seen_s(event: Object) -> float:
    series = event.get("series") or {}
    text = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
