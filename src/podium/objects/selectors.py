"""Selectors: which objects a list, a watch, a Service or a Deployment means.

A label selector is a conjunction of requirements on labels, in text (`app=web,tier in (a,b),!canary`) or as a metav1.LabelSelector
value. A field selector compares a few fields per kind with `=`, `==`, `!=`. Both are compiled to closures once, since lists and watches
ask them for thousands of objects.

Source: k8s.io/apimachinery pkg/labels/selector.go, pkg/fields/selector.go (grammar and messages).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from podium.objects import names
from podium.objects.cause import show
from podium.objects.resources import Resource
from podium.objects.selectable_fields import selectable
from podium.objects.status import BadRequest
from podium.objects.values import Object

Labels = Mapping[str, str] | None
Predicate = Callable[[Labels], bool]

_NO_LABELS: Mapping[str, str] = {}
_TOKENS = re.compile(r"[=!(),<>]+|[^\s=!(),<>]+")
_SYMBOLS = ("==", "!=", "=", "!", "(", ")", ",", "<", ">")
_OPERATORS = ("in", "notin", "=", "==", "!=", "gt", "lt")
_OF_VALUE = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
_BY_SYMBOL = {"=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt", "in": "in", "notin": "notin"}


@dataclass(frozen=True, slots=True)
class Requirement:
    """`operator` is one of = == != in notin gt lt exists ! (the last two without values); `values` are sorted."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.operator == "exists":
            return self.key
        if self.operator == "!":
            return "!" + self.key
        if self.operator in ("in", "notin"):
            return f"{self.key} {self.operator} ({','.join(self.values)})"
        symbol = {"gt": ">", "lt": "<"}.get(self.operator, self.operator)
        return f"{self.key}{symbol}{self.values[0]}"


class LabelSelector:
    """`matches(labels)` is the compiled test (labels None: none); `empty` is true when everything matches; `requirements` sorted by key."""

    __slots__ = ("empty", "matches", "nothing", "pair", "requirements")

    def __init__(self, requirements: Iterable[Requirement], nothing: bool = False) -> None:
        self.requirements = tuple(sorted(requirements, key=lambda r: r.key))
        self.nothing = nothing
        self.empty = not self.requirements and not nothing
        self.matches: Predicate = _never if nothing else _compile(self.requirements)
        exact = [(r.key, r.values[0]) for r in self.requirements if r.operator in ("=", "==", "in") and len(r.values) == 1]
        self.pair: tuple[str, str] | None = exact[0] if len(exact) == len(self.requirements) == 1 else None
        """The key and value that are all it asks for, where that is so: the selector of most lists."""

    def select(self, values: Iterable[Object]) -> list[Object]:
        """Those of the objects whose labels match."""
        if self.empty:
            return list(values)
        matches = self.matches
        return [value for value in values if matches(value["metadata"].get("labels"))]

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def __repr__(self) -> str:
        return f"LabelSelector({str(self)!r})"


@lru_cache(maxsize=2048)
def parse_labels(text: str) -> LabelSelector:
    """The selector of a query parameter. Raises BadRequest in upstream's words."""
    return LabelSelector(_Parser(text).requirements())


def from_value(value: Mapping[str, Any] | None) -> LabelSelector:
    """The selector of a metav1.LabelSelector: None selects nothing, an empty one everything. Raises BadRequest."""
    if value is None:
        return LabelSelector((), nothing=True)
    requirements = [_requirement(key, "=", (wanted,)) for key, wanted in (value.get("matchLabels") or {}).items()]
    for expression in value.get("matchExpressions") or ():
        operator = _OF_VALUE.get(expression.get("operator", ""))
        if operator is None:
            raise BadRequest(f"{show(expression.get('operator', ''))} is not a valid label selector operator")
        requirements.append(_requirement(expression.get("key", ""), operator, tuple(expression.get("values") or ())))
    return LabelSelector(requirements)


def from_labels(labels: Labels) -> LabelSelector:
    """The selector of a plain map, as Services and ReplicationControllers have it: an empty map selects everything."""
    return LabelSelector(Requirement(key, "=", (wanted,)) for key, wanted in (labels or {}).items())


class FieldSelector:
    """`matches(value)` is the compiled test on an object; `terms` are (path, wanted, negated) in the order of the text's sorted parts."""

    __slots__ = ("_tests", "empty", "matches", "terms")

    def __init__(self, resource: Resource, terms: Iterable[tuple[str, str, bool]]) -> None:
        self.terms = tuple(terms)
        self.empty = not self.terms
        self._tests = [(selectable(resource)[path], wanted, negated) for path, wanted, negated in self.terms]
        self.matches: Callable[[Object], bool] = self._compile()

    def required(self, path: str) -> str | None:
        """The exact value demanded of the field, for a look-up by index; None when any may match."""
        return next((wanted for field, wanted, negated in self.terms if field == path and not negated), None)

    def select(self, values: Iterable[Object]) -> list[Object]:
        return list(values) if self.empty else list(filter(self.matches, values))

    def _compile(self) -> Callable[[Object], bool]:
        tests = self._tests
        if not tests:
            return lambda value: True
        if len(tests) == 1:
            read, wanted, negated = tests[0]
            return (lambda value: read(value) != wanted) if negated else (lambda value: read(value) == wanted)
        return lambda value: all((read(value) != wanted) if negated else (read(value) == wanted) for read, wanted, negated in tests)

    def __str__(self) -> str:
        return ",".join(f"{path}{'!=' if negated else '='}{wanted}" for path, wanted, negated in self.terms)


def parse_fields(resource: Resource, text: str) -> FieldSelector:
    """The selector of a query parameter. Raises BadRequest: syntax, or a field that this kind does not offer."""
    terms = []
    for part in sorted(_split_unescaped(text)):
        if not part:
            continue
        path, operator, wanted = _split_term(part)
        if not operator:
            raise BadRequest(f"invalid selector: '{text}'; can't understand '{part}'")
        path = "spec.nodeName" if path == "spec.host" and resource.plural == "pods" else path
        if path not in selectable(resource):
            raise BadRequest(_unsupported_field(resource, path))
        terms.append((path, _unescape(wanted), operator == "!="))
    return FieldSelector(resource, terms)


def _unsupported_field(resource: Resource, path: str) -> str:
    plain = resource.custom is None and set(selectable(resource)) <= {"metadata.name", "metadata.namespace"}
    if plain and not resource.group.endswith("certificates.k8s.io"):
        return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'
    if resource.group == "batch":
        return f'field label "{path}" not supported for batchv1.{resource.kind}'
    if resource.group == "apps":
        return f"field label not supported for appsv1.{resource.kind}: {path}"
    return f"field label not supported: {path}"


def _compile(requirements: tuple[Requirement, ...]) -> Predicate:
    if not requirements:
        return lambda labels: True
    exact = [(r.key, r.values[0]) for r in requirements if r.operator in ("=", "==", "in") and len(r.values) == 1]
    if len(exact) == len(requirements) <= 2:
        (key, wanted), (other, demanded) = exact[0], exact[-1]
        if key == other:
            return lambda labels: labels is not None and labels.get(key) == wanted == demanded
        return lambda labels: labels is not None and labels.get(key) == wanted and labels.get(other) == demanded
    tests = [_test(r) for r in requirements]
    if len(tests) == 1:
        return lambda labels, test=tests[0]: test(labels or _NO_LABELS)  # type: ignore[misc]  # bound once

    def matches(labels: Labels) -> bool:
        labels = labels or _NO_LABELS
        for test in tests:  # noqa: SIM110 (three times as fast as all() over a generator)
            if not test(labels):
                return False
        return True

    return matches


def _test(requirement: Requirement) -> Callable[[Mapping[str, str]], bool]:
    key, operator, wanted = requirement.key, requirement.operator, frozenset(requirement.values)
    if operator == "exists":
        return lambda labels: key in labels
    if operator == "!":
        return lambda labels: key not in labels
    if operator in ("!=", "notin"):
        return lambda labels: labels.get(key) not in wanted
    if operator in ("gt", "lt"):
        bound, sign = int(requirement.values[0]), 1 if operator == "gt" else -1
        return lambda labels: (n := _integer(labels.get(key, ""))) is not None and (n - bound) * sign > 0
    return lambda labels: labels.get(key) in wanted


def _never(labels: Labels) -> bool:
    return False


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) and -(2**63) <= int(text) < 2**63 else None


def _requirement(key: str, operator: str, values: tuple[str, ...]) -> Requirement:
    """Checked; all faults in one message, as upstream aggregates them."""
    faults = [_invalid("key", key, names.label_key(key))]
    if operator in ("in", "notin") and not values:
        faults.append("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")
    if operator in ("exists", "!") and values:
        faults.append(f"values: Invalid value: {show(list(values))}: values set must be empty for exists and does not exist")
    if operator in ("gt", "lt"):
        why = ["for 'Gt', 'Lt' operators, the value must be an integer"]
        faults += [_invalid(f"values[{i}]", v, why) for i, v in enumerate(values) if _integer(v) is None]
    faults += [_invalid(f"values[{i}][{key}]", v, names.label_value(v)) for i, v in enumerate(values)]
    faults = [f for f in faults if f]
    if faults:
        raise BadRequest(faults[0] if len(faults) == 1 else "[" + ", ".join(faults) + "]")
    return Requirement(key, operator, tuple(sorted(set(values))))


def _invalid(path: str, value: str, why: list[str]) -> str:
    return f"{path}: Invalid value: {show(value)}: {'; '.join(why)}" if why else ""


class _Parser:
    """Recursive descent over the tokens; the last token is the empty one."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._position = 0

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while self._next():
            if self._is_symbol() and self._next() != "!":
                raise BadRequest(f"found '{self._next()}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except BadRequest as error:
                raise BadRequest(f"unable to parse requirement: {error.message}") from None
            end = self._take()
            if not end:
                break
            if end != ",":
                raise BadRequest(f"found '{end}', expected: ',' or 'end of string'")
            if not self._next() or (self._is_symbol() and self._next() != "!"):
                raise BadRequest(f"found '{self._next()}', expected: identifier after ','")
        return found

    def _requirement(self) -> Requirement:
        absent = self._next() == "!"
        if absent:
            self._take()
        if not self._next() or self._is_symbol():
            raise BadRequest(f"found '{self._next()}', expected: identifier")
        key = self._take()
        if faults := names.label_key(key):
            raise BadRequest(_invalid("<nil>", key, faults))
        if absent:
            return _requirement(key, "!", ())
        if self._next() in ("", ","):
            return _requirement(key, "exists", ())
        symbol = self._take()
        if symbol not in _BY_SYMBOL:
            raise BadRequest(f"found '{symbol}', expected: {', '.join(_OPERATORS)}")
        operator = _BY_SYMBOL[symbol]
        values = self._list() if operator in ("in", "notin") else (self._exact(),)
        return _requirement(key, operator, values)

    def _exact(self) -> str:
        if self._next() in ("", ","):
            return ""
        if self._is_symbol():
            raise BadRequest(f"found '{self._next()}', expected: identifier")
        return self._take()

    def _list(self) -> tuple[str, ...]:
        if (first := self._take()) != "(":
            raise BadRequest(f"found '{first}' expected: '('")
        values, current, expected = [], "", "',', ')' or identifier"
        while (token := self._take()) != ")":
            if token == ",":
                values.append(current)
                current, expected = "", "',', or identifier"
            elif not token or token in _SYMBOLS or current:
                raise BadRequest(f"found '{token}', expected: {expected}")
            else:
                current, expected = token, "',' or ')'"
        return (*values, current)

    def _next(self) -> str:
        return self._tokens[self._position]

    def _is_symbol(self) -> bool:
        return self._next() in _SYMBOLS

    def _take(self) -> str:
        token = self._tokens[self._position]
        self._position = min(self._position + 1, len(self._tokens) - 1)
        return token


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    for match in _TOKENS.finditer(text):
        run = match[0]
        while run and run[0] in "=!(),<>":
            symbol = next(s for s in _SYMBOLS if run.startswith(s))
            tokens.append(symbol)
            run = run[len(symbol) :]
        if run:
            tokens.append(run)
    return [*tokens, ""]


def _split_unescaped(text: str) -> list[str]:
    """Parts between commas that no backslash precedes."""
    return re.findall(r"(?:[^\\,]|\\.?)+", text)


def _split_term(part: str) -> tuple[str, str, str]:
    match = re.match(r"((?:[^\\=!]|\\.|!(?!=))*)(!=|==|=)(.*)", part, re.DOTALL)
    return (match[1], match[2], match[3]) if match else (part, "", "")


def _unescape(text: str) -> str:
    """A value as written: backslash, comma and equals sign each after a backslash."""
    kept, escaped = [], False
    for character in text:
        if escaped:
            if character not in "\\,=":
                raise BadRequest(f"invalid field selector: invalid escape sequence: \\{character}")
            kept.append(character)
            escaped = False
        elif character == "\\":
            escaped = True
        elif character in ",=":
            raise BadRequest(f"invalid field selector: unescaped character in value: {ord(character)}")
        else:
            kept.append(character)
    if escaped:
        raise BadRequest("invalid field selector: invalid escape sequence: \\")
    return "".join(kept)
