"""Compiling and evaluating: messages with their place, bounds, budgets, and that nothing else is ever raised."""

import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from podium.objects import cel, schema
from podium.objects.cel import costs
from podium.objects.cel.types import BOOL, DYN, INT, STRING, list_of

INT_MAX, INT_MIN = 2**63 - 1, -(2**63)
NUMBERS = cel.Environment({"a": INT, "b": INT})


def run(expression: str, **bindings: Any) -> Any:
    return cel.compile(expression, cel.Environment(dict.fromkeys(bindings, DYN))).evaluate(bindings)


def structural(schema_: dict[str, Any]) -> cel.Environment:
    type_ = cel.structural_type(schema_)
    assert type_ is not None
    return cel.Environment({"self": type_, "oldSelf": type_})


def test_a_compile_error_shows_the_place() -> None:
    environment = cel.Environment({"object": cel.resource_type(schema.load("apps/v1", "Deployment"))})
    with pytest.raises(cel.CelCompileError) as caught:
        cel.compile("object.replicas > 1", environment)
    assert caught.value.message == "ERROR: <input>:1:7: undefined field 'replicas'\n | object.replicas > 1\n | ......^"
    assert (caught.value.line, caught.value.column) == (1, 7)


def test_every_error_of_an_expression_is_told_in_order() -> None:
    with pytest.raises(cel.CelCompileError) as caught:
        cel.compile("x == 1 &&\n  y == 2", cel.Environment())
    assert [i.message for i in caught.value.issues] == [f"undeclared reference to '{n}' (in container '')" for n in "xy"]
    assert [(i.line, i.column) for i in caught.value.issues] == [(1, 0), (2, 2)]


def test_fields_of_built_in_kinds_have_their_types() -> None:
    environment = cel.Environment({"object": cel.resource_type(schema.load("v1", "Pod"))})
    good = "object.spec.containers.all(c, c.name.size() < 10 && c.?ports.orValue([]).all(p, p.containerPort > 0))"
    assert cel.compile(good, environment).type is BOOL
    with pytest.raises(cel.CelCompileError, match="undefined field 'nme'"):
        cel.compile("object.spec.containers.all(c, c.nme == 'a')", environment)


def test_a_program_that_cannot_give_the_wanted_type_is_refused() -> None:
    with pytest.raises(cel.CelCompileError, match="expected type 'bool' but found 'int'"):
        cel.compile("1", cel.Environment(), result=BOOL)
    assert cel.compile("x", cel.Environment({"x": DYN}), result=BOOL).evaluate({"x": True}) is True


def test_a_root_has_names_and_no_other_metadata() -> None:
    type_ = cel.structural_type({"type": "object", "properties": {"metadata": {"type": "object"}}}, root=True)
    assert type_ is not None
    environment = cel.Environment({"self": type_})
    assert cel.compile("self.metadata.name", environment).evaluate({"self": {"metadata": {"name": "a"}}}) == "a"
    with pytest.raises(cel.CelCompileError, match="undefined field 'labels'"):
        cel.compile("self.metadata.labels", environment)


def test_nested_loops_without_bounds_are_too_costly() -> None:
    program = cel.compile("self.all(x, self.all(y, x != y))", structural({"type": "array", "items": {"type": "string"}}))
    assert program.estimate().most > costs.EXPRESSION_ESTIMATE_MAX


def test_evaluation_stops_at_its_budget() -> None:
    program = cel.compile("l.all(x, l.all(y, x + y >= 0))", cel.Environment({"l": list_of(INT)}))
    assert program.evaluate({"l": list(range(10))}) is True
    with pytest.raises(cel.CostExceeded, match="actual cost limit exceeded"):
        program.evaluate({"l": list(range(2000))})


def test_nothing_absorbs_an_exceeded_budget() -> None:
    program = cel.compile("l.all(x, l.all(y, x + y >= 0)) || true", cel.Environment({"l": list_of(INT)}))
    with pytest.raises(cel.CostExceeded):
        program.evaluate({"l": list(range(2000))})


COSTLY = [
    "l.all(i, v, l.exists(j, w, w < 0) || true)",
    "l.all(x, size(l + l) > 0)",
    "l.all(x, [m] == [m])",
    "l.all(x, [m] in [[m], [m]])",
    "l.all(x, size('%s'.format([l])) > 0)",
    "l.all(x, m.exists(k, v, v == 'none') || true)",
    "l.map(x, l).flatten().size() > 0 && l.map(x, l).flatten().distinct().size() > 0",
]


@pytest.mark.parametrize("expression", COSTLY)
def test_what_takes_time_costs(expression: str) -> None:
    """Each step of these walks over 20,000 items: the budget ends them after some hundred."""
    program = cel.compile(expression, cel.Environment({"l": list_of(INT), "m": DYN}))
    with pytest.raises(cel.CostExceeded):
        program.evaluate({"l": list(range(20_000)), "m": {f"k{i}": "v" for i in range(20_000)}})


def test_several_evaluations_share_a_budget() -> None:
    program = cel.compile("l.all(x, x >= 0)", cel.Environment({"l": list_of(INT)}))
    budget = cel.Budget(10_000)
    program.evaluate({"l": list(range(1000))}, budget)
    assert 0 < budget.remaining < 8_000
    with pytest.raises(cel.CostExceeded):
        program.evaluate({"l": list(range(5000))}, budget)
    assert budget.remaining < 0


def test_a_branch_not_taken_costs_nothing() -> None:
    def spent(expression: str) -> int:
        budget = cel.Budget()
        cel.compile(expression, cel.Environment({"x": DYN})).evaluate({"x": 1}, budget)
        return costs.OBJECT_BUDGET - budget.remaining

    assert spent("true ? 1 : x + x + x + x") < spent("false ? 1 : x + x + x + x")
    assert spent("false && x + x == 2") < spent("true && x + x == 2")


def test_an_unbound_variable_is_an_error_only_where_it_is_read() -> None:
    environment = cel.Environment({"object": DYN, "params": DYN})
    assert cel.compile("object", environment).evaluate({"object": 1}) == 1
    with pytest.raises(cel.CelRuntimeError, match=r"no such attribute\(s\): params"):
        cel.compile("params", environment).evaluate({"object": 1})


def test_objects_are_built_with_braces() -> None:
    environment = cel.Environment({"object": DYN}, frozenset({"Object", "JSONPatch"}))
    expression = "Object{spec: Object.spec{replicas: 3, ?paused: object.?paused, containers: [Object.spec.containers{name: 'a'}]}}"
    wanted = {"spec": {"replicas": 3, "containers": [{"name": "a"}]}}
    assert cel.compile(expression, environment).evaluate({"object": {}}) == wanted
    patch = "[JSONPatch{op: 'add', path: '/spec/x', value: {'a': 1}}]"
    assert cel.compile(patch, environment).evaluate({"object": {}}) == [{"op": "add", "path": "/spec/x", "value": {"a": 1}}]


WRONG_STRUCTS = [
    ("Object{spec: Object.status{}}", 'unexpected type name "Object.status", expected "Object.spec"'),
    ("JSONPatch{operation: 'add'}", "undefined field 'operation'"),
    ("JSONPatch{op: 1}", "expected type of field 'op' is 'string' but provided type is 'int'"),
    ("Thing{a: 1}", "undeclared reference to 'Thing'"),
]


@pytest.mark.parametrize(("expression", "says"), WRONG_STRUCTS)
def test_a_struct_of_the_wrong_kind_is_refused(expression: str, says: str) -> None:
    with pytest.raises(cel.CelCompileError) as caught:
        cel.compile(expression, cel.Environment({}, frozenset({"Object", "JSONPatch"})))
    assert says in caught.value.message


@pytest.mark.parametrize("expression", ["(" * 5000 + "1" + ")" * 5000, "[" * 500 + "]" * 500, "-" * 90_000 + "1", "!" * 9_000 + "true"])
def test_nesting_is_bounded(expression: str) -> None:
    try:
        cel.compile(expression, cel.Environment()).evaluate({})
    except cel.CelCompileError as error:
        assert "recursion limit" in error.message


def test_a_long_chain_of_conditions_is_no_nesting() -> None:
    assert run(" && ".join(["x == 1"] * 2000), x=1) is True


def test_a_pattern_that_would_explode_elsewhere_is_linear() -> None:
    assert run("x.matches('(a+)+b')", x="a" * 5000) is False


def test_results_are_bounded() -> None:
    with pytest.raises(cel.CelRuntimeError, match="too long"):
        run("x.replace('a', x)", x="a" * 100_000)


@given(st.integers(INT_MIN, INT_MAX), st.integers(INT_MIN, INT_MAX), st.sampled_from(["+", "-", "*", "/", "%"]))
@example(INT_MIN, -1, "/")
@example(INT_MIN, -1, "%")
def test_integer_arithmetic_is_exact_or_an_error(a: int, b: int, operator: str) -> None:
    program = cel.compile(f"a {operator} b", NUMBERS)
    try:
        value = program.evaluate({"a": a, "b": b})
    except cel.CelRuntimeError as error:
        assert ("by zero" in error.message) == (operator in "/%" and b == 0)
        return
    wanted = {"+": a + b, "-": a - b, "*": a * b}
    assert INT_MIN <= value <= INT_MAX
    if operator in wanted:
        assert value == wanted[operator]
    else:
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        assert value == (quotient if operator == "/" else a - b * quotient)


@given(st.text(max_size=60))
def test_a_text_written_as_a_literal_comes_back(text: str) -> None:
    quoted = "".join(f"\\U{ord(c):08x}" if not c.isascii() or not c.isprintable() or c in "'\\" else c for c in text)
    assume_valid = all(not 0xD800 <= ord(c) <= 0xDFFF for c in text)
    if assume_valid:
        assert run(f"'{quoted}'") == text


_WORDS = """
a b x 1 0 2u 1.5 'a' "b" true false null [ ] { } ( ) . , : ? + - * / % ! && || == != < <= in .all( .map( .exists( has( size( .?a [?0] .b
.matches( duration('1s') timestamp( optional.of( .orValue( string( int( cel.bind( .format( .split( math.least( r'\\' b'\\xff'
9223372036854775807 .sum() .min() type( .optMap( .transformMap( .sortBy( lists.range( quantity('1Gi') .add(
"""
PIECES = st.sampled_from(_WORDS.split())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(INT_MIN, INT_MAX) | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("ab"), below, max_size=2),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=14).map(" ".join), VALUES)
@example("x.all(x, x.all(x, x))", [[1]])
@example("[x].map(a, a + a)", "b")
def test_any_text_gives_a_value_or_an_error_of_ours(expression: str, value: Any) -> None:
    try:
        program = cel.compile(expression, cel.Environment({"x": DYN, "a": DYN, "b": INT}))
    except cel.CelCompileError as error:
        assert error.message.startswith("ERROR: <input>:")
        return
    program.estimate()
    try:
        program.evaluate({"x": value, "a": value, "b": 3})
    except cel.CelRuntimeError as error:
        assert error.message


TERMS = st.recursive(
    st.sampled_from(["x", "1", "-1", "1.5", "'a'", "true", "null", "[1, 2]", "{'a': 1}", "b"]),
    lambda below: st.one_of(
        st.tuples(below, st.sampled_from(["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in"]), below).map(
            lambda t: f"(dyn({t[0]}) {t[1]} dyn({t[2]}))"
        ),
        st.tuples(below, st.sampled_from(["size", "string", "int", "double", "type", "bool", "!", "-"])).map(
            lambda t: f"{t[1]}(dyn({t[0]}))"
        ),
        st.tuples(below, st.sampled_from(["all", "map", "filter", "exists_one"]), below).map(
            lambda t: f"dyn({t[0]}).{t[1]}(v, dyn({t[2]}))"
        ),
        st.tuples(below, st.sampled_from(["a", "[0]", "['a']"])).map(lambda t: f"dyn({t[0]})" + (t[1] if t[1][0] == "[" else "." + t[1])),
        st.tuples(below, below, below).map(lambda t: f"(dyn({t[0]}) ? dyn({t[1]}) : dyn({t[2]}))"),
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(TERMS, VALUES)
def test_any_well_formed_expression_gives_a_value_or_an_error_of_ours(expression: str, value: Any) -> None:
    program = cel.compile(expression, cel.Environment({"x": DYN, "b": STRING}))
    try:
        found = program.evaluate({"x": value, "b": "b"}, cel.Budget(100_000))
    except cel.CelRuntimeError as error:
        assert error.message
        return
    again = program.evaluate({"x": value, "b": "b"}, cel.Budget(100_000))
    assert found == again or (isinstance(found, float) and math.isnan(found)) or "nan" in repr(found)
