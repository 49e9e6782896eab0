"""Compiler: the checked tree becomes Python closures over one frame.

Theory: a frame is a list: at 0 what is left of the budget, then the environment's variables, then those of macros, each at its own place. A
closure takes the frame and gives the value. Fixed costs are summed per block (the whole, an operand behind && or ||, a branch, a loop's body)
and taken when the block is entered; only what depends on sizes is measured.

Invariants: closures change nothing but the frame; values are never changed. `&&`, `||`, `all` and `exists` absorb errors when another operand
decides; exceeding the budget is never absorbed.

Source: cel-spec, "Evaluation"; cel-go interpreter/runtimecost.go (what costs what).
"""

from collections.abc import Callable
from typing import Any

from podium.objects.cel import comprehensions, costs
from podium.objects.cel.calls import call
from podium.objects.cel.errors import CelRuntimeError, CostExceeded, no_such_key, no_such_overload
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
from podium.objects.cel.types import Convert
from podium.objects.cel.values import NONE, Optional, kind_of

Frame = list[Any]
Run = Callable[[Frame], Any]


class Compiler:
    """One use: `block` of the whole tree."""

    def __init__(self) -> None:
        self._cost = 0

    def block(self, node: Node) -> tuple[Run, int]:
        """The closure and what entering it costs."""
        outer, self._cost = self._cost, 0
        run = self.emit(node)
        cost, self._cost = self._cost, outer
        return run, cost

    def charge(self, cost: int) -> None:
        self._cost += cost

    def emit(self, node: Node, *, raw: bool = False) -> Run:
        """`raw`: a container whose items the caller converts itself."""
        convert = None if raw else node.type.convert
        match node:
            case Literal():
                return _constant(node.value)
            case Identifier():
                self._cost += 1
                return self._identifier(node)
            case Select():
                return self._select(node, convert)
            case Call():
                return call(self, node)
            case Logical():
                return self._logical(node)
            case Conditional():
                return self._conditional(node)
            case ListLiteral():
                return self._list(node)
            case MapLiteral():
                return self._map(node)
            case Struct():
                return self._struct(node)
            case Comprehension():
                return comprehensions.comprehension(self, node)
            case OptionalMap():
                return self._optional_map(node)
            case Bind():
                return self._bind(node)
        raise AssertionError(node)

    def _identifier(self, node: Identifier) -> Run:
        assert node.resolved is not None
        how, what = node.resolved
        if how == "constant":
            return _constant(what)
        return lambda f: f[what]

    # Selection

    def _select(self, node: Select, convert: Convert | None) -> Run:
        if node.resolved is not None:
            self._cost += 1
            return _constant(node.resolved[1])
        if node.test:
            return _presence(self.emit(node.operand, raw=True), node.key)
        self._cost += 1
        if node.optional or node.operand.type.kind == "optional_type":
            below = node.type.parameters[0].convert if node.type.parameters else None
            return _optional_selection(self.emit(node.operand, raw=True), node.key, below)
        run = _path(node) or _selection(self.emit(node.operand, raw=True), node.key)
        if _path(node) is not None:
            self._cost += _path_length(node) - 1
        return run if convert is None else _converted(run, convert)

    # Logic

    def _logical(self, node: Logical) -> Run:
        decides = node.operator == "_||_"
        first = self.emit(node.operands[0])
        rest = [self.block(operand) for operand in node.operands[1:]]
        if len(rest) == 1:
            return _either(decides, first, *rest[0])
        return _any_of(decides, first, rest)

    def _conditional(self, node: Conditional) -> Run:
        condition = self.emit(node.condition)
        yes, yes_cost = self.block(node.yes)
        no, no_cost = self.block(node.no)

        def run(f: Frame) -> Any:
            chosen = condition(f)
            if chosen is True:
                f[0] -= yes_cost
                return yes(f)
            if chosen is False:
                f[0] -= no_cost
                return no(f)
            raise no_such_overload()

        return run

    # Aggregates

    def _list(self, node: ListLiteral) -> Run:
        self._cost += costs.LIST_CREATE
        items = [self.emit(item) for item in node.items]
        if not node.optional:
            if all(isinstance(item, Literal) for item in node.items):
                return _constant([item.value for item in node.items if isinstance(item, Literal)])
            return lambda f: [item(f) for item in items]
        optional = node.optional

        def run(f: Frame) -> list[Any]:
            made = []
            for place, item in enumerate(items):
                value = item(f)
                if place not in optional:
                    made.append(value)
                elif _is_present(value):
                    made.append(value.value)
            return made

        return run

    def _map(self, node: MapLiteral) -> Run:
        self._cost += costs.MAP_CREATE
        entries = [(self.emit(key), self.emit(value)) for key, value in node.entries]
        optional = node.optional

        def run(f: Frame) -> dict[Any, Any]:
            made: dict[Any, Any] = {}
            for place, (key_of, value_of) in enumerate(entries):
                key, value = key_of(f), value_of(f)
                if kind_of(key) not in ("string", "int", "uint", "bool"):
                    raise CelRuntimeError(f"unsupported key type: {kind_of(key)}")
                if key in made:
                    raise CelRuntimeError(f"Failed with repeated key: {key}")
                if place not in optional:
                    made[key] = value
                elif _is_present(value):
                    made[key] = value.value
            return made

        return run

    def _struct(self, node: Struct) -> Run:
        self._cost += costs.STRUCT_CREATE
        fields = [(name, self.emit(value), place in node.optional) for place, (_, name, value) in enumerate(node.fields)]

        def run(f: Frame) -> dict[str, Any]:
            made: dict[str, Any] = {}
            for name, value_of, optional in fields:
                value = value_of(f)
                if not optional:
                    made[name] = value
                elif _is_present(value):
                    made[name] = value.value
            return made

        return run

    # Binding

    def _optional_map(self, node: OptionalMap) -> Run:
        target, slot, flat = self.emit(node.target), node.slot, node.flat
        step, cost = self.block(node.step)
        self._cost += 1

        def run(f: Frame) -> Any:
            value = target(f)
            if type(value) is not Optional:
                raise no_such_overload()
            if not value.present:
                return NONE
            f[0] -= cost
            f[slot] = value.value
            made = step(f)
            return made if flat else Optional(made)

        return run

    def _bind(self, node: Bind) -> Run:
        self._cost += costs.LIST_CREATE
        value, slot = self.emit(node.value), node.slot
        step = self.emit(node.step)

        def run(f: Frame) -> Any:
            f[slot] = value(f)
            return step(f)

        return run


def _constant(value: Any) -> Run:
    return lambda f: value


def _converted(run: Run, convert: Convert) -> Run:
    return lambda f: convert(run(f))


def _is_present(value: Any) -> bool:
    if type(value) is not Optional:
        raise no_such_overload()
    return value.present


def _selection(operand: Run, key: str) -> Run:
    def run(f: Frame) -> Any:
        try:
            return operand(f)[key]
        except KeyError:
            raise no_such_key(key) from None
        except TypeError:
            raise no_such_overload() from None

    return run


def _chain(node: Select) -> tuple[int, list[str]] | None:
    """A variable and the keys below it, when that is all there is."""
    keys: list[str] = []
    current: Node = node
    while isinstance(current, Select):
        if current.test or current.optional or current.resolved is not None or current.operand.type.kind == "optional_type":
            return None
        keys.append(current.key)
        current = current.operand
    if not isinstance(current, Identifier) or current.resolved is None or current.resolved[0] != "slot":
        return None
    return current.resolved[1], keys[::-1]


def _path_length(node: Select) -> int:
    found = _chain(node)
    assert found is not None
    return len(found[1]) + 1


def _path(node: Select) -> Run | None:
    """`object.spec.replicas` in one closure: most of what rules read."""
    found = _chain(node)
    if found is None or len(found[1]) > 3:
        return None
    slot, keys = found
    one, two, three = (*keys, "", "")[:3]

    def first(f: Frame) -> Any:
        try:
            return f[slot][one]
        except KeyError as error:
            raise no_such_key(error.args[0]) from None
        except TypeError:
            raise no_such_overload() from None

    def second(f: Frame) -> Any:
        try:
            return f[slot][one][two]
        except KeyError as error:
            raise no_such_key(error.args[0]) from None
        except TypeError:
            raise no_such_overload() from None

    def third(f: Frame) -> Any:
        try:
            return f[slot][one][two][three]
        except KeyError as error:
            raise no_such_key(error.args[0]) from None
        except TypeError:
            raise no_such_overload() from None

    return (first, second, third)[len(keys) - 1]


def _presence(operand: Run, key: str) -> Run:
    def run(f: Frame) -> bool:
        value = operand(f)
        if type(value) is Optional:
            if not value.present:
                return False
            value = value.value
        if type(value) is dict or isinstance(value, dict):
            return key in value
        raise no_such_overload()

    return run


def _optional_selection(operand: Run, key: str, convert: Convert | None) -> Run:
    def run(f: Frame) -> Any:
        value = operand(f)
        if type(value) is Optional:
            if not value.present:
                return NONE
            value = value.value
        if not isinstance(value, dict):
            raise no_such_overload()
        if key not in value:
            return NONE
        found = value[key]
        if type(found) is Optional:
            return found
        return Optional(found if convert is None else convert(found))

    return run


def _either(decides: bool, first: Run, second: Run, cost: int) -> Run:
    """`first || second` when `decides` is True, `first && second` when it is False."""
    goes_on = not decides

    def run(f: Frame) -> bool:
        try:
            value = first(f)
        except CostExceeded:
            raise
        except Exception:
            f[0] -= cost
            if second(f) is decides:
                return decides
            raise
        if value is decides:
            return decides
        f[0] -= cost
        if value is not goes_on:
            if second(f) is decides:
                return decides
            raise no_such_overload()
        value = second(f)
        if value is True or value is False:
            return value
        raise no_such_overload()

    return run


def _any_of(decides: bool, first: Run, rest: list[tuple[Run, int]]) -> Run:
    goes_on = not decides
    operands = [(first, 0), *rest]

    def run(f: Frame) -> bool:
        fault: Exception | None = None
        for operand, cost in operands:
            f[0] -= cost
            try:
                value = operand(f)
            except CostExceeded:
                raise
            except Exception as error:
                fault = fault or error
                continue
            if value is decides:
                return decides
            if value is not goes_on:
                fault = fault or no_such_overload()
        if fault is not None:
            raise fault
        return goes_on

    return run
