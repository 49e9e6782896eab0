"""Simple JSON paths: `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`, as printer columns, scale and field selectors use them.

A path is compiled to a function from an object to what it names, in order. Fields (also `['a.b']` and `a\\.b`), indices, slices, wildcards, recursive
descent by name and filters with one comparison are understood.

Source: k8s.io/client-go/util/jsonpath.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

Find = Callable[[Any], list[Any]]
_Step = Callable[[Any], Iterable[Any]]

_TOKEN = re.compile(
    r"\.\.(?P<deep>[\w-]+)|\.?\[\?\((?P<filter>.*?)\)\]|\.?\[(?P<index>-?\d+)\]|\.?\[(?P<slice>-?\d*:-?\d*(?::-?\d*)?)\]|\.?\[\*\]|\.(?P<star>\*)|"
    r"\.?\['(?P<quoted>[^']*)'\]|\.?\[\"(?P<double>[^\"]*)\"\]|\.(?P<field>(?:[^.\[\]\\]|\\.)+)"
)
_FILTER = re.compile(r"\s*@(?P<path>[^\s=!<>]*)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<value>.+?))?\s*")
PATHS_MAX = 4096


@lru_cache(maxsize=PATHS_MAX)
def compile_path(path: str) -> Find:
    """Raises ValueError."""
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    text = text.removeprefix("$")
    if text in ("", "."):
        return lambda value: [value]
    steps: list[_Step] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"unrecognized character in action: {text[at:]!r}")
        steps.append(_step(match))
        at = match.end()
    return _chain(steps)


def _chain(steps: list[_Step]) -> Find:
    def find(value: Any) -> list[Any]:
        found = [value]
        for step in steps:
            found = [below for one in found for below in step(one)]
        return found

    return find


def _step(match: re.Match[str]) -> _Step:
    named = match.groupdict()
    if (deep := named["deep"]) is not None:
        return lambda value: list(_descend(value, deep))
    if (condition := named["filter"]) is not None:
        return _filter(condition)
    if named["index"] is not None:
        index = int(named["index"])
        return lambda value: value[index : index + 1 or None] if isinstance(value, list) else ()
    if named["slice"] is not None:
        part = slice(*(int(n) if n else None for n in named["slice"].split(":")))
        return lambda value: value[part] if isinstance(value, list) else ()
    name = next((named[k] for k in ("quoted", "double") if named[k] is not None), None)
    if name is None and named["field"] is not None:
        name = re.sub(r"\\(.)", r"\1", named["field"])
    if name is None:
        return lambda value: value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return lambda value: (value[name],) if isinstance(value, dict) and name in value else ()


def _descend(value: Any, name: str) -> Iterable[Any]:
    if isinstance(value, dict):
        if name in value:
            yield value[name]
        for below in value.values():
            yield from _descend(below, name)
    elif isinstance(value, list):
        for below in value:
            yield from _descend(below, name)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def _filter(condition: str) -> _Step:
    match = _FILTER.fullmatch(condition)
    if match is None:
        raise ValueError(f"cannot compile the filter {condition!r}")
    left = compile_path(match["path"] or ".")
    if match["operator"] is None:
        return lambda value: [item for item in value if left(item)] if isinstance(value, list) else ()
    compare, right = _COMPARISONS[match["operator"]], _literal(match["value"])

    def holds(item: Any) -> bool:
        found = left(item)
        try:
            return bool(found) and compare(found[0], right)
        except TypeError:
            return False

    return lambda value: [item for item in value if holds(item)] if isinstance(value, list) else ()


def _literal(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"cannot read {text!r} in a filter") from None


def field_names(path: str) -> list[str]:
    """The names of a path that consists of fields only. Raises ValueError."""
    names: list[str] = []
    at = 0
    while at < len(path):
        match = _TOKEN.match(path, at)
        name = next((match[k] for k in ("field", "quoted", "double") if match[k] is not None), None) if match is not None else None
        if match is None or name is None:
            raise ValueError(f"does not refer to a field: {path[at:]!r}")
        names.append(name)
        at = match.end()
    return names
