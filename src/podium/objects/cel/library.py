"""The library: every function by its name, and the constants with dots in their names."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from podium.objects.cel import (
    addresses,
    amounts,
    authorization,
    conversions,
    formats,
    lists,
    math_functions,
    operators,
    optionals,
    patterns,
    strings,
    times,
    urls,
    versions,
)
from podium.objects.cel.overloads import Overload, plain
from podium.objects.cel.types import DOUBLE, STRING, Type

_MODULES = (
    operators, conversions, optionals, times, strings, patterns, lists, math_functions, urls, addresses, amounts, versions, formats,
    authorization,
)  # fmt: skip

OPAQUE_TYPES: tuple[str, ...] = tuple(t.name for m in (urls, addresses, amounts, versions, formats, authorization) for t in m.TYPES)

CONSTANTS: Mapping[str, tuple[Any, Type]] = {
    "math.NaN": (math.nan, DOUBLE),
    "math.Infinity": (math.inf, DOUBLE),
}


def _escape_key(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")


_OWN = [plain("jsonpatch.escapeKey", (STRING,), STRING, _escape_key)]


def _table() -> dict[str, Sequence[Overload]]:
    table: defaultdict[str, list[Overload]] = defaultdict(list)
    for overload in [*_OWN, *(o for module in _MODULES for o in module.OVERLOADS)]:
        table[overload.name].append(overload)
    return dict(table)


OVERLOADS: Mapping[str, Sequence[Overload]] = _table()
