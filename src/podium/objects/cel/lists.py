"""Lists: order, extremes, sums, search, cutting, and sets made of lists.

Source: k8s.io/apiserver pkg/cel/library/lists.go; cel-go ext/lists.go, ext/sets.go.
"""

from collections.abc import Callable
from typing import Any

from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError, no_such_overload
from podium.objects.cel.overloads import Overload, member, plain
from podium.objects.cel.types import BOOL, BYTES, DOUBLE, DURATION, DYN, INT, PARAMETER_A, STRING, TIMESTAMP, UINT, Type, list_of
from podium.objects.cel.values import Duration, contains, equal, in_int, in_uint, kind_of

A = PARAMETER_A
LIST_A = list_of(A)
RANGE_ITEMS_MAX = 1_000_000
_DEPTH_MAX = 64
_COMPARABLE: tuple[Type, ...] = (INT, UINT, DOUBLE, BOOL, DURATION, TIMESTAMP, STRING, BYTES)


def _is_sorted(items: list[Any]) -> bool:
    _same_kind(items)
    return all(not items[i + 1] < items[i] for i in range(len(items) - 1))


def _same_kind(items: list[Any]) -> None:
    """Only items of one kind have an order (numbers are one kind)."""
    kinds = {("number" if k in ("int", "uint", "double") else k) for k in map(kind_of, items)}
    if len(kinds) > 1 or not kinds <= {"number", "bool", "duration", "timestamp", "string", "bytes"}:
        raise no_such_overload()


def _extreme(name: str, choose: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    def run(items: list[Any]) -> Any:
        if not items:
            raise CelRuntimeError(f"{name} called on empty list")
        _same_kind(items)
        return choose(items)

    return run


def _sum_of(zero: Any, wrap: Callable[[Any], Any]) -> Callable[[list[Any]], Any]:
    def run(items: list[Any]) -> Any:
        total = zero
        for item in items:
            total = wrap(total + item)
        return total

    return run


def _sum_durations(items: list[Duration]) -> Duration:
    total = Duration(0)
    for item in items:
        total = Duration(total.nanos + item.nanos)
    return total


def _sums() -> list[Overload]:
    return [
        member("sum", (list_of(INT),), INT, _sum_of(0, in_int), costs.WALK),
        member("sum", (list_of(UINT),), UINT, _sum_of(0, lambda v: in_uint(int(v))), costs.WALK),
        member("sum", (list_of(DOUBLE),), DOUBLE, _sum_of(0.0, float), costs.WALK),
        member("sum", (list_of(DURATION),), DURATION, _sum_durations, costs.WALK),
    ]


def _ordered() -> list[Overload]:
    rows: list[Overload] = []
    for kind in _COMPARABLE:
        over = (list_of(kind),)
        rows.append(member("isSorted", over, BOOL, _is_sorted, costs.WALK))
        rows.append(member("min", over, kind, _extreme("min", min), costs.WALK))
        rows.append(member("max", over, kind, _extreme("max", max), costs.WALK))
        rows.append(member("sort", over, list_of(kind), _sorted, costs.PAIRS))
    return rows


def _sorted(items: list[Any]) -> list[Any]:
    _same_kind(items)
    return sorted(items)


def sort_by(items: list[Any], keys: list[Any]) -> list[Any]:
    """Items in the order of their keys; stable."""
    _same_kind(keys)
    pairs = sorted(zip(keys, items, strict=True), key=lambda pair: pair[0])
    return [item for _, item in pairs]


def _index_of(items: list[Any], wanted: Any) -> int:
    return next((i for i, item in enumerate(items) if equal(item, wanted)), -1)


def _last_index_of(items: list[Any], wanted: Any) -> int:
    return next((i for i in range(len(items) - 1, -1, -1) if equal(items[i], wanted)), -1)


def _flatten(items: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise CelRuntimeError("level must be non-negative")
    flat: list[Any] = []
    for item in items:
        if type(item) is list and depth > 0:
            flat += _flatten(item, min(depth, _DEPTH_MAX) - 1)
        else:
            flat.append(item)
    return flat


def _distinct(items: list[Any]) -> list[Any]:
    kept: list[Any] = []
    for item in items:
        if not contains(kept, item):
            kept.append(item)
    return kept


def _reversed(items: list[Any]) -> list[Any]:
    return items[::-1]


def _slice(items: list[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise CelRuntimeError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise CelRuntimeError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if end > len(items):
        raise CelRuntimeError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return items[start:end]


def _range(count: int) -> list[int]:
    if count > RANGE_ITEMS_MAX:
        raise CelRuntimeError(f"lists.range: at most {RANGE_ITEMS_MAX} items")
    return list(range(count))


def _contains_all(items: list[Any], others: list[Any]) -> bool:
    return all(contains(items, o) for o in others)


_RANGE = costs.Cost(
    None, lambda a: max(1, min(a[0], RANGE_ITEMS_MAX)), lambda s: (costs.Range(1, RANGE_ITEMS_MAX), costs.Range(0, RANGE_ITEMS_MAX))
)

OVERLOADS: list[Overload] = [
    *_sums(),
    *_ordered(),
    member("indexOf", (LIST_A, A), INT, _index_of, costs.WALK),
    member("lastIndexOf", (LIST_A, A), INT, _last_index_of, costs.WALK),
    member("flatten", (list_of(DYN),), list_of(DYN), _flatten, costs.FLATTENING),
    member("flatten", (list_of(DYN), INT), list_of(DYN), _flatten, costs.FLATTENING),
    member("distinct", (LIST_A,), LIST_A, _distinct, costs.PAIRS),
    member("reverse", (LIST_A,), LIST_A, _reversed, costs.WALK_SAME),
    member("slice", (LIST_A, INT, INT), LIST_A, _slice, costs.WALK_SAME),
    plain("lists.range", (INT,), list_of(INT), _range, _RANGE),
    plain("@sort_by", (LIST_A, list_of(DYN)), LIST_A, sort_by, costs.PAIRS),
    plain("sets.contains", (LIST_A, LIST_A), BOOL, _contains_all, costs.PAIRS),
    plain("sets.equivalent", (LIST_A, LIST_A), BOOL, lambda a, b: _contains_all(a, b) and _contains_all(b, a), costs.PAIRS),
    plain("sets.intersects", (LIST_A, LIST_A), BOOL, lambda a, b: any(contains(b, i) for i in a), costs.PAIRS),
]
