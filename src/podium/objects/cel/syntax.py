"""Syntax: the tree of an expression. Macros are nodes of their own, not folds, so that they compile to plain loops.

`at` is the offset of the token that messages point at: the dot of a selection, the parenthesis of a call, an operator. The checker fills in
`type` (and what it resolved); the other stages read it.
"""

from typing import Any

from podium.objects.cel.types import DYN, Type


class Node:
    __slots__ = ("at", "depth", "type")

    def __init__(self, at: int, *children: "Node | None") -> None:
        self.at = at
        self.type: Type = DYN
        self.depth: int = 1 + max((c.depth for c in children if c is not None), default=0)


class Literal(Node):
    __slots__ = ("value",)

    def __init__(self, at: int, value: Any) -> None:
        super().__init__(at)
        self.value = value


class Identifier(Node):
    """`resolved` is ("slot", index) or ("constant", value), given by the checker."""

    __slots__ = ("name", "resolved")

    def __init__(self, at: int, name: str) -> None:
        super().__init__(at)
        self.name = name
        self.resolved: tuple[str, Any] | None = None


class Select(Node):
    """`operand.field`; `test`: has(operand.field); `optional`: operand.?field. `key` is the field's name in the value.
    `resolved` when the whole chain is a qualified name."""

    __slots__ = ("field", "key", "operand", "optional", "resolved", "test")

    def __init__(self, at: int, operand: Node, field: str, *, test: bool = False, optional: bool = False) -> None:
        super().__init__(at, operand)
        self.operand = operand
        self.field = field
        self.key = field
        self.test = test
        self.optional = optional
        self.resolved: tuple[str, Any] | None = None


class Call(Node):
    """`function(arguments)` or `target.function(arguments)`; operators are calls of `_+_` and the like. `overloads` are those that the
    checker found to fit."""

    __slots__ = ("arguments", "function", "overloads", "target")

    def __init__(self, at: int, function: str, arguments: list[Node], target: Node | None = None) -> None:
        super().__init__(at, target, *arguments)
        self.function = function
        self.arguments = arguments
        self.target = target
        self.overloads: list[Any] = []

    @property
    def operands(self) -> list[Node]:
        return self.arguments if self.target is None else [self.target, *self.arguments]


class Logical(Node):
    """`a && b && ...` or `a || b || ...`: `operator` is `_&&_` or `_||_`. `marks` are the operators' offsets."""

    __slots__ = ("marks", "operands", "operator")

    def __init__(self, operator: str, operands: list[Node], marks: list[int]) -> None:
        super().__init__(marks[0], *operands)
        self.operator = operator
        self.operands = operands
        self.marks = marks

    def add(self, at: int, operand: Node) -> None:
        self.marks.append(at)
        self.operands.append(operand)
        self.depth = max(self.depth, operand.depth + 1)


class Conditional(Node):
    __slots__ = ("condition", "no", "yes")

    def __init__(self, at: int, condition: Node, yes: Node, no: Node) -> None:
        super().__init__(at, condition, yes, no)
        self.condition = condition
        self.yes = yes
        self.no = no


class ListLiteral(Node):
    """`optional` holds the positions written with a question mark."""

    __slots__ = ("items", "optional")

    def __init__(self, at: int, items: list[Node], optional: frozenset[int]) -> None:
        super().__init__(at, *items)
        self.items = items
        self.optional = optional


class MapLiteral(Node):
    __slots__ = ("entries", "optional")

    def __init__(self, at: int, entries: list[tuple[Node, Node]], optional: frozenset[int]) -> None:
        super().__init__(at, *(n for e in entries for n in e))
        self.entries = entries
        self.optional = optional


class Struct(Node):
    """`Name{field: value}`; `fields` are (offset, name, value)."""

    __slots__ = ("fields", "name", "optional")

    def __init__(self, at: int, name: str, fields: list[tuple[int, str, Node]], optional: frozenset[int]) -> None:
        super().__init__(at, *(f[2] for f in fields))
        self.name = name
        self.fields = fields
        self.optional = optional


class Comprehension(Node):
    """`range.macro(first[, second], [where,] step)`. `macro`: all, exists, exists_one, map, filter, transformMap, transformMapEntry (map with
    two variables is transformList). `step` is the predicate or the transformation, `where` the middle argument of a transformation."""

    __slots__ = ("first", "macro", "range", "second", "slots", "step", "where")

    def __init__(self, at: int, macro: str, range_: Node, first: str, second: str, where: Node | None, step: Node) -> None:
        super().__init__(at, range_, where, step)
        self.macro = macro
        self.range = range_
        self.first = first
        self.second = second
        self.where = where
        self.step = step
        self.slots = (0, 0)


class OptionalMap(Node):
    """`target.optMap(variable, step)`; `flat` for optFlatMap."""

    __slots__ = ("flat", "slot", "step", "target", "variable")

    def __init__(self, at: int, target: Node, variable: str, step: Node, flat: bool) -> None:
        super().__init__(at, target, step)
        self.target = target
        self.variable = variable
        self.step = step
        self.flat = flat
        self.slot = 0


class Bind(Node):
    """`cel.bind(variable, value, step)`."""

    __slots__ = ("slot", "step", "value", "variable")

    def __init__(self, at: int, variable: str, value: Node, step: Node) -> None:
        super().__init__(at, value, step)
        self.variable = variable
        self.value = value
        self.step = step
        self.slot = 0
