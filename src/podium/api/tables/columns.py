"""Columns: what a table consists of, and the few that nearly all tables share.

A column's text is either written here or, given as `DEFINITION.FIELD`, that field's own description in the schema, looked up when a
client first asks for such a table.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from podium.api.tables import ages
from podium.objects import schema
from podium.objects.selectors import from_value
from podium.objects.status import BadRequest
from podium.objects.values import Object

Cells = Callable[[Object, datetime], list[Any]]
WIDE = 1
NONE, UNSET = "<none>", "<unset>"
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@dataclass(frozen=True, slots=True)
class Column:
    """`field` is `core.v1.PodStatus.podIP`, for the text of that field; else `text` is shown."""

    name: str
    type: str = "string"
    text: str = ""
    field: str = ""
    priority: int = 0
    format: str = ""

    def to_value(self) -> Object:
        """A metav1.TableColumnDefinition."""
        return {"name": self.name, "type": self.type, "format": self.format, "description": self._text(), "priority": self.priority}

    def _text(self) -> str:
        if not self.field:
            return self.text
        definition, _, name = self.field.rpartition(".")
        full = definition if definition.startswith("io.k8s.") else "io.k8s.api." + definition
        return schema.descriptions().get(full, {}).get(name, "")


@dataclass(frozen=True, slots=True)
class Table:
    """`cells(value, now)` gives one cell per column; `conditions` the row's metav1.TableRowConditions."""

    columns: tuple[Column, ...]
    cells: Cells
    conditions: Callable[[Object], list[Object]] | None = None


class Printer:
    """`columns` are metav1.TableColumnDefinitions; `cells(value, now)` (now: aware) a row for them, of strings, integers and booleans."""

    def __init__(self, table: Table) -> None:
        self.columns: list[Object] = [column.to_value() for column in table.columns]
        self.cells: Cells = table.cells
        self.conditions: Callable[[Object], list[Object]] = table.conditions or (lambda value: [])
        """Why a row may be of less interest: a pod that has ended. Empty for most."""


NAME = Column("Name", format="name", field=f"{_OBJECT_META}.name")
AGE = Column("Age", field=f"{_OBJECT_META}.creationTimestamp")
CONTAINERS = Column("Containers", text="Names of each container in the template.", priority=WIDE)
IMAGES = Column("Images", text="Images referenced by each container in the template.", priority=WIDE)


def name(value: Object) -> str:
    return str(value["metadata"].get("name", ""))


def age(value: Object, now: datetime) -> str:
    return ages.since(value["metadata"].get("creationTimestamp"), now)


def spec(value: Object) -> Object:
    return value.get("spec") or {}


def status(value: Object) -> Object:
    return value.get("status") or {}


def at(value: Any, *path: str, default: Any = None) -> Any:
    """The field below, or the default when anything on the way is absent."""
    for part in path:
        value = value.get(part) if value else None
    return default if value is None else value


def containers(template: Object | None) -> tuple[str, str]:
    """Names and images of a pod template's containers, each joined by commas."""
    items = at(template, "spec", "containers", default=())
    return ",".join(c.get("name", "") for c in items), ",".join(c.get("image", "") for c in items)


def labels(pairs: dict[str, str] | None) -> str:
    return ",".join(f"{key}={text}" for key, text in sorted(pairs.items())) if pairs else NONE


def selector(value: Object | None) -> str:
    """A metav1.LabelSelector in its text form."""
    try:
        return str(from_value(value)) or NONE
    except BadRequest:
        return "<error>"


def some(items: Iterable[str], count_max: int) -> str:
    """The first few, and how many more there are."""
    every = list(items)
    text = ",".join(every[:count_max])
    return f"{text} + {len(every) - count_max} more..." if len(every) > count_max else text


DEFAULT = Table(
    (NAME, Column("Created At", "date", field=f"{_OBJECT_META}.creationTimestamp")),
    lambda value, now: [name(value), value["metadata"].get("creationTimestamp", "")],
)
