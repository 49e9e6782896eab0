"""Explaining a query: the tree of what was evaluated, with rows, steps, samples and time of each part.

Source: ours; upstream has no such thing beyond its timings.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from podium.telemetry.metrics.promql.context import Context
from podium.telemetry.metrics.promql.elsewhere import Asked
from podium.telemetry.metrics.promql.frames import Evaluated, Frame
from podium.telemetry.metrics.promql.printer import print_query
from podium.telemetry.metrics.promql.syntax import Expression

TEXT_MAX = 200
"""Characters of a part's text."""


@dataclass(slots=True)
class Measured:
    node: str  # what kind of expression
    text: str
    rows: int = 0
    steps: int = 0
    samples: int = 0  # looked at by this part and those below it
    total_s: float = 0.0
    children: "list[Measured]" = field(default_factory=list)

    @property
    def self_s(self) -> float:
        return self.total_s - sum(c.total_s for c in self.children)

    def gave(self, value: Evaluated) -> None:
        if isinstance(value, Frame):
            self.rows, self.steps = value.rows, value.steps

    def to_json(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "text": self.text,
            "rows": self.rows,
            "steps": self.steps,
            "samples": self.samples,
            "totalSeconds": self.total_s,
            "selfSeconds": self.self_s,
            "children": [c.to_json() for c in self.children],
        }

    def lines(self, depth: int = 0) -> Iterator[str]:
        """As a table indented by depth, for terminals."""
        numbers = f"{self.rows:>9} {self.steps:>7} {self.samples:>12} {self.total_s * 1000:>10.2f} {self.self_s * 1000:>10.2f}"
        yield f"{numbers}  {'  ' * depth}{self.text}"
        for child in self.children:
            yield from child.lines(depth + 1)


HEADING = f"{'rows':>9} {'steps':>7} {'samples':>12} {'total ms':>10} {'self ms':>10}  expression"


class Plan:
    """Fills itself while a query is evaluated; `root` is there afterwards."""

    def __init__(self) -> None:
        self.root: Measured | None = None
        self.asked: Sequence[Asked] = ()
        self._open: list[Measured] = []

    @contextmanager
    def measured(self, node: Expression, context: Context) -> Iterator[Measured]:
        text = print_query(node)
        part = Measured(type(node).__name__, text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…")
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

    def text(self) -> str:
        return "\n".join([HEADING, *(self.root.lines() if self.root else ())])
