"""How code counts: counters, gauges and histograms with labels, and their text form for Prometheus.

Own rather than the client library for what the hot path pays: an increment of a known child is one float addition (0.05 µs), without a lock,
because a process counts in one event loop. Children are found once (`labels(...)`) and kept by the caller.
What is known elsewhere is read when somebody asks: `on_collect` brings children up to date, `read` makes the samples anew.
Bound: `CHILDREN_MAX` label sets a metric; further ones are counted together under the label value `other`.

Source: Prometheus text format 0.0.4, OpenMetrics 1.0.0 (exposition.py); naming as upstream's components.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from podium.instrument import exposition
from podium.instrument.exposition import Exemplar, Format, Pairs, number
from podium.world.http_messages import Response

CHILDREN_MAX = 10_000
CONTENT_TYPE = Format.TEXT.value
DURATION_BUCKETS_S = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
)  # fmt: skip
"""Upstream's buckets of apiserver_request_duration_seconds, upper bounds, inclusive."""


class Value:
    """One counter or gauge of one label set. A counter only goes up: that is the caller's to keep."""

    __slots__ = ("created_s", "exemplar", "value")

    def __init__(self, created_s: float = 0.0) -> None:
        self.value = 0.0
        self.created_s = created_s
        self.exemplar: Exemplar | None = None

    def add(self, amount: float = 1.0) -> None:
        self.value += amount

    def add_with(self, exemplar: Exemplar) -> None:
        """Adds the exemplar's value, and remembers it as the newest."""
        self.value += exemplar.value
        self.exemplar = exemplar

    def set(self, value: float) -> None:
        self.value = value

    def fill(self, family: exposition.Family, labels: Pairs) -> None:
        family.samples["", labels] = self.value
        if self.exemplar is not None:
            family.exemplars["", labels] = self.exemplar


class Distribution:
    """One histogram of one label set."""

    __slots__ = ("bounds", "counts", "created_s", "exemplars", "total")

    def __init__(self, bounds: Sequence[float], created_s: float = 0.0) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.created_s = created_s
        self.exemplars: dict[int, Exemplar] = {}

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_with(self, exemplar: Exemplar) -> None:
        """Observes the exemplar's value; its bucket shows the newest exemplar."""
        self.observe(exemplar.value)
        self.exemplars[bisect_left(self.bounds, exemplar.value)] = exemplar

    def fill(self, family: exposition.Family, labels: Pairs) -> None:
        cumulative = 0
        for n, (bound, count) in enumerate(zip((*self.bounds, float("inf")), self.counts, strict=True)):
            cumulative += count
            key = ("_bucket", (*labels, ("le", number(bound))))
            family.samples[key] = cumulative
            if n in self.exemplars:
                family.exemplars[key] = self.exemplars[n]
        family.samples["_sum", labels] = self.total
        family.samples["_count", labels] = cumulative


Child = TypeVar("Child", Value, Distribution)
T = TypeVar("T")


class Family(Generic[Child]):
    """A metric: its children by label values."""

    def __init__(self, name: str, kind: str, text: str, names: Sequence[str], make: Callable[[], Child]) -> None:
        self.name, self.kind, self.text, self.names = name, kind, text, tuple(names)
        self._make: Callable[[], Child] = make
        self._children: dict[tuple[str, ...], Child] = {}

    def labels(self, *values: str) -> Child:
        """The child of these label values, in the order of the names; always the same object."""
        child = self._children.get(values)
        if child is None:
            assert len(values) == len(self.names), f"{self.name} has labels {self.names}"
            if len(self._children) >= CHILDREN_MAX:
                values = ("other",) * len(values)
            child = self._children.setdefault(values, self._make())
        return child

    def drop(self, *values: str) -> None:
        """Forgets the child of something that is gone, so that it is not shown any more."""
        self._children.pop(values, None)

    def collected(self) -> exposition.Family:
        family = exposition.Family(self.name, self.kind, self.text)
        for values, child in sorted(self._children.items()):
            labels = tuple(zip(self.names, values, strict=True))
            child.fill(family, labels)
            if child.created_s:
                family.created_s[labels] = child.created_s
        return family


Reader = Callable[[], Iterable[tuple[tuple[str, ...], float]]]
"""Label values, in the order of the names, with the number that they have now."""


class Registry:
    """The metrics of one process or role. `collect` callbacks bring gauges up to date when somebody reads.
    With `now_s` (seconds since the epoch) counters and histograms know since when they count, which OpenMetrics shows: a further series for
    each of them at scrapers that keep `_created` as one, so Podium's components do without, as upstream's."""

    def __init__(self, now_s: Callable[[], float] | None = None) -> None:
        self._families: dict[str, Family[Any]] = {}
        self._readers: dict[str, tuple[str, str, tuple[str, ...], Reader]] = {}
        self._collectors: list[Callable[[], None]] = []
        self._shared: dict[Any, Any] = {}
        self._now_s = now_s or (lambda: 0.0)

    def counter(self, name: str, text: str, names: Sequence[str] = ()) -> Family[Value]:
        family = self._families[name] = Family(self._free(name), "counter", text, names, lambda: Value(self._now_s()))
        return family

    def gauge(self, name: str, text: str, names: Sequence[str] = ()) -> Family[Value]:
        family = self._families[name] = Family(self._free(name), "gauge", text, names, Value)
        return family

    def histogram(
        self, name: str, text: str, names: Sequence[str] = (), buckets: Sequence[float] = DURATION_BUCKETS_S
    ) -> Family[Distribution]:
        family = self._families[name] = Family(self._free(name), "histogram", text, names, lambda: Distribution(buckets, self._now_s()))
        return family

    def read(self, name: str, kind: str, text: str, names: Sequence[str], reader: Reader) -> None:
        """A counter or gauge (`kind`) whose samples are what `reader` gives when somebody asks."""
        self._readers[self._free(name)] = (kind, text, tuple(names), reader)

    def constant(self, name: str, text: str, labels: Mapping[str, str] | None = None, value: float = 1.0) -> None:
        """A gauge that never changes: versions and the like."""
        values = tuple((labels or {}).values())
        self.read(name, "gauge", text, tuple(labels or {}), lambda: [(values, value)])

    def shared(self, make: Callable[["Registry"], T]) -> T:
        """What `make` makes of this registry, made once: for families that several count in."""
        if make not in self._shared:
            self._shared[make] = make(self)
        found: T = self._shared[make]
        return found

    def on_collect(self, collector: Callable[[], None]) -> None:
        self._collectors.append(collector)

    def _free(self, name: str) -> str:
        assert name not in self._families and name not in self._readers, f"{name} is registered twice"
        return name

    def collected(self) -> list[exposition.Family]:
        """Everything, as of now, sorted by name."""
        for collector in self._collectors:
            collector()
        families = [family.collected() for family in self._families.values()]
        for name, (kind, text, names, reader) in self._readers.items():
            family = exposition.Family(name, kind, text)
            for values, value in reader():
                family.samples["", tuple(zip(names, values, strict=True))] = value
            families.append(family)
        return sorted(families, key=lambda family: family.name)

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return exposition.render(self.collected())

    def respond(self, headers: Mapping[str, str]) -> Response:
        """Everything, as the scraper with these request headers wants it."""
        return exposition.respond(self.collected(), headers)
