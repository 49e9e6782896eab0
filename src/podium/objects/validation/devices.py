"""What claims, slices and taint rules of devices have in common: names, taints, tolerations, binding conditions.

Source: k8s.io/kubernetes pkg/apis/resource/validation/validation.go.
"""

import re
from collections.abc import Sequence

from podium.objects import names
from podium.objects.validation.faults import Faults
from podium.objects.validation.volume_sources import check_driver_name
from podium.objects.values import Object

POOL_NAME_LENGTH_MAX = 253
NAME_LENGTH_MAX = 32
CONDITIONS_MAX = 4
EFFECTS = ("NoExecute", "NoSchedule", "None")
_OPERATORS = ("Equal", "Exists")
_QUALIFIED = "a fully qualified name must be a domain and a name separated by a slash"
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def check_pool_name(faults: Faults, name: str, path: str) -> None:
    if not name:
        faults.required(path)
        return
    if len(name.encode()) > POOL_NAME_LENGTH_MAX:
        faults.too_long(path, POOL_NAME_LENGTH_MAX)
    for part in name.split("/"):
        faults.each(path, part, names.dns_subdomain(part))


def check_qualified_name(faults: Faults, name: str, path: str) -> None:
    """Of an attribute or a capacity: an identifier, which may stand behind a domain."""
    domain, slash, identifier = name.partition("/")
    if "/" in identifier:
        faults.invalid(path, name, "must not contain more than one slash")
        return
    if slash and not domain:
        faults.invalid(path, "", "the domain must not be empty")
    elif slash:
        check_driver_name(faults, domain, path)
    if slash and not identifier:
        faults.invalid(path, "", "the name must not be empty")
        return
    text = identifier if slash else domain
    if len(text.encode()) > NAME_LENGTH_MAX:
        faults.too_long(path, NAME_LENGTH_MAX)
    faults.each(path, text, names.identifier(text))


def check_fully_qualified_name(faults: Faults, name: str, path: str) -> None:
    check_qualified_name(faults, name, path)
    if "/" not in name:
        faults.invalid(path, name, _QUALIFIED)


def check_uid(faults: Faults, uid: str, path: str) -> None:
    if _UID.fullmatch(uid):
        return
    if _UID.fullmatch(uid.lower()):
        form = "`xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters"
        faults.invalid(path, uid, f"uid must be in RFC 4122 normalized form, {form}")
    else:
        faults.invalid(path, uid, f"error validating uid: invalid UUID length: {len(uid)}")


def check_taint(faults: Faults, taint: Object, path: str, *, effect_kept: bool = False) -> None:
    """`effect_kept`: it was so before, and passes whatever it is."""
    key, value, effect = taint.get("key") or "", taint.get("value") or "", taint.get("effect") or ""
    faults.each(f"{path}.key", key, names.label_key(key))
    faults.each(f"{path}.value", value, names.label_value(value))
    if effect_kept:
        return
    if not effect:
        faults.required(f"{path}.effect")
    else:
        faults.one_of(f"{path}.effect", effect, EFFECTS)


def check_toleration(faults: Faults, toleration: Object, path: str) -> None:
    key, value, operator = toleration.get("key") or "", toleration.get("value") or "", toleration.get("operator") or ""
    if key:
        faults.each(f"{path}.key", key, names.label_key(key))
    if not operator:
        faults.required(f"{path}.operator")
    elif operator == "Exists" and value:
        faults.invalid(f"{path}.value", value, "must be empty for operator `Exists`")
    elif operator == "Equal":
        faults.each(f"{path}.value", value, names.label_value(value))
    else:
        faults.one_of(f"{path}.operator", operator, _OPERATORS)
    faults.one_of(f"{path}.effect", toleration.get("effect") or None, EFFECTS)


def check_binding_conditions(faults: Faults, value: Object, path: str) -> None:
    """What must be so before a pod is bound to a device, and what says that it never will be: both or neither, and apart."""
    given: dict[str, Sequence[str]] = {field: value.get(field) or [] for field in ("bindingConditions", "bindingFailureConditions")}
    for field, conditions in given.items():
        at, seen = f"{path}.{field}", set[str]()
        if len(conditions) > CONDITIONS_MAX:
            faults.too_many(at, len(conditions), CONDITIONS_MAX)
            continue
        for i, condition in enumerate(conditions):
            faults.each(f"{at}[{i}]", condition, names.label_key(condition))
            faults.unique(f"{at}[{i}]", condition, seen)
    needed, failing = given["bindingConditions"], given["bindingFailureConditions"]
    for i, condition in enumerate(failing):
        if condition in needed:
            why = "bindingFailureConditions must not overlap with bindingConditions"
            faults.invalid(f"{path}.bindingFailureConditions[{i}]", condition, why)
    if failing and not needed:
        faults.invalid(f"{path}.bindingConditions", needed, "bindingConditions are required to use bindingFailureConditions")
    if needed and not failing:
        faults.invalid(f"{path}.bindingFailureConditions", failing, "bindingFailureConditions are required to use bindingConditions")


def check_skipped_operations(faults: Faults, operations: Sequence[str], path: str) -> None:
    if "NodePrepareResources" in operations and not {"NodeUnprepareResources", "*"} & set(operations):
        faults.invalid(path, operations, "NodePrepareResources cannot be skipped unless NodeUnprepareResources is also skipped")


def check_taint_rule(faults: Faults, value: Object) -> None:
    _check_taint_rule(faults, value.get("spec") or {}, {})


def check_taint_rule_update(faults: Faults, new: Object, old: Object) -> None:
    _check_taint_rule(faults, new.get("spec") or {}, (old.get("spec") or {}).get("taint") or {})


def _check_taint_rule(faults: Faults, spec: Object, before: Object) -> None:
    selector, path = spec.get("deviceSelector") or {}, "spec.deviceSelector"
    if selector.get("driver") is not None:
        check_driver_name(faults, selector["driver"], f"{path}.driver")
    if selector.get("pool") is not None:
        check_pool_name(faults, selector["pool"], f"{path}.pool")
    if selector.get("device") is not None:
        faults.each(f"{path}.device", selector["device"], names.dns_label(selector["device"]))
    taint = spec.get("taint") or {}
    check_taint(faults, taint, "spec.taint", effect_kept=bool(before) and before.get("effect") == taint.get("effect"))
