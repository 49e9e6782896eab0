"""FlowSchema and PriorityLevelConfiguration.

Source: k8s.io/kubernetes pkg/apis/flowcontrol/validation.
"""

from podium.objects import names
from podium.objects.validation.faults import NEGATIVE, Faults
from podium.objects.values import Object

_PRECEDENCE_MAX = 10_000
_QUEUES_MAX = 10_000_000
_DEAL_BITS_MAX = 60
_VERBS = ("*", "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")


def check_flow_schema(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    precedence, name = spec.get("matchingPrecedence", 1000), value["metadata"].get("name", "")
    if not 1 <= precedence <= _PRECEDENCE_MAX:
        faults.invalid("spec.matchingPrecedence", precedence, f"must be a value between 1 and {_PRECEDENCE_MAX}")
    if precedence == 1 and name != "exempt":
        faults.invalid("spec.matchingPrecedence", precedence, "only the schema named 'exempt' may have matchingPrecedence 1")
    if (method := spec.get("distinguisherMethod")) is not None:
        faults.one_of("spec.distinguisherMethod.type", method.get("type") or "", ("ByNamespace", "ByUser"))
    level = (spec.get("priorityLevelConfiguration") or {}).get("name") or ""
    if not level:
        faults.required("spec.priorityLevelConfiguration.name", "must reference a priority level")
    else:
        faults.each("spec.priorityLevelConfiguration.name", level, names.dns_subdomain(level))
    for i, rule in enumerate(spec.get("rules") or ()):
        _check_rule(faults, rule, f"spec.rules[{i}]")


def _check_rule(faults: Faults, rule: Object, path: str) -> None:
    if not rule.get("subjects"):
        faults.required(f"{path}.subjects", "subjects must contain at least one value")
    for i, subject in enumerate(rule.get("subjects") or ()):
        _check_subject(faults, subject, f"{path}.subjects[{i}]")
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        faults.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty")
    for i, resources in enumerate(rule.get("resourceRules") or ()):
        at = f"{path}.resourceRules[{i}]"
        _check_list(faults, resources, "verbs", at)
        for field, what in (("apiGroups", "api groups"), ("resources", "resources")):
            _check_list(faults, resources, field, at, what)
        if not resources.get("namespaces") and not resources.get("clusterScope"):
            faults.required(f"{at}.namespaces", "resource rules that are not cluster scoped must supply at least one namespace")
    for i, paths in enumerate(rule.get("nonResourceRules") or ()):
        _check_list(faults, paths, "verbs", f"{path}.nonResourceRules[{i}]")
        _check_list(faults, paths, "nonResourceURLs", f"{path}.nonResourceRules[{i}]")


def _check_list(faults: Faults, value: Object, field: str, path: str, what: str = "") -> None:
    given = value.get(field) or []
    if not given:
        faults.required(f"{path}.{field}", f"{what or field} must contain at least one value")
    if len(given) > 1 and "*" in given:
        faults.invalid(f"{path}.{field}", given, f"if '*' is present, must not specify other {what or field}")
    if field == "verbs":
        for verb in given:
            if verb not in _VERBS and verb.lower() != verb:
                faults.one_of(f"{path}.verbs", verb, _VERBS)


def _check_subject(faults: Faults, subject: Object, path: str) -> None:
    kinds = {"ServiceAccount": "serviceAccount", "User": "user", "Group": "group"}
    kind = subject.get("kind") or ""
    if kind not in kinds:
        faults.one_of(f"{path}.kind", kind, tuple(sorted(kinds)))
        return
    for other, field in kinds.items():
        if other == kind and not subject.get(field):
            faults.required(f"{path}.{field}", f"{field} is required when subject kind is '{kind}'")
        if other != kind and subject.get(field):
            faults.forbidden(f"{path}.{field}", f"{field} is forbidden when subject kind is not '{other}'")
    body = subject.get(kinds[kind]) or {}
    if body and not body.get("name"):
        faults.required(f"{path}.{kinds[kind]}.name")
    if kind == "ServiceAccount" and body and not body.get("namespace"):
        faults.required(f"{path}.serviceAccount.namespace", "must specify namespace for service account")


def check_priority_level(faults: Faults, value: Object) -> None:
    spec, name = value.get("spec") or {}, value["metadata"].get("name", "")
    type_ = spec.get("type") or ""
    if (name == "exempt") != (type_ == "Exempt"):
        expected = "Exempt" if name == "exempt" else "Limited"
        faults.invalid(
            "spec.type", type_, f"type must be '{expected}' if and only if the name is {'' if name == 'exempt' else 'not '}'exempt'"
        )
        return
    if type_ == "Exempt":
        if spec.get("limited") is not None:
            faults.forbidden("spec.limited", "must be nil if the type is not Limited")
        return
    faults.one_of("spec.type", type_, ("Exempt", "Limited"))
    limited = spec.get("limited")
    if limited is None:
        faults.required("spec.limited", "must not be empty when type is Limited")
        return
    _check_limited(faults, limited)


def _check_limited(faults: Faults, limited: Object) -> None:
    path = "spec.limited"
    if (shares := limited.get("nominalConcurrencyShares", 30)) < 0:
        faults.invalid(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer")
    lendable = limited.get("lendablePercent", 0)
    if not 0 <= lendable <= 100:
        faults.invalid(f"{path}.lendablePercent", lendable, "must be between 0 and 100, inclusive")
    if (borrowing := limited.get("borrowingLimitPercent")) is not None and borrowing < 0:
        faults.invalid(f"{path}.borrowingLimitPercent", borrowing, f"if specified, {NEGATIVE}")
    response = limited.get("limitResponse") or {}
    type_, queuing = response.get("type") or "", response.get("queuing")
    faults.one_of(f"{path}.limitResponse.type", type_, ("Queue", "Reject"))
    if type_ == "Reject" and queuing is not None:
        faults.forbidden(f"{path}.limitResponse.queuing", "must be nil if limited.limitResponse.type is not Queue")
    if type_ == "Queue":
        if queuing is None:
            faults.required(f"{path}.limitResponse.queuing", "must not be empty if limited.limitResponse.type is Queue")
        else:
            _check_queuing(faults, queuing, f"{path}.limitResponse.queuing")


def _check_queuing(faults: Faults, queuing: Object, path: str) -> None:
    queues, hand, length = (queuing.get(field, 1) for field in ("queues", "handSize", "queueLengthLimit"))
    for field, number in (("queueLengthLimit", length), ("queues", queues), ("handSize", hand)):
        if number <= 0:
            faults.invalid(f"{path}.{field}", number, "must be positive")
    if queues > _QUEUES_MAX:
        faults.invalid(f"{path}.queues", queues, f"must not be greater than {_QUEUES_MAX}")
    if hand > queues:
        faults.invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})")
    elif hand > 0 and queues > 1 and hand * (queues - 1).bit_length() > _DEAL_BITS_MAX:
        bits = hand * (queues - 1).bit_length()
        faults.invalid(f"{path}.handSize", hand, f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than "
                       f"{_DEAL_BITS_MAX} (needs {bits})")  # fmt: skip
