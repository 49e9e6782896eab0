"""Relabelling: rules that rewrite, keep or drop a set of labels; of targets, scraped series, alerts, samples on their way out.

A rule joins the values of its source labels and matches that against a regular expression (RE2's, anchored, `.` matches newlines), then does what its
action says. `Relabeling` compiles rules once; a set of labels is a dict, changed in place. An empty value is no label.

Bounds: each rule that only keeps or drops remembers the answers for up to MATCHES_KEPT_MAX values, and forgets all of them beyond that.

Source: Prometheus' relabel_config, and model/relabel for what its documentation leaves open.
"""

import enum
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from podium.telemetry.metrics.configuration.printing import always
from podium.telemetry.metrics.configuration.values import Uint
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.labels import compile_anchored
from podium.telemetry.metrics.names import NameScheme, is_label_name

MATCHES_KEPT_MAX = 10_000
DEFAULT_SEPARATOR, DEFAULT_REGEX, DEFAULT_REPLACEMENT = ";", "(.*)", "$1"


class Action(enum.Enum):
    REPLACE = "replace"
    KEEP = "keep"
    DROP = "drop"
    KEEP_EQUAL = "keepequal"
    DROP_EQUAL = "dropequal"
    HASH_MOD = "hashmod"
    LABEL_MAP = "labelmap"
    LABEL_DROP = "labeldrop"
    LABEL_KEEP = "labelkeep"
    LOWERCASE = "lowercase"
    UPPERCASE = "uppercase"

    @classmethod
    def _missing_(cls, value: object) -> "Action | None":
        """Any case is fine."""
        return next((action for action in cls if action.value == str(value).lower()), None)

    @staticmethod
    def complaint(text: str) -> str:
        return f'unknown relabel action "{text}"'


_EQUAL = (Action.KEEP_EQUAL, Action.DROP_EQUAL)
_CASE = (Action.LOWERCASE, Action.UPPERCASE)
_LABEL_FILTERS = (Action.LABEL_DROP, Action.LABEL_KEEP)
_NEEDS_TARGET = (Action.REPLACE, Action.HASH_MOD, *_CASE, *_EQUAL)

_TEMPLATE = {
    NameScheme.LEGACY: re.compile(r"(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+", re.ASCII),
    NameScheme.UTF8: re.compile(r"(?:[^${}]|\$(?:\{[^${}]+\}|[^${}]))+"),
}
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")


@dataclass(frozen=True, slots=True)
class RelabelRule:
    """One relabel_config, with upstream's defaults. `check` it before use."""

    GO_TYPE: ClassVar[str] = "relabel.plain"

    action: Action = Action.REPLACE
    source_labels: tuple[str, ...] = ()
    separator: str = field(default=DEFAULT_SEPARATOR, metadata=always())
    regex: str = DEFAULT_REGEX
    modulus: Uint = 0
    target_label: str = ""
    replacement: str = field(default=DEFAULT_REPLACEMENT, metadata=always())

    def checked(self) -> "RelabelRule":
        self.check()
        return self

    def check(self, scheme: NameScheme = NameScheme.UTF8) -> None:
        """Raises ConfigurationError in upstream's words."""
        action, target = self.action, self.target_label
        if "" in self.source_labels:
            raise ConfigurationError('"" is not a valid label name')
        if action is Action.HASH_MOD and not self.modulus:
            raise ConfigurationError("relabel configuration for hashmod requires non-zero modulus")
        if action in _NEEDS_TARGET and not target:
            raise ConfigurationError(f"relabel configuration for {action.value} action requires 'target_label' value")
        if action is Action.REPLACE and "$" in target:
            valid = _TEMPLATE[scheme].fullmatch(target) is not None
        else:
            valid = action not in _NEEDS_TARGET or is_label_name(target, scheme)
        if not valid:
            raise ConfigurationError(f"{_quoted(target)} is invalid 'target_label' for {action.value} action")
        if action in (*_CASE, *_EQUAL) and self.replacement != DEFAULT_REPLACEMENT:
            raise ConfigurationError(f"'replacement' can not be set for {action.value} action")
        if action is Action.LABEL_MAP and not _TEMPLATE[scheme].fullmatch(self.replacement):
            raise ConfigurationError(f"{_quoted(self.replacement)} is invalid 'replacement' for {action.value} action")
        plain = self.separator == DEFAULT_SEPARATOR and self.replacement == DEFAULT_REPLACEMENT and not self.modulus
        if action in _EQUAL and not (plain and self.regex == DEFAULT_REGEX):
            raise ConfigurationError(f"{action.value} action requires only 'source_labels' and `target_label`, and no other fields")
        if action in _LABEL_FILTERS and not (plain and not self.source_labels and not target):
            raise ConfigurationError(f"{action.value} action requires only 'regex', and no other fields")
        try:
            compile_anchored(self.regex)
        except ValueError as error:
            raise ConfigurationError(f"error parsing regexp: {error}") from error


Step = Callable[[dict[str, str]], bool]
"""Changes the labels; False: drop them."""


class Relabeling:
    """Rules, compiled, in order."""

    def __init__(self, rules: Sequence[RelabelRule], scheme: NameScheme = NameScheme.UTF8) -> None:
        self.rules = tuple(rules)
        self._steps = [_COMPILERS[rule.action](rule, scheme) for rule in rules]

    def __bool__(self) -> bool:
        return bool(self._steps)

    def apply(self, labels: dict[str, str]) -> bool:
        """In place. False: the labels are to be dropped (and may be half changed)."""
        return all(step(labels) for step in self._steps)  # stops at the first that drops


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _source(rule: RelabelRule) -> Callable[[dict[str, str]], str]:
    names, separator = rule.source_labels, rule.separator
    if len(names) == 1:
        (name,) = names
        return lambda labels: labels.get(name, "")
    return lambda labels: separator.join([labels.get(name, "") for name in names])


def _set(labels: dict[str, str], name: str, value: str) -> None:
    if value:
        labels[name] = value
    else:
        labels.pop(name, None)


def _expander(template: str, pattern: Any) -> Callable[[Any], str]:
    """Of `$1`, `${name}` and `$$`, as Go's Regexp.Expand: an unknown group is empty, a dollar before anything else is itself."""
    if "$" not in template:
        return lambda match: template
    if template == DEFAULT_REPLACEMENT and pattern.groups >= 1:
        return lambda match: match.group(1) or ""

    def expand(match: Any) -> str:
        def variable(found: "re.Match[str]") -> str:
            if found[1]:
                return "$"
            name = found[2] or found[3]
            group: int | None = int(name) if _NUMBER.fullmatch(name) else pattern.groupindex.get(name)
            return "" if group is None or group > pattern.groups else match.group(group) or ""

        return _VARIABLE.sub(variable, template)

    return expand


def _replace(rule: RelabelRule, scheme: NameScheme) -> Step:
    source, pattern = _source(rule), compile_anchored(rule.regex)
    target_of, replacement_of = _expander(rule.target_label, pattern), _expander(rule.replacement, pattern)

    def step(labels: dict[str, str]) -> bool:
        match = pattern.fullmatch(source(labels))
        if match is not None:
            target = target_of(match)
            if is_label_name(target, scheme):
                _set(labels, target, replacement_of(match))
        return True

    return step


def _filter(rule: RelabelRule, scheme: NameScheme) -> Step:
    source, pattern, keep = _source(rule), compile_anchored(rule.regex), rule.action is Action.KEEP
    known: dict[str, bool] = {}

    def step(labels: dict[str, str]) -> bool:
        value = source(labels)
        answer = known.get(value)
        if answer is None:
            if len(known) >= MATCHES_KEPT_MAX:
                known.clear()
            answer = known[value] = (pattern.fullmatch(value) is not None) is keep
        return answer

    return step


def _equal(rule: RelabelRule, scheme: NameScheme) -> Step:
    source, target, keep = _source(rule), rule.target_label, rule.action is Action.KEEP_EQUAL
    return lambda labels: (labels.get(target, "") == source(labels)) is keep


def _hash_mod(rule: RelabelRule, scheme: NameScheme) -> Step:
    source, target, modulus = _source(rule), rule.target_label, rule.modulus

    def step(labels: dict[str, str]) -> bool:
        digest = hashlib.md5(source(labels).encode(), usedforsecurity=False).digest()
        labels[target] = str(int.from_bytes(digest[8:], "big") % modulus)
        return True

    return step


def _label_map(rule: RelabelRule, scheme: NameScheme) -> Step:
    pattern = compile_anchored(rule.regex)
    name_of = _expander(rule.replacement, pattern)

    def step(labels: dict[str, str]) -> bool:
        for name, value in list(labels.items()):
            if (match := pattern.fullmatch(name)) is not None:
                _set(labels, name_of(match), value)
        return True

    return step


def _label_filter(rule: RelabelRule, scheme: NameScheme) -> Step:
    pattern, keep = compile_anchored(rule.regex), rule.action is Action.LABEL_KEEP

    def step(labels: dict[str, str]) -> bool:
        for name in [name for name in labels if (pattern.fullmatch(name) is not None) is not keep]:
            del labels[name]
        return True

    return step


def _case(rule: RelabelRule, scheme: NameScheme) -> Step:
    source, target, change = _source(rule), rule.target_label, str.lower if rule.action is Action.LOWERCASE else str.upper

    def step(labels: dict[str, str]) -> bool:
        _set(labels, target, change(source(labels)))
        return True

    return step


_COMPILERS: dict[Action, Callable[[RelabelRule, NameScheme], Step]] = {
    Action.REPLACE: _replace,
    Action.KEEP: _filter,
    Action.DROP: _filter,
    Action.KEEP_EQUAL: _equal,
    Action.DROP_EQUAL: _equal,
    Action.HASH_MOD: _hash_mod,
    Action.LABEL_MAP: _label_map,
    Action.LABEL_DROP: _label_filter,
    Action.LABEL_KEEP: _label_filter,
    Action.LOWERCASE: _case,
    Action.UPPERCASE: _case,
}


def check_rules(rules: Iterable[RelabelRule], scheme: NameScheme = NameScheme.UTF8) -> None:
    """Raises ConfigurationError."""
    for rule in rules:
        rule.check(scheme)
