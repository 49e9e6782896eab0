"""What pods ask of devices: ResourceClaim, ResourceClaimTemplate, DeviceClass.

Selectors are expressions: the language is loaded by the first of them. What variables they see is that of devices
(`device.driver`, `device.attributes`, `device.capacity`).

Source: k8s.io/kubernetes pkg/apis/resource/validation/validation.go, k8s.io/dynamic-resource-allocation/cel.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from podium.objects import names
from podium.objects.validation.devices import (
    check_binding_conditions,
    check_fully_qualified_name,
    check_pool_name,
    check_skipped_operations,
    check_toleration,
    check_uid,
)
from podium.objects.validation.faults import Faults
from podium.objects.validation.labels import check_labels
from podium.objects.validation.metadata import check_annotations
from podium.objects.validation.placement import check_node_selector
from podium.objects.validation.resource_amounts import is_extended
from podium.objects.validation.volume_sources import check_driver_name
from podium.objects.values import Object

REQUESTS_MAX = CONSTRAINTS_MAX = CONFIGS_MAX = SELECTORS_MAX = RESULTS_MAX = 32
FIRST_AVAILABLE_MAX = 8
RESERVED_MAX = 256
EXPRESSION_BYTES_MAX = 10 * 1024
PARAMETERS_BYTES_MAX = 10 * 1024
_MODES = ("All", "ExactCount")
_ONE_FORM = "exactly one of `exactly` or `firstAvailable` is required"
_REFERENCE = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
_ONE_ATTRIBUTE = 'exactly one of "matchAttribute" or "distinctAttribute" is required'
Check = Callable[[Any, str], None]
Requests = Mapping[str, frozenset[str]]


def check_each(faults: Faults, items: Sequence[Any], count_max: int, path: str, check: Check) -> None:
    """Too many are told as such, and none of them is looked at."""
    if len(items) > count_max:
        faults.too_many(path, len(items), count_max)
        return
    for i, item in enumerate(items):
        check(item, f"{path}[{i}]")


def _check_unique(faults: Faults, keys: Sequence[str], path: str) -> None:
    seen: set[str] = set()
    for i, key in enumerate(keys):
        faults.unique(f"{path}[{i}]", key, seen)


def check_claim(faults: Faults, value: Object) -> None:
    check_claim_spec(faults, value.get("spec") or {}, "spec")


def check_claim_update(faults: Faults, new: Object, old: Object) -> None:
    faults.unchanged("spec", new.get("spec"), old.get("spec"))


def check_template(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    metadata = spec.get("metadata") or {}
    check_labels(faults, metadata.get("labels"), "spec.metadata.labels")
    check_annotations(faults, metadata.get("annotations"), "spec.metadata.annotations")
    for field in metadata:
        if field not in ("labels", "annotations") and metadata[field] is not None:
            faults.forbidden(f"spec.metadata.{field}", "cannot be set")
    check_claim_spec(faults, spec.get("spec") or {}, "spec.spec")


def check_claim_spec(faults: Faults, spec: Object, path: str) -> None:
    devices, path = spec.get("devices") or {}, f"{path}.devices"
    requests, known = devices.get("requests") or [], _request_names(devices)
    check_each(faults, requests, REQUESTS_MAX, f"{path}.requests", lambda r, at: _check_request(faults, r, at))
    _check_unique(faults, [r.get("name") or "" for r in requests], f"{path}.requests")
    constraints = devices.get("constraints") or []
    check_each(faults, constraints, CONSTRAINTS_MAX, f"{path}.constraints", lambda c, at: _check_constraint(faults, c, known, at))
    configs = devices.get("config") or []
    check_each(faults, configs, CONFIGS_MAX, f"{path}.config", lambda c, at: _check_config(faults, c, known, at))
    for i, request in enumerate(requests):
        _check_derived(faults, request, constraints, f"{path}.requests[{i}]")


def _request_names(devices: Object) -> Requests:
    """Of each request, the names of its alternatives."""
    return {
        r.get("name") or "": frozenset(a.get("name") or "" for a in r.get("firstAvailable") or ()) for r in devices.get("requests") or ()
    }


def _check_request(faults: Faults, request: Object, path: str) -> None:
    _check_label(faults, request.get("name") or "", f"{path}.name")
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable") or []
    if exactly is None and not alternatives:
        faults.required(path, _ONE_FORM)
    elif exactly is not None and alternatives:
        faults.invalid(path, None, f"{_ONE_FORM}, but multiple fields are set")
    elif exactly is not None:
        _check_demand(faults, exactly, f"{path}.exactly")
    else:
        at = f"{path}.firstAvailable"
        check_each(faults, alternatives, FIRST_AVAILABLE_MAX, at, lambda a, here: _check_alternative(faults, a, here))
        _check_unique(faults, [a.get("name") or "" for a in alternatives], at)


def _check_alternative(faults: Faults, request: Object, path: str) -> None:
    _check_label(faults, request.get("name") or "", f"{path}.name")
    _check_demand(faults, request, path)


def _check_label(faults: Faults, name: str, path: str) -> None:
    if not name:
        faults.required(path)
    else:
        faults.each(path, name, names.dns_label(name))


def _check_demand(faults: Faults, demand: Object, path: str) -> None:
    """What is asked for, in either form of a request."""
    name, mode, count = demand.get("deviceClassName") or "", demand.get("allocationMode") or "", demand.get("count") or 0
    if not name:
        faults.required(f"{path}.deviceClassName")
    else:
        faults.each(f"{path}.deviceClassName", name, names.dns_subdomain(name))
    _check_selectors(faults, demand.get("selectors") or [], f"{path}.selectors")
    if mode == "All" and count:
        faults.invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'")
    elif mode == "ExactCount" and count <= 0:
        faults.invalid(f"{path}.count", count, "must be greater than zero")
    faults.one_of(f"{path}.allocationMode", mode, _MODES)
    for i, toleration in enumerate(demand.get("tolerations") or ()):
        check_toleration(faults, toleration, f"{path}.tolerations[{i}]")


def _check_derived(faults: Faults, request: Object, constraints: Sequence[Object], path: str) -> None:
    """Attributes that a request computes must be asked for by a constraint on it."""
    name = request.get("name") or ""
    forms: list[tuple[Object, str, set[str]]] = [(request.get("exactly") or {}, f"{path}.exactly", {name})]
    for i, alternative in enumerate(request.get("firstAvailable") or ()):
        forms.append((alternative, f"{path}.firstAvailable[{i}]", {name, f"{name}/{alternative.get('name') or ''}"}))
    for form, at, references in forms:
        for i, derived in enumerate(form.get("derivedAttributes") or ()):
            here, attribute = f"{at}.derivedAttributes[{i}]", derived.get("name") or ""
            used = any(
                attribute in (c.get("matchAttribute"), c.get("distinctAttribute"))
                and (not c.get("requests") or references & set(c["requests"]))
                for c in constraints
            )
            if attribute and not used:
                why = "must be referenced by at least one matchAttribute or distinctAttribute constraint targeting this request"
                faults.invalid(f"{here}.name", attribute, why)
            if expression := derived.get("expression"):
                _check_expression(faults, expression, f"{here}.expression", derived=True)


def _check_selectors(faults: Faults, selectors: Sequence[Object], path: str) -> None:
    def check(selector: Object, at: str) -> None:
        if selector.get("cel") is None:
            faults.required(f"{at}.cel")
        else:
            _check_expression(faults, selector["cel"].get("expression") or "", f"{at}.cel.expression")

    check_each(faults, selectors, SELECTORS_MAX, path, check)


def _check_expression(faults: Faults, text: str, path: str, *, derived: bool = False) -> None:
    if len(text.encode()) > EXPRESSION_BYTES_MAX:
        faults.too_long(path, EXPRESSION_BYTES_MAX)
        return
    from podium.objects.device_expressions import problem  # only who selects devices pays for loading the language

    if why := problem(text, derived=derived):
        if why.too_costly:
            faults.forbidden(path, why.text)
        else:
            faults.invalid(path, text, why.text)


def _check_constraint(faults: Faults, constraint: Object, known: Requests, path: str) -> None:
    _check_references(faults, constraint.get("requests") or [], known, f"{path}.requests")
    match, distinct = constraint.get("matchAttribute"), constraint.get("distinctAttribute")
    if match is not None and distinct is not None:
        faults.invalid(path, None, f"{_ONE_ATTRIBUTE}, but multiple fields are set")
    elif match is not None:
        check_fully_qualified_name(faults, match, f"{path}.matchAttribute")
    elif distinct is not None:
        check_fully_qualified_name(faults, distinct, f"{path}.distinctAttribute")
    else:
        faults.required(path, _ONE_ATTRIBUTE)


def _check_references(faults: Faults, references: Sequence[str], known: Requests, path: str) -> None:
    check_each(faults, references, REQUESTS_MAX, path, lambda name, at: _check_reference(faults, name, known, at))
    _check_unique(faults, references, path)


def _check_reference(faults: Faults, name: str, known: Requests, path: str) -> None:
    request, slash, alternative = name.partition("/")
    if "/" in alternative:
        faults.invalid(path, name, _REFERENCE)
        return
    for part in (request, alternative) if slash else (request,):
        faults.each(path, part, names.dns_label(part))
    if request not in known or (slash and alternative not in known[request]):
        faults.invalid(path, name, _REFERENCE)


def _check_config(faults: Faults, config: Object, known: Requests, path: str) -> None:
    _check_references(faults, config.get("requests") or [], known, f"{path}.requests")
    _check_opaque(faults, config, path)


def _check_opaque(faults: Faults, config: Object, path: str) -> None:
    opaque = config.get("opaque")
    if opaque is None:
        faults.required(f"{path}.opaque")
        return
    check_driver_name(faults, opaque.get("driver") or "", f"{path}.opaque.driver")
    check_json_object(faults, opaque.get("parameters"), f"{path}.opaque.parameters", PARAMETERS_BYTES_MAX)


def check_json_object(faults: Faults, value: Any, path: str, bytes_max: int) -> None:
    if value is None:
        faults.required(path)
    elif len(orjson.dumps(value)) > bytes_max:
        faults.too_long(path, bytes_max)
    elif not isinstance(value, dict):
        faults.invalid(path, "<value omitted>", "must be a valid JSON object")


def check_device_class(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    _check_selectors(faults, spec.get("selectors") or [], "spec.selectors")
    _check_class_rest(faults, spec)


def check_device_class_update(faults: Faults, new: Object, old: Object) -> None:
    """Expressions that are as before were sound when they were stored."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if spec.get("selectors") != before.get("selectors"):
        _check_selectors(faults, spec.get("selectors") or [], "spec.selectors")
    _check_class_rest(faults, spec)


def _check_class_rest(faults: Faults, spec: Object) -> None:
    check_each(faults, spec.get("config") or [], CONFIGS_MAX, "spec.config", lambda c, at: _check_opaque(faults, c, at))
    name = spec.get("extendedResourceName")
    if name is not None and not is_extended(name):
        faults.invalid("spec.extendedResourceName", name, "must be a valid extended resource name")


def check_claim_status(faults: Faults, new: Object, old: Object) -> None:
    status, before = new.get("status") or {}, old.get("status") or {}
    reserved, allocation, path = status.get("reservedFor") or [], status.get("allocation"), "status"
    known = _request_names((new.get("spec") or {}).get("devices") or {})
    check_each(faults, reserved, RESERVED_MAX, f"{path}.reservedFor", lambda r, at: _check_consumer(faults, r, at))
    _check_unique(faults, [r.get("uid") or "" for r in reserved], f"{path}.reservedFor")
    if reserved and allocation is None:
        faults.forbidden(f"{path}.reservedFor", "may not be specified when `allocated` is not set")
    elif (new.get("metadata") or {}).get("deletionTimestamp") and any(r not in (before.get("reservedFor") or ()) for r in reserved):
        why = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        faults.forbidden(f"{path}.reservedFor", why)
    if allocation is not None and before.get("allocation") is not None:
        faults.unchanged(f"{path}.allocation", allocation, before["allocation"])
    elif allocation is not None:
        _check_allocation(faults, allocation, known, f"{path}.allocation")
    _check_device_statuses(faults, status.get("devices") or [], allocation or {}, f"{path}.devices")


def _check_consumer(faults: Faults, reference: Object, path: str) -> None:
    for field in ("resource", "name", "uid"):
        if not reference.get(field):
            faults.required(f"{path}.{field}")


def _check_allocation(faults: Faults, allocation: Object, known: Requests, path: str) -> None:
    devices, at = allocation.get("devices") or {}, f"{path}.devices"
    check_each(faults, devices.get("results") or [], RESULTS_MAX, f"{at}.results", lambda r, here: _check_result(faults, r, known, here))

    def check_config(config: Object, here: str) -> None:
        if not config.get("source"):
            faults.required(f"{here}.source")
        else:
            faults.one_of(f"{here}.source", config["source"], ("FromClaim", "FromClass"))
        _check_config(faults, config, known, here)

    check_each(faults, devices.get("config") or [], 2 * CONFIGS_MAX, f"{at}.config", check_config)
    if (selector := allocation.get("nodeSelector")) is not None:
        check_node_selector(faults, selector, f"{path}.nodeSelector")


def _check_result(faults: Faults, result: Object, known: Requests, path: str) -> None:
    _check_reference(faults, result.get("request") or "", known, f"{path}.request")
    check_driver_name(faults, result.get("driver") or "", f"{path}.driver")
    check_pool_name(faults, result.get("pool") or "", f"{path}.pool")
    _check_label(faults, result.get("device") or "", f"{path}.device")
    check_binding_conditions(faults, result, path)
    for i, toleration in enumerate(result.get("tolerations") or ()):
        check_toleration(faults, toleration, f"{path}.tolerations[{i}]")
    if (share := result.get("shareID")) is not None:
        check_uid(faults, share, f"{path}.shareID")
    check_skipped_operations(faults, result.get("skipNodeOperations") or [], f"{path}.skipNodeOperations")


def _check_device_statuses(faults: Faults, devices: Sequence[Object], allocation: Object, path: str) -> None:
    from podium.objects.validation.device_statuses import check_device_status

    allocated = {_device(r) for r in (allocation.get("devices") or {}).get("results") or ()}
    for i, device in enumerate(devices):
        check_device_status(faults, device, f"{path}[{i}]", _device(device) in allocated, "/".join(filter(None, _device(device))))
    _check_unique(faults, ["/".join(_device(d)) for d in devices], path)


def _device(value: Object) -> tuple[str, str, str, str]:
    return value.get("driver") or "", value.get("pool") or "", value.get("device") or "", value.get("shareID") or ""
