"""Comprehensions: the macros over lists and maps, as loops.

The costs of an item are those of upstream's fold: reading and testing the accumulator, and what the macro does with the item.

Source: cel-spec, "Macros"; cel-go parser/macro.go, ext/comprehensions.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError, CostExceeded, no_such_overload
from podium.objects.cel.syntax import Comprehension
from podium.objects.cel.values import kind_of

if TYPE_CHECKING:
    from podium.objects.cel.compiler import Compiler, Run

Frame = list[Any]

ITEM_COSTS = {
    "all": 3, "exists": 4, "exists_one": 2, "map": costs.LIST_CREATE + 2, "filter": costs.LIST_CREATE + 3,
    "transformMap": 3, "transformMapEntry": 2,
}  # fmt: skip
"""What an item costs beside its predicate and its transformation."""

START_COSTS = {
    "all": 1, "exists": 1, "exists_one": 2, "map": costs.LIST_CREATE + 1, "filter": costs.LIST_CREATE + 1,
    "transformMap": costs.MAP_CREATE + 1, "transformMapEntry": costs.MAP_CREATE + 1,
}  # fmt: skip


def comprehension(compiler: Compiler, node: Comprehension) -> Run:
    over = compiler.emit(node.range)
    compiler.charge(START_COSTS[node.macro])
    where, where_cost = (None, 0) if node.where is None else compiler.block(node.where)
    step, step_cost = compiler.block(node.step)
    cost = ITEM_COSTS[node.macro] + step_cost + where_cost
    each = _places(node)
    match node.macro:
        case "all" | "exists":
            return _quantifier(over, each, step, cost, node.macro == "exists")
        case "exists_one":
            return _exactly_one(over, each, step, cost)
        case "filter":
            return _filter(over, each, step, cost, node.slots[0])
        case "map":
            return _map(over, each, where, step, cost)
    return _map_of(over, each, where, step, cost, node.slots[0], node.macro == "transformMapEntry")


Each = Callable[[Any], Iterable[Any]]
Assign = Callable[[Frame, Any], None]


def _places(node: Comprehension) -> tuple[Each, Assign]:
    """How the range becomes items, and where an item's parts go in the frame."""
    first, second = node.slots
    if not node.second:

        def single(f: Frame, item: Any) -> None:
            f[first] = item

        return _single, single

    def double(f: Frame, item: Any) -> None:
        f[first], f[second] = item

    return _double, double


def _single(value: Any) -> Iterable[Any]:
    if type(value) is list or isinstance(value, dict):
        return value
    raise CelRuntimeError(f"no such overload: range of {kind_of(value)}")


def _double(value: Any) -> Iterable[Any]:
    if type(value) is list:
        return enumerate(value)
    if isinstance(value, dict):
        return value.items()
    raise CelRuntimeError(f"no such overload: range of {kind_of(value)}")


def _quantifier(over: Run, each: tuple[Each, Assign], step: Run, cost: int, decides: bool) -> Run:
    """all (decided by False) and exists (decided by True); an error counts only when nothing decides."""
    items_of, assign = each
    goes_on = not decides

    def run(f: Frame) -> bool:
        fault: Exception | None = None
        for item in items_of(over(f)):
            f[0] -= cost
            if f[0] < 0:
                raise CostExceeded
            assign(f, item)
            try:
                value = step(f)
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


def _exactly_one(over: Run, each: tuple[Each, Assign], step: Run, cost: int) -> Run:
    items_of, assign = each

    def run(f: Frame) -> bool:
        count = 0
        for item in items_of(over(f)):
            f[0] -= cost
            if f[0] < 0:
                raise CostExceeded
            assign(f, item)
            count += _truth(step(f))
        return count == 1

    return run


def _filter(over: Run, each: tuple[Each, Assign], step: Run, cost: int, slot: int) -> Run:
    items_of, assign = each

    def run(f: Frame) -> list[Any]:
        kept = []
        for item in items_of(over(f)):
            f[0] -= cost
            if f[0] < 0:
                raise CostExceeded
            assign(f, item)
            if _truth(step(f)):
                kept.append(f[slot])
        return kept

    return run


def _map(over: Run, each: tuple[Each, Assign], where: Run | None, step: Run, cost: int) -> Run:
    items_of, assign = each

    def run(f: Frame) -> list[Any]:
        made = []
        for item in items_of(over(f)):
            f[0] -= cost
            if f[0] < 0:
                raise CostExceeded
            assign(f, item)
            if where is None or _truth(where(f)):
                made.append(step(f))
        return made

    return run


def _map_of(over: Run, each: tuple[Each, Assign], where: Run | None, step: Run, cost: int, slot: int, entries: bool) -> Run:
    items_of, assign = each

    def run(f: Frame) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for item in items_of(over(f)):
            f[0] -= cost
            if f[0] < 0:
                raise CostExceeded
            assign(f, item)
            if where is not None and not _truth(where(f)):
                continue
            for key, value in _entry(step(f)) if entries else ((f[slot], step(f)),):
                if key in made:
                    raise CelRuntimeError(f"insert failed: key {key} already exists")
                made[key] = value
        return made

    return run


def _entry(value: Any) -> Any:
    if not isinstance(value, dict):
        raise no_such_overload()
    return value.items()


def _truth(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise no_such_overload()
