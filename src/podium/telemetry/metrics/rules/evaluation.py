"""One group of rules at work: evaluates its rules in order, writes what they give, ends the series that they do not give any more.

A rule's samples carry the time of the evaluation less the query offset. Series that a rule gave the last time and not this time end with a
staleness marker, and so do all of a rule that was taken away.

A rule sees the samples of those before it. Otherwise they wait until the end of the round, to be written together (writing.py).

Invariant: a group is evaluated by one caller at a time (its task in `rules/schedule.py`, or a test).

Source: Prometheus' documentation, "Recording rules"; the order of writes and sends of upstream's rules/group.go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from podium.instrument.log import logger
from podium.telemetry.metrics.errors import MetricsError
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.promql.printer import print_query
from podium.telemetry.metrics.promql.results import Point, Result, Scalar, Vector
from podium.telemetry.metrics.promql.syntax import Expression
from podium.telemetry.metrics.rules.alert_templates import AlertTemplates, Parsed
from podium.telemetry.metrics.rules.alerts import Alert, AlertStates, Found
from podium.telemetry.metrics.rules.errors import RuleFailed
from podium.telemetry.metrics.rules.rule import AlertingRule, Group, RecordingRule
from podium.telemetry.metrics.rules.template_functions import Surroundings
from podium.telemetry.metrics.rules.timing import RuleTiming
from podium.telemetry.metrics.rules.writing import RuleWriter, reads
from podium.telemetry.metrics.samples import STALE, Sample
from podium.telemetry.metrics.storage import Storage
from podium.world.interface import World

TEMPLATE_QUERIES_MAX = 1_000
"""Of one evaluation of a rule."""
TEMPLATE_QUERY_TIMEOUT_S = 5.0
"""Nothing else runs meanwhile."""
SLICE_S = 0.0005
"""How long rules are evaluated until others have their turn: a group may have thousands."""
UNKNOWN, GOOD, BAD = "unknown", "ok", "err"

_log = logger("metrics.rules")


class Queries(Protocol):
    """The engine, as far as rules need it."""

    async def instant(self, query: str | Expression, time_ms: int, **more: Any) -> Result:
        """`more`: fields of the engine's Request; `local`: without asking other servers, and so without waiting for them."""
        ...


def at_once(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs a query that is not queued to its end without letting others run: templates cannot wait."""
    try:
        while True:
            waits = work.send(None)
            assert waits is None, "a query that is not queued waits for nothing"
    except StopIteration as end:
        result: Result = end.value
        return result


Notify = Callable[[AlertingRule, Sequence[tuple[Alert, int]]], None]
"""Takes (alert, until when it holds) of a rule, for the Alertmanagers. Never waits."""


@dataclass(frozen=True, slots=True)
class Server:
    """What all groups of a server share."""

    queries: Queries
    storage: Storage
    world: World
    notify: Notify
    external_labels: Labels = ()
    external_url: str = ""
    interval_ms: int = 60_000
    query_offset_ms: int = 0
    timing: RuleTiming = field(default=RuleTiming())
    between: Callable[[], Awaitable[None]] | None = None  # between two rules: lets others run


@dataclass(slots=True)
class RuleState:
    """A rule and what became of it."""

    rule: RecordingRule | AlertingRule
    alerts: AlertStates | None
    restored: bool = False  # ALERTS series are written from then on, so that they do not hide those of before
    health: str = UNKNOWN
    error: str = ""
    duration_s: float = 0.0
    evaluated_at_ms: int = 0
    series: list[Labels] = field(default_factory=list)  # of the last evaluation
    parsed: Parsed = field(default_factory=dict)
    reads: frozenset[str] | None = field(init=False)
    text: str = field(init=False)  # of the expression, in the printed form

    def __post_init__(self) -> None:
        self.reads, self.text = reads(self.rule), print_query(self.rule.expression)


@dataclass(slots=True)
class GroupState:
    group: Group
    rules: list[RuleState]
    ended: list[Labels] = field(default_factory=list)  # series of rules that are gone, to be marked
    duration_s: float = 0.0
    evaluated_at_ms: int = 0
    samples: int = 0
    evaluations: int = 0
    failures: int = 0
    iterations: int = 0  # scheduled, evaluated or missed
    missed: int = 0
    writer: RuleWriter = field(default_factory=RuleWriter)

    @classmethod
    def of(cls, group: Group, *, restored: bool) -> "GroupState":
        """`restored` False: state of before the server's start is looked for first (rules/restoring.py)."""
        return cls(group, [RuleState(r, AlertStates(r) if isinstance(r, AlertingRule) else None, restored) for r in group.rules])

    def interval_ms(self, server: Server) -> int:
        return self.group.interval_ms or server.interval_ms

    def take_over(self, before: "GroupState") -> None:
        """The state of the same group under the configuration of before; rules are the same by name and labels, doubles in their order."""
        kept: dict[tuple[str, tuple[tuple[str, str], ...]], list[RuleState]] = {}
        for state in before.rules:
            kept.setdefault(_identity(state.rule), []).append(state)
        self.duration_s, self.evaluated_at_ms, self.ended = before.duration_s, before.evaluated_at_ms, before.ended
        self.evaluations, self.failures, self.missed = before.evaluations, before.failures, before.missed
        self.iterations = before.iterations
        for state in self.rules:
            if olds := kept.get(_identity(state.rule)):
                old = olds.pop(0)
                state.series, state.restored = old.series, old.restored
                state.health, state.error, state.evaluated_at_ms = old.health, old.error, old.evaluated_at_ms
                if state.alerts is not None and old.alerts is not None:
                    state.alerts.active = old.alerts.active
        self.ended += [labels for olds in kept.values() for old in olds for labels in old.series]

    def end(self) -> list[Labels]:
        """All its series, when the group itself is gone."""
        return [*self.ended, *(labels for state in self.rules for labels in state.series)]


def _identity(rule: RecordingRule | AlertingRule) -> tuple[str, tuple[tuple[str, str], ...]]:
    return rule.name, tuple(sorted(rule.labels.items()))


async def evaluate(state: GroupState, server: Server, now_ms: int) -> None:
    """One round of all its rules, at `now_ms`."""
    clock = server.world.clock
    began = resumed = clock.monotonic()
    state.samples = 0
    offset_ms = server.query_offset_ms if state.group.query_offset_ms is None else state.group.query_offset_ms
    at_ms = now_ms - offset_ms
    state.writer.begin()
    for rule in state.rules:
        started = clock.monotonic()
        rule.evaluated_at_ms = now_ms
        state.evaluations += 1
        try:
            state.writer.before(rule.reads, server.storage, at_ms)
            samples = await _evaluated(rule, state.group, server, now_ms, at_ms)
        except MetricsError as error:
            rule.health, rule.error = BAD, str(error)
            state.failures += 1
            _log.warning("evaluating a rule failed", group=state.group.name, file=state.group.file, rule=rule.rule.name, reason=str(error))
        else:
            rule.health, rule.error = GOOD, ""
            state.samples += len(samples)
            if rule.alerts is not None:
                due = rule.alerts.to_send(now_ms, server.timing.resend_delay_ms, state.interval_ms(server))
                server.notify(rule.alerts.rule, due)
            _write(rule, samples, server.storage, at_ms, state)
        now = clock.monotonic()
        rule.duration_s = now - started
        if server.between is not None:
            await server.between()
        elif now - resumed > SLICE_S:
            await asyncio.sleep(0)
            resumed = clock.monotonic()
    state.writer.write(server.storage, at_ms)
    if state.ended:
        server.storage.append_samples([Sample(labels, at_ms, STALE) for labels in state.ended])
        state.ended = []
    state.duration_s, state.evaluated_at_ms = clock.monotonic() - began, now_ms


async def _evaluated(state: RuleState, group: Group, server: Server, now_ms: int, at_ms: int) -> list[Sample]:
    points = _points(await server.queries.instant(state.rule.expression, at_ms, shown=state.text, own=True))
    if isinstance(state.rule, RecordingRule):
        return _recorded(state.rule, points, group.limit, at_ms)
    assert state.alerts is not None
    found: list[Found] = []
    if points:
        templates = _templates(server, at_ms)
        for point in points:
            value = point.value.count if isinstance(point.value, Histogram) else point.value
            found.append(templates.expand(state.rule, point.labels, value, state.parsed))
    state.alerts.advance(found, now_ms, group.limit)
    return [Sample(labels, at_ms, value) for labels, value in state.alerts.series()] if state.restored else []


def _points(result: Result) -> Sequence[Point]:
    match result.value:
        case Vector(points):
            return points
        case Scalar(time_ms, value):
            return [Point((), time_ms, value)]
    raise RuleFailed("rule result is not a vector or scalar")


def _recorded(rule: RecordingRule, points: Sequence[Point], limit: int, at_ms: int) -> list[Sample]:
    samples: dict[Labels, Sample] = {}
    for point in points:
        labels = rule.recorded(point.labels)
        if labels in samples:
            raise RuleFailed("vector contains metrics with the same labelset after applying rule labels")
        samples[labels] = Sample(labels, at_ms, point.value)
    if limit and len(samples) > limit:
        raise RuleFailed(f"exceeded limit of {limit} with {len(samples)} series")
    return list(samples.values())


def _templates(server: Server, at_ms: int) -> AlertTemplates:
    asked = 0

    def query(text: str) -> list[tuple[Labels, float]]:
        nonlocal asked
        asked += 1
        if asked > TEMPLATE_QUERIES_MAX:
            raise RuleFailed(f"the templates of a rule made more than {TEMPLATE_QUERIES_MAX} queries")
        points = _points(at_once(server.queries.instant(text, at_ms, local=True, queued=False, timeout_s=TEMPLATE_QUERY_TIMEOUT_S)))
        return [(p.labels, p.value.count if isinstance(p.value, Histogram) else p.value) for p in points]

    return AlertTemplates(Surroundings(query, at_ms / 1000, server.external_url), dict(server.external_labels))


def _write(state: RuleState, samples: list[Sample], storage: Storage, at_ms: int, group: GroupState) -> None:
    """The samples, and an end for each series of the last time that is not among them: with those of other rules, or at once."""
    series = [sample.labels for sample in samples]
    ended: list[Labels] = []
    if series != state.series:
        given = set(series)
        ended = [labels for labels in state.series if labels not in given]

    def refused(reason: str) -> None:
        state.health, state.error = BAD, reason
        group.failures += 1
        _log.warning("a rule's samples were refused", group=group.group.name, rule=state.rule.name, reason=reason)

    state.series = series
    if samples or ended:
        group.writer.add(state.rule, samples, ended, storage, at_ms, refused)
