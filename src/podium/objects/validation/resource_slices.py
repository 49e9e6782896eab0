"""ResourceSlice: the devices of a pool, as their driver publishes them.

Source: k8s.io/kubernetes pkg/apis/resource/validation/validation.go (ValidateResourceSlice).
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from podium.objects import names
from podium.objects.quantities import Quantity, parse
from podium.objects.validation.device_claims import check_each
from podium.objects.validation.devices import (
    check_binding_conditions,
    check_pool_name,
    check_qualified_name,
    check_skipped_operations,
    check_taint,
)
from podium.objects.validation.faults import Faults
from podium.objects.validation.placement import check_node_selector
from podium.objects.validation.volume_sources import check_driver_name
from podium.objects.values import Object

DEVICES_MAX, ADVANCED_DEVICES_MAX = 128, 64
COUNTER_SETS_MAX, COUNTERS_MAX, CONSUMPTIONS_MAX = 8, 32, 2
ENTRIES_MAX, VALUES_MAX, TAINTS_MAX = 32, 48, 16
VALUE_LENGTH_MAX = 64
OPTIONS_MAX = 10
_WHERE = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_ONE_OF_POOL = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_ONE_OF_DEVICE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice "
    "spec"
)
_NOT_OF_DEVICE = (
    "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
)
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?", re.ASCII,
)  # fmt: skip
_SINGLE, _MANY = ("bool", "int", "string", "version"), ("bools", "ints", "strings", "versions")


def check_slice(faults: Faults, value: Object) -> None:
    _check_slice(faults, value.get("spec") or {}, {})


def check_slice_update(faults: Faults, new: Object, old: Object) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    faults.unchanged("spec.pool.name", (spec.get("pool") or {}).get("name"), (before.get("pool") or {}).get("name"))
    for field in ("driver", "nodeName"):
        faults.unchanged(f"spec.{field}", spec.get(field), before.get(field))
    _check_slice(faults, spec, {d.get("name", ""): d for d in before.get("devices") or ()})


def _check_slice(faults: Faults, spec: Object, before: dict[str, Object]) -> None:
    check_driver_name(faults, spec.get("driver") or "", "spec.driver")
    _check_pool(faults, spec.get("pool") or {}, "spec.pool")
    _check_where(faults, spec, "spec", _WHERE, _ONE_OF_POOL, f"{_ONE_OF_POOL}, but multiple fields are set")
    selector = spec.get("nodeSelector")
    if selector is not None and len(selector.get("nodeSelectorTerms") or ()) != 1:
        terms = selector.get("nodeSelectorTerms") or []
        faults.invalid("spec.nodeSelector.nodeSelectorTerms", terms, "must have exactly one node selector term")
    devices, counters = spec.get("devices"), spec.get("sharedCounters")
    if devices is not None and counters is not None:
        faults.invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed")
    count_max = ADVANCED_DEVICES_MAX if any(map(_is_advanced, devices or ())) else DEVICES_MAX
    alone = bool(spec.get("perDeviceNodeSelection"))
    check_each(
        faults, devices or [], count_max, "spec.devices", lambda d, at: _check_device(faults, d, before.get(d.get("name", "")), at, alone)
    )
    _check_names(faults, [d.get("name") or "" for d in devices or ()], "spec.devices")
    check_each(faults, counters or [], COUNTER_SETS_MAX, "spec.sharedCounters", lambda c, at: _check_counters(faults, c, "name", at))
    _check_names(faults, [c.get("name") or "" for c in counters or ()], "spec.sharedCounters")
    check_skipped_operations(faults, spec.get("skipNodeOperations") or [], "spec.skipNodeOperations")
    _check_partition_type(faults, spec)


def _check_partition_type(faults: Faults, spec: Object) -> None:
    """Every device that consumes counters says its type under that name; in the driver's own domain the name may stand alone."""
    name = spec.get("partitionTypeAttribute")
    if name is None:
        return
    devices = spec.get("devices") or ()
    if not any(d.get("consumesCounters") for d in devices):
        why = "may only be set on a slice which declares devices that consume counters"
        faults.invalid("spec.partitionTypeAttribute", name, why)
        return
    bare = name.removeprefix(f"{spec.get('driver') or ''}/")
    for i, device in enumerate(devices):
        if not device.get("consumesCounters"):
            continue
        attributes, path = device.get("attributes") or {}, f"spec.devices[{i}].attributes[{name}]"
        attribute = attributes.get(name, attributes.get(bare))
        if attribute is None:
            faults.required(path, "device consumes counters and `partitionTypeAttribute` names this attribute, so it must be set")
        elif attribute.get("string") is None:
            faults.invalid(path, attribute, "must be a string value because `partitionTypeAttribute` names this attribute")


def _check_names(faults: Faults, found: Sequence[str], path: str) -> None:
    seen: set[str] = set()
    for i, name in enumerate(found):
        faults.unique(f"{path}[{i}]", name, seen)


def _check_pool(faults: Faults, pool: Object, path: str) -> None:
    check_pool_name(faults, pool.get("name") or "", f"{path}.name")
    slices, generation = pool.get("resourceSliceCount", 0), pool.get("generation", 0)
    if slices <= 0:
        faults.invalid(f"{path}.resourceSliceCount", slices, "must be greater than zero")
    if generation < 0:
        faults.invalid(f"{path}.generation", generation, "must be greater than or equal to zero")


def _check_where(faults: Faults, value: Object, path: str, fields: Sequence[str], none: str, several: str) -> None:
    """On which nodes: said in one way."""
    given = []
    for field in fields:
        wanted = value.get(field)
        if wanted is None:
            continue
        if field == "nodeSelector":
            check_node_selector(faults, wanted, f"{path}.{field}")
        elif field == "nodeName" and wanted:
            faults.each(f"{path}.nodeName", wanted, names.dns_subdomain(wanted))
        elif not wanted:
            empty = "must not be empty" if path != "spec" else "must be either unset or set to a non-empty string"
            faults.invalid(f"{path}.{field}", wanted, empty if field == "nodeName" else "must be either unset or set to true")
            continue
        given.append(f"`{field}`")
    if not given:
        faults.required(path, none)
    elif len(given) > 1:
        faults.invalid(path, "{" + ", ".join(given) + "}", several)


def _is_advanced(device: Object) -> bool:
    """Devices that can do more take more room, so there may be fewer."""
    attributes = (device.get("attributes") or {}).values()
    return bool(
        device.get("taints") or device.get("consumesCounters") or any(a.get(field) is not None for a in attributes for field in _MANY)
    )


def _check_device(faults: Faults, device: Object, before: Object | None, path: str, alone: bool) -> None:
    """`alone`: it says itself on which nodes it is. What is as `before` is not looked at again, where rules have become tighter."""
    name, attributes, capacity = device.get("name") or "", device.get("attributes") or {}, device.get("capacity") or {}
    if not name:
        faults.required(f"{path}.name")
    else:
        faults.each(f"{path}.name", name, names.dns_label(name))
    if (entries := len(attributes) + len(capacity)) > ENTRIES_MAX:
        faults.invalid(path, entries, f"the total number of attributes and capacities must not exceed {ENTRIES_MAX}")
    values = sum(sum(len(a.get(field) or ()) for field in _MANY) or 1 for a in attributes.values())
    if values > VALUES_MAX:
        faults.invalid(path, values, f"the total number of attribute values must not exceed {VALUES_MAX}")
    for key, attribute in attributes.items():
        check_qualified_name(faults, key, f"{path}.attributes")
        _check_attribute(faults, attribute, f"{path}.attributes[{key}]")
    if before is None or before.get("capacity") != device.get("capacity"):
        for key, amount in capacity.items():
            check_qualified_name(faults, key, f"{path}.capacity")
            _check_capacity(faults, amount, f"{path}.capacity[{key}]", shared=bool(device.get("allowMultipleAllocations")))
    if before is None or before.get("taints") != device.get("taints"):
        check_each(faults, device.get("taints") or [], TAINTS_MAX, f"{path}.taints", lambda t, at: check_taint(faults, t, at))
    consumed = device.get("consumesCounters") or []
    at = f"{path}.consumesCounters"
    check_each(faults, consumed, CONSUMPTIONS_MAX, at, lambda c, here: _check_counters(faults, c, "counterSet", here))
    _check_names(faults, [c.get("counterSet") or "" for c in consumed], at)
    if alone:
        _check_where(faults, device, path, _WHERE[:3], _ONE_OF_DEVICE, _ONE_OF_DEVICE)
    elif any(device.get(field) is not None for field in _WHERE[:3]):
        faults.invalid(path, None, _NOT_OF_DEVICE)
    check_binding_conditions(faults, device, path)


def _check_counters(faults: Faults, value: Object, field: str, path: str) -> None:
    name, counters = value.get(field) or "", value.get("counters") or {}
    if not name:
        faults.required(f"{path}.{field}")
    else:
        faults.each(f"{path}.{field}", name, names.dns_label(name))
    if not counters:
        faults.required(f"{path}.counters")
    if len(counters) > COUNTERS_MAX:
        faults.too_many(f"{path}.counters", len(counters), COUNTERS_MAX)
        return
    for counter in counters:
        faults.each(f"{path}.counters", counter, names.dns_label(counter))


def _check_attribute(faults: Faults, attribute: Object, path: str) -> None:
    given = [field for field in (*_SINGLE, *_MANY) if attribute.get(field) is not None]
    for field in given:
        if field in _MANY and not attribute[field]:
            faults.invalid(f"{path}.{field}", attribute[field], "must not be empty if specified")
    texts = [("string", attribute.get("string")), ("version", attribute.get("version"))]
    texts += [(f"{field}[{i}]", text) for field in ("strings", "versions") for i, text in enumerate(attribute.get(field) or ())]
    for at, text in texts:
        if text is None:
            continue
        if at.startswith("version") and not _SEMVER.fullmatch(text):
            faults.invalid(f"{path}.{at}", text, "must be a string compatible with semver.org spec 2.0.0")
        if len(text.encode()) > VALUE_LENGTH_MAX:
            faults.too_long(f"{path}.{at}", VALUE_LENGTH_MAX)
    if len(given) != 1:
        faults.invalid(path, attribute if given else "", "exactly one value must be specified")


def _check_capacity(faults: Faults, capacity: Object, path: str, *, shared: bool) -> None:
    policy, at = capacity.get("requestPolicy"), f"{path}.requestPolicy"
    if policy is None:
        return
    if not shared:
        faults.forbidden(at, "allowMultipleAllocations must be true")
        return
    options, span = policy.get("validValues") or [], policy.get("validRange")
    if options and span is not None:
        why = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'
        faults.forbidden(at, why)
        return
    default, most = _quantity(policy.get("default")), _quantity(capacity.get("value"))
    if options or span is not None:
        field = "validValues" if options else "validRange"
        if default is None:
            faults.required(f"{at}.default", f"required when {field} is defined")
        elif most is not None and options:
            _check_options(faults, options, default, most, f"{at}.validValues")
        elif most is not None:
            _check_span(faults, span, default, most, f"{at}.validRange")


def _check_options(faults: Faults, options: Sequence[str], default: Quantity, most: Quantity, path: str) -> None:
    amounts = [amount for text in options if (amount := _quantity(text)) is not None]
    for i, (low, high) in enumerate(pairwise(amounts)):
        if low.nanos > high.nanos:
            faults.invalid(f"{path}[{i + 1}]", str(high), "values must be sorted in ascending order")
    if len(options) > OPTIONS_MAX:
        faults.too_many(path, len(options), OPTIONS_MAX)
        return
    seen: set[int] = set()
    for i, amount in enumerate(amounts):
        if amount.nanos > most.nanos:
            faults.invalid(f"{path}[{i}]", str(amount), f"option is larger than capacity value: {most}")
        if amount.nanos in seen:
            faults.duplicate(f"{path}[{i}]", str(amount))
        seen.add(amount.nanos)
    if default.nanos not in seen:
        faults.invalid(path, str(default), "default value is not valid according to the requestPolicy")


def _check_span(faults: Faults, span: Object, default: Quantity, most: Quantity, path: str) -> None:
    low, high, step = (_quantity(span.get(field)) for field in ("min", "max", "step"))
    if low is None:
        faults.required(f"{path}.min", "required when validRange is defined")
        return
    if low.nanos > most.nanos:
        faults.invalid(f"{path}.min", str(low), f"min is larger than capacity value: {most}")
    if default.nanos < low.nanos:
        faults.invalid(f"{path}.default", str(default), f"default is less than min: {low}")
    if high is not None:
        if low.nanos > high.nanos:
            faults.invalid(f"{path}.max", str(low), f"min is larger than max: {high}")
        if high.nanos > most.nanos:
            faults.invalid(f"{path}.max", str(high), f"max is larger than capacity value: {most}")
        if default.nanos > high.nanos:
            faults.invalid(f"{path}.default", str(default), f"default is more than max: {high}")
    if step is not None:
        _check_step(faults, step, low, (default, high), most, f"{path}.step")


def _check_step(faults: Faults, step: Quantity, low: Quantity, reached: Sequence[Quantity | None], most: Quantity, path: str) -> None:
    if step.nanos <= 0:
        faults.invalid(path, str(step), "must be greater than zero")
        return
    if low.nanos + step.nanos > most.nanos:
        faults.invalid(path, str(step), f"one step {step} is larger than capacity value: {most}")
    for amount in reached:
        if amount is not None and (amount.nanos - low.nanos) % step.nanos:
            faults.invalid(path, str(amount), f"value is not a multiple of a given step ({step}) from ({low})")


def _quantity(text: Any) -> Quantity | None:
    try:
        return parse(str(text)) if text is not None else None
    except ValueError:
        return None
