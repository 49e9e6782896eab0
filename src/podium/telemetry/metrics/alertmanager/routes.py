"""The routing tree: which receivers hear of an alert, grouped and timed how.

A child inherits what it does not say. An alert goes to the deepest routes that match, the first of siblings only unless it says `continue`;
a route none of whose children match has the alert itself.

`key` names a route by its matchers from the root and is part of group keys (so a notification log survives a reload); `identity` also says
which child it is. Source: upstream's dispatch/route.go.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from podium.telemetry.metrics.alertmanager.configuration import RouteSettings
from podium.telemetry.metrics.alertmanager.matchers import Matchers, match_all, matchers_text

GROUP_WAIT_S, GROUP_INTERVAL_S, REPEAT_INTERVAL_S = 30.0, 300.0, 4 * 3600.0
"""Where no route says otherwise."""


@dataclass(frozen=True, slots=True)
class Route:
    receiver: str
    group_by: frozenset[str]
    groups_by_all: bool
    group_wait_s: float
    group_interval_s: float
    repeat_interval_s: float
    mute_time_intervals: tuple[str, ...]
    active_time_intervals: tuple[str, ...]
    labels: Mapping[str, str]
    matchers: Matchers
    continues: bool
    key: str
    identity: str
    routes: "tuple[Route, ...]"

    def matching(self, labels: Mapping[str, str]) -> "list[Route]":
        """The routes of an alert, in order; empty when even this one does not match."""
        if not match_all(self.matchers, labels):
            return []
        found: list[Route] = []
        for child in self.routes:
            matches = child.matching(labels)
            found += matches
            if matches and not child.continues:
                break
        return found or [self]

    def group_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in labels.items() if self.groups_by_all or name in self.group_by}

    def walk(self) -> "Iterator[Route]":
        yield self
        for child in self.routes:
            yield from child.walk()


def build(settings: RouteSettings) -> Route:
    return _build(settings, None, "", "", 0)


def _build(settings: RouteSettings, parent: dict[str, Any] | None, key: str, identity: str, index: int) -> Route:
    inherited = parent or {
        "receiver": "", "group_by": frozenset(), "groups_by_all": False, "group_wait_s": GROUP_WAIT_S, "group_interval_s": GROUP_INTERVAL_S,
        "repeat_interval_s": REPEAT_INTERVAL_S, "labels": {},
    }  # fmt: skip
    own: dict[str, Any] = dict(inherited)
    own["receiver"] = settings.receiver or inherited["receiver"]
    if settings.group_by is not None:
        own["groups_by_all"] = "..." in settings.group_by
        own["group_by"] = frozenset(settings.group_by) - {"..."}
    for name in ("group_wait_s", "group_interval_s", "repeat_interval_s"):
        value = getattr(settings, name)
        if value is not None:
            own[name] = value
    own["labels"] = {**inherited["labels"], **settings.labels}
    text = matchers_text(settings.matchers)
    own_key = f"{key}/{text}" if parent is not None else text
    own_identity = f"{identity}/{text}/{index}" if parent is not None else text
    return Route(
        **own,
        mute_time_intervals=settings.mute_time_intervals,
        active_time_intervals=settings.active_time_intervals,
        matchers=settings.matchers,
        continues=settings.continues,
        key=own_key,
        identity=own_identity,
        routes=tuple(_build(child, own, own_key, own_identity, i) for i, child in enumerate(settings.routes)),
    )
