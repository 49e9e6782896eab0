"""Explaining a query: the tree of what was evaluated, with series, steps, samples and time of each part, as a database's EXPLAIN ANALYZE.

The query is evaluated as always; a part's time is its own and that of the parts below it. What a selector took from the store is told at the part
that it stands in: all series that match and all samples in reach, looked at or not. A part that gives the same at every step is `once`.

Source: ours; upstream has no such thing beyond its timings.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from podium.telemetry.metrics.promql.context import Context
from podium.telemetry.metrics.promql.elsewhere import Asked
from podium.telemetry.metrics.promql.frames import Evaluated, Frame
from podium.telemetry.metrics.promql.printer import print_query
from podium.telemetry.metrics.promql.statistics import Statistics
from podium.telemetry.metrics.promql.syntax import Expression, VectorSelector
from podium.telemetry.metrics.samples import Scan

TEXT_MAX = 200
"""Characters of a part's text."""


@dataclass(slots=True)
class Measured:
    node: str  # what kind of expression
    text: str
    rows: int = 0
    steps: int = 0
    samples: int = 0  # looked at by this part and those below it, each as often as it was
    total_s: float = 0.0
    once: bool = False
    series_read: int = 0  # from the store and other servers, by this part alone
    samples_read: int = 0
    children: "list[Measured]" = field(default_factory=list)

    @property
    def self_s(self) -> float:
        return self.total_s - sum(c.total_s for c in self.children)

    def gave(self, value: Evaluated) -> None:
        if isinstance(value, Frame):
            self.rows, self.steps = value.rows, value.steps

    def to_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "node": self.node,
            "text": self.text,
            "series": self.rows,
            "steps": self.steps,
            "samples": self.samples,
            "totalSeconds": self.total_s,
            "selfSeconds": self.self_s,
        }
        if self.once:
            shown["once"] = True
        if self.series_read or self.samples_read:
            shown |= {"seriesRead": self.series_read, "samplesRead": self.samples_read}
        return {**shown, "children": [c.to_json() for c in self.children]}


class Plan:
    """Fills itself while a query is evaluated; `root` is there afterwards."""

    def __init__(self) -> None:
        self.root: Measured | None = None
        self.asked: Sequence[Asked] = ()
        self.asked_s = 0.0  # for all of them, which were asked at once
        self._open: list[Measured] = []

    @contextmanager
    def measured(self, node: Expression, context: Context) -> Iterator[Measured]:
        part = Measured(type(node).__name__, _shortened(print_query(node)))
        if self._open:
            self._open[-1].children.append(part)
        elif self.root is None:
            self.root = part
        self._open.append(part)
        started, samples = context.clock.monotonic(), context.statistics.samples_total
        try:
            yield part
        finally:
            self._open.pop()
            part.total_s = context.clock.monotonic() - started
            part.samples = context.statistics.samples_total - samples

    def read(self, scan: Scan) -> None:
        """By the part that is being evaluated."""
        if self._open:
            part = self._open[-1]
            part.series_read += scan.labels.count
            part.samples_read += sum(unread.cells for unread in scan.unread) + sum(len(h.times) for h in scan.histograms)

    def once(self) -> None:
        """The part that is being evaluated gives the same at every step."""
        if self._open:
            self._open[-1].once = True

    def to_json(self, statistics: Statistics) -> dict[str, Any]:
        """As `data` of /api/v1/podium/explain."""
        return {
            "plan": self.root.to_json() if self.root else None,
            "remoteReads": [_asked_json(one) for one in self.asked],
            "remoteReadSeconds": self.asked_s,
            "stats": statistics.to_json(),
        }

    def text(self) -> str:
        return render({"plan": self.root.to_json() if self.root else None})


def _shortened(text: str) -> str:
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


def _asked_json(asked: Asked) -> dict[str, Any]:
    read = asked.read
    return {
        "remote": asked.remote,
        "selector": _shortened(print_query(VectorSelector("", read.matchers))),
        "start": read.start_ms / 1000,
        "end": read.end_ms / 1000,
        "series": asked.series,
        "samples": asked.samples,
        "seconds": asked.seconds,
    }


HEADING = f"{'total ms':>10} {'self ms':>10} {'series':>8} {'steps':>6} {'samples':>11}  expression"


def render(explained: Mapping[str, Any]) -> str:
    """`data` of /api/v1/podium/explain for terminals: a line a part, below it what it is made of."""
    lines = [HEADING]
    if explained.get("plan"):
        lines += _lines(explained["plan"], "", "")
    for one in explained.get("remoteReads", ()):
        lines.append(
            f"remote read from {one['remote']}: {one['selector']}: {one['series']} series, {one['samples']} samples in "
            f"{one['seconds'] * 1000:.2f} ms"
        )
    if stats := explained.get("stats"):
        times, samples = stats["timings"], stats["samples"]
        lines.append(
            f"waited {times['execQueueTime'] * 1000:.2f} ms, prepared {times['queryPreparationTime'] * 1000:.2f} ms, "
            f"evaluated {times['innerEvalTime'] * 1000:.2f} ms, made the result {times['resultSortTime'] * 1000:.2f} ms; "
            f"{samples['totalQueryableSamples']} samples looked at, {samples['peakSamples']} held at most"
        )
    return "\n".join(lines)


def _lines(part: Mapping[str, Any], first: str, rest: str) -> Iterator[str]:
    """`first` and `rest`: the branches before the part and before what is below it."""
    numbers = f"{part['totalSeconds'] * 1000:>10.2f} {part['selfSeconds'] * 1000:>10.2f} {part['series']:>8} {part['steps']:>6} {part['samples']:>11}"
    notes = ["evaluated once"] if part.get("once") else []
    if "seriesRead" in part:
        notes.append(f"read {part['seriesRead']} series, {part['samplesRead']} samples")
    yield f"{numbers}  {first}{part['text']}" + (f"  ({'; '.join(notes)})" if notes else "")
    children = part["children"]
    for n, child in enumerate(children):
        last = n == len(children) - 1
        yield from _lines(child, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))
