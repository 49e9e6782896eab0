"""Strict reading of YAML: what each field may hold, and errors with the line, in the words of upstream's decoder.

A decoder is a function of a reader and a node; `struct` makes one from a table of fields. Values are plain: str, bool, int, float (seconds),
lists, dicts of the fields that were given. A null value is as if the field were not there;
in a list it is refused.

Bounds: TEXT_CHARS_MAX, NODES_MAX visited nodes (aliases count each time they are followed).
"""

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml

from podium.telemetry.metrics.alertmanager.errors import BadMatcher, ConfigurationError
from podium.telemetry.metrics.configuration.urls import check_url
from podium.telemetry.metrics.templates.quoting import quote

TEXT_CHARS_MAX = 4 * 1024 * 1024
NODES_MAX = 500_000
SECRET = "<secret>"

_UNITS = {"y": 365 * 86400.0, "w": 7 * 86400.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"([0-9]+)([^0-9]+)")
_GO_DURATION = re.compile(r"([0-9]*\.?[0-9]+|[0-9]+\.)(ns|us|µs|ms|s|m|h)")
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS = {"tag:yaml.org,2002:" + t: "!!" + t for t in ("str", "int", "float", "bool", "seq", "map", "null", "timestamp", "binary")}


class Reader:
    """One document. Remembers which nodes are secrets, so that it can be shown without them."""

    def __init__(self, text: str) -> None:
        """Raises ConfigurationError for what is not YAML."""
        if len(text) > TEXT_CHARS_MAX:
            raise ConfigurationError(f"the configuration is longer than {TEXT_CHARS_MAX} characters")
        try:
            self._loader = _Loader(text)
            self.root = self._loader.get_single_node()
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            said = getattr(error, "problem", None) or getattr(error, "reason", None) or (str(error) or "not YAML").splitlines()[0]
            raise ConfigurationError(f"yaml: {said}", mark.line + 1 if mark else 0) from error
        self._visited = 0
        self._masks: dict[int, str] = {}

    def visit(self, node: yaml.Node) -> None:
        self._visited += 1
        if self._visited > NODES_MAX:
            raise ConfigurationError(f"more than {NODES_MAX} values", line(node))

    def pairs(self, node: yaml.MappingNode) -> list[tuple[str, yaml.Node, yaml.Node]]:
        """(name, name's node, value), with merges (`<<`) resolved. Raises ConfigurationError for a name that is there twice."""
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            try:
                self._loader.flatten_mapping(node)
            except yaml.YAMLError as error:
                raise ConfigurationError(f"yaml: {getattr(error, 'problem', error)}", line(node)) from error
            merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
            for key, value in node.value:  # what is written here comes after what is merged
                merged[str(key.value)] = (key, value)
            return [(name, key, value) for name, (key, value) in merged.items()]
        found: dict[str, tuple[str, yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in found:
                raise ConfigurationError(f"key {quote(name)} already set in map", line(key))
            found[name] = (name, key, value)
        return list(found.values())

    def hide(self, node: yaml.Node, mask: str = SECRET) -> None:
        self._masks[id(node)] = mask

    def shown(self) -> str:
        """The document as YAML, without secrets."""
        if self.root is None:
            return ""
        masks = self._masks
        hidden: list[tuple[yaml.ScalarNode, str]] = []

        def collect(node: yaml.Node, seen: set[int]) -> None:
            if id(node) in seen:
                return
            seen.add(id(node))
            if id(node) in masks and isinstance(node, yaml.ScalarNode) and node.value:
                hidden.append((node, masks[id(node)]))
            for child in node.value if isinstance(node, yaml.SequenceNode) else ():
                collect(child, seen)
            for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
                collect(key, seen)
                collect(value, seen)

        collect(self.root, set())
        before = [(node, node.value, node.style) for node, _ in hidden]
        for node, mask in hidden:
            node.value, node.style = mask, None
        try:
            return str(yaml.serialize(self.root, Dumper=yaml.SafeDumper, allow_unicode=True, width=200))
        finally:
            for node, value, style in before:
                node.value, node.style = value, style


Decoder = Callable[[Reader, yaml.Node], Any]


def line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def wrong(node: yaml.Node, wanted: str) -> ConfigurationError:
    tag = _TAGS.get(node.tag, node.tag)
    shown = f" `{node.value[:10]}{'...' if len(node.value) > 10 else ''}`" if isinstance(node, yaml.ScalarNode) else ""
    return ConfigurationError(f"cannot unmarshal {tag}{shown} into {wanted}", line(node))


def string(reader: Reader, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise wrong(node, "string")
    return str(node.value)


def secret(reader: Reader, node: yaml.Node) -> str:
    reader.hide(node)
    return string(reader, node)


def boolean(reader: Reader, node: yaml.Node) -> bool:
    if node.tag != "tag:yaml.org,2002:bool":
        raise wrong(node, "bool")
    return str(node.value).lower() in ("true", "yes", "on", "y")


def integer(reader: Reader, node: yaml.Node) -> int:
    if node.tag != "tag:yaml.org,2002:int":
        raise wrong(node, "int")
    return int(_constructed(node))


def duration(reader: Reader, node: yaml.Node) -> float:
    """Seconds, of Prometheus' notation: `1h30m`, `500ms`."""
    return _at(node, parse_duration, string(reader, node))


def go_duration(reader: Reader, node: yaml.Node) -> float:
    """Seconds, of Go's notation: `1.5h`, `300ms`."""
    return _at(node, parse_go_duration, string(reader, node))


def _at(node: yaml.Node, parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except (ConfigurationError, BadMatcher, ValueError) as error:
        raise ConfigurationError(str(error), line(node)) from error


def parsed(parse: Callable[[str], Any]) -> Decoder:
    """A string that `parse` turns into something, raising ConfigurationError or ValueError."""
    return lambda reader, node: _at(node, parse, string(reader, node))


def parse_duration(text: str) -> float:
    """Raises ConfigurationError."""
    if text == "0":
        return 0.0
    if not text:
        raise ConfigurationError("empty duration string")
    total, position, order = 0.0, 0, list(_UNITS)
    rest = order
    for match in _DURATION.finditer(text):
        if match.start() != position:
            break
        if match[2] not in _UNITS:
            raise ConfigurationError(f"unknown unit {quote(match[2])} in duration {quote(text)}")
        if match[2] not in rest:
            break
        rest = order[order.index(match[2]) + 1 :]
        total += int(match[1][:19]) * _UNITS[match[2]]
        position = match.end()
    if position != len(text):
        raise ConfigurationError(f"not a valid duration string: {quote(text)}")
    if total > 2**63 / 1e9:
        raise ConfigurationError("duration out of range")
    return total


def parse_go_duration(text: str) -> float:
    """Raises ConfigurationError."""
    if text in ("0", "+0", "-0"):
        return 0.0
    sign, rest = (-1.0, text[1:]) if text[:1] == "-" else (1.0, text.removeprefix("+"))
    total, position = 0.0, 0
    for match in _GO_DURATION.finditer(rest):
        if match.start() != position:
            break
        total += float(match[1]) * _GO_UNITS[match[2]]
        position = match.end()
    if not rest or position != len(rest):
        raise ConfigurationError(f"time: invalid duration {quote(text)}")
    return sign * total


def parse_url(text: str) -> str:
    """The same text. Raises ConfigurationError unless it is an http or https URL with a host."""
    try:
        check_url(text)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ConfigurationError(f"parse {quote(text)}: {error}") from error
    if parts.scheme not in ("http", "https"):
        raise ConfigurationError(f"unsupported scheme {quote(parts.scheme)} for URL")
    if not parts.netloc:
        raise ConfigurationError("missing host for URL")
    return text


def url(reader: Reader, node: yaml.Node) -> str:
    return str(_at(node, parse_url, string(reader, node)))


def secret_url(reader: Reader, node: yaml.Node) -> str:
    """Shown as host and <secret>."""
    text = string(reader, node)
    try:
        parts = urlsplit(text) if "{{" not in text else None
    except ValueError:  # told below
        parts = None
    reader.hide(
        node, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{SECRET}" if parts and parts.scheme in ("http", "https") else SECRET
    )
    return text if "{{" in text else str(_at(node, parse_url, text))


def list_of(decode: Decoder) -> Decoder:
    def read(reader: Reader, node: yaml.Node) -> list[Any]:
        if not isinstance(node, yaml.SequenceNode):
            raise wrong(node, "[]interface {}")
        values = []
        for child in node.value:
            reader.visit(child)
            if is_null(child):
                raise ConfigurationError("an empty item in a list", line(child))
            values.append(decode(reader, child))
        return values

    return read


def map_of(decode: Decoder) -> Decoder:
    def read(reader: Reader, node: yaml.Node) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise wrong(node, "map[string]interface {}")
        values = {}
        for name, _, value in reader.pairs(node):
            reader.visit(value)
            values[name] = "" if is_null(value) else decode(reader, value)
        return values

    return read


def anything(reader: Reader, node: yaml.Node) -> Any:
    """Plain values as they are: for payloads and details."""
    reader.visit(node)
    if isinstance(node, yaml.SequenceNode):
        return [anything(reader, child) for child in node.value]
    if isinstance(node, yaml.MappingNode):
        return {name: anything(reader, value) for name, _, value in reader.pairs(node)}
    return str(node.value) if node.tag == "tag:yaml.org,2002:timestamp" else _constructed(node)


def _constructed(node: yaml.Node) -> Any:
    """A scalar's value by its tag."""
    try:
        return yaml.SafeLoader("").construct_object(copy.copy(node), deep=True)
    except (yaml.YAMLError, ValueError, KeyError, OverflowError) as error:
        raise wrong(node, "interface {}") from error


Check = Callable[[dict[str, Any]], None]


def struct(name: str, fields: Mapping[str, Decoder], check: Check | None = None) -> Decoder:
    """The fields that are given, by name. `name` is upstream's type, for the message about an unknown field. `check` may complete the
    values, or raise ConfigurationError (the line is added here)."""

    def read(reader: Reader, node: yaml.Node) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise wrong(node, name)
        values: dict[str, Any] = {}
        for field, key, value in reader.pairs(node):
            reader.visit(value)
            if field not in fields:
                raise ConfigurationError(f"field {field} not found in type {name}", line(key))
            if not is_null(value):
                values[field] = fields[field](reader, value)
        if check is not None:
            try:
                check(values)
            except ConfigurationError as error:
                raise error if error.line else ConfigurationError(str(error), line(node)) from error
        return values

    return read


def at_most_one(values: Mapping[str, Any], *names: str) -> None:
    given = [name for name in names if values.get(name)]
    if len(given) > 1:
        raise ConfigurationError(f"at most one of {' & '.join(names)} must be configured")


def refused(why: str) -> Decoder:
    """A field of upstream's that is not supported; any value is refused."""

    def read(reader: Reader, node: yaml.Node) -> Any:
        raise ConfigurationError(why, line(node))

    return read
