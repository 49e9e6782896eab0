"""Rule files: YAML to groups, with every problem at its line.

    groups:
      - name: shop
        interval: 30s          # default: the server's
        query_offset: 0s       # default: the server's
        limit: 0
        labels: {team: shop}   # added to every rule's
        rules:
          - record: shop:requests:rate5m
            expr: sum(rate(http_requests_total[5m]))
          - alert: ShopDown
            expr: up{job="shop"} == 0
            for: 5m
            keep_firing_for: 0s
            labels: {severity: page}
            annotations: {summary: "{{ $labels.instance }} is down"}

Unknown fields, doubled keys and values of the wrong type are problems. Messages are upstream's, `LINE:COLUMN: ` first.

Source: Prometheus' documentation, "Recording rules"; the wording of upstream's rulefmt.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from podium.telemetry.metrics.labels import METRIC_NAME
from podium.telemetry.metrics.promql.durations import parse_duration
from podium.telemetry.metrics.promql.errors import ParseError
from podium.telemetry.metrics.promql.parser import STABLE, parse
from podium.telemetry.metrics.promql.syntax import Expression
from podium.telemetry.metrics.promql.token_stream import Features
from podium.telemetry.metrics.rules.alert_templates import check_template
from podium.telemetry.metrics.rules.errors import RuleFileError
from podium.telemetry.metrics.rules.rule import AlertingRule, Group, RecordingRule, Rule

FILE_BYTES_MAX = 16 * 1024 * 1024
GROUP_FIELDS = ("name", "interval", "query_offset", "limit", "rules", "labels")
RULE_FIELDS = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)
_NUMBER_MAX = 2**63 - 1

Problem = str
_Node = yaml.Node
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class _Reader:
    """Collects problems while reading, so that a file's author sees all of them at once."""

    problems: list[Problem]
    features: Features

    def problem(self, node: _Node | None, message: str) -> None:
        mark = node.start_mark if node is not None else None
        self.problems.append(f"{mark.line + 1}:{mark.column + 1}: {message}" if mark else message)

    def mapping(self, node: _Node, known: tuple[str, ...], what: str) -> dict[str, _Node]:
        """Field -> node."""
        if not isinstance(node, yaml.MappingNode):
            self.problem(node, f"cannot unmarshal {_kind(node)} into {what}")
            return {}
        found: dict[str, _Node] = {}
        for key, value in node.value:
            name = self.key(key)
            if name is None:
                continue
            if name not in known:
                self.problem(key, f"field {name} not found in type {what}")
            elif name in found:
                self.problem(key, f'mapping key "{name}" already defined at line {found[name].start_mark.line + 1}')
            else:
                found[name] = value
        return found

    def sequence(self, node: _Node | None, what: str) -> list[_Node]:
        if node is None or _is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.problem(node, f"cannot unmarshal {_kind(node)} into {what}")
            return []
        return list(node.value)

    def text(self, node: _Node | None) -> str:
        if node is None or _is_null(node):
            return ""
        if not isinstance(node, yaml.ScalarNode):
            self.problem(node, f"cannot unmarshal {_kind(node)} into string")
            return ""
        return str(node.value)

    def texts(self, node: _Node | None) -> dict[str, str]:
        if node is None or _is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.problem(node, f"cannot unmarshal {_kind(node)} into map[string]string")
            return {}
        return {name: self.text(value) for key, value in node.value if (name := self.key(key)) is not None}

    def key(self, node: _Node) -> str | None:
        """None for what is no name, which is told."""
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self.problem(node, f"cannot unmarshal {_kind(node)} into string")
        return None

    def duration_ms(self, node: _Node | None) -> int:
        if node is None or _is_null(node):
            return 0
        text = self.text(node)
        if not text and isinstance(node, yaml.ScalarNode):
            self.problem(node, "empty duration string")
        if not text or text == "0":
            return 0
        try:
            return parse_duration(text)
        except ValueError as error:
            self.problem(node, str(error))
            return 0

    def number(self, node: _Node | None) -> int:
        if node is None or _is_null(node):
            return 0
        text = self.text(node)
        if not isinstance(node, yaml.ScalarNode):
            return 0
        if _NUMBER.fullmatch(text) and not node.style and int(text) <= _NUMBER_MAX:
            return int(text)
        self.problem(node, f"cannot unmarshal {_kind(node)} into int")
        return 0


def _kind(node: _Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "!!map"
    return "!!seq" if isinstance(node, yaml.SequenceNode) else f"!!{node.tag.rpartition(':')[2]} `{str(node.value)[:40]}`"


def _is_null(node: _Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def read(text: str | bytes, file: str, features: Features = STABLE) -> list[Group]:
    """The groups of one file, in its order. Raises RuleFileError with all that is wrong."""
    if len(text) > FILE_BYTES_MAX:
        raise RuleFileError(file, [f"the file is larger than {FILE_BYTES_MAX} bytes"])
    reader = _Reader([], features)
    try:
        root = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, UnicodeError) as error:
        raise RuleFileError(file, [f"yaml: {' '.join(str(error).split())}"]) from error
    except RecursionError:
        raise RuleFileError(file, ["yaml: nested too deeply"]) from None
    groups = [] if root is None or _is_null(root) else _groups(reader, root, file)
    if reader.problems:
        raise RuleFileError(file, reader.problems)
    return groups


def _groups(reader: _Reader, root: _Node, file: str) -> list[Group]:
    groups: list[Group] = []
    names: set[str] = set()
    for node in reader.sequence(reader.mapping(root, ("groups",), "rulefmt.RuleGroups").get("groups"), "[]rulefmt.RuleGroup"):
        group = _group(reader, node, file)
        if not group.name:
            reader.problem(node, "Groupname must not be empty")
        if group.name in names:
            reader.problem(node, f'groupname: "{group.name}" is repeated in the same file')
        names.add(group.name)
        groups.append(group)
    return groups


def _group(reader: _Reader, node: _Node, file: str) -> Group:
    fields = reader.mapping(node, GROUP_FIELDS, "rulefmt.RuleGroup")
    name = reader.text(fields.get("name"))
    labels = reader.texts(fields.get("labels"))
    for problem in _label_problems(labels):
        reader.problem(None, problem)
    rules = []
    for index, rule in enumerate(reader.sequence(fields.get("rules"), "[]rulefmt.Rule"), start=1):
        read_rule = _rule(reader, rule, name, index, labels)
        rules += [read_rule] if read_rule else []
    offset = fields.get("query_offset")
    return Group(
        name=name,
        file=file,
        rules=tuple(rules),
        interval_ms=reader.duration_ms(fields.get("interval")),
        query_offset_ms=None if offset is None else reader.duration_ms(offset),
        limit=reader.number(fields.get("limit")),
    )


def _rule(reader: _Reader, node: _Node, group: str, index: int, group_labels: dict[str, str]) -> Rule | None:
    fields = reader.mapping(node, RULE_FIELDS, "rulefmt.Rule")
    record, alert = reader.text(fields.get("record")), reader.text(fields.get("alert"))

    def problem(at: _Node | None, message: str) -> None:
        reader.problem(at, f'group "{group}", rule {index}, "{alert or record}": {message}')

    text = reader.text(fields.get("expr"))
    labels, annotations = reader.texts(fields.get("labels")), reader.texts(fields.get("annotations"))
    durations = {name: reader.duration_ms(fields.get(name)) for name in ("for", "keep_firing_for")}
    before = len(reader.problems)
    if bool(record) == bool(alert):
        problem(
            fields.get("record", node),
            "only one of 'record' and 'alert' must be set" if record else "one of 'record' or 'alert' must be set",
        )
    expression = _expression(text, fields.get("expr", node), problem, reader.features)
    for message in _label_problems(labels):
        problem(fields.get("labels"), message)
    if record:
        for message in _recording_problems(record, annotations, durations):
            problem(fields.get("record"), message)
    elif alert:
        for message in _template_problems(labels, annotations):
            problem(fields.get("labels", fields.get("annotations")), message)
    if len(reader.problems) > before or expression is None:
        return None
    merged = {**group_labels, **labels}
    if record:
        return RecordingRule(record, text, expression, merged)
    return AlertingRule(alert, text, expression, durations["for"], durations["keep_firing_for"], merged, annotations)


def _expression(text: str, node: _Node, problem: Callable[[_Node | None, str], None], features: Features) -> Expression | None:
    if not text:
        problem(node, "field 'expr' must be set in rule")
        return None
    try:
        return parse(text, features)
    except ParseError as error:
        problem(node, f"could not parse expression: {error}")
        return None


def _label_problems(labels: dict[str, str]) -> Iterator[Problem]:
    for name in labels:
        if not name or name == METRIC_NAME:
            yield f"invalid label name: {name}"


def _recording_problems(record: str, annotations: dict[str, str], durations: dict[str, int]) -> Iterator[Problem]:
    if annotations:
        yield "invalid field 'annotations' in recording rule"
    for name, duration_ms in durations.items():
        if duration_ms:
            yield f"invalid field '{name}' in recording rule"
    if "{" in record or "}" in record:
        yield f"braces present in the recording rule name; should it be in expr?: {record}"


def _template_problems(labels: dict[str, str], annotations: dict[str, str]) -> Iterator[Problem]:
    for what, texts in (("label", labels), ("annotation", annotations)):
        for name, text in texts.items():
            if not name:
                yield f"invalid annotation name: {name}"
            if found := check_template(text):
                yield f'{what} "{name}": {found}'
