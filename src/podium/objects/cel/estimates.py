"""Estimates: the least and the most an expression costs, before any value is there.

Sizes come from the types' bounds, literals and the sizes of results; a loop costs its body for every item there may be.

Source: cel-go checker/cost.go; k8s.io/apiserver pkg/cel/library/cost.go.
"""

from podium.objects.cel import costs
from podium.objects.cel.comprehensions import ITEM_COSTS, START_COSTS
from podium.objects.cel.costs import ONE, UNKNOWN, ZERO, Range, Sized, exactly
from podium.objects.cel.syntax import (
    Bind,
    Call,
    Comprehension,
    Conditional,
    Identifier,
    ListLiteral,
    Literal,
    Logical,
    MapLiteral,
    Node,
    OptionalMap,
    Select,
    Struct,
)
from podium.objects.cel.types import SCALARS, Type


def estimate(node: Node) -> Range:
    return _Estimator().cost(node)


class _Estimator:
    """`_sizes` of results by node; `_variables`, of macros, by slot; `_declared` which of these are parts of a schema."""

    def __init__(self) -> None:
        self._sizes: dict[int, Range] = {}
        self._items: dict[int, Range | None] = {}
        self._variables: dict[int | None, tuple[Range | None, Range | None]] = {}
        self._declared: dict[int, bool] = {}

    def cost(self, node: Node) -> Range:
        match node:
            case Identifier():
                return ONE
            case Select():
                return self._select(node)
            case Call():
                return self._call(node)
            case Logical():
                parts = [self.cost(o) for o in node.operands]
                return Range(parts[0].least, sum_of(parts).most)
            case Conditional():
                return self._conditional(node)
            case ListLiteral():
                self._sizes[id(node)] = exactly(len(node.items))
                total = sum_of([self.cost(i) for i in node.items])
                self._items[id(node)] = _all_of([self.size(i) for i in node.items])
                return total.plus(exactly(costs.LIST_CREATE))
            case MapLiteral():
                self._sizes[id(node)] = exactly(len(node.entries))
                total = sum_of([self.cost(n) for entry in node.entries for n in entry])
                return total.plus(exactly(costs.MAP_CREATE))
            case Struct():
                return sum_of([self.cost(f[2]) for f in node.fields]).plus(exactly(costs.STRUCT_CREATE))
            case Comprehension():
                return self._comprehension(node)
            case OptionalMap():
                target = self.cost(node.target)
                self._variables[node.slot] = (None, None)
                self._declared[node.slot] = False
                return Range(target.least + 1, target.plus(self.cost(node.step)).plus(exactly(costs.LIST_CREATE + 3)).most)
            case Bind():
                value = self.cost(node.value)
                self._variables[node.slot] = (self.size(node.value), self.items(node.value))
                self._declared[node.slot] = self._is_in_schema(node.value)
                return value.plus(self.cost(node.step)).plus(exactly(costs.LIST_CREATE))
        return ZERO

    def size(self, node: Node) -> Range:
        known = self._sizes.get(id(node))
        if known is not None:
            return known
        if isinstance(node, Literal):
            return exactly(len(node.value)) if isinstance(node.value, (str, bytes)) else ONE
        slot = _slot(node)
        if slot in self._variables:
            remembered = self._variables[slot][0]
            if remembered is not None:
                return remembered
        if self._is_in_schema(node):
            return _declared_size(node.type)
        return _size_of_type(node.type)

    def _is_in_schema(self, node: Node) -> bool:
        """Whether it is a variable, or a part of one that its schema tells of: then the schema's bound is its size, 0 where there is none."""
        match node:
            case Identifier():
                slot = _slot(node)
                return slot is not None and self._declared.get(slot, True)
            case Select():
                return node.operand.type.kind == "object" and self._is_in_schema(node.operand)
            case Call():
                return node.function == "_[_]" and self._is_in_schema(node.arguments[0])
        return False

    def items(self, node: Node) -> Range | None:
        """The size of a container's items."""
        if id(node) in self._items:
            return self._items[id(node)]
        remembered = self._variables.get(_slot(node), (None, None))[1]
        if remembered is not None:
            return remembered
        if self._is_in_schema(node) and node.type.kind in ("list", "map"):
            return _declared_size(node.type.parameters[-1])
        return _size_of_type(node.type.parameters[0]) if node.type.kind in ("list", "map") else None

    def _select(self, node: Select) -> Range:
        below = self.cost(node.operand)
        if node.test or node.operand.type.kind not in ("map", "object", "dyn"):
            return below
        return below.plus(ONE)

    def _conditional(self, node: Conditional) -> Range:
        condition, yes, no = self.cost(node.condition), self.cost(node.yes), self.cost(node.no)
        self._sizes[id(node)] = self.size(node.yes).union(self.size(node.no))
        return condition.plus(yes.union(no))

    def _call(self, node: Call) -> Range:
        operands = node.operands
        total = sum_of([self.cost(o) for o in operands])
        sized = [self._sized(o) for o in operands]
        found = [overload.cost.estimate(sized) for overload in node.overloads]
        cost = found[0][0] if found else ZERO
        result = found[0][1] if found else None
        for other, size in found[1:]:
            cost = cost.union(other)
            result = result.union(size) if result is not None and size is not None else result or size
        if result is not None and node.type.kind in ("string", "bytes", "list", "map", "dyn"):
            self._sizes[id(node)] = result
        return total.plus(cost)

    def _sized(self, node: Node) -> Sized:
        kind = node.type.kind
        text = kind == "list" and node.type.parameters[0].kind in ("string", "bytes", "dyn")
        return Sized(self.size(node), self.items(node) if kind in ("list", "map") else None, kind, text)

    def _comprehension(self, node: Comprehension) -> Range:
        over = self.cost(node.range)
        count, items = self.size(node.range), self.items(node.range)
        first, second = node.slots
        declared, is_list = self._is_in_schema(node.range), node.range.type.kind == "list"
        for slot, gets_item in ((first, is_list and not node.second), (second, bool(node.second))):
            self._variables[slot] = (items if gets_item and not declared else None, None)
            self._declared[slot] = declared and (gets_item or not is_list)
        step = self.cost(node.step)
        where = self.cost(node.where) if node.where is not None else ZERO
        fixed = ITEM_COSTS[node.macro]
        least = where.least + (step.least if node.where is None else 0) + min(fixed, 3)
        each = Range(least, min(where.most + step.most + fixed, costs.UNBOUNDED))
        if node.macro in ("map", "filter", "transformMap", "transformMapEntry"):
            self._sizes[id(node)] = Range(0, count.most)
            self._items[id(node)] = self.size(node.step) if node.macro == "map" else items
        return over.plus(exactly(START_COSTS[node.macro])).plus(count.times(each))


def sum_of(parts: list[Range]) -> Range:
    total = ZERO
    for part in parts:
        total = total.plus(part)
    return total


def _all_of(sizes: list[Range]) -> Range:
    if not sizes:
        return ZERO
    total = sizes[0]
    for size in sizes[1:]:
        total = total.union(size)
    return total


def _slot(node: Node) -> int | None:
    if isinstance(node, Identifier) and node.resolved is not None and node.resolved[0] == "slot":
        slot: int = node.resolved[1]
        return slot
    return None


def _declared_size(type_: Type) -> Range:
    if type_.max_elements is not None:
        return Range(0, type_.max_elements)
    return UNKNOWN if type_.kind in ("dyn", "error", "string", "bytes", "list", "map", "opaque", "optional_type") else ZERO


def _size_of_type(type_: Type) -> Range:
    if type_.kind in SCALARS:
        return ONE
    if type_.kind == "object":
        return ZERO  # upstream's declared objects have no size, so that `self == oldSelf` is affordable
    return Range(0, type_.max_elements) if type_.max_elements is not None else UNKNOWN
