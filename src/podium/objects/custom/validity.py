"""Validity, the first reading: does a value obey its schema? Compiled to closures, without paths and messages.

Nearly every object is valid, and this is what its write pays. What is wrong with the others, violations.py says; both must agree on what is
valid (a property test holds them to it). Rules apply by the JSON type of the value, as in the specification: a maximum says nothing of strings.

Source: k8s.io/kube-openapi pkg/validation/validate; apiextensions-apiserver pkg/apiserver/schema/listtype.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from podium.objects.custom.formats import format_check
from podium.objects.custom.patterns import compile_pattern

Node = Mapping[str, Any]
Check = Callable[[Any], bool]

INT_OR_STRING = "x-kubernetes-int-or-string"
EMBEDDED = "x-kubernetes-embedded-resource"
LIST_TYPE, LIST_KEYS = "x-kubernetes-list-type", "x-kubernetes-list-map-keys"
RULES = "x-kubernetes-validations"
RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


def has_rules(node: Node) -> bool:
    """Whether there are any at the node or below. CEL is loaded for those only."""
    return RULES.encode() in orjson.dumps(node)


def types_of(node: Node) -> tuple[str, ...]:
    """The JSON types that a node allows; empty when it allows all."""
    if node.get(INT_OR_STRING):
        return ("integer", "string")
    return (node["type"],) if node.get("type") else ()


def json_type(value: Any) -> str:
    kind = type(value)
    if kind is float:
        return "number"
    return {str: "string", dict: "object", list: "array", int: "integer", bool: "boolean"}.get(kind, "null")


def has_type(value: Any, types: Sequence[str]) -> bool:
    """Whole floats are integers, integers are numbers."""
    found = json_type(value)
    if found in types:
        return True
    if found == "integer":
        return "number" in types
    return found == "number" and "integer" in types and value.is_integer()


def same(one: Any, other: Any) -> bool:
    """Equality of JSON values: true is not 1, 1 is 1.0."""
    if type(one) is not type(other):
        return type(one) in (int, float) and type(other) in (int, float) and one == other
    if type(one) is dict:
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    if type(one) is list:
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def item_key(item: Any, node: Node) -> bytes:
    """What makes a list item unique: its key fields in a map, all of it in a set."""
    if node.get(LIST_TYPE) == "map":
        item = {k: item[k] for k in node.get(LIST_KEYS, ()) if k in item} if isinstance(item, dict) else {}
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)


def is_unique(items: list[Any], node: Node) -> bool:
    return len({item_key(item, node) for item in items}) == len(items)


def is_multiple(value: float, factor: float) -> bool:
    if isinstance(value, int) and float(factor).is_integer():
        return value % int(factor) == 0
    return (value / factor).is_integer()


def compile_check(node: Node) -> Check:
    """The check of a node and all below it. Raises ValueError when a pattern cannot be compiled."""
    by_type: dict[type, Check] = {}
    types = types_of(node)
    if not types or "object" in types:
        by_type[dict] = _object_check(node)
    if not types or "array" in types:
        by_type[list] = _array_check(node)
    if not types or "string" in types:
        by_type[str] = _string_check(node)
    if not types or "boolean" in types:
        by_type[bool] = _anything
    if not types or "integer" in types or "number" in types:
        by_type[int] = _number_check(node)
        by_type[float] = by_type[int] if "number" in types or not types else _whole(by_type[int])
    if not types or node.get("nullable"):
        by_type[type(None)] = _anything
    return _with_rules(by_type, _rules(node))


def _with_rules(by_type: dict[type, Check], rules: list[Check]) -> Check:
    if not rules and len(by_type) == 1:
        only, check = next(iter(by_type.items()))
        if check is _anything:
            return _IS[only]
        if only in (dict, list):
            return check  # they look at the type themselves
        return lambda value: type(value) is only and check(value)
    find = by_type.get
    if not rules:
        return lambda value: (check := find(type(value))) is not None and check(value)

    def check_all(value: Any) -> bool:
        check = find(type(value))
        if check is None or not check(value):
            return False
        return all(rule(value) for rule in rules)

    return check_all


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_flag(value: Any) -> bool:
    return type(value) is bool


def _is_nothing(value: Any) -> bool:
    return value is None


_IS: Mapping[type, Check] = {str: _is_text, bool: _is_flag, type(None): _is_nothing}
_TYPE_OF: Mapping[Check, type] = {check: kind for kind, check in _IS.items()}


def _anything(value: Any) -> bool:
    return True


def _whole(check: Check) -> Check:
    return lambda value: value.is_integer() and check(value)


def _rules(node: Node) -> list[Check]:
    """Enumerations and combinations of schemas, which apply to every type. None of them applies to null but the enumeration."""
    rules: list[Check] = []
    if "enum" in node:
        rules.append(_enum_check(node["enum"]))
    if "allOf" in node:
        every = [compile_check(s) for s in node["allOf"]]
        rules.append(lambda value: value is None or all(check(value) for check in every))
    if "anyOf" in node:
        some = [compile_check(s) for s in node["anyOf"]]
        rules.append(lambda value: value is None or any(check(value) for check in some))
    if "oneOf" in node:
        one = [compile_check(s) for s in node["oneOf"]]
        rules.append(lambda value: value is None or sum(check(value) for check in one) == 1)
    if "not" in node:
        refused = compile_check(node["not"])
        rules.append(lambda value: value is None or not refused(value))
    return rules


def _enum_check(allowed: list[Any]) -> Check:
    if all(type(a) is str for a in allowed):
        texts = frozenset(allowed)
        return lambda value: type(value) is str and value in texts
    return lambda value: any(same(value, a) for a in allowed)


def _string_check(node: Node) -> Check:
    low, high = node.get("minLength", 0), node.get("maxLength", -1)
    tests: list[Check] = []
    if low or high >= 0:
        tests.append(lambda text: low <= len(text) and (high < 0 or len(text) <= high))
    if "pattern" in node:
        tests.append(compile_pattern(node["pattern"]))
    if (form := format_check(node.get("format", ""))) is not None:
        tests.append(form)
    return _all(tests)


def _all(tests: list[Check]) -> Check:
    if not tests:
        return _anything
    if len(tests) == 1:
        return tests[0]
    return lambda value: all(test(value) for test in tests)


def _number_check(node: Node) -> Check:
    low, high, factor = node.get("minimum"), node.get("maximum"), node.get("multipleOf")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    first, last = RANGES.get(node.get("format", ""), RANGES["int64"]) if "integer" in types_of(node) else (None, None)
    tests: list[Check] = []
    if first is not None:
        tests.append(lambda value: first <= value <= last)
    if low is not None:
        tests.append((lambda value: value > low) if above else (lambda value: value >= low))
    if high is not None:
        tests.append((lambda value: value < high) if below else (lambda value: value <= high))
    if factor is not None:
        tests.append(lambda value: is_multiple(value, factor))
    return _all(tests)


def _array_check(node: Node) -> Check:
    item = compile_check(node["items"]) if isinstance(node.get("items"), dict) else _anything
    low, high = node.get("minItems", 0), node.get("maxItems", -1)
    unique = node.get(LIST_TYPE) in ("set", "map")

    def check(value: Any) -> bool:
        if type(value) is not list or len(value) < low or (0 <= high < len(value)):
            return False
        return all(map(item, value)) and (not unique or len(value) < 2 or is_unique(value, node))

    return check


def _object_check(node: Node) -> Check:
    simple: dict[str, type] = {}
    checks: dict[str, Check] = {}
    for name, below in node.get("properties", {}).items():
        checks[name] = compile_check(below)
        if checks[name] in _TYPE_OF:
            simple[name] = _TYPE_OF[checks[name]]
    others = node.get("additionalProperties")
    other = compile_check(others) if isinstance(others, dict) else None
    closed = others is False
    needed = frozenset(node.get("required", ()))
    low, high = node.get("minProperties", 0), node.get("maxProperties", -1)

    def check(value: Any) -> bool:
        if type(value) is not dict or len(value) < low or (0 <= high < len(value)):
            return False
        for name, below in value.items():
            if simple.get(name) is type(below):
                continue
            deeper = checks.get(name)
            if deeper is None:
                if closed or (other is not None and not other(below)):
                    return False
            elif not deeper(below):
                return False
        return needed <= value.keys()

    return check
