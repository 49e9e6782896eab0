"""Random expressions give what the reference implementation (CEL's own C++ engine) gives: the same value, or an error as well.

Not compared: the order of maps, fractions in the text of durations (ours is Go's), what only Kubernetes has, comparisons across number types
(off in the reference), and errors' texts.
"""

import datetime
import random
from typing import Any

import pytest

from podium.objects import cel
from podium.objects.cel import values
from podium.objects.cel.types import DYN

reference = pytest.importorskip("cel_expr_python.cel")

X = {"a": 1, "l": [1, 2, 3], "s": "abc", "m": {"a": 2}}
_LITERALS = """
0 1 -1 2 7 -7 9223372036854775807 -9223372036854775808 1u 0u 18446744073709551615u 1.5 -2.5 0.0 1e300 'a' 'abc' '' 'é' b'ab' true false null
[] [1,2,3] ['a','b'] {} {'a':1} {1:2} x.a x.l x.s x.m timestamp('2024-02-29T12:34:56.789Z') duration('1h30m') duration('-90s') [1.5,2.5]
[[1],[2]] {'a':{'b':2}}
"""
LITERALS = _LITERALS.split()
SEEDS, COUNT = range(4), 1000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


def expression(chance: random.Random, depth: int) -> str:
    if depth == 0 or chance.random() < 0.15:
        return chance.choice(LITERALS)

    def part() -> str:
        return expression(chance, depth - 1)

    shape = chance.choice((
        "({0} + {1})", "({0} - {1})", "({0} * {1})", "({0} / {1})", "({0} % {1})", "({0} == {1})", "({0} != {1})", "({0} < {1})",
        "({0} >= {1})", "({0} && {1})", "({0} || {1})", "({0} ? {1} : {2})", "size({0})", "string({0})", "uint({0})", "double({0})",
        "bool({0})", "bytes({0})", "dyn({0})", "{0}.all(v, v > 1)", "{0}.exists(v, v == 1)", "{0}.exists_one(v, {1})", "{0}.map(v, v + v)",
        "{0}.filter(v, v == v)", "{0}.map(v, {1})", "({0} in {1})", "{0}[{1}]", "{0}.a", "{0}.b", "!({0})", "-({0})", "{0}.contains({1})",
        "{0}.startsWith({1})", "{0}.matches({1})", "{0}.getFullYear()", "{0}.getMonth()", "{0}.getHours()", "{0}.getDayOfYear()",
    ))  # fmt: skip
    return shape.format(part(), part(), part())


def plain(value: Any) -> Any:
    """Comparable on both sides."""
    match value:
        case values.Timestamp():
            return "timestamp", value.nanos // 1000
        case values.Duration():
            return "duration", value.nanos // 1000
        case datetime.datetime():
            return "timestamp", (value.replace(tzinfo=datetime.UTC) - _EPOCH) // _MICROSECOND
        case datetime.timedelta():
            return "duration", value // _MICROSECOND
        case bool() | None | str():
            return value
        case bytes() | bytearray():
            return bytes(value)
        case int() | float():
            return "number", "NaN" if value != value else value
        case list():
            return [plain(v) for v in value]
        case dict():
            return {plain(k): plain(v) for k, v in value.items()}
    return plain(value.value())


def by_reference(source: str, environment: Any) -> tuple[str, Any]:
    try:
        program = environment.compile(source)
    except Exception as error:
        return "does not compile", str(error)
    try:
        value = program.eval(data={"x": X})
        if "ERROR" in str(value.type()).upper():
            return "fails", str(value.value())
        return "gives", plain(value.value())
    except Exception as error:
        return "fails", str(error)


def by_ours(source: str) -> tuple[str, Any]:
    try:
        program = cel.compile(source, cel.Environment({"x": DYN}))
    except cel.CelCompileError as error:
        return "does not compile", error.message
    try:
        return "gives", plain(program.evaluate({"x": X}))
    except cel.CelRuntimeError as error:
        return "fails", error.message


@pytest.mark.parametrize("seed", SEEDS)
def test_random_expressions_agree(seed: int) -> None:
    chance = random.Random(seed)
    environment = reference.NewEnv(variables={"x": reference.Type.DYN})
    for _ in range(COUNT):
        source = expression(chance, chance.choice((1, 2, 3)))
        wanted, given = by_reference(source, environment), by_ours(source)
        if wanted[0] == "does not compile" or "No matching overloads found : @in" in str(wanted[1]):
            assert given[0] != "gives" or "matching overload" in wanted[1] or "range of a comprehension" in wanted[1], (
                source,
                wanted,
                given,
            )
            continue
        assert given[0] == wanted[0], (source, wanted, given)
        if wanted[0] == "gives":
            assert given[1] == wanted[1], (source, wanted, given)
