"""How one object becomes lines: a `Rendering` collects them by family, and the small rules that several kinds share.

Lines are finished text of the exposition format, so that a scrape only joins them.

Source: kube-state-metrics internal/store/utils.go (conditions, resources, label names).
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from podium.instrument.exposition import escaped, number
from podium.objects.quantities import NANO, milli, parse, whole
from podium.objects.values import Object

STATUSES = ("true", "false", "unknown")
LABEL_CHARS_MAX = 1024
"""Of one label's value in *_labels and *_annotations: an annotation may be a quarter of a megabyte."""


class Rendering:
    """The lines of one object. `base` are the labels that every one of them has, as text."""

    __slots__ = ("_base", "lines")

    def __init__(self, *base: tuple[str, str]) -> None:
        self._base = ",".join([f'{name}="{escaped(value)}"' for name, value in base])
        self.lines: dict[str, str] = {}

    def add(self, name: str, value: float, *labels: tuple[str, str]) -> None:
        text = self._base + "".join([f',{key}="{escaped(label)}"' for key, label in labels])
        line = f"{name}{{{text}}} {number(value)}\n"
        lines = self.lines
        lines[name] = lines[name] + line if name in lines else line

    def statuses(self, name: str, status: str, *labels: tuple[str, str], label: str = "condition") -> None:
        """Three lines, of which that of `status` (True, False, Unknown) is 1."""
        status = status.lower()
        for other in STATUSES:
            self.add(name, other == status, *labels, (label, other))

    def one_of(self, name: str, label: str, values: Iterable[str], current: str) -> None:
        """A line for each value, of which the current one's is 1."""
        for value in values:
            self.add(name, value == current, (label, value))

    def time(self, name: str, timestamp: str | None, *labels: tuple[str, str]) -> None:
        """Nothing when there is no timestamp."""
        if timestamp:
            self.add(name, seconds(timestamp), *labels)

    def present(self, name: str, value: float | None, *labels: tuple[str, str]) -> None:
        """Nothing when there is no value."""
        if value is not None:
            self.add(name, value, *labels)

    def owners(self, name: str, metadata: Object) -> None:
        owners: list[Object] = metadata.get("ownerReferences") or []
        for owner in owners:
            controller = "true" if owner.get("controller") else "false"
            self.add(name, 1, ("owner_kind", owner["kind"]), ("owner_name", owner["name"]), ("owner_is_controller", controller))
        if not owners:
            self.add(name, 1, ("owner_kind", ""), ("owner_name", ""), ("owner_is_controller", ""))

    def resources(self, name: str, amounts: dict[str, Any] | None, *labels: tuple[str, str]) -> None:
        """A line for each resource that has a unit."""
        for resource, amount in (amounts or {}).items():
            unit = unit_of(resource)
            if unit:
                value = quantity(resource, str(amount))
                self.add(name, value, *labels, ("resource", label_name(resource)), ("unit", unit))

    def metadata(self, name: str, prefix: str, values: dict[str, str] | None, allowed: tuple[str, ...]) -> None:
        """The object's labels or annotations as a line's labels; nothing when none is allowed. `allowed` may be ("*",)."""
        if allowed:
            chosen = {key: value for key, value in (values or {}).items() if "*" in allowed or key in allowed}
            self.add(name, 1, *prometheus_labels(prefix, chosen))


Kind = Callable[[Object, Rendering], None]


@lru_cache(maxsize=65536)
def seconds(timestamp: str) -> float:
    """A metav1.Time or MicroTime as seconds since the epoch, whole as upstream's are."""
    return int(datetime.fromisoformat(timestamp).timestamp())


@lru_cache(maxsize=4096)
def label_name(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", text)


@lru_cache(maxsize=4096)
def snake_case(text: str) -> str:
    """As upstream names labels: `fooBar` is foo_bar, after what is no letter has become an underscore."""
    text = label_name(text)
    text = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", text)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text).lower()


def prometheus_labels(prefix: str, values: dict[str, str]) -> list[tuple[str, str]]:
    """Sorted; names that fall together are told apart by `_conflict1`, `_conflict2`, ..."""
    named: dict[str, list[str]] = {}
    for key in sorted(values):
        named.setdefault(f"{prefix}_{snake_case(key)}", []).append(values[key][:LABEL_CHARS_MAX])
    found: list[tuple[str, str]] = []
    for name, texts in named.items():
        if len(texts) == 1:
            found.append((name, texts[0]))
        else:
            found += [(f"{name}_conflict{n}", text) for n, text in enumerate(texts, 1)]
    return found


@lru_cache(maxsize=4096)
def unit_of(resource: str) -> str:
    """Empty for a resource that is not shown."""
    if resource == "cpu":
        return "core"
    if resource in ("memory", "storage", "ephemeral-storage") or resource.startswith(("hugepages-", "attachable-volumes-")):
        return "byte"
    if resource == "pods":
        return "integer"
    native = "/" not in resource or "kubernetes.io/" in resource
    return "" if native or resource.startswith("requests.") else "integer"


@lru_cache(maxsize=8192)
def quantity(resource: str, amount: str) -> float:
    """CPU in cores, to a thousandth; everything else in whole units. 0 for what cannot be read, which the API server does not let in."""
    try:
        return milli(amount) / 1000 if resource == "cpu" else whole(amount)
    except ValueError:
        return 0.0


@lru_cache(maxsize=8192)
def exact(amount: str) -> float:
    """A quantity as it is, to a thousandth."""
    try:
        return milli(amount) / 1000 if parse(amount).nanos % NANO else whole(amount)
    except ValueError:
        return 0.0
