"""What each function of PromQL takes and gives. The parser checks calls against it, the engine finds its functions by it.

`variadic`: 0, exactly the arguments; n > 0, the last argument may be left out, and may be repeated up to n times; -1, any number of times
(none included). Source: Prometheus 3.14's function documentation; experimental ones need the flag promql-experimental-functions.
"""

from dataclasses import dataclass

from podium.telemetry.metrics.promql.syntax import ValueType

_TYPES = {"v": ValueType.VECTOR, "m": ValueType.MATRIX, "s": ValueType.SCALAR, "t": ValueType.STRING}

DOCUMENTED_TYPES = {
    ValueType.VECTOR: "instant vector",
    ValueType.MATRIX: "range vector",
    ValueType.SCALAR: "scalar",
    ValueType.STRING: "string",
    ValueType.NONE: "none",
}
"""As error messages call them."""


@dataclass(frozen=True, slots=True)
class Signature:
    name: str
    arguments: tuple[ValueType, ...]
    returns: ValueType = ValueType.VECTOR
    variadic: int = 0
    experimental: bool = False

    @property
    def count_min(self) -> int:
        return len(self.arguments) - (1 if self.variadic else 0)

    @property
    def count_max(self) -> int | None:
        """None: any number."""
        if self.variadic < 0:
            return None
        return len(self.arguments) - 1 + self.variadic if self.variadic else len(self.arguments)

    def argument(self, index: int) -> ValueType:
        """The type of argument `index` (from 0); those that repeat have the type of the last."""
        return self.arguments[min(index, len(self.arguments) - 1)]


def _table(text: str, *, experimental: bool = False) -> dict[str, Signature]:
    """A line a shape: `argument types[variadic] -> type: names`."""
    found: dict[str, Signature] = {}
    for line in text.strip().splitlines():
        shape, _, names = line.partition(":")
        taken, _, given = shape.partition("->")
        letters, _, variadic = taken.strip().partition(" ")
        types = tuple(_TYPES[letter] for letter in letters if letter != "-")
        for name in names.split():
            found[name] = Signature(name, types, _TYPES[given.strip()], int(variadic or 0), experimental)
    return found


_STABLE = """
v -> v: abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor ln log10 log2 rad sgn sin sinh sort sort_desc sqrt tan tanh timestamp
v -> v: histogram_avg histogram_count histogram_sum histogram_stddev histogram_stdvar
v 1 -> v: days_in_month day_of_month day_of_week day_of_year hour minute month year
m -> v: absent_over_time avg_over_time changes count_over_time delta deriv first_over_time idelta increase irate last_over_time
m -> v: max_over_time min_over_time present_over_time rate resets stddev_over_time stdvar_over_time sum_over_time
vss -> v: clamp
vs -> v: clamp_max clamp_min
vs 1 -> v: round
ms -> v: predict_linear
sm -> v: quantile_over_time
sv -> v: histogram_quantile
ssv -> v: histogram_fraction
vtttt -> v: label_replace
vttt -1 -> v: label_join
v -> s: scalar
s -> v: vector
- -> s: pi time
"""

_EXPERIMENTAL = """
m -> v: mad_over_time ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time
mss -> v: double_exponential_smoothing
vtss 9 -> v: histogram_quantiles
v -> v: start_timestamp
vv 1 -> v: info
vt -1 -> v: sort_by_label sort_by_label_desc
ss -> s: max_of min_of
- -> s: end range start step
"""

SIGNATURES: dict[str, Signature] = _table(_STABLE) | _table(_EXPERIMENTAL, experimental=True)

AGGREGATORS = frozenset(
    "avg bottomk count count_values group limit_ratio limitk max min quantile stddev stdvar sum topk".split()  # noqa: SIM905
)
PARAMETER_TYPES = {
    "topk": ValueType.SCALAR,
    "bottomk": ValueType.SCALAR,
    "quantile": ValueType.SCALAR,
    "limitk": ValueType.SCALAR,
    "limit_ratio": ValueType.SCALAR,
    "count_values": ValueType.STRING,
}
"""Aggregators that take a parameter before the vector."""
EXPERIMENTAL_AGGREGATORS = frozenset(("limitk", "limit_ratio"))
