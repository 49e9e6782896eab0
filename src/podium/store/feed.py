"""The feed: who hears of which changes.

Listeners are grouped by bucket (`/group/plural/`), so a change costs only those of its bucket. One with a deeper prefix (a
namespace) gets its share filtered; one with a shorter prefix hears of every bucket that begins with it.
A listener is called once for each committed batch that concerns it, in the order of registration. One that raises is a bug: it is
logged and the others are still called.
"""

import logging
from collections.abc import Callable

from podium.store.bucket import bucket_name
from podium.store.record import Event

Listener = Callable[[list[Event]], None]

_log = logging.getLogger("podium.store")


class _Subscription:
    __slots__ = ("active", "listener", "prefix")

    def __init__(self, prefix: str, listener: Listener) -> None:
        self.prefix, self.listener, self.active = prefix, listener, True


class Feed:
    def __init__(self) -> None:
        self._by_bucket: dict[str, tuple[_Subscription, ...]] = {}  # replaced, never changed: cancelling while publishing is safe
        self._wide: tuple[_Subscription, ...] = ()

    def subscribe(self, prefix: str, listener: Listener) -> Callable[[], None]:
        subscription = _Subscription(prefix, listener)
        name = bucket_name(prefix) if prefix.count("/") >= 3 else None
        if name is None:
            self._wide += (subscription,)
        else:
            self._by_bucket[name] = (*self._by_bucket.get(name, ()), subscription)

        def cancel() -> None:
            if not subscription.active:
                return
            subscription.active = False
            if name is None:
                self._wide = tuple(s for s in self._wide if s is not subscription)
            elif rest := tuple(s for s in self._by_bucket[name] if s is not subscription):
                self._by_bucket[name] = rest
            else:
                del self._by_bucket[name]

        return cancel

    def publish(self, events: list[Event]) -> None:
        """`events` in revision order, already visible to reads."""
        by_bucket = self._by_bucket
        if by_bucket:
            if len(events) == 1:
                name = bucket_name(events[0].record.key)
                if name in by_bucket:
                    self._tell(by_bucket[name], events, len(name))
            else:
                groups: dict[str, list[Event]] = {}
                for event in events:
                    groups.setdefault(bucket_name(event.record.key), []).append(event)
                for name, group in groups.items():
                    if name in by_bucket:
                        self._tell(by_bucket[name], group, len(name))
        if self._wide:
            self._tell(self._wide, events, 0)

    @staticmethod
    def _tell(subscriptions: tuple[_Subscription, ...], events: list[Event], common: int) -> None:
        """`common`: how many characters of the prefix all events are known to share."""
        for subscription in subscriptions:
            prefix = subscription.prefix
            mine = events if len(prefix) <= common else [event for event in events if event.record.key.startswith(prefix)]
            if mine and subscription.active:
                try:
                    subscription.listener(mine)
                except Exception:
                    _log.exception("a feed listener failed", extra={"fields": {"prefix": prefix}})
