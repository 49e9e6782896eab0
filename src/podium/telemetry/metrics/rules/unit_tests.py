"""Unit tests of rules: files in promtool's format, run against the real engine and rules, with time at hand.

    rule_files: [rules.yml]
    evaluation_interval: 1m
    tests:
      - interval: 1m
        input_series: [{series: 'up{job="a"}', values: '1 0x10'}]
        alert_rule_test:
          - {eval_time: 5m, alertname: Down, exp_alerts: [{exp_labels: {job: a}, exp_annotations: {}}]}
        promql_expr_test:
          - {expr: 'up', eval_time: 3m, exp_samples: [{labels: 'up{job="a"}', value: 0}]}

All samples of a test are loaded before its first evaluation: rules cannot see the future (a sample later than the evaluation is not selected).

Source: Prometheus' documentation, "Unit testing for rules"; the messages of promtool.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from podium.telemetry.metrics.configuration.decoding import decode
from podium.telemetry.metrics.configuration.values import Duration
from podium.telemetry.metrics.errors import ConfigurationError, MetricsError
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.promql.durations import format_duration
from podium.telemetry.metrics.promql.engine import Engine
from podium.telemetry.metrics.promql.errors import ParseError
from podium.telemetry.metrics.promql.parser import parse_metric
from podium.telemetry.metrics.promql.results import Result, Scalar, Vector
from podium.telemetry.metrics.promql.series_notation import parse_series
from podium.telemetry.metrics.rules.alerts import FIRING
from podium.telemetry.metrics.rules.documents import read
from podium.telemetry.metrics.rules.evaluation import GroupState, Server, evaluate
from podium.telemetry.metrics.rules.rule import Group
from podium.telemetry.metrics.samples import Sample
from podium.telemetry.metrics.storage import Storage
from podium.world.interface import World

EVALUATIONS_MAX = 1_000_000
DEFAULT_INTERVAL_MS = Duration(60_000)
START = Duration(0)


@dataclass(frozen=True, slots=True)
class InputSeries:
    GO_TYPE = "main.series"
    series: str = ""
    values: str = ""


@dataclass(frozen=True, slots=True)
class ExpectedAlert:
    GO_TYPE = "main.alert"
    exp_labels: Mapping[str, str] = field(default_factory=dict)
    exp_annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlertTest:
    GO_TYPE = "main.alertTestCase"
    eval_time: Duration = START
    alertname: str = ""
    exp_alerts: tuple[ExpectedAlert, ...] = ()


@dataclass(frozen=True, slots=True)
class ExpectedSample:
    GO_TYPE = "main.sample"
    labels: str = ""
    value: float = 0.0
    histogram: str = ""


@dataclass(frozen=True, slots=True)
class ExpressionTest:
    GO_TYPE = "main.promqlTestCase"
    expr: str = ""
    eval_time: Duration = START
    exp_samples: tuple[ExpectedSample, ...] = ()


@dataclass(frozen=True, slots=True)
class TestGroup:
    __test__ = False  # not pytest's
    GO_TYPE = "main.testGroup"
    name: str = ""
    interval: Duration = 0
    """0: as the file's evaluation_interval."""
    input_series: tuple[InputSeries, ...] = ()
    alert_rule_test: tuple[AlertTest, ...] = ()
    promql_expr_test: tuple[ExpressionTest, ...] = ()
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""

    def checked(self) -> "TestGroup":
        for items in (self.input_series, self.alert_rule_test, self.promql_expr_test):
            if None in items:
                raise ConfigurationError("empty or null item in a test")
        if any(None in test.exp_alerts for test in self.alert_rule_test) or any(None in t.exp_samples for t in self.promql_expr_test):
            raise ConfigurationError("empty or null item in what a test expects")
        return self


@dataclass(frozen=True, slots=True)
class TestFile:
    __test__ = False
    GO_TYPE = "main.unitTestFile"
    rule_files: tuple[str, ...] = ()
    evaluation_interval: Duration = DEFAULT_INTERVAL_MS
    group_eval_order: tuple[str, ...] = ()
    fuzzy_compare: bool = False
    tests: tuple[TestGroup, ...] = ()

    def checked(self) -> "TestFile":
        for name in self.group_eval_order:
            if self.group_eval_order.count(name) > 1:
                raise ConfigurationError(f"group name repeated in evaluation order: {name}")
        interval = self.evaluation_interval or DEFAULT_INTERVAL_MS
        if None in self.tests:
            raise ConfigurationError("empty or null item under tests")
        tests = tuple(replace(test, interval=test.interval or interval) for test in self.tests)
        return replace(self, evaluation_interval=interval, tests=tests)


NewStorage = Callable[[], Storage]


async def run_file(path: Path, world: World, new_storage: NewStorage, *, name_pattern: str = "") -> tuple[list[str], list[str]]:
    """(failures, warnings), each a text for the user; no failures: it passed. Raises nothing but for our own bugs."""
    warnings: list[str] = []
    try:
        file = decode(path.read_bytes(), TestFile)
        groups = _rule_groups(file, path.parent, warnings)
    except (OSError, MetricsError) as error:
        return [f"{error}"], warnings
    failures: list[str] = []
    for test in file.tests:
        if name_pattern and name_pattern not in test.name:
            continue
        failures += await _Run(file, test, groups, world, new_storage()).failures()
    return failures, warnings


def _rule_groups(file: TestFile, directory: Path, warnings: list[str]) -> list[Group]:
    groups: list[Group] = []
    for pattern in file.rule_files:
        if not pattern:
            raise ConfigurationError("an item under rule_files is empty")
        absolute = Path(pattern)
        base, rest = (Path(absolute.anchor), str(absolute.relative_to(absolute.anchor))) if absolute.is_absolute() else (directory, pattern)
        try:
            found = sorted(base.glob(rest))
        except ValueError as error:
            raise ConfigurationError(f"syntax error in pattern {pattern}: {error}") from error
        if not found:
            warnings.append(f"no file match pattern {pattern}")
        groups += [group for path in found for group in read(path.read_bytes(), str(path))]
    order = {name: index for index, name in enumerate(file.group_eval_order)}
    return sorted(groups, key=lambda g: order.get(g.name, 0))


class _Run:
    """One test of a file: its own store, its rules from their beginning."""

    def __init__(self, file: TestFile, test: TestGroup, groups: Sequence[Group], world: World, storage: Storage) -> None:
        self._file, self._test, self._storage = file, test, storage
        self._engine = Engine(storage, world)
        self._server = Server(
            queries=self._engine, storage=storage, world=world, notify=lambda rule, due: None,
            external_labels=labels_of(test.external_labels), external_url=test.external_url, interval_ms=file.evaluation_interval,
        )  # fmt: skip
        self._groups = [GroupState.of(group, restored=True) for group in groups]

    async def failures(self) -> list[str]:
        try:
            self._load()
        except (ParseError, MetricsError) as error:
            return [str(error)]
        failures: list[str] = []
        end_ms = max([*(t.eval_time for t in self._test.alert_rule_test), *(t.eval_time for t in self._test.promql_expr_test)], default=0)
        step_ms = self._file.evaluation_interval
        if end_ms // step_ms > EVALUATIONS_MAX:
            return [f"more than {EVALUATIONS_MAX} evaluations: raise evaluation_interval or lower eval_time"]
        for test in self._test.alert_rule_test:
            if not test.alertname:
                time = format_duration(test.eval_time)
                return [f"an item under alert_rule_test misses required attribute alertname at eval_time {time}{self._where()}"]
        for now_ms in range(0, end_ms + 1, step_ms):
            for group in self._groups:
                if now_ms % (group.group.interval_ms or step_ms) == 0:
                    await evaluate(group, self._server, now_ms)
            broken = self._broken(now_ms)
            failures += broken
            if broken:
                return failures
            due = [t for t in self._test.alert_rule_test if now_ms <= t.eval_time < now_ms + step_ms]
            failures += [failure for test in due if (failure := self._alert_failure(test))]
        for expression in self._test.promql_expr_test:
            if failure := await self._expression_failure(expression):
                failures.append(failure)
        return failures

    def _where(self) -> str:
        return f" (in TestGroup {self._test.name})" if self._test.name else ""

    def _load(self) -> None:
        """By time, as they would have come. Raises ParseError."""
        samples: list[Sample] = []
        for given in self._test.input_series:
            noted = parse_series(f"{given.series} {given.values}")
            for index, value in enumerate(noted.values):
                if value.value is not None:
                    samples.append(Sample(noted.labels, index * self._test.interval, value.value))
        self._storage.append_samples(sorted(samples, key=lambda s: s.time_ms))

    def _broken(self, now_ms: int) -> list[str]:
        time = format_duration(now_ms)
        return [f"    rule: {r.rule.name}, time: {time}, err: {r.error}" for group in self._groups for r in group.rules if r.error]

    def _alert_failure(self, test: AlertTest) -> str:
        states = [r.alerts for group in self._groups for r in group.rules if r.alerts is not None and r.rule.name == test.alertname]
        got = sorted((a.labels, labels_of(a.annotations)) for s in states for a in s.current() if a.state == FIRING)
        wanted = [labels_of({**e.exp_labels, "alertname": test.alertname}) for e in test.exp_alerts]
        expected = sorted(zip(wanted, (labels_of(e.exp_annotations) for e in test.exp_alerts), strict=True))
        if got == expected:
            return ""
        name = f"    name: {self._test.name},\n" if self._test.name else ""
        head = f"{name}    alertname: {test.alertname}, time: {format_duration(test.eval_time)}, "
        return f"{head}\n        exp:{_alerts_text(expected)}, \n        got:{_alerts_text(got)}"

    async def _expression_failure(self, test: ExpressionTest) -> str:
        head = f'    expr: "{test.expr}", time: {format_duration(test.eval_time)},'
        try:
            got = _samples(await self._engine.instant(test.expr, test.eval_time))
            expected = [_expected(sample) for sample in test.exp_samples]
        except (ParseError, MetricsError) as error:
            return f"{head} err: {error}"
        got, expected = sorted(got, key=lambda s: s[0]), sorted(expected, key=lambda s: s[0])
        same = len(got) == len(expected) and all(
            a[0] == b[0] and _equal(a[1], b[1], fuzzy=self._file.fuzzy_compare) for a, b in zip(got, expected, strict=True)
        )
        return "" if same else f"{head}\n        exp: {_samples_text(expected)}\n        got: {_samples_text(got)}"


def _samples(result: Result) -> list[tuple[Labels, float | Histogram]]:
    match result.value:
        case Vector(points):
            return [(p.labels, p.value) for p in points]
        case Scalar(_, value):
            return [((), value)]
    raise MetricsError("rule result is not a vector or scalar")


def _expected(sample: ExpectedSample) -> tuple[Labels, float | Histogram]:
    labels = labels_of(parse_metric(sample.labels)[0]) if sample.labels else ()
    if not sample.histogram:
        return labels, sample.value
    [noted] = parse_series(f"x {sample.histogram}").values
    assert isinstance(noted.value, Histogram)
    return labels, noted.value


def _equal(a: float | Histogram, b: float | Histogram, *, fuzzy: bool) -> bool:
    if isinstance(a, Histogram) or isinstance(b, Histogram):
        return a == b
    return a == b or (a != a and b != b) or (fuzzy and math.isclose(a, b, rel_tol=1e-15, abs_tol=0.0))


def _labels_text(labels: Labels) -> str:
    return "{" + ", ".join(f'{n}="{v}"' for n, v in labels) + "}"


def _alerts_text(alerts: Sequence[tuple[Labels, Labels]]) -> str:
    if not alerts:
        return "[]"
    shown = [
        f"            {i}:\n              Labels:{_labels_text(labels)}\n              Annotations:{_labels_text(annotations)}"
        for i, (labels, annotations) in enumerate(alerts)
    ]
    return "[\n" + ",\n".join(shown) + "\n            ]"


def _samples_text(samples: Sequence[tuple[Labels, float | Histogram]]) -> str:
    return ", ".join(f"{_labels_text(labels)} {value}" for labels, value in samples) or "nil"
