"""From a YAML text to frozen dataclasses, strictly: an unknown field, a field given twice, a value of another type is an error with its line.

A dataclass describes a section: a field's name is its key (or `key` in its metadata), its type says how its value is read (see
`values.py`), its default is the value where it is absent or null. `inline` fields spread a section's fields into the one around it. What fields
cannot say, others do: `REFUSED` names keys that are known and not supported, and why; `decode_extra` takes keys that are no fields;
`checked(self)` returns the section, perhaps completed, or raises ConfigurationError.

All errors of types are collected and said at once, in upstream's words; an error of meaning ends the reading, as upstream's does.

Bounds: TEXT_BYTES_MAX, NODES_MAX (aliases count each time they are used), DEPTH_MAX.
"""

import dataclasses
import enum
import re
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import yaml

from podium.telemetry.metrics.configuration.urls import check_url
from podium.telemetry.metrics.configuration.values import ByteSize, Duration, FilePath, Secret, Uint, Url, parse_bytes
from podium.telemetry.metrics.durations import parse_duration
from podium.telemetry.metrics.errors import ConfigurationError

TEXT_BYTES_MAX = 16 * 1024 * 1024
NODES_MAX = 1_000_000
DEPTH_MAX = 50
_SHOWN_MAX = 10

T = TypeVar("T")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"
_TRUE = ("true", "yes", "on", "y")
_FALSE = ("false", "no", "off", "n")
_TEXTS = (str, FilePath, Secret, Url)
_UNQUOTED = (bool, int, float, Uint)
_OCTAL = re.compile(r"[-+]?0[0-7]+")
_QUOTED = ("'", '"', "|", ">")


def inline() -> dict[str, Any]:
    """Metadata of a field whose own fields stand in the section around it."""
    return {"inline": True}


def decode(text: str | bytes, section: type[T], kinds: Mapping[str, type] | None = None) -> T:
    """The whole text as one section; `kinds` are those of discovery by their key. Raises ConfigurationError with lines."""
    if len(text) > TEXT_BYTES_MAX:
        raise ConfigurationError(f"the text is larger than {TEXT_BYTES_MAX} bytes")
    try:
        node = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, UnicodeError) as error:
        raise ConfigurationError(f"yaml: {_yaml_complaint(error)}") from error
    decoder = Decoder(kinds or {})
    if node is None or node.tag == _NULL:
        return _checked(section(), 1)
    value: T = decoder.value(node, section, None)
    if decoder.problems:
        raise ConfigurationError("yaml: unmarshal errors:\n" + "\n".join(f"  {problem}" for problem in decoder.problems))
    return value


def _yaml_complaint(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error) or type(error).__name__
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)


def _checked(section: Any, line: int) -> Any:
    check = getattr(section, "checked", None)
    if check is None:
        return section
    try:
        return check()
    except ConfigurationError as error:
        raise error if error.where else ConfigurationError(str(error), f"line {line}") from error


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """Where the value of a key goes: the field, through the inline sections around it."""

    path: tuple[str, ...]
    kind: Any


@cache
def keys_of(section: type) -> Mapping[str, Key]:
    """By key, inline ones included."""
    found: dict[str, Key] = {}
    hints = typing.get_type_hints(section, include_extras=True)
    for field in dataclasses.fields(section):
        if field.metadata.get("inline"):
            found |= {key: Key((field.name, *inner.path), inner.kind) for key, inner in keys_of(hints[field.name]).items()}
        elif field.metadata.get("key", field.name):
            found[field.metadata.get("key", field.name)] = Key((field.name,), hints[field.name])
    return found


class Decoder:
    def __init__(self, kinds: Mapping[str, type]) -> None:
        self.kinds = kinds
        self.problems: list[str] = []
        self._nodes = 0
        self._depth = 0

    def value(self, node: yaml.Node, kind: Any, default: Any) -> Any:
        """The node as a value of that type; `default` when it is null or wrong (the problem is noted)."""
        self._nodes += 1
        if self._nodes > NODES_MAX or self._depth > DEPTH_MAX:
            raise ConfigurationError(f"yaml: more than {NODES_MAX} values or {DEPTH_MAX} levels, aliases included")
        if node.tag == _NULL:
            return default
        self._depth += 1
        try:
            return self._value(node, kind, default)
        finally:
            self._depth -= 1

    def _value(self, node: yaml.Node, kind: Any, default: Any) -> Any:
        origin = typing.get_origin(kind)
        if origin in (types.UnionType, typing.Union):
            (kind,) = (k for k in typing.get_args(kind) if k is not types.NoneType)
            return self.value(node, kind, default)
        if origin is tuple:
            return self._sequence(node, typing.get_args(kind)[0], default)
        if origin is not None and origin is not typing.Annotated and issubclass(origin, Mapping):
            return self._mapping(node, typing.get_args(kind)[1], default)
        if dataclasses.is_dataclass(kind):
            return self.section(node, kind, default)
        if not isinstance(node, yaml.ScalarNode) or (node.style in _QUOTED and kind in _UNQUOTED):
            return self._wrong(node, kind, default)
        try:
            return _scalar(node.value, kind)
        except _WrongType:
            return self._wrong(node, kind, default)
        except ValueError as error:
            raise ConfigurationError(str(error), f"line {line_of(node)}") from error

    def section(self, node: yaml.Node, section: Any, default: Any = None) -> Any:
        name = getattr(section, "GO_TYPE", "config.plain")
        if not isinstance(node, yaml.MappingNode):
            return self._wrong(node, section, default)
        keys = keys_of(section)
        extra = getattr(section, "decode_extra", None)
        refused: Mapping[str, str] = getattr(section, "REFUSED", {})
        given: dict[str, Any] = {}
        before = len(self.problems)
        for key, key_node, value_node in self._pairs(node, f"field {{}} already set in type {name}"):
            target = keys.get(key)
            if key in refused:
                raise ConfigurationError(f"{key} is not supported: {refused[key]}", f"line {line_of(key_node)}")
            if target is not None:
                _put(given, target.path, self.value(value_node, target.kind, _when_null(target.kind)))
            elif extra is None or not extra(key, value_node, self, given):
                self.problems.append(f"line {line_of(key_node)}: field {key} not found in type {name}")
        if len(self.problems) > before:
            return default
        return _checked(_make(section, given), line_of(node))

    def _sequence(self, node: yaml.Node, kind: Any, default: Any) -> Any:
        if not isinstance(node, yaml.SequenceNode):
            return self._wrong(node, tuple[kind, ...], default)
        return tuple(self.value(item, kind, None if dataclasses.is_dataclass(kind) else _zero(kind)) for item in node.value)

    def _mapping(self, node: yaml.Node, kind: Any, default: Any) -> Any:
        if not isinstance(node, yaml.MappingNode):
            return self._wrong(node, Mapping[str, kind], default)
        pairs = self._pairs(node, 'key "{}" already set in map')
        return {key: self.value(value, kind, _zero(kind)) for key, _, value in pairs}

    def _pairs(self, node: yaml.MappingNode, twice: str) -> list[tuple[str, yaml.Node, yaml.Node]]:
        """Key, its node, the value's; what `<<` merges in comes last and only where the key is not given."""
        found: dict[str, tuple[str, yaml.Node, yaml.Node]] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            elif not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(f"line {line_of(key_node)}: invalid map key")
            elif key_node.value in found:
                self.problems.append(f"line {line_of(key_node)}: {twice.format(key_node.value)}")
            else:
                found[key_node.value] = (key_node.value, key_node, value_node)
        for other in merged:
            self._nodes += 1
            if not isinstance(other, yaml.MappingNode) or self._nodes > NODES_MAX:
                raise ConfigurationError("yaml: map merge requires map or sequence of maps as the value", f"line {line_of(node)}")
            for pair in self._pairs(other, twice):
                found.setdefault(pair[0], pair)
        return list(found.values())

    def _wrong(self, node: yaml.Node, kind: Any, default: Any) -> Any:
        tag = "!!" + node.tag.rpartition(":")[2]
        shown = ""
        if isinstance(node, yaml.ScalarNode):
            text = node.value if len(node.value) <= _SHOWN_MAX else node.value[: _SHOWN_MAX - 3] + "..."
            shown = f" `{text}`"
        self.problems.append(f"line {line_of(node)}: cannot unmarshal {tag}{shown} into {_go_name(kind)}")
        return default


class _Absent:
    """In place of a value that is null: the field's default."""


class _WrongType(Exception):
    pass


def _when_null(kind: Any) -> Any:
    """What `key:` with nothing after it says: as upstream no text and false, whatever the default. Anything else: the default."""
    return False if kind is bool else "" if kind in _TEXTS else _Absent


def line_of(node: yaml.Node) -> int:
    line: int = node.start_mark.line + 1
    return line


def _put(given: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    if value is _Absent:
        return
    for name in path[:-1]:
        given = given.setdefault(name, {})
    given[path[-1]] = value


def _make(section: Any, given: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(section, include_extras=True)
    for field in dataclasses.fields(section):
        if field.metadata.get("inline") and field.name in given:
            given[field.name] = _make(hints[field.name], given[field.name])
    return section(**given)


def _zero(kind: Any) -> Any:
    return "" if kind in _TEXTS else None


def _scalar(text: str, kind: Any) -> Any:
    """Raises _WrongType, or ValueError for a text of the right type that says nothing."""
    if kind == FilePath or kind is str:
        return text
    if kind is Secret:
        return Secret(text)
    if kind is Url:
        check_url(text)
        return Url(text)
    if kind is bool:
        if text.lower() in _TRUE:
            return True
        if text.lower() in _FALSE:
            return False
        raise _WrongType
    if kind in (int, Uint):
        return _integer(text, signed=kind is int)
    if kind is float:
        try:
            return float(text)
        except ValueError:
            raise _WrongType from None
    if kind == Duration:
        return parse_duration(text)
    if kind == ByteSize:
        return parse_bytes(text)
    assert isinstance(kind, type), kind
    assert issubclass(kind, enum.Enum), kind
    try:
        return kind(text)
    except ValueError:
        complain = getattr(kind, "complaint", None)
        raise ValueError(complain(text) if complain else f"unknown value {text!r}") from None


def _integer(text: str, *, signed: bool) -> int:
    """As YAML 1.1: `010` is eight; whole numbers may be written as `1e3`."""
    plain = text.replace("_", "")
    try:
        number = int(plain, 8 if _OCTAL.fullmatch(plain) else 0)
    except ValueError:
        number = _whole(plain)
    if not (-(2**63) <= number < 2**63 if signed else 0 <= number < 2**64):
        raise _WrongType
    return number


def _whole(text: str) -> int:
    try:
        number = float(text)
    except ValueError:
        raise _WrongType from None
    if not number.is_integer():
        raise _WrongType
    return int(number)


_GO_NAMES: dict[Any, str] = {
    str: "string", FilePath: "string", Secret: "config.Secret", Url: "config.URL", bool: "bool", int: "int", Uint: "uint", float: "float64",
    Duration: "model.Duration", ByteSize: "units.Base2Bytes",
}  # fmt: skip


def _go_name(kind: Any) -> str:
    if kind in _GO_NAMES:
        return _GO_NAMES[kind]
    origin = typing.get_origin(kind)
    if origin is tuple:
        item = typing.get_args(kind)[0]
        return f"[]{'*' if dataclasses.is_dataclass(item) else ''}{_go_name(item)}"
    if origin is not None and origin is not typing.Annotated:
        return "map[string]" + _go_name(typing.get_args(kind)[1])
    return str(getattr(kind, "GO_TYPE", "config.plain" if dataclasses.is_dataclass(kind) else "string"))
