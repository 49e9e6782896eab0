"""Rules: x-kubernetes-validations, expressions that hold at a node of a schema.

`compile_rules` makes a tree of only those nodes that have rules at or below them; `Rules.faults(new, old)` walks an object along it. A rule that
speaks of `oldSelf` is asked only where the part that it is about was there before and can be told (fields, entries of maps, items of
lists of type map); other rules are not asked again of a part that did not change. All rules of an object share one budget.

Source: apiextensions-apiserver pkg/apiserver/schema/cel/{compilation,validation}.go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from podium.objects import cel
from podium.objects.cause import Cause, duplicate, forbidden, invalid, required
from podium.objects.cel.types import BOOL, STRING, Type, optional_of
from podium.objects.cel.values import NONE, Optional
from podium.objects.custom.validity import EMBEDDED, LIST_TYPE, RULES, Node, item_key, json_type, same

ABSENT: Any = object()
NOWHERE = "<nil>"
MESSAGE_CHARS_MAX = 2048
_NO_MORE = "no further validation rules will be run"


class _Spent(Exception):
    """The budget is used up: nothing more is asked."""


@dataclass(frozen=True, slots=True)
class Rule:
    text: str
    message: str
    reason: str
    field: str
    """What the fault is of, below the node: `.a.b`, or empty."""
    program: cel.Program
    message_program: cel.Program | None
    uses_old: bool
    optional_old: bool


@dataclass(slots=True)
class RuleNode:
    """`old_type` makes the old value what the rules take."""

    node: Node
    self_type: Type
    rules: list[Rule] = field(default_factory=list)
    properties: dict[str, "RuleNode"] = field(default_factory=dict)
    items: "RuleNode | None" = None
    additional: "RuleNode | None" = None

    def is_empty(self) -> bool:
        return not (self.rules or self.properties or self.items or self.additional)


Rules = Callable[[Any, Any], list[Cause]]


def compile_rules(schema: Node) -> Rules | None:
    """(new object, old object or None) -> what the rules refuse; None when there are no rules. Raises CelCompileError."""
    tree = _tree(schema, root=True)
    if tree is None:
        return None
    found = tree

    def faults(new: Any, old: Any) -> list[Cause]:
        causes: list[Cause] = []
        budget = cel.Budget()
        try:
            _walk(found, new, ABSENT if old is None else old, "", budget, causes)
        except _Spent:
            pass
        return causes

    return faults


def _tree(schema: Node, *, root: bool = False) -> RuleNode | None:
    type_ = cel.structural_type(schema, root=root or bool(schema.get(EMBEDDED)))
    if type_ is None:
        return None
    made = RuleNode(schema, type_, [_compiled(rule, type_) for rule in schema.get(RULES) or ()])
    for name, below in (schema.get("properties") or {}).items():
        if (child := _tree(below)) is not None:
            made.properties[name] = child
    if isinstance(schema.get("items"), Mapping):
        made.items = _tree(schema["items"])
    if isinstance(schema.get("additionalProperties"), Mapping):
        made.additional = _tree(schema["additionalProperties"])
    return None if made.is_empty() else made


def environment_of(rule: Mapping[str, Any], type_: Type) -> cel.Environment:
    old = optional_of(type_) if rule.get("optionalOldSelf") else type_
    return cel.Environment({"self": type_, "oldSelf": old})


def _compiled(rule: Mapping[str, Any], type_: Type) -> Rule:
    environment = environment_of(rule, type_)
    program = cel.compile(rule["rule"], environment, result=BOOL)
    text = rule.get("messageExpression", "")
    message = cel.compile(text, environment, result=STRING) if text else None
    return Rule(
        rule["rule"].strip(), rule.get("message", "").strip(), rule.get("reason", ""), rule.get("fieldPath", "").strip(), program, message,
        "oldSelf" in program.uses, bool(rule.get("optionalOldSelf")),
    )  # fmt: skip


# Asking them of an object


def _walk(at: RuleNode, value: Any, old: Any, path: str, budget: cel.Budget, causes: list[Cause]) -> None:
    if value is None:
        return
    unchanged = old is not ABSENT and same(value, old)
    for rule in at.rules:
        if rule.uses_old or not unchanged:
            _ask(rule, at, value, old, path, budget, causes)
    if type(value) is dict:
        before = old if type(old) is dict else {}
        for name, child in value.items():
            below = at.properties.get(name) or at.additional
            if below is not None:
                _walk(below, child, before.get(name, ABSENT), f"{path}.{name}" if path else name, budget, causes)
    elif type(value) is list and at.items is not None:
        partners = {item_key(i, at.node): i for i in old} if type(old) is list and at.node.get(LIST_TYPE) == "map" else {}
        for index, item in enumerate(value):
            partner = partners.get(item_key(item, at.node), ABSENT) if partners else ABSENT
            _walk(at.items, item, partner, f"{path}[{index}]", budget, causes)


def _ask(rule: Rule, at: RuleNode, value: Any, old: Any, path: str, budget: cel.Budget, causes: list[Cause]) -> None:
    bindings = {"self": value}
    if rule.uses_old or rule.optional_old:
        if old is ABSENT and not rule.optional_old:
            return
        bindings["oldSelf"] = _optional(at.self_type, old) if rule.optional_old else old
    try:
        if rule.program.evaluate(bindings, budget):
            return
        causes.append(_fault(rule, path, value, _message(rule, bindings, budget)))
    except cel.CostExceeded as error:
        spent = budget.remaining <= 0
        text = "validation failed due to running out of cost budget, " + _NO_MORE
        text = text if spent else f"'{error.message}': {_NO_MORE} due to call cost exceeds limit for rule: {rule.text}"
        causes.append(_told(path, value, text))
        raise _Spent from error
    except cel.CelRuntimeError as error:
        text = f"{error.message} evaluating rule: {rule.text}"
        if error.message.startswith("no such overload"):
            why = "call arguments did not match a supported operator, function or macro signature for rule"
            text = f"'{error.message}': {why}: {rule.text}"
        causes.append(_told(path, value, text))


def _optional(type_: Type, old: Any) -> Optional:
    if old is ABSENT:
        return NONE
    return Optional(old if type_.convert is None else type_.convert(old))


def _message(rule: Rule, bindings: Mapping[str, Any], budget: cel.Budget) -> str:
    if rule.message_program is not None:
        try:
            text = rule.message_program.evaluate(bindings, budget)
        except cel.CelRuntimeError:
            text = ""
        if isinstance(text, str) and text.strip() and "\n" not in text and len(text) <= MESSAGE_CHARS_MAX:
            return text.strip()
    return rule.message or f"failed rule: {rule.text}"


def _told(path: str, value: Any, text: str) -> Cause:
    """What kept a rule from being asked: of a value, its type is told."""
    return invalid(path or NOWHERE, json_type(value), text)


def _fault(rule: Rule, path: str, value: Any, text: str) -> Cause:
    path = (f"{path}{rule.field}".removeprefix(".") if rule.field else path) or NOWHERE
    match rule.reason:
        case "FieldValueForbidden":
            return forbidden(path, text)
        case "FieldValueRequired":
            return required(path, text)
        case "FieldValueDuplicate":
            return Cause(rule.reason, path, "Duplicate value") if isinstance(value, dict | list) else duplicate(path, value)
    if isinstance(value, dict | list):
        return Cause("FieldValueInvalid", path, f"Invalid value: {text}")
    return invalid(path, value, text)
