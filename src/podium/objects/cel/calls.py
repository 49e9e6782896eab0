"""Calls: the closure of a function call.

Theory: when one overload fits and the checker knows the kinds, it is called at once; otherwise the kinds of the values choose, remembered per
call site. A few calls are shaped by their literals: equality with a constant, membership in a list of texts, a pattern, `quantity('1Gi')`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from podium.objects.cel import costs, list_types
from podium.objects.cel.costs import Cost
from podium.objects.cel.errors import CelRuntimeError, CostExceeded, no_such_overload
from podium.objects.cel.operators import index
from podium.objects.cel.overloads import Overload
from podium.objects.cel.syntax import Call, ListLiteral, Literal
from podium.objects.cel.types import SCALARS
from podium.objects.cel.values import Optional, equal

if TYPE_CHECKING:
    from podium.objects.cel.compiler import Compiler, Run

Frame = list[Any]

_FOLDED = frozenset({
    "quantity", "ip", "cidr", "url", "semver", "duration", "timestamp", "format.named", "isQuantity", "isIP", "isCIDR", "isURL",
})  # fmt: skip
"""Pure functions of one text: with a literal, called once, here."""


def call(compiler: Compiler, node: Call) -> Run:
    if node.function in ("_==_", "_!=_"):
        return _equality(compiler, node)
    if node.function == "@in" and (special := _in_texts(compiler, node)) is not None:
        return special
    if node.function in ("or", "orValue"):
        return _alternative(compiler, node)
    raw = node.function in ("_[_]", "_[?_]")
    operands = [compiler.emit(o, raw=raw and place == 0) for place, o in enumerate(node.operands)]
    if node.function in _FOLDED and all(isinstance(o, Literal) for o in node.operands):
        folded = _folded(node)
        if folded is not None:
            compiler.charge(1)
            return folded
    run = _overload(compiler, node, operands)
    if raw:
        return _with_conversion(run, node)
    return run


def _with_conversion(run: Run, node: Call) -> Run:
    convert = node.type.convert
    if node.function == "_[?_]":
        convert = node.type.parameters[0].convert if node.type.parameters else None
        if convert is None:
            return run
        return lambda f: Optional(convert(found.value)) if (found := run(f)).present else found
    return run if convert is None else lambda f: convert(run(f))


def _overload(compiler: Compiler, node: Call, operands: list[Run]) -> Run:
    only = node.overloads[0] if len(node.overloads) == 1 else None
    if only is not None and only.cost.fixed is not None:
        compiler.charge(only.cost.fixed)
    if only is not None and _known(only, node):
        function = _adding(node) or only.run
        return _direct(function, operands, only.cost)
    if node.function == "_[_]":
        if only is None:
            compiler.charge(1)
        return _direct(index, operands, costs.ORDINARY)
    return _chosen(node.overloads, operands, only is None)


def _known(overload: Overload, node: Call) -> bool:
    """The checker has seen every kind that the overload relies on."""
    for wanted, operand in zip(overload.arguments, node.operands, strict=True):
        if wanted.kind in ("dyn", "parameter"):
            continue
        if operand.type.kind != wanted.kind:
            return False
        if wanted.kind == "list" and wanted.parameters[0].kind != "parameter" and operand.type.parameters[0].kind == "dyn":
            return False
    return True


def _adding(node: Call) -> Callable[..., Any] | None:
    if node.function == "_+_" and node.operands[0].type.kind == "list":
        return list_types.concatenation(node.operands[0].type)
    return None


def _direct(function: Callable[..., Any], operands: list[Run], cost: Cost) -> Run:
    if cost.fixed is None:
        return _measured(function, operands, cost)
    match operands:
        case [one]:
            return lambda f: function(one(f))
        case [one, two]:
            return lambda f: function(one(f), two(f))
    return lambda f: function(*[o(f) for o in operands])


def _measured(function: Callable[..., Any], operands: list[Run], cost: Cost) -> Run:
    actual, after = cost.actual, cost.after

    def run(f: Frame) -> Any:
        values = tuple([o(f) for o in operands])
        f[0] -= actual(values)
        if f[0] < 0:
            raise CostExceeded
        result = function(*values)
        if after is not None:
            f[0] -= after(result)
        return result

    return run


def _chosen(overloads: list[Overload], operands: list[Run], charge_fixed: bool) -> Run:
    """The overload that takes the values; remembered by their classes when these say enough."""
    remembered: dict[tuple[type, ...], Overload] = {}

    def run(f: Frame) -> Any:
        values = tuple([o(f) for o in operands])
        classes = tuple(map(type, values))
        chosen = remembered.get(classes)
        if chosen is None:
            chosen = next((o for o in overloads if o.takes(values)), None)
            if chosen is None:
                raise no_such_overload()
            if list not in classes:
                remembered[classes] = chosen
        cost = chosen.cost
        if cost.fixed is None:
            f[0] -= cost.actual(values)
            if f[0] < 0:
                raise CostExceeded
        elif charge_fixed:
            f[0] -= cost.fixed
        result = chosen.run(*values)
        if cost.after is not None:
            f[0] -= cost.after(result)
        return result

    return run


def _folded(node: Call) -> Run | None:
    values = tuple(o.value for o in node.operands if isinstance(o, Literal))
    chosen = next((o for o in node.overloads if o.takes(values)), None)
    if chosen is None:
        return None
    try:
        value = chosen.run(*values)
    except CelRuntimeError:
        return None
    return lambda f: value


# Equality


def _equality(compiler: Compiler, node: Call) -> Run:
    left, right = node.operands
    negated = node.function == "_!=_"
    one, other = compiler.emit(left), compiler.emit(right)
    constant = right if isinstance(right, Literal) else left if isinstance(left, Literal) else None
    if constant is not None:
        compiler.charge(1 if type(constant.value) is not str else min(1, len(constant.value)))
        if type(constant.value) is not str or len(constant.value) <= 10:
            return _with_constant(one if constant is right else other, constant, negated)
    special = list_types.comparison(left.type) or list_types.comparison(right.type)
    if special is None and left.type.kind == right.type.kind and left.type.kind in SCALARS:
        compiler.charge(1)
        return _direct(operator.ne if negated else operator.eq, [one, other], costs.ORDINARY)
    compare = special or (operator.eq if left.type.kind == right.type.kind == "string" else equal)
    function = (lambda a, b: not compare(a, b)) if negated else compare
    return _measured(function, [one, other], costs.COMPARISON)


def _with_constant(run: Run, constant: Literal, negated: bool) -> Run:
    wanted = constant.value
    if wanted is None:
        return (lambda f: run(f) is not None) if negated else (lambda f: run(f) is None)
    if type(wanted) is bool:
        return (lambda f: run(f) is not wanted) if negated else (lambda f: run(f) is wanted)
    if type(wanted) is str:
        return (lambda f: run(f) != wanted) if negated else (lambda f: run(f) == wanted)
    return (lambda f: not equal(run(f), wanted)) if negated else (lambda f: equal(run(f), wanted))


# Others


def _in_texts(compiler: Compiler, node: Call) -> Run | None:
    """`x in ['a', 'b']`: one look-up."""
    wanted, among = node.operands
    if not isinstance(among, ListLiteral) or among.optional:
        return None
    texts = [item.value for item in among.items if isinstance(item, Literal) and type(item.value) is str]
    if len(texts) != len(among.items):
        return None
    compiler.charge(costs.LIST_CREATE + len(texts))
    run, known = compiler.emit(wanted), frozenset(texts)

    def find(f: Frame) -> bool:
        value = run(f)
        return type(value) is str and value in known

    return find


def _alternative(compiler: Compiler, node: Call) -> Run:
    """`optional.or(x)` and `orValue(x)`: x is evaluated only when needed."""
    target = compiler.emit(node.operands[0])
    compiler.charge(1)
    other, cost = compiler.block(node.operands[1])
    value_only = node.function == "orValue"

    def run(f: Frame) -> Any:
        value = target(f)
        if type(value) is not Optional:
            raise no_such_overload()
        if value.present:
            return value.value if value_only else value
        f[0] -= cost
        found = other(f)
        if not value_only and type(found) is not Optional:
            raise no_such_overload()
        return found

    return run
