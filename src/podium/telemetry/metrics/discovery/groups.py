"""Targets as discovery finds them: groups, each from a source.

A later group of the same source replaces the one before; one without targets removes it. Whoever discovers says only what changed.
Source: Prometheus' discovery.Discoverer and targetgroup.Group.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

ADDRESS = "__address__"
META = "__meta_"
TARGETS_PER_GROUP_MAX = 100_000


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """`targets` are labels of each, `__address__` among them; `labels` are those of all, which a target's own override."""

    source: str
    targets: tuple[Mapping[str, str], ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


Sink = Callable[[Sequence[TargetGroup]], None]
"""Called synchronously, in the event loop."""


class Discoverer(Protocol):
    async def run(self, sink: Sink) -> None:
        """Until it is cancelled. What fails is logged and tried again; what was found before stays meanwhile."""
        ...
