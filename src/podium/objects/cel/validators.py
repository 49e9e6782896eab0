"""Validators: literals that can only fail are faults of the expression.

Source: cel-go cel/validator.go (duration, timestamp and regex literals).
"""

from collections.abc import Callable, Iterator

from podium.objects.cel import patterns, times
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.syntax import (
    Bind,
    Call,
    Comprehension,
    Conditional,
    ListLiteral,
    Literal,
    Logical,
    MapLiteral,
    Node,
    OptionalMap,
    Select,
    Struct,
)

_CHECKS: dict[str, tuple[int, Callable[[str], object]]] = {
    "matches": (1, patterns.compiled),
    "find": (1, patterns.compiled),
    "findAll": (1, patterns.compiled),
    "duration": (0, times.parse_duration),
    "timestamp": (0, times.parse_timestamp),
}


def validate(node: Node, report: Callable[[int, str], None]) -> None:
    for below in walk(node):
        if not isinstance(below, Call) or below.function not in _CHECKS:
            continue
        place, check = _CHECKS[below.function]
        operands = below.operands
        literal = operands[place] if place < len(operands) else None
        if isinstance(literal, Literal) and type(literal.value) is str:
            try:
                check(literal.value)
            except CelRuntimeError:
                report(literal.at, f"invalid {below.function} argument")


def children(node: Node) -> list[Node]:
    match node:
        case Select():
            return [node.operand]
        case Call() | Logical():
            return node.operands
        case Conditional():
            return [node.condition, node.yes, node.no]
        case ListLiteral():
            return node.items
        case MapLiteral():
            return [n for entry in node.entries for n in entry]
        case Struct():
            return [f[2] for f in node.fields]
        case Comprehension():
            return [node.range, *([node.where] if node.where is not None else []), node.step]
        case OptionalMap():
            return [node.target, node.step]
        case Bind():
            return [node.value, node.step]
    return []


def walk(node: Node) -> Iterator[Node]:
    """Every node, from the top."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting += children(current)
