"""Scripts of queries: read, run against an engine that gives what the test says, and compared."""

import numpy as np
import pytest

from podium.telemetry.metrics.errors import MetricsError
from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.promql.parser import parse
from podium.telemetry.metrics.promql.printer import print_query
from podium.telemetry.metrics.promql.results import Matrix, Point, Result, Scalar, Series, String, Value, Vector
from podium.telemetry.metrics.promql.script_checks import almost_equal
from podium.telemetry.metrics.promql.script_commands import ScriptError, parse_script
from podium.telemetry.metrics.promql.scripts import Report, pin, run_script
from podium.telemetry.metrics.storage import Storage

A: Labels = (("a", "1"),)
B: Labels = (("a", "2"),)


def series(labels: Labels, *points: tuple[int, float]) -> Series:
    return Series(labels, np.array([t for t, _ in points], np.int64), np.array([v for _, v in points], np.float64))


class Canned:
    """Answers every instant query with one value, every range query with a matrix that has it at the middle step."""

    def __init__(self, value: Value | MetricsError, in_range: Value | None = None, warnings: tuple[str, ...] = ()) -> None:
        self.value = value
        self.in_range = in_range
        self.warnings = warnings
        self.asked: list[tuple[str, int]] = []

    async def instant(self, query: str, time_ms: int) -> Result:
        self.asked.append((query, time_ms))
        if isinstance(self.value, MetricsError):
            raise self.value
        return Result(self.value, self.warnings)

    async def range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> Result:
        middle = (start_ms + end_ms) // 2
        if self.in_range is not None:
            return Result(self.in_range)
        match self.value:
            case Scalar(_, value):
                return Result(Matrix([series((), (middle, value))]))
            case Vector(points):
                return Result(Matrix([series(p.labels, (middle, p.value)) for p in points if isinstance(p.value, float)]))
        raise AssertionError


async def run(script: str, engine: Canned) -> Report:
    return await run_script(script, "f", lambda _: engine)


def vector(**values: float) -> Vector:
    return Vector([Point((("a", name[1:]),), 0, float(value)) for name, value in values.items()])


PASSES = [
    ("eval instant at 0s x\n  2", Scalar(0, 2.0)),
    ("eval instant at 0s x\n  0x10", Scalar(0, 16.0000001)),
    ("eval instant at 0s x\n  NaN", Scalar(0, float("nan"))),
    ('eval instant at 0s x\n  {a="1"} 1\n  {a="2"} 2', vector(_2=2, _1=1)),
    ('eval instant at 0s x\n  expect ordered\n  {a="2"} 2\n  {a="1"} 1', vector(_2=2, _1=1)),
    ('eval_ordered instant at 0s x\n  {a="2"} 2\n  {a="1"} 1', vector(_2=2, _1=1)),
    ("eval instant at 0s x", Vector([])),
    ('eval instant at 0s "s"\n  expect string "s"', String(0, "s")),
    ("eval instant at 0s `s`\n  expect string `s`", String(0, "s")),
    ('eval instant at 0s x\n  {a="1"} 1\n# a comment ends the case\n', vector(_1=1)),
]
FAILS = [
    ("eval instant at 0s x\n  2", Scalar(0, 3.0), "expected the scalar 2, got 3"),
    ("eval instant at 0s x\n  2", vector(_1=1), 'expected a scalar, got a vector: {a="1"} 1'),
    ("eval instant at 0s x", Scalar(0, 3.0), "expected nothing, got the scalar 3"),
    ('eval instant at 0s x\n  {a="1"} 1', vector(_1=2), 'expected {a="1"} 1, got 2'),
    ('eval instant at 0s x\n  {a="1"} 1', vector(_1=1, _2=2), 'expected {a="1"} 1, got {a="2"} 2'),
    ('eval instant at 0s x\n  {a="1"} 1\n  {a="2"} 2', vector(_1=1), 'expected {a="2"} 2, got none such'),
    ('eval instant at 0s x\n  expect ordered\n  {a="1"} 1\n  {a="2"} 2', vector(_2=2, _1=1), 'expected {a="2"} at position 2, got it at 1'),
    ('eval instant at 0s x\n  {a="1"} {{count:1}}', vector(_1=1), 'expected {a="1"} {{count:1}}, got 1'),
    ('eval instant at 0s x\n  expect string "a"', String(0, "b"), 'expected "a", got the string "b"'),
    ("eval instant at 0s x\n  expect fail", vector(_1=1), "expected the error any, got a vector"),
    ("eval instant at 0s x\n  expect warn", Vector([]), "expected the warning any, got none"),
    ("eval instant at 0s x", MetricsError("out of luck"), "expected a result, got the error: out of luck"),
    ("eval instant at 0s x\n  expect fail msg: bad", MetricsError("worse"), 'expected the error "bad", got "worse"'),
    ("eval_fail instant at 0s x\n  expected_fail_regexp ^b", MetricsError("worse"), 'expected the error /^b/, got "worse"'),
]


@pytest.mark.parametrize(("script", "value"), PASSES)
async def test_what_is_as_expected_passes(script: str, value: Value) -> None:
    assert await run(script, Canned(value)) == Report(1, [])


@pytest.mark.parametrize(("script", "value", "said"), FAILS)
async def test_what_is_not_as_expected_is_told(script: str, value: Value | MetricsError, said: str) -> None:
    report = await run(script, Canned(value))
    assert [failure.message for failure in report.failures] == [said]


@pytest.mark.parametrize(
    "expectation",
    [
        "eval instant at 0s x\n  expect fail",
        "eval instant at 0s x\n  expect fail msg: out of luck",
        "eval instant at 0s x\n  expect fail regex: of .uck$",
        "eval_fail instant at 0s x",
        "eval_fail instant at 0s x\n  expected_fail_message out of luck",
        "eval_fail instant at 0s x\n  expected_fail_regexp ^out",
    ],
)
async def test_an_expected_error_passes(expectation: str) -> None:
    assert await run(expectation, Canned(MetricsError("out of luck"))) == Report(1, [])


@pytest.mark.parametrize(
    ("expectation", "said"),
    [
        ("expect warn", None),
        ("expect warn msg: careful", None),
        ("expect warn regex: ^care", None),
        ("expect no_info", None),
        ("expect no_warn", "expected no warning, got careful"),
        ("expect warn msg: other", 'expected the warning "other", got careful'),
        ("expect info", "expected the info any, got none"),
    ],
)
async def test_annotations(expectation: str, said: str | None) -> None:
    report = await run(f"eval instant at 0s x\n  {expectation}", Canned(Vector([]), warnings=("careful",)))
    assert [failure.message for failure in report.failures] == ([said] if said else [])


async def test_an_annotation_that_no_line_expects_is_told() -> None:
    engine = Canned(Vector([]), warnings=("careful", "mind"))
    report = await run("eval instant at 0s x\n  expect warn msg: careful", engine)
    assert [failure.message for failure in report.failures] == ["expected no such warning: mind"]


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (((0, 6.0), (60_000, 7.0), (180_000, 9.0)), None),
        (((0, 6.0), (60_000, 7.5), (180_000, 9.0)), 'expected 7 at 60s of {a="1"}, got 7.5 in {a="1"} 6@0 7.5@60 9@180'),
        (((0, 6.0), (60_000, 7.0)), 'expected a value at 180s of {a="1"}, got none in {a="1"} 6@0 7@60'),
        (((0, 6.0), (60_000, 7.0), (120_000, 8.0)), 'expected _ at 120s of {a="1"}, got 8 in {a="1"} 6@0 7@60 8@120'),
    ],
)
async def test_range_queries_compare_point_by_point(points: tuple[tuple[int, float], ...], said: str | None) -> None:
    script = 'eval range from 0 to 3m step 1m x\n  {a="1"} 6 7 _ 9'
    report = await run(script, Canned(Vector([]), Matrix([series(A, *points)])))
    assert [failure.message for failure in report.failures] == ([said] if said else [])


async def test_a_matrix_must_be_sorted_by_labels() -> None:
    matrix = Matrix([series(B, (0, 1.0)), series(A, (0, 1.0))])
    report = await run('eval range from 0 to 0 step 1m x\n  {a="1"} 1\n  {a="2"} 1', Canned(Vector([]), matrix))
    assert "sorted by labels" in report.failures[0].message


async def test_an_instant_query_may_expect_a_range_vector() -> None:
    script = 'eval instant at 3m x[2m]\n  expect range vector from 1m to 2m step 60s\n  {a="1"} 1 2'
    engine = Canned(Matrix([series(A, (60_000, 1.0), (120_000, 2.0))]))
    assert await run(script, engine) == Report(1, [])
    assert engine.asked[0] == ("x[2m]", 120_000)


async def test_histograms_compare_without_empty_buckets_and_with_the_hint_only_when_it_is_written() -> None:
    found = Vector([Point(A, 0, Histogram(0, 1, 2, positive={0: 1, 1: 0}))])
    in_range = Matrix([Series(A, histogram_times=np.array([0]), histograms=[Histogram(0, 1, 2, positive={0: 1})])])
    for script, count in (
        ('eval instant at 0s vector(time())\n  {a="1"} {{count:1 sum:2 buckets:[1]}}', 0),
        ('eval instant at 0s vector(time())\n  {a="1"} {{count:1 sum:2 buckets:[1] counter_reset_hint:gauge}}', 1),
        ('eval instant at 0s vector(time())\n  {a="1"} {{count:1 sum:2 buckets:[2]}}', 1),
    ):
        assert len((await run(script, Canned(found, in_range))).failures) == count


async def test_an_instant_query_is_asked_at_other_times_and_in_a_range_too() -> None:
    engine = Canned(vector(_1=1))
    await run('eval instant at 5m rate(x[1m])\n  {a="1"} 1', engine)
    pinned = "rate(x[1m] @ 300.000)"
    times = [-3_000_000, 0, 60_000, 300_000, 3_000_000]
    assert engine.asked == [("rate(x[1m])", 300_000), *((pinned, time) for time in times)]
    bad = Canned(vector(_1=1), Matrix([series(A, (300_000, 2.0))]))
    report = await run('eval instant at 5m rate(x[1m])\n  {a="1"} 1', bad)
    assert report.failures[0].message == 'as a step of a range: expected {a="1"} 1, got 2'


@pytest.mark.parametrize(
    ("query", "pinned"),
    [
        ("x + on (a) rate(y[5m:] @ 1)", "x @ 60.000 + on (a) rate(y[5m:] @ 1.000)"),
        ("topk(scalar(x), rate(y[5m]))", "topk(scalar(x @ 60.000), rate(y[5m] @ 60.000))"),
        ("rate(x[1m])[5m:] offset 1m", "rate(x[1m])[5m:] @ 60.000 offset 1m"),
        ("-(x @ start())", "-(x @ 60.000)"),
    ],
)
def test_pinning_leaves_what_is_pinned_and_what_is_inside_subqueries(query: str, pinned: str) -> None:
    assert print_query(pin(parse(query), 60_000)) == pinned


async def test_load_fills_the_store_and_clear_empties_it() -> None:
    stores: list[Storage] = []

    def engine_of(store: Storage) -> Canned:
        stores.append(store)
        return Canned(Vector([]))

    script = """
load 30s
  x{a="1"} 1 _ stale {{count:1}}

load_with_nhcb 1m
  h_bucket{le="1"} 1 2
  h_bucket{le="+Inf"} 3 4
  h_count 3 4
  h_sum 5 6

clear
"""
    report = await run_script(script, "f", engine_of)
    assert report == Report(0, [])
    kept = {labels: dict(values) for labels, values in stores[0].values.items()}  # type: ignore[attr-defined]
    assert list(kept[(("__name__", "x"), ("a", "1"))]) == [0, 60_000, 90_000]
    assert kept[(("__name__", "h"),)][60_000] == Histogram(-53, 4, 6, positive={0: 2, 1: 2}, custom_bounds=(1.0,), reset_hint=ResetHint.NO)
    assert stores[1].values == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("nonsense", 'f:1: invalid command "nonsense"'),
        ("\nload", "f:2: invalid load command. (load[_with_nhcb] <step:duration>)"),
        ("load 5q\n x 1", 'f:1: invalid step definition "5q": unknown unit "q" in duration "5q"'),
        ("load 5m\n x 1+1", 'f:2: column 3: unexpected "1+1" in series values'),
        ("load 5m\n x@st -1m", "f:2: @st line has no following sample line"),
        ("load 5m\n x@st -1m\n x@st -1m\n x 1", "f:3: @st line has no following sample line"),
        ("load 5m\n x@st -1m\n y 1", "f:3: @st metric does not match the following sample line metric"),
        ("load 5m\n x@st -1mx2\n x 1", "f:3: @st line has 3 values but sample line has 1"),
        ("load 5m\n x@st soon\n x 1", 'f:2: column 6: invalid start timestamp "soon": a duration or _ was expected'),
        ("eval now x", 'f:1: invalid evaluation command "eval now x"'),
        ("eval instant at 5m sum(", "f:1: 1:5: parse error: unclosed left parenthesis"),
        ("eval range from 5m to 1m step 1m x", "f:1: invalid test definition, end timestamp (1m) is before start timestamp (5m)"),
        (
            "eval instant at 0s x\n x 1 2",
            "f:2: expecting multiple values in instant evaluation not allowed; consider 'expect range vector'",
        ),
        ("eval instant at 0s x\n x", 'f:2: no value is expected of "x"'),
        (
            "eval instant at 0s x\n expect something",
            "f:2: invalid expect statement, must match `expect <type> <match_type>: <string>` format",
        ),
        ("eval instant at 0s x\n expect fail regex: (", 'f:2: invalid regexp "(": missing ), unterminated subpattern at position 0'),
        ("eval instant at 0s x\n expect fail\n expect fail", "f:3: invalid expect lines, multiple expect fail lines are not allowed"),
        (
            "eval instant at 0s x\n expect warn\n expect no_warn",
            "f:3: invalid expect lines, an annotation cannot be expected and not be expected",
        ),
        ("eval instant at 0s x\n expect string", "f:2: expected string literal not valid - a quoted string literal is required"),
        ('eval instant at 0s x\n expect string "a', "f:2: expected string literal not valid - check that the string is correctly quoted"),
        ("eval instant at 0s x\n expect range vector from 1 to", 'f:2: invalid range vector definition "expect range vector from 1 to"'),
    ],
)
def test_what_is_no_script_is_refused_with_its_line(script: str, said: str) -> None:
    with pytest.raises(ScriptError) as refused:
        parse_script(script, "f")
    assert str(refused.value) == said


async def test_samples_that_the_store_rejects_fail_the_script() -> None:
    with pytest.raises(ScriptError, match="f:4: the store rejects samples"):
        await run("load 1m\n  x 1\n\nload 1m\n  x 2", Canned(Vector([])))


def test_numbers_are_almost_equal_within_a_millionth() -> None:
    assert almost_equal(1.0, 1.000001) and not almost_equal(1.0, 1.00001)
    assert almost_equal(float("inf"), float("inf")) and not almost_equal(float("inf"), 1e308)
    assert not almost_equal(0.0, 1e-300) and almost_equal(-0.0, 0.0)


@pytest.mark.parametrize(
    ("expectation", "passed"),
    [("msg: careful", 1), ("msg: careful (1:5)", 1), ("msg: careful (1:4)", 0), ("regex: ful$", 1), ("regex: :5.$", 1), ("regex: ^ful", 0)],
)
async def test_an_annotation_may_be_expected_without_its_position(expectation: str, passed: int) -> None:
    report = await run(f"eval instant at 0s x\n  expect warn {expectation}", Canned(Vector([]), warnings=("careful (1:5)",)))
    assert report.passed == passed
