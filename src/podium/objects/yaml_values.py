"""YAML text as JSON values: what a body in YAML means.

Theory: libyaml's events are read one by one into plain values, with our own limits. PyYAML's own constructors are not used: its C composer
overruns the stack on deep nesting, its aliases share one value and multiply without bound, and its scalars become dates and bytes.

Invariants: only JSON types come out, and no part of the value is shared; keys are strings; a date stays the text it was. Plain scalars
are read as upstream reads them (YAML 1.1 booleans, octal with a leading zero; numbers with an exponent; base 60 is text).

Source: go.yaml.in/yaml/v2 resolve.go and sigs.k8s.io/yaml (conversion of keys and numbers).
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import orjson
import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
for _value, _stems in ((True, ("true", "yes", "on")), (False, ("false", "no", "off"))):
    _WORDS |= {form: _value for stem in _stems for form in (stem, stem.title(), stem.upper())}

_INTEGERS = (
    (re.compile(r"[-+]?0b([01_]+)"), 2),
    (re.compile(r"[-+]?0x([0-9a-fA-F_]+)"), 16),
    (re.compile(r"[-+]?0o?([0-7_]+)"), 8),
    (re.compile(r"[-+]?([0-9][0-9_]*)"), 10),
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_JSON = re.compile(r"([-+]?\.(inf|Inf|INF))|\.(nan|NaN|NAN)")
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:binary", "tag:yaml.org,2002:timestamp")


class YamlError(ValueError):
    """The text is not one YAML document of JSON values within the limits; the message says where and why."""


def read_yaml(text: bytes | str, *, depth_max: int, nodes_max: int) -> tuple[Any, list[str]]:
    """(value, paths of keys given twice) of one document; None when it is empty. `nodes_max` counts values with aliases written out."""
    try:
        reader = _Reader(yaml.parse(text, Loader=_LOADER), depth_max, nodes_max)
        return reader.document(), reader.duplicates
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise YamlError(" ".join(str(error).split())) from error


class _Reader:
    def __init__(self, events: Iterator[yaml.Event], depth_max: int, nodes_max: int) -> None:
        self._events = events
        self._depth_max, self._nodes_max = depth_max, nodes_max
        self._nodes = 0
        self._anchors: dict[str, tuple[bytes, int]] = {}
        self.duplicates: list[str] = []

    def document(self) -> Any:
        value: Any = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise YamlError(f"{_where(event)}: expected a single document")
            elif isinstance(event, yaml.NodeEvent):
                value = self._value(event, "", 1)
        return value

    def _value(self, event: Any, path: str, depth: int) -> Any:
        before = self._nodes
        self._count(1, event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
        elif depth > self._depth_max:
            raise YamlError(f"{_where(event)}: exceeded max depth of {self._depth_max}")
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(path, depth)
        else:
            value = self._mapping(path, depth)
        if event.anchor:
            self._anchors[event.anchor] = (orjson.dumps(value), self._nodes - before)
        return value

    def _count(self, nodes: int, event: yaml.Event, why: str = "") -> None:
        self._nodes += nodes
        if self._nodes > self._nodes_max:
            raise YamlError(f"{_where(event)}: {why or f'document has more than {self._nodes_max} values'}")

    def _alias(self, event: yaml.AliasEvent) -> Any:
        if event.anchor not in self._anchors:
            raise YamlError(f"{_where(event)}: unknown anchor '{event.anchor}' referenced")
        encoded, nodes = self._anchors[event.anchor]
        self._count(nodes, event, "document contains excessive aliasing")
        return orjson.loads(encoded)

    def _sequence(self, path: str, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, f"{path}[{len(items)}]", depth + 1))
        return items

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if _is_merge(event):
                self._merge(next(self._events), depth, merged)
                continue
            key = self._key(event)
            here = f"{path}.{key}" if path else key
            if key in value:
                self.duplicates.append(here)
            value[key] = self._value(next(self._events), here, depth + 1)
        return {**merged, **value} if merged else value

    def _key(self, event: yaml.Event) -> str:
        if isinstance(event, yaml.CollectionStartEvent):
            raise YamlError(f"{_where(event)}: a key must be a scalar")
        key = self._value(event, "", 1)
        return key if isinstance(key, str) else orjson.dumps(key).decode()

    def _merge(self, event: yaml.Event, depth: int, into: dict[str, Any]) -> None:
        value = self._value(event, "", depth + 1)
        for source in value if isinstance(value, list) else [value]:
            if not isinstance(source, dict):
                raise YamlError(f"{_where(event)}: map merge requires map or sequence of maps as the value")
            for key, below in source.items():
                into.setdefault(key, below)


def _where(event: yaml.Event) -> str:
    return f"line {event.start_mark.line + 1}" if event.start_mark else "YAML"


def _is_merge(event: yaml.Event) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]


def _scalar(event: yaml.ScalarEvent) -> Any:
    """A JSON scalar. Only plain ones are anything but text, unless a tag says so."""
    text: str = event.value
    plain, _ = event.implicit
    if not plain and (event.tag is None or event.tag in _TEXT_TAGS or not event.tag.startswith("tag:yaml.org,2002:")):
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    return _number(text, event)


def _number(text: str, event: yaml.ScalarEvent) -> Any:
    try:
        value = _read_number(text)
    except (ValueError, OverflowError) as error:
        raise YamlError(f"{_where(event)}: {text[:_SHOWN]} is not a JSON number") from error
    return value


_SHOWN = 40


def _read_number(text: str) -> Any:
    """An integer, a float, or the text itself when it is neither. Raises ValueError, OverflowError for one that JSON cannot have."""
    for pattern, base in _INTEGERS:
        if match := pattern.fullmatch(text):
            digits = match[1].replace("_", "")
            value = int(digits, base) * (-1 if text[0] == "-" else 1) if digits else 0
            return value if -(2**63) <= value < 2**64 else float(value)
    if _NOT_JSON.fullmatch(text):
        raise ValueError(text)
    if not _FLOAT.fullmatch(text):
        return text
    number = float(text)
    if math.isinf(number):
        raise OverflowError(text)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
