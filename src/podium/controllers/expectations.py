"""What a controller has asked for and not yet seen in its mirror.

A mirror lags behind the server. A controller that counted only what it sees would create again what it has just created. So it notes how
many creations and which deletions it awaits per key, and plans nothing for a key until they are all seen (or have failed). A note older
than TIMEOUT_S no longer counts: what it waited for was missed.

Source: k8s.io/kubernetes pkg/controller/controller_utils.go (UIDTrackingControllerExpectations).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from podium.world.interface import Clock

TIMEOUT_S = 300.0


@dataclass(slots=True)
class _Awaited:
    at: float
    creations: int = 0
    deletions: dict[str, None] = field(default_factory=dict)


class Expectations:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._awaited: dict[str, _Awaited] = {}

    def expect_creations(self, key: str, count: int) -> None:
        self._of(key).creations += count

    def expect_deletions(self, key: str, uids: Iterable[str]) -> None:
        self._of(key).deletions.update(dict.fromkeys(uids))

    def creation_seen(self, key: str) -> bool:
        """Or failed. Whether that was the last thing awaited."""
        awaited = self._awaited.get(key)
        if awaited is None or not awaited.creations:
            return False
        awaited.creations -= 1
        return self._drop_if_met(key, awaited)

    def deletion_seen(self, key: str, uid: str) -> bool:
        """Or failed. Whether that was the last thing awaited."""
        awaited = self._awaited.get(key)
        if awaited is None or uid not in awaited.deletions:
            return False
        del awaited.deletions[uid]
        return self._drop_if_met(key, awaited)

    def met(self, key: str) -> bool:
        awaited = self._awaited.get(key)
        return awaited is None or self._clock.monotonic() - awaited.at > TIMEOUT_S

    def forget(self, key: str) -> None:
        self._awaited.pop(key, None)

    def _of(self, key: str) -> _Awaited:
        awaited = self._awaited.get(key)
        now = self._clock.monotonic()
        if awaited is None or now - awaited.at > TIMEOUT_S:
            awaited = self._awaited[key] = _Awaited(now)
        awaited.at = now
        return awaited

    def _drop_if_met(self, key: str, awaited: _Awaited) -> bool:
        if awaited.creations or awaited.deletions:
            return False
        del self._awaited[key]
        return True
