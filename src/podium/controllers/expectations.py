"""What a controller did with pods that its mirror of them does not show yet.

A mirror lags behind the server. A controller that counted only what it sees would create again what it has just created. So it notes, per key,
the revision of the last pod that it created and the pods that it deleted, and plans nothing for a key until the mirror shows all that.

Theory: states are compared, events are not counted. A count is wrong for good when an event does not come or does not find its owner: the
mirror listed again, another object took the name, the pod was cut loose from its owner first. What is compared here comes true whatever the
mirror missed. Only the time is not certain, so whoever is not `met` looks again after RECHECK_S.

Bounds: one note per key, with no more pods than one turn deletes. A note older than TIMEOUT_S no longer counts: the server was replaced by
one whose revisions are lower.

Source: the problem is that of k8s.io/kubernetes pkg/controller/controller_utils.go (UIDTrackingControllerExpectations), the comparison that of
KEP-5504 (revisions can be compared).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from podium.client.interface import Object
from podium.client.mirror import Mirror
from podium.objects.values import is_deleting, key_of
from podium.world.interface import Clock

TIMEOUT_S = 300.0
RECHECK_S = 1.0


@dataclass(slots=True)
class _Awaited:
    at: float
    revision: int = 0
    deletions: dict[str, str] = field(default_factory=dict)  # key of the pod by uid


class Expectations:
    """One turn per key at a time: a turn makes notes, the next one asks whether they are met."""

    def __init__(self, pods: Mirror, clock: Clock) -> None:
        self._pods = pods
        self._clock = clock
        self._awaited: dict[str, _Awaited] = {}

    def created(self, key: str, pod: Object) -> None:
        """`pod` as the server answered."""
        awaited = self._of(key)
        awaited.revision = max(awaited.revision, int(pod["metadata"]["resourceVersion"]))

    def deleted(self, key: str, pods: Iterable[Object]) -> None:
        """Their deletion was accepted."""
        self._of(key).deletions.update({pod["metadata"]["uid"]: key_of(pod) for pod in pods})

    def met(self, key: str) -> bool:
        """Whether the mirror shows all that was done for the key."""
        awaited = self._awaited.get(key)
        if awaited is None:
            return True
        if self._clock.monotonic() - awaited.at <= TIMEOUT_S and not self._shown(awaited):
            return False
        del self._awaited[key]
        return True

    def just_met(self, key: str) -> bool:
        """Whether something was awaited, and is not any more since the last change of the mirror."""
        return key in self._awaited and self.met(key)

    def forget(self, key: str) -> None:
        self._awaited.pop(key, None)

    def _shown(self, awaited: _Awaited) -> bool:
        if not self._pods.has_seen(awaited.revision):
            return False
        while awaited.deletions:
            uid, name = next(iter(awaited.deletions.items()))
            pod = self._pods.by_key(name)
            if pod is not None and pod["metadata"]["uid"] == uid and not is_deleting(pod):
                return False
            del awaited.deletions[uid]
        return True

    def _of(self, key: str) -> _Awaited:
        now = self._clock.monotonic()
        awaited = self._awaited.setdefault(key, _Awaited(now))
        awaited.at = now
        return awaited
