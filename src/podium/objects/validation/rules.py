"""Rules in definitions: do the expressions compile, and what could they cost?

Costs are bounded from maxItems, maxProperties and maxLength: without them a rule in a list is quickly too expensive, for the server has to ask
it of every item.

Source: apiextensions-apiserver pkg/apis/apiextensions/validation/{validation,cel_validation}.go, pkg/apiserver/schema/cel/compilation.go.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from podium.objects import cel
from podium.objects.cel import costs
from podium.objects.cel.schema_types import REQUEST_BYTES_MAX
from podium.objects.cel.types import BOOL, STRING, Type
from podium.objects.custom.json_paths import field_names
from podium.objects.custom.rules import environment_of
from podium.objects.custom.validity import EMBEDDED, LIST_TYPE, RULES, Node
from podium.objects.validation.faults import Faults

REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")


@dataclass(slots=True)
class _Total:
    cost: int = 0
    dearest: list[tuple[int, str]] = field(default_factory=list)


def check_rules(faults: Faults, schema: Node, path: str) -> None:
    total = _Total()
    _check_node(faults, schema, path, True, 1, "", total)
    if total.cost > costs.CRD_ESTIMATE_MAX:
        for _, place in sorted(total.dearest, reverse=True)[:4]:
            faults.forbidden(place, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema")
        name = f"{RULES} estimated rule cost total for entire OpenAPIv3 schema"
        faults.forbidden(path, _too_much(name, total.cost, costs.CRD_ESTIMATE_MAX))


def _check_node(faults: Faults, s: Node, path: str, root: bool, times: int | None, uncorrelatable: str, total: _Total) -> None:
    """`times` is how many such nodes an object can have, None when only the size of a request bounds it; `uncorrelatable` the list whose items
    have no old self."""
    rules = s.get(RULES) or []
    type_ = cel.structural_type(s, root=root or bool(s.get(EMBEDDED)))
    for index, rule in enumerate(rules):
        here = f"{path}.{RULES}[{index}]"
        if _check_form(faults, rule, here) and type_ is not None:
            _check_field(faults, rule, s, here)
            _check_expression(faults, rule, type_, here, times, uncorrelatable, total)
    bound = s.get("maxItems", s.get("maxProperties"))
    most = None if times is None or bound is None else min(times * bound, costs.UNBOUNDED)
    for name, below in (s.get("properties") or {}).items():
        _check_node(faults, below, f"{path}.properties[{name}]", False, times, uncorrelatable, total)
    if isinstance(s.get("items"), Mapping):
        lost = uncorrelatable or ("" if s.get(LIST_TYPE) == "map" else f"{path}.items")
        _check_node(faults, s["items"], f"{path}.items", False, most, lost, total)
    if isinstance(s.get("additionalProperties"), Mapping):
        _check_node(faults, s["additionalProperties"], f"{path}.additionalProperties", False, most, uncorrelatable, total)


def _check_form(faults: Faults, rule: Mapping[str, Any], path: str) -> bool:
    text, message = rule.get("rule", "").strip(), rule.get("message", "")
    if not text:
        faults.required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        faults.invalid(f"{path}.message", message, "must be non-empty if specified")
    elif "\n" in message.strip() or "\r" in message.strip():
        faults.invalid(f"{path}.message", message, "must not contain line breaks")
    elif "\n" in text and not message and not rule.get("messageExpression"):
        faults.required(f"{path}.message", "message must be specified if rule contains line breaks")
    if "messageExpression" in rule and not rule["messageExpression"].strip():
        faults.required(f"{path}.messageExpression", "messageExpression must be non-empty if specified")
    faults.one_of(f"{path}.reason", rule.get("reason"), REASONS)
    return bool(text)


def _check_field(faults: Faults, rule: Mapping[str, Any], s: Node, path: str) -> None:
    text = rule.get("fieldPath")
    if text is None:
        return
    if not text.strip():
        faults.invalid(f"{path}.fieldPath", text, "must be non-empty if specified")
        return
    if "\n" in text or "\r" in text:
        faults.invalid(f"{path}.fieldPath", text, "must not contain line breaks")
    try:
        names = field_names(text)
    except ValueError:
        faults.invalid(f"{path}.fieldPath", text, "must be a valid path")
        return
    node: Any = s
    for name in names:
        others = node.get("additionalProperties")
        node = (node.get("properties") or {}).get(name) or (others if isinstance(others, Mapping) else None)
        if node is None:
            faults.invalid(f"{path}.fieldPath", text, "must be a valid path")
            return


def _check_expression(
    faults: Faults, rule: Mapping[str, Any], type_: Type, path: str, times: int | None, uncorrelatable: str, total: _Total
) -> None:
    environment = environment_of(rule, type_)
    for name, wanted in (("rule", BOOL), ("messageExpression", STRING)):
        text = rule.get(name, "").strip()
        if not text:
            continue
        try:
            program = cel.compile(text, environment)
        except cel.CelCompileError as error:
            faults.invalid(f"{path}.{name}", rule, f"{'' if name == 'rule' else name + ' '}compilation failed: {error.message}")
            continue
        if program.type.kind not in (wanted.kind, "dyn"):
            what = "cel expression must evaluate to a bool" if name == "rule" else "messageExpression must evaluate to a string"
            faults.invalid(f"{path}.{name}", rule, what)
            continue
        if "oldSelf" in program.uses and uncorrelatable and name == "rule":
            why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelatable}"
            faults.invalid(f"{path}.rule", text, why)
            continue
        count = times if times is not None else REQUEST_BYTES_MAX // (type_.min_serialized + 1)
        cost = min(program.estimate().most * count, costs.UNBOUNDED)
        total.cost = min(total.cost + cost, costs.UNBOUNDED)
        total.dearest.append((cost, f"{path}.{name}"))
        if cost > costs.EXPRESSION_ESTIMATE_MAX:
            what = "estimated rule cost" if name == "rule" else "estimated messageExpression cost"
            faults.forbidden(f"{path}.{name}", _too_much(what, cost, costs.EXPRESSION_ESTIMATE_MAX))
    if rule.get("optionalOldSelf") and not _uses_old(rule, environment):
        why = "may not be set if oldSelf is not used in rule"
        faults.invalid(f"{path}.optionalOldSelf", True, why)


def _uses_old(rule: Mapping[str, Any], environment: cel.Environment) -> bool:
    try:
        return "oldSelf" in cel.compile(rule["rule"], environment).uses
    except cel.CelCompileError:
        return True


def _too_much(name: str, cost: int, limit: int) -> str:
    factor = cost / limit
    shown = "more than 100x" if factor > 100 else f"{factor:.6f}x" if factor < 1.5 else f"{factor:.1f}x"
    return (
        f"{name} exceeds budget by factor of {shown} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where "
        "arrays, maps, and strings are declared)"
    )
