"""Violations, the second reading: what is wrong with a value that validity.py has refused, and where, worded as upstream.

`old` is the value before an update: a part that is as it was is not complained of (ratcheting), so that a schema may become stricter
without making its objects impossible to change. List items are compared with their own kind: by key in lists of type map, by place
in no other list.

Source: k8s.io/kube-openapi pkg/validation/{validate,errors}; apiextensions-apiserver pkg/apiserver/validation (field errors, ratcheting).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from podium.objects.cause import Cause, duplicate, invalid, not_supported, required, too_long, too_many, type_invalid
from podium.objects.custom.formats import format_check
from podium.objects.custom.patterns import compile_pattern
from podium.objects.custom.validity import (
    EMBEDDED,
    LIST_KEYS,
    LIST_TYPE,
    RANGES,
    Node,
    has_type,
    is_multiple,
    item_key,
    json_type,
    same,
    types_of,
)

ABSENT: Any = object()
NOWHERE = "<nil>"
"""Upstream's field path of what combinations of schemas refuse."""


@dataclass(slots=True)
class Findings:
    """`matched` counts what was looked at, to tell which of several alternatives came closest."""

    causes: list[Cause] = field(default_factory=list)
    matched: int = 0

    def merge(self, other: "Findings") -> None:
        self.causes += other.causes
        self.matched += other.matched

    def invalid(self, path: str, value: Any, text: str) -> None:
        self.causes.append(invalid(path or NOWHERE, value, f"{path} in body {text}"))

    def combination(self, path: str, text: str) -> None:
        self.causes.append(Cause("FieldValueInvalid", NOWHERE, f'Invalid value: "": "{path}" {text}'))


def violations(node: Node, value: Any, old: Any = ABSENT) -> list[Cause]:
    """Everything that is wrong, without what was wrong before in the same place. Lists' uniqueness is asked for apart (`repetitions`)."""
    return _look(node, value, "", old).causes


def _look(node: Node, value: Any, path: str, old: Any = ABSENT) -> Findings:
    found = Findings()
    if old is not ABSENT and same(value, old):
        return found
    if value is None:
        found.matched = 1
        if (types := types_of(node)) and not node.get("nullable"):
            found.causes.append(_wrong_type(path, ",".join(types), "null"))
        _check_enum(found, node, value, path)
        return found
    _check_type(found, node, value, path)
    _check_combinations(found, node, value, path)
    if type(value) is str:
        _check_string(found, node, value, path)
    elif type(value) in (int, float):
        _check_number(found, node, value, path)
    elif type(value) is list:
        _check_array(found, node, value, path, old)
    _check_enum(found, node, value, path)
    if type(value) is dict:
        _check_object(found, node, value, path, old)
    found.matched += 1
    return found


def _wrong_type(path: str, wanted: str, shown: str) -> Cause:
    return type_invalid(path or NOWHERE, shown, f'{path} in body must be of type {wanted}: "{shown}"')


def _check_type(found: Findings, node: Node, value: Any, path: str) -> None:
    types, form = types_of(node), node.get("format", "")
    if not types or has_type(value, types):
        return
    if form and type(value) not in (str, list) and (form in RANGES or format_check(form) is not None):
        found.causes.append(_wrong_type(path, form, {int: "int64", float: "double"}.get(type(value), "")))
        return
    found.causes.append(_wrong_type(path, ",".join(types), json_type(value)))


def _check_enum(found: Findings, node: Node, value: Any, path: str) -> None:
    if "enum" in node and not any(same(value, allowed) for allowed in node["enum"]):
        texts = [a if isinstance(a, str) else orjson.dumps(a).decode() for a in node["enum"]]
        found.causes.append(not_supported(path or NOWHERE, value, texts))


def _check_combinations(found: Findings, node: Node, value: Any, path: str) -> None:
    if "anyOf" in node:
        results = [_look(s, value, path) for s in node["anyOf"]]
        if all(r.causes for r in results):
            found.combination(path, "must validate at least one schema (anyOf)")
            found.merge(_closest(results))
    if "oneOf" in node:
        results = [_look(s, value, path) for s in node["oneOf"]]
        if (valid := sum(not r.causes for r in results)) != 1:
            how = f"Found {valid} valid alternatives" if valid else "Found none valid"
            found.combination(path, f"must validate one and only one schema (oneOf). {how}")
            if not valid:
                found.merge(_closest(results))
    if "allOf" in node:
        results = [_look(s, value, path) for s in node["allOf"]]
        for result in results:
            found.merge(result)
        if any(r.causes for r in results):
            none = ". None validated" if all(r.causes for r in results) else ""
            found.combination(path, f"must validate all the schemas (allOf){none}")
    if "not" in node and not _look(node["not"], value, path).causes:
        found.combination(path, "must not validate the schema (not)")


def _closest(results: list[Findings]) -> Findings:
    return max(results, key=lambda r: r.matched)


def _check_string(found: Findings, node: Node, text: str, path: str) -> None:
    if "maxLength" in node and len(text) > node["maxLength"]:
        found.causes.append(too_long(path or NOWHERE, node["maxLength"]))
    elif len(text) < node.get("minLength", 0):
        found.invalid(path, text, f"should be at least {node['minLength']} chars long")
    elif "pattern" in node and not compile_pattern(node["pattern"])(text):
        found.invalid(path, text, f"should match '{node['pattern']}'")
    form = node.get("format", "")
    if (check := format_check(form)) is not None and not check(text):
        found.causes.append(type_invalid(path or NOWHERE, text, f"{path} in body must be of type {form}: {orjson.dumps(text).decode()}"))


def _check_number(found: Findings, node: Node, value: float, path: str) -> None:
    types, form = types_of(node), node.get("format", "")
    first, last = RANGES.get(form, RANGES["int64"])
    if "integer" in types and has_type(value, types) and not first <= value <= last:
        told = f"with format {form}" if form else "(default format)"
        text = f"Checked value must be of type integer {told} in {path}"
        found.causes.append(Cause("FieldValueInvalid", NOWHERE, f'Invalid value: "": {text}'))
    shown = (lambda limit: str(int(limit))) if type(value) is int else go_number
    factor, high, low = node.get("multipleOf"), node.get("maximum"), node.get("minimum")
    if factor is not None and not is_multiple(value, factor):
        found.invalid(path, value, f"should be a multiple of {shown(factor)}")
    if low is not None and (value <= low if node.get("exclusiveMinimum") else value < low):
        how = "greater than" if node.get("exclusiveMinimum") else "greater than or equal to"
        found.invalid(path, value, f"should be {how} {shown(low)}")
    if high is not None and (value >= high if node.get("exclusiveMaximum") else value > high):
        how = "less than" if node.get("exclusiveMaximum") else "less than or equal to"
        found.invalid(path, value, f"should be {how} {shown(high)}")


def go_number(value: float) -> str:
    """As Go prints a float64: 3, 0.5, 1e+06."""
    number = Decimal(repr(float(value))).normalize()
    exponent = number.adjusted()
    if -4 <= exponent < 6:
        return f"{number:f}"
    return f"{number.scaleb(-exponent):f}e{exponent:+03d}"


def _check_array(found: Findings, node: Node, items: list[Any], path: str, old: Any) -> None:
    below = node.get("items")
    if isinstance(below, Mapping):
        before: dict[bytes, Any] = {}
        if node.get(LIST_TYPE) == "map" and isinstance(old, list):
            before = {item_key(item, node): item for item in old}
        for index, item in enumerate(items):
            partner = before.get(item_key(item, node), ABSENT) if before else ABSENT
            found.merge(_look(below, item, f"{path}[{index}]", partner))
    if len(items) < node.get("minItems", 0):
        found.invalid(path, len(items), f"should have at least {node['minItems']} items")
    if len(items) > node.get("maxItems", len(items)):
        found.causes.append(too_many(path or NOWHERE, len(items), node["maxItems"]))


def _check_object(found: Findings, node: Node, value: dict[str, Any], path: str, old: Any) -> None:
    if len(value) < node.get("minProperties", 0):
        found.invalid(path, len(value), f"should have at least {node['minProperties']} properties")
    if len(value) > node.get("maxProperties", len(value)):
        found.causes.append(too_many(path or NOWHERE, len(value), node["maxProperties"]))
    known, others = node.get("properties", {}), node.get("additionalProperties")
    before = old if isinstance(old, dict) else {}
    for name, child in value.items():
        here = f"{path}.{name}" if path else name
        below = known.get(name, others)
        if isinstance(below, Mapping):
            found.merge(_look(below, child, here, before.get(name, ABSENT)))
        elif below is False and not (node.get(EMBEDDED) and name in ("apiVersion", "kind", "metadata")):
            found.invalid(here, "", f"{path}.{name} in body is a forbidden property")
    for name in node.get("required", ()):
        if name not in value:
            found.causes.append(required(f"{path}.{name}" if path else name))


# What the schema language cannot say, but its extensions do


def repetitions(node: Node, value: Any, path: str = "") -> list[Cause]:
    """The items that come twice in lists of type set or map."""
    found: list[Cause] = []
    if type(value) is list and isinstance(node.get("items"), Mapping):
        if node.get(LIST_TYPE) in ("set", "map"):
            found += _repeated(node, value, path)
        for index, item in enumerate(value):
            found += repetitions(node["items"], item, f"{path}[{index}]")
    elif type(value) is dict:
        known, others = node.get("properties", {}), node.get("additionalProperties")
        for name, child in value.items():
            below = known.get(name, others)
            if isinstance(below, Mapping):
                found += repetitions(below, child, f"{path}.{name}" if path else name)
    return found


def _repeated(node: Node, items: list[Any], path: str) -> list[Cause]:
    seen: Counter[bytes] = Counter()
    found = []
    for index, item in enumerate(items):
        if node[LIST_TYPE] == "map" and type(item) is not dict:
            continue  # of the wrong type, which is said elsewhere
        key = item_key(item, node)
        if seen[key] == 1:  # a third one is not told again
            shown = {k: item[k] for k in node.get(LIST_KEYS, ()) if k in item} if node[LIST_TYPE] == "map" else item
            found.append(duplicate(f"{path}[{index}]", shown))
        seen[key] += 1
    return found
