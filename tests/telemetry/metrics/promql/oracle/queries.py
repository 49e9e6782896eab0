"""Queries about the series of `series.py`, from a seed: well typed, mostly with an answer.

Only what Prometheus 2.42 has too and means the same by (see `test_oracle.py` for what is left out), and only where an answer is not decided
by the last bit of a number: no sine of a huge number, no comparison of equal numbers that were computed in two ways.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.telemetry.metrics.promql.oracle.series import LENGTH_S, START_MS

RANGES, OFFSETS = ("30s", "1m", "2m", "5m", "13m", "20m"), ("30s", "1m", "5m", "-2m", "10m")
STEPS_S, SUBQUERY_STEPS = (10, 30, 60, 120), ("", "10s", "30s", "1m", "2m")
SELECTORS = (
    "requests_total", 'requests_total{code="200"}', 'requests_total{code=~"4..|500"}', 'requests_total{job!="db",instance=~"a.*"}', "temperature",
    'temperature{job="api"}', 'temperature{instance!~"b:80|c:80"}', "queue_length", 'queue_length{job=~".+b"}', "latency_count", "latency_sum",
    'latency_bucket{le="0.5"}', '{__name__="temperature",job="web"}', "build_info", 'absent_metric{job="api"}',
)  # fmt: skip
COUNTERS = ("requests_total", 'requests_total{code="500"}', "latency_count", "latency_sum", 'latency_bucket{job="api"}')
SIMPLE = ("abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "atan", "tanh", "deg", "rad", "round")
TRIGONOMETRIC = ("sin", "cos", "tan", "sinh", "cosh", "asinh")
OVER_TIME = ("avg", "min", "max", "sum", "count", "stddev", "stdvar", "last", "present")
AGGREGATIONS = ("sum", "avg", "min", "max", "count", "group")
GROUPINGS = ("", "", " by (job)", " by (job, instance)", " without (code)", " by ()", " without (instance, le)", " by (absent)")
CALENDAR = ("day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year")


@dataclass(frozen=True, slots=True)
class Question:
    """Times in seconds; an instant query has no step and ends where it starts."""

    query: str
    start_s: int
    end_s: int
    step_s: int = 0


def generate(seed: int, count: int) -> list[Question]:
    return [_question(random.Random(f"{seed}/{n}")) for n in range(count)]


def _question(chance: random.Random) -> Question:
    """Times end with 7, so that no step of a subquery lies on the edge of a range."""
    maker = Maker(chance)
    kind = chance.random()
    query = maker.vector(3) if kind < 0.93 else maker.scalar(2)
    start = START_MS // 1000 + 600 + chance.randrange(LENGTH_S - 1200) // 10 * 10 + 7
    if chance.random() < 0.5:
        return Question(query if kind < 0.98 else maker.matrix(1), start, start)
    step = chance.choice(STEPS_S)
    return Question(query, start, start + step * chance.randrange(30), step)


class Maker:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def one(self, *options: Callable[[int], str]) -> Callable[[int], str]:
        return self.chance.choice(options)

    def number(self) -> str:
        return self.chance.choice(("0", "1", "2", "-1", "0.5", "10", "1e3", "-3.25", "100"))

    def scalar(self, depth: int) -> str:
        chance = self.chance
        if depth <= 0 or chance.random() < 0.5:
            return chance.choice((self.number(), "time()", "pi()", self.number()))
        kind = chance.randrange(4)
        if kind == 0:
            return f"scalar({self.chance.choice(AGGREGATIONS[:5])}({self.vector(depth - 1)}))"
        if kind == 1:
            return f"({self.scalar(depth - 1)} {chance.choice('+-*/')} {self.scalar(depth - 1)})"
        if kind == 2:
            return f"({self.scalar(depth - 1)} {chance.choice(('>', '<=', '=='))} bool {self.scalar(depth - 1)})"
        return f"-({self.scalar(depth - 1)})"

    def vector(self, depth: int) -> str:
        if depth <= 0 or self.chance.random() < 0.1:
            return self.selector()
        if self.chance.random() < 0.05:
            return self.odd()
        made = (self.aggregation, self.aggregation, self.over_range, self.over_range, self.binary, self.binary, self.function, self.other)
        return self.one(*made)(depth)

    def odd(self) -> str:
        """Of infinities and NaN."""
        chance = self.chance
        kind = chance.randrange(4)
        if kind == 0:
            return f"{chance.choice(('sum', 'avg', 'min', 'max', 'count'))} by (job) (odd_length)"
        if kind == 1:
            return f"odd_length {self.operator()} {self.number()}"
        if kind == 2:
            return f"{chance.choice(('avg', 'min', 'max', 'sum', 'count', 'last'))}_over_time(odd_length[{chance.choice(RANGES)}])"
        return f"{chance.choice(('abs', 'ceil', 'sgn', 'sqrt', 'exp', '-'))}(odd_length)"

    def selector(self) -> str:
        return self.chance.choice(SELECTORS) + self.modifiers()

    def modifiers(self) -> str:
        chance = self.chance
        text = ""
        if chance.random() < 0.08:
            text += f" @ {START_MS // 1000 + chance.randrange(LENGTH_S) // 10 * 10 + 7}"
        elif chance.random() < 0.04:
            text += chance.choice((" @ start()", " @ end()"))
        return text + (f" offset {chance.choice(OFFSETS)}" if chance.random() < 0.15 else "")

    def matrix(self, depth: int, selectors: tuple[str, ...] = SELECTORS) -> str:
        chance = self.chance
        if depth <= 0 or chance.random() < 0.7:
            return f"{chance.choice(selectors)}[{chance.choice(RANGES)}]{self.modifiers()}"
        return self.subquery(self.vector(depth - 1))

    def subquery(self, inner: str) -> str:
        """The range has a step at least."""
        range_ = self.chance.choice(RANGES[1:])
        step = self.chance.choice(SUBQUERY_STEPS[: 4 if range_ == "1m" else 5])
        return f"({inner})[{range_}:{step}]{self.modifiers()}"

    def counters(self, depth: int) -> str:
        """What is increased has no gaps: Prometheus 3 extrapolates into them in another way."""
        if depth <= 0 or self.chance.random() < 0.7:
            return self.matrix(0, COUNTERS)
        return self.subquery(self.chance.choice(COUNTERS))

    def aggregation(self, depth: int) -> str:
        chance, inner, grouping = self.chance, self.vector(depth - 1), self.chance.choice(GROUPINGS)
        kind = chance.randrange(12)
        if kind == 0:
            return f"quantile{grouping} ({chance.choice(('0', '0.5', '0.9', '1', '-1', '2'))}, {inner})"
        if kind == 1:
            return f'count_values{grouping} ("value", {chance.choice(("ceil", "sgn"))}({self.selector()}))'
        if kind == 2:
            return f"{chance.choice(('topk', 'bottomk'))}{grouping} ({chance.choice(('1', '2', '100'))}, {self.distinct()})"
        if kind == 3:
            inner = chance.choice((self.distinct(), "requests_total", "queue_length", "rate(requests_total[5m])"))
            return f"{chance.choice(('stddev', 'stdvar'))}{grouping} ({inner})"
        if chance.random() < 0.3:
            return f"{chance.choice(AGGREGATIONS)}({inner}){grouping}"
        return f"{chance.choice(AGGREGATIONS)}{grouping} ({inner})"

    def distinct(self) -> str:
        """Series whose values are never equal, for where equal ones may be taken in any order."""
        return self.chance.choice(("temperature", "temperature offset 1m", "avg_over_time(temperature[5m])", "-temperature"))

    def over_range(self, depth: int) -> str:
        chance = self.chance
        kind = chance.randrange(10)
        if kind < 3:
            return f"{chance.choice(('rate', 'increase', 'irate'))}({self.counters(depth - 1)})"
        matrix = self.matrix(depth - 1)
        if kind < 6:
            return f"{chance.choice(OVER_TIME)}_over_time({matrix})"
        if kind == 6:
            return f"quantile_over_time({chance.choice(('0', '0.25', '0.5', '0.99', '1', '1.5'))}, {matrix})"
        if kind == 7:
            if chance.random() < 0.4:  # of numbers as they were stored: the last bit decides
                return f"{chance.choice(('changes', 'resets'))}({self.matrix(0)})"
            return f"{chance.choice(('idelta', 'delta', 'absent_over_time'))}({matrix})"
        if kind == 8:
            return f"deriv({chance.choice(('temperature', 'latency_sum'))}[{chance.choice(RANGES[2:])}])"
        return chance.choice(
            (
                f"predict_linear(temperature[{chance.choice(RANGES[2:])}], {chance.choice(('60', '3600'))})",
                f"holt_winters({matrix}, 0.5, 0.25)",
            )
        )

    def function(self, depth: int) -> str:
        chance, inner = self.chance, self.vector(depth - 1)
        kind = chance.randrange(8)
        if kind == 0:
            return f"clamp({inner}, {self.number()}, {self.number()})"
        if kind == 1:
            return f"{chance.choice(('clamp_min', 'clamp_max'))}({inner}, {self.scalar(depth - 1)})"
        if kind == 2:
            return f"round({inner}, {chance.choice(('0.1', '5', '10'))})"
        if kind == 3:
            return f'label_replace({inner}, "{chance.choice(("new", "job"))}", "x-$1", "instance", "(.):80")'
        if kind == 4:
            return f'label_join({inner}, "joined", "/", "job", "instance")'
        if kind == 5:
            return f"{chance.choice(TRIGONOMETRIC)}({chance.choice(('temperature', 'queue_length', 'vector(time() % 17)'))} * 0.5)"
        return f"{chance.choice(SIMPLE)}({inner})"

    def binary(self, depth: int) -> str:
        chance = self.chance
        kind = chance.randrange(8)
        if kind < 2:
            operator = self.operator()
            if operator == "%":  # of numbers as they were stored: what is left of a division shows the last bit
                return f"{self.selector()} % {self.number()}"
            return f"{self.vector(depth - 1)} {operator} {self.scalar(depth - 1)}"
        if kind == 2:
            return f"({self.scalar(depth - 1)} {self.operator().replace('%', '-')} {self.vector(depth - 1)})"
        if kind == 3:
            operator = chance.choice(("and", "or", "unless")) + chance.choice(("", " on (job)", " ignoring (code)"))
            return f"{self.vector(depth - 1)} {operator} {self.vector(depth - 1)}"
        if kind == 4:
            left = chance.choice(("requests_total", "rate(requests_total[5m])", "queue_length + on () group_left () vector(1)"))
            right = chance.choice(("temperature", "max by (job, instance) (queue_length)"))
            return f"{left} {self.operator().replace('%', '-')} on (job, instance) group_left () {right}"
        if kind == 5:
            return f"temperature {self.operator()} on (job) group_left (version) build_info"
        if kind == 6:
            operator = self.operator().replace("%", "+")  # upstream adds in any order: the same may not be equal
            inner = self.selector() if operator[0] in "<>=!" else self.vector(depth - 1)
            return f"({inner}) {operator} ({inner})"
        arithmetic = chance.choice(("+", "-", "*", "/", "atan2"))
        return f"sum by (job) ({self.vector(depth - 1)}) {arithmetic} sum by (job) ({self.vector(depth - 1)})"

    def operator(self) -> str:
        chance = self.chance
        if chance.random() < 0.7:
            return chance.choice(("+", "-", "*", "/", "%"))
        return chance.choice((">", "<", ">=", "<=", "!=", "==")) + chance.choice(("", " bool"))

    def other(self, depth: int) -> str:
        chance = self.chance
        kind = chance.randrange(8)
        if kind == 0:
            return f"vector({self.scalar(depth - 1)})"
        if kind == 1:
            return f"absent({self.vector(depth - 1)})"
        if kind == 2:
            return f"{chance.choice(CALENDAR)}({chance.choice(('', 'vector(time())', 'timestamp(temperature)'))})"
        if kind == 3:
            return f"timestamp({self.chance.choice(SELECTORS)}{chance.choice(('', ' offset 1m', ' @ end()'))})"
        if kind == 4:
            grouping = chance.choice(("le", "le, job", "le, instance"))
            rates = f"rate(latency_bucket[{chance.choice(RANGES[1:])}])"
            return f"histogram_quantile({chance.choice(('0.5', '0.9', '0.99', '0', '1'))}, sum by ({grouping}) ({rates}))"
        if kind == 5:
            return f"histogram_quantile({self.scalar(1)}, latency_bucket)"
        if kind == 6:
            return f"({self.vector(depth - 1)}) ^ {chance.choice(('0.5', '2', '-1', '0'))}"
        return f"-({self.vector(depth - 1)})" if chance.random() < 0.5 else f"({self.vector(depth - 1)})"
