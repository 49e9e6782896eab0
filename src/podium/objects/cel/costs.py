"""Costs: what a call takes, measured when it runs and bounded before.

A unit is about 50 ns of upstream's interpreter. Most operations cost 1; what walks over text costs a tenth of a unit per character.
A `Cost` knows both sides: `actual` from the arguments, `estimate` from the ranges of their sizes.

Source: cel-go checker/cost.go and interpreter/runtimecost.go; k8s.io/apiserver pkg/cel/library/cost.go.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from podium.objects.cel.values import size_of

UNBOUNDED = 2**64 - 1
LIST_CREATE, MAP_CREATE, STRUCT_CREATE = 10, 30, 40

EXPRESSION_ESTIMATE_MAX = 10_000_000
CRD_ESTIMATE_MAX = 100_000_000
CALL_BUDGET = 1_000_000
"""What one evaluation may take."""
OBJECT_BUDGET = 10_000_000
"""What all the rules of one object, or one policy's expressions, may take together."""


class Range(NamedTuple):
    """Inclusive; `most` is UNBOUNDED when nothing is known."""

    least: int
    most: int

    def plus(self, other: "Range") -> "Range":
        return Range(min(self.least + other.least, UNBOUNDED), min(self.most + other.most, UNBOUNDED))

    def times(self, other: "Range") -> "Range":
        return Range(min(self.least * other.least, UNBOUNDED), min(self.most * other.most, UNBOUNDED))

    def tenths(self, factor: int = 1) -> "Range":
        """A tenth of it, `factor` times, rounded up."""
        return Range(tenth(self.least * factor), min(tenth(self.most * factor), UNBOUNDED))

    def union(self, other: "Range") -> "Range":
        return Range(min(self.least, other.least), max(self.most, other.most))


def exactly(count: int) -> Range:
    return Range(count, count)


ZERO, ONE, UNKNOWN = exactly(0), exactly(1), Range(0, UNBOUNDED)


class Sized(NamedTuple):
    """An operand: its size, and for a container that of its items."""

    size: Range
    items: Range | None
    kind: str
    text_items: bool = False


Estimate = Callable[[Sequence[Sized]], tuple[Range, Range | None]]
"""Sizes of the operands -> cost of the call alone, size of its result."""


@dataclass(frozen=True, slots=True)
class Cost:
    """`fixed`, or when that is None, `actual` of the operands' values, taken before the call; `after` of its result, for what only that
    tells."""

    fixed: int | None
    actual: Callable[[tuple[Any, ...]], int]
    estimate: Estimate
    after: Callable[[Any], int] | None = None


def tenth(size: int) -> int:
    return -(-size // 10)


def fixed(cost: int, result: Range | None = None) -> Cost:
    return Cost(cost, lambda a: cost, lambda s: (exactly(cost), result))


ORDINARY = fixed(1)


def traversal(factor: int = 1, *, same_size: bool = False, most_times: int = 1) -> Cost:
    """Walks over the first operand's text, `factor` times; the result is as long when `same_size` (times `most_times`)."""

    def estimate(sizes: Sequence[Sized]) -> tuple[Range, Range | None]:
        size = sizes[0].size
        result = Range(size.least, min(size.most * most_times, UNBOUNDED)) if same_size else None
        return size.tenths(factor), result

    return Cost(None, lambda a: tenth(size_of(a[0]) * factor), estimate)


TRAVERSAL = traversal()
SAME = traversal(same_size=True)

PREFIX = Cost(None, lambda a: tenth(size_of(a[0])), lambda s: (s[1].size.tenths(), None))
"""startsWith and endsWith."""


def _membership(arguments: tuple[Any, ...]) -> int:
    wanted, items = arguments
    return size_of(items) * (_comparing(wanted) if type(wanted) in _CONTAINERS else 1)


MEMBERSHIP = Cost(None, _membership, lambda s: (s[1].size, None))


def _compare_estimate(sizes: Sequence[Sized]) -> tuple[Range, Range | None]:
    most = min(sizes[0].size.most, sizes[1].size.most)
    return Range(1 if most else 0, most).tenths(), None


def _compare(arguments: tuple[Any, ...]) -> int:
    """As upstream, but what is inside containers counts too: comparing it takes us time."""
    one, other = arguments
    if type(one) in _CONTAINERS and type(other) in _CONTAINERS:
        return _comparing(one)
    return tenth(min(size_of(one), size_of(other)))


def _comparing(container: Any) -> int:
    size = deep_size(container)
    return size if size > COMPARED_CHEAPLY_MAX else tenth(size)


_CONTAINERS = (list, dict)
COMPARED_CHEAPLY_MAX = 100
"""Larger containers cost a unit for each value: that is what comparing them takes us."""


def deep_size(value: Any) -> int:
    """How many values there are, containers and what is in them; counting ends past the budget, since one list may be in another many times."""
    count, waiting = 0, [value]
    while waiting and count <= CALL_BUDGET:
        container = waiting.pop()
        count += len(container)
        waiting += [v for v in (container if type(container) is list else container.values()) if type(v) in _CONTAINERS]
    return max(1, count)


COMPARISON = Cost(None, _compare, _compare_estimate)


def _concatenation_estimate(sizes: Sequence[Sized]) -> tuple[Range, Range | None]:
    size = sizes[0].size.plus(sizes[1].size)
    return size.tenths(), size


CONCATENATION = Cost(None, lambda a: tenth(size_of(a[0]) + size_of(a[1])), _concatenation_estimate)
COPIED_ITEMS = 50
"""How many items are copied in a unit: upstream only links the two lists."""
LIST_CONCATENATION = Cost(None, lambda a: 1 + (len(a[0]) + len(a[1])) // COPIED_ITEMS, lambda s: (ONE, s[0].size.plus(s[1].size)))


def _quarter(size: int) -> int:
    return -(-size // 4)


def _pattern_estimate(sizes: Sequence[Sized]) -> tuple[Range, Range | None]:
    pattern = sizes[1].size
    weight = Range(_quarter(pattern.least), _quarter(pattern.most))
    return sizes[0].size.plus(ONE).tenths().times(weight), Range(0, sizes[0].size.most)


FORMATTING = Cost(
    None,
    lambda a: tenth(len(a[0])) + deep_size(a[1]),
    lambda s: (s[0].size.tenths(), s[0].size.plus(Range(0, UNBOUNDED))),
    after=lambda r: tenth(len(r)),
)

PATTERN = Cost(None, lambda a: tenth(size_of(a[0]) + 1) * _quarter(size_of(a[1])), _pattern_estimate)
"""matches, find, findAll."""

CONTAINED = Cost(
    None,
    lambda a: tenth(size_of(a[0])) * tenth(size_of(a[1])),
    lambda s: (s[0].size.tenths().times(s[1].size.tenths()), None),
)


def _walk_estimate(sizes: Sequence[Sized]) -> tuple[Range, Range | None]:
    """A list: one unit an item, more for texts; a text: as any other."""
    first = sizes[0]
    if first.kind != "list":
        return first.size.tenths(), None
    each = ONE.plus((first.items or UNKNOWN).tenths()) if first.text_items else ONE
    return first.size.times(each), None


def _walk(arguments: tuple[Any, ...]) -> int:
    """A list costs its length, and a tenth of the length of each text in it."""
    first = arguments[0]
    if type(first) is list:
        return sum(1 + tenth(len(i)) if type(i) is str else 1 for i in first)
    return tenth(size_of(first))


WALK = Cost(None, _walk, _walk_estimate)
WALK_SAME = Cost(None, _walk, lambda s: (_walk_estimate(s)[0], s[0].size))


def _flattened_estimate(sizes: Sequence[Sized]) -> tuple[Range, Range | None]:
    size = sizes[0].size.times(sizes[0].items or UNKNOWN)
    return ONE.plus(size), size


FLATTENING = Cost(None, lambda a: deep_size(a[0]), _flattened_estimate)


def _square_estimate(sizes: Sequence[Sized]) -> tuple[Range, Range | None]:
    other = sizes[1].size if len(sizes) > 1 else sizes[0].size
    return ONE.plus(sizes[0].size.times(other)), sizes[0].size


PAIRS = Cost(
    None,
    lambda a: 1 + size_of(a[0]) * size_of(a[1] if len(a) > 1 else a[0]),
    _square_estimate,
)
"""Each of one with each of the other: sets, distinct."""


def _replace_estimate(sizes: Sequence[Sized]) -> tuple[Range, Range | None]:
    size, old, new = (s.size for s in sizes[:3])
    if old.least == 0:
        most = Range(0, size.most + 1).times(new).most + size.most
    elif new.most <= old.least:
        most = size.most
    else:
        most = -(-size.most // old.least) * new.most
    return size.tenths(2), Range(0, min(most, UNBOUNDED))


REPLACEMENT = Cost(None, lambda a: tenth(2 * size_of(a[0])), _replace_estimate)
SPLIT = Cost(None, lambda a: tenth(2 * size_of(a[0])), lambda s: (s[0].size.tenths(2), Range(0, s[0].size.most)))


def _joined(arguments: tuple[Any, ...]) -> int:
    items = arguments[0]
    separators = len(arguments[1]) * len(items) if len(arguments) > 1 else 0
    return tenth(2 * (sum(map(size_of, items)) + separators))


def _join_estimate(sizes: Sequence[Sized]) -> tuple[Range, Range | None]:
    size = sizes[0].size.times(sizes[0].items or UNKNOWN)
    if len(sizes) > 1:
        count = sizes[0].size
        size = size.plus(sizes[1].size.times(Range(max(0, count.least - 1), max(0, count.most - 1))))
    return size.tenths(), size


JOINING = Cost(None, _joined, _join_estimate)
ADDRESS = Cost(
    None,
    lambda a: 4 + (tenth(len(a[1])) if type(a[1]) is str else 0),
    lambda s: (Range(1, 7).plus(s[1].size.tenths() if s[1].kind == "string" else ZERO), None),
)
"""Comparing addresses, 4 or 16 bytes, after reading the one that is text."""
AUTHORIZATION = fixed(350_000)
