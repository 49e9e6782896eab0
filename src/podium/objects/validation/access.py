"""Roles and bindings.

Source: k8s.io/kubernetes pkg/apis/rbac/validation/validation.go.
"""

from podium.objects import names
from podium.objects.validation.faults import Faults
from podium.objects.validation.labels import check_label_selector
from podium.objects.values import Object

GROUP = "rbac.authorization.k8s.io"


def check_role(faults: Faults, role: Object) -> None:
    _check_rules(faults, role, namespaced=True)


def check_cluster_role(faults: Faults, role: Object) -> None:
    _check_rules(faults, role, namespaced=False)
    aggregation = role.get("aggregationRule")
    if aggregation is None:
        return
    path = "aggregationRule.clusterRoleSelectors"
    if not aggregation.get("clusterRoleSelectors"):
        faults.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for i, selector in enumerate(aggregation.get("clusterRoleSelectors") or ()):
        check_label_selector(faults, selector, f"{path}[{i}]")


def _check_rules(faults: Faults, role: Object, *, namespaced: bool) -> None:
    for i, rule in enumerate(role.get("rules") or ()):
        _check_rule(faults, rule, f"rules[{i}]", namespaced=namespaced)


def _check_rule(faults: Faults, rule: Object, path: str, *, namespaced: bool) -> None:
    if not rule.get("verbs"):
        faults.required(f"{path}.verbs", "verbs must contain at least one value")
    if urls := rule.get("nonResourceURLs"):
        if namespaced:
            faults.invalid(f"{path}.nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs")
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            faults.invalid(f"{path}.nonResourceURLs", urls, "rules cannot apply to both regular resources and non-resource URLs")
        return
    if not rule.get("apiGroups"):
        faults.required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        faults.required(f"{path}.resources", "resource rules must supply at least one resource")


def check_role_binding(faults: Faults, binding: Object) -> None:
    _check_binding(faults, binding, ("Role", "ClusterRole"), namespaced=True)


def check_cluster_role_binding(faults: Faults, binding: Object) -> None:
    _check_binding(faults, binding, ("ClusterRole",), namespaced=False)


def check_role_binding_update(faults: Faults, new: Object, old: Object) -> None:
    check_role_binding(faults, new)
    _check_reference_kept(faults, new, old)


def check_cluster_role_binding_update(faults: Faults, new: Object, old: Object) -> None:
    check_cluster_role_binding(faults, new)
    _check_reference_kept(faults, new, old)


def _check_reference_kept(faults: Faults, new: Object, old: Object) -> None:
    if new["roleRef"] != old["roleRef"]:
        faults.invalid("roleRef", new["roleRef"], "cannot change roleRef")


def _check_binding(faults: Faults, binding: Object, kinds: tuple[str, ...], *, namespaced: bool) -> None:
    reference = binding["roleRef"]
    faults.one_of("roleRef.apiGroup", reference.get("apiGroup", ""), (GROUP,))
    faults.one_of("roleRef.kind", reference.get("kind", ""), kinds)
    name = reference.get("name", "")
    if name:
        faults.each("roleRef.name", name, names.path_segment(name))
    else:
        faults.required("roleRef.name")
    for i, subject in enumerate(binding.get("subjects") or ()):
        _check_subject(faults, subject, f"subjects[{i}]", namespaced=namespaced)


def _check_subject(faults: Faults, subject: Object, path: str, *, namespaced: bool) -> None:
    name, group = subject.get("name", ""), subject.get("apiGroup", "")
    if not name:
        faults.required(f"{path}.name")
    match subject.get("kind", ""):
        case "ServiceAccount":
            if name:
                faults.each(f"{path}.name", name, names.dns_subdomain(name))
            faults.one_of(f"{path}.apiGroup", group, ("",))
            if not namespaced and not subject.get("namespace"):
                faults.required(f"{path}.namespace")
        case "User" | "Group":
            faults.one_of(f"{path}.apiGroup", group, (GROUP,))
        case kind:
            faults.one_of(f"{path}.kind", kind, ("ServiceAccount", "User", "Group"))
