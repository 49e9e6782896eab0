"""Columns of custom resources: a name, then what the definition asks for, or the age.

Source: apiextensions-apiserver pkg/registry/customresource/tableconvertor/tableconvertor.go.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from podium.api.tables import ages
from podium.api.tables.columns import NAME, Column, Table, name
from podium.objects.custom.json_paths import compile_path
from podium.objects.custom.kind import CustomKind
from podium.objects.values import Object

_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": ""}
_AGE_TEXT = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.creationTimestamp"

Cell = Callable[[Object, datetime], Any]


def table(kind: CustomKind) -> Table:
    rows = kind.row.get("additionalPrinterColumns") or [_AGE]
    cells = [_cell(row) for row in rows]
    return Table((NAME, *(_column(row) for row in rows)), lambda value, now: [name(value), *(cell(value, now) for cell in cells)])


def _column(row: Object) -> Column:
    if row is _AGE:
        return Column("Age", "date", field=_AGE_TEXT)
    text = row.get("description") or f"Custom resource definition column (in JSONPath format): {row['jsonPath']}"
    return Column(row["name"], row["type"], text, priority=row.get("priority", 0), format=row.get("format", ""))


def _cell(row: Object) -> Cell:
    find, shown = compile_path(row["jsonPath"]), _SHOWN[row["type"]]

    def cell(value: Object, now: datetime) -> Any:
        found = find(value)
        return shown(found[0], now) if found and found[0] is not None else None

    return cell


def _text(value: Any, now: datetime) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _integer(value: Any, now: datetime) -> int | None:
    return int(value) if type(value) in (int, float) else None


def _number(value: Any, now: datetime) -> float | None:
    return value if type(value) in (int, float) else None


def _flag(value: Any, now: datetime) -> bool | None:
    return value if type(value) is bool else None


def _date(value: Any, now: datetime) -> str | None:
    if not isinstance(value, str):
        return None
    return ages.since(value, now) if ages.parse(value) is not None else "<invalid>"


_SHOWN: dict[str, Callable[[Any, datetime], Any]] = {
    "string": _text, "integer": _integer, "number": _number, "boolean": _flag, "date": _date,
}  # fmt: skip
