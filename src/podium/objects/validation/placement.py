"""Placement: where a pod may run: tolerations, affinity, spreading; and the taints of nodes.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidateTolerations, validateAffinity, validateTopologySpreadConstraints).
"""

from podium.objects import names
from podium.objects.cause import Cause, show
from podium.objects.validation.faults import Faults
from podium.objects.validation.labels import check_label_selector, check_operator
from podium.objects.values import Object

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED, _PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
_WEIGHT_MAX = 100


def check_tolerations(faults: Faults, tolerations: list[Object], path: str) -> None:
    for i, toleration in enumerate(tolerations):
        at = f"{path}[{i}]"
        key, operator = toleration.get("key", ""), toleration.get("operator", "")
        value, effect = toleration.get("value", ""), toleration.get("effect", "")
        if key:
            faults.each(f"{at}.key", key, names.label_key(key))
        elif operator != "Exists":
            why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            faults.invalid(f"{at}.operator", operator, why)
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            faults.invalid(f"{at}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
        if operator in ("", "Equal"):
            wrong = names.label_value(value)
            if wrong:
                faults.invalid(f"{at}.operator", value, ";".join(wrong))
        elif operator == "Exists":
            if value:
                faults.invalid(f"{at}.operator", value, "value must be empty when `operator` is 'Exists'")
        else:
            faults.one_of(f"{at}.operator", operator, ("Equal", "Exists"))
        if effect:
            faults.one_of(f"{at}.effect", effect, _EFFECTS)


def check_taints(faults: Faults, taints: list[Object], path: str) -> None:
    seen: set[tuple[str, str]] = set()
    for i, taint in enumerate(taints):
        at = f"{path}[{i}]"
        key, value, effect = taint.get("key", ""), taint.get("value", ""), taint.get("effect", "")
        faults.each(f"{at}.key", key, names.label_key(key))
        wrong = names.label_value(value)
        if wrong:
            faults.invalid(f"{at}.value", value, ";".join(wrong))
        if not effect:
            faults.required(f"{at}.effect")
        else:
            faults.one_of(f"{at}.effect", effect, _EFFECTS)
        if (key, effect) in seen:
            faults.append(Cause("FieldValueDuplicate", at, f"Duplicate value: {show(taint)}: taints must be unique by key and effect pair"))
        seen.add((key, effect))


def check_affinity(faults: Faults, affinity: Object, path: str) -> None:
    node = affinity.get("nodeAffinity")
    if node:
        at = f"{path}.nodeAffinity"
        if node.get(_REQUIRED) is not None:
            check_node_selector(faults, node[_REQUIRED], f"{at}.{_REQUIRED}")
        for i, term in enumerate(node.get(_PREFERRED) or ()):
            _check_weight(faults, term, f"{at}.{_PREFERRED}[{i}]")
            _check_node_term(faults, term.get("preference") or {}, f"{at}.{_PREFERRED}[{i}].preference", strict=False)
    for kind in ("podAffinity", "podAntiAffinity"):
        pods = affinity.get(kind) or {}
        for i, term in enumerate(pods.get(_REQUIRED) or ()):
            _check_pod_term(faults, term, f"{path}.{kind}.{_REQUIRED}[{i}]")
        for i, weighted in enumerate(pods.get(_PREFERRED) or ()):
            at = f"{path}.{kind}.{_PREFERRED}[{i}]"
            _check_weight(faults, weighted, at)
            _check_pod_term(faults, weighted.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm")


def check_spread(faults: Faults, constraints: list[Object], path: str) -> None:
    seen: set[str] = set()
    for i, constraint in enumerate(constraints):
        at = f"{path}[{i}]"
        action, key, skew = constraint.get("whenUnsatisfiable"), constraint.get("topologyKey", ""), constraint.get("maxSkew", 0)
        if skew <= 0:
            faults.invalid(f"{at}.maxSkew", skew, "must be greater than zero")
        _check_topology_key(faults, key, f"{at}.topologyKey")
        faults.one_of(f"{at}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway"))
        faults.unique(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}", seen)
        domains = constraint.get("minDomains")
        if domains is not None:
            if domains <= 0:
                faults.invalid(f"{at}.minDomains", domains, "must be greater than zero")
            if action != "DoNotSchedule":
                why = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                faults.invalid(f"{at}.minDomains", domains, why)
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            faults.one_of(f"{at}.{field}", constraint.get(field), ("Honor", "Ignore"))
        check_label_selector(faults, constraint.get("labelSelector"), f"{at}.labelSelector")


def _check_weight(faults: Faults, term: Object, path: str) -> None:
    weight = term.get("weight", 0)
    if not 0 < weight <= _WEIGHT_MAX:
        faults.invalid(f"{path}.weight", weight, "must be in the range 1-100")


def check_node_selector(faults: Faults, selector: Object, path: str) -> None:
    terms = selector.get("nodeSelectorTerms") or []
    if not terms:
        faults.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for i, term in enumerate(terms):
        _check_node_term(faults, term, f"{path}.nodeSelectorTerms[{i}]", strict=True)


def _check_node_term(faults: Faults, term: Object, path: str, *, strict: bool) -> None:
    """`strict`: values must be possible label values, which a mere preference need not have."""
    for i, requirement in enumerate(term.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{i}]"
        check_operator(faults, requirement, at, ("Gt", "Lt"))
        faults.each(f"{at}.key", requirement.get("key", ""), names.label_key(requirement.get("key", "")))
        for j, value in enumerate((requirement.get("values") or ()) if strict else ()):
            faults.each(f"{at}.values[{j}]", value, names.label_value(value))
    for i, requirement in enumerate(term.get("matchFields") or ()):
        at, values = f"{path}.matchFields[{i}]", requirement.get("values") or ()
        if requirement.get("operator") not in ("In", "NotIn"):
            faults.invalid(f"{at}.operator", requirement.get("operator", ""), "not a valid selector operator")
        elif len(values) != 1:
            why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            faults.required(f"{at}.values", why)
        if requirement.get("key") != "metadata.name":
            faults.invalid(f"{at}.key", requirement.get("key", ""), "not a valid field selector key")
        for j, value in enumerate(values):
            faults.each(f"{at}.values[{j}]", value, names.dns_subdomain(value))


def _check_pod_term(faults: Faults, term: Object, path: str) -> None:
    check_label_selector(faults, term.get("labelSelector"), f"{path}.labelSelector")
    check_label_selector(faults, term.get("namespaceSelector"), f"{path}.namespaceSelector")
    for namespace in term.get("namespaces") or ():
        faults.each(f"{path}.namespace", namespace, names.dns_label(namespace))
    _check_topology_key(faults, term.get("topologyKey", ""), f"{path}.topologyKey")


def _check_topology_key(faults: Faults, key: str, path: str) -> None:
    if not key:
        faults.required(path, "can not be empty")
    faults.each(path, key, names.label_key(key))
