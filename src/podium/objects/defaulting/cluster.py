"""Defaults of namespaces, nodes, secrets, limits, roles and tokens.

Source: pkg/apis/core/v1/defaults.go, pkg/apis/{rbac,scheduling,authentication}/v1/defaults.go.
"""

from typing import Any

Object = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"
NAME_LABEL = "kubernetes.io/metadata.name"
TOKEN_EXPIRATION_S = 3600
WEBHOOK_PORT = 443


POD_CERTIFICATE_S = 86400


def default_namespace(value: Object) -> None:
    if name := value.get("metadata", {}).get("name"):
        value["metadata"].setdefault("labels", {})[NAME_LABEL] = name
    status = value.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Active"


def default_node(value: Object) -> None:
    value.setdefault("spec", {})
    status = value.get("status", {})
    if status.get("capacity") and "allocatable" not in status:
        status["allocatable"] = dict(status["capacity"])


def default_secret(value: Object) -> None:
    if not value.get("type"):
        value["type"] = "Opaque"


def default_limit_range(value: Object) -> None:
    for item in value.get("spec", {}).get("limits", ()):
        if item.get("type") == "Container":
            limits = {**item.get("max", {}), **item.get("default", {})}
            requests = {**item.get("min", {}), **limits, **item.get("defaultRequest", {})}
            item.update({name: amounts for name, amounts in (("default", limits), ("defaultRequest", requests)) if amounts})


def default_binding(value: Object) -> None:
    """RoleBinding and ClusterRoleBinding."""
    role = value.setdefault("roleRef", {})
    if not role.get("apiGroup"):
        role["apiGroup"] = RBAC
    for subject in value.get("subjects", ()):
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = RBAC


def default_priority_class(value: Object) -> None:
    value.setdefault("preemptionPolicy", "PreemptLowerPriority")


def default_token_request(value: Object) -> None:
    value.setdefault("spec", {}).setdefault("expirationSeconds", TOKEN_EXPIRATION_S)


def default_custom_resource_definition(value: Object) -> None:
    """Source: apiextensions-apiserver pkg/apis/apiextensions/v1/defaults.go."""
    spec = value.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if kind := names.get("kind"):
        if not names.get("singular"):
            names["singular"] = kind.lower()
        if not names.get("listKind"):
            names["listKind"] = kind + "List"
    conversion = spec.setdefault("conversion", {})
    if not conversion.get("strategy"):
        conversion["strategy"] = "None"
    service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None and not service.get("port"):
        service["port"] = WEBHOOK_PORT


def default_pod_certificate_request(value: Object) -> None:
    value.setdefault("spec", {}).setdefault("maxExpirationSeconds", POD_CERTIFICATE_S)
