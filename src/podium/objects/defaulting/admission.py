"""Defaults of webhook configurations and of admission policies.

Source: pkg/apis/admissionregistration/v1/defaults.go.
"""

from typing import Any

Object = dict[str, Any]

TIMEOUT_SECONDS = 10
SERVICE_PORT = 443


def default_webhooks(value: Object) -> None:
    """ValidatingWebhookConfiguration; a mutating one has one field more."""
    for hook in value.get("webhooks") or ():
        for field, default in (("failurePolicy", "Fail"), ("matchPolicy", "Equivalent"), ("timeoutSeconds", TIMEOUT_SECONDS)):
            if hook.get(field) is None:
                hook[field] = default
        for field in ("namespaceSelector", "objectSelector"):
            hook.setdefault(field, {})
        for rule in hook.get("rules") or ():
            rule.setdefault("scope", "*")
        if service := (hook.get("clientConfig") or {}).get("service"):
            service.setdefault("port", SERVICE_PORT)


def default_mutating_webhooks(value: Object) -> None:
    default_webhooks(value)
    for hook in value.get("webhooks") or ():
        hook.setdefault("reinvocationPolicy", "Never")


def default_policy(value: Object) -> None:
    """ValidatingAdmissionPolicy and MutatingAdmissionPolicy."""
    spec = value.setdefault("spec", {})
    if spec.get("failurePolicy") is None:
        spec["failurePolicy"] = "Fail"
    if (constraints := spec.get("matchConstraints")) is not None:
        _default_match(constraints)


def default_policy_binding(value: Object) -> None:
    if (resources := (value.get("spec") or {}).get("matchResources")) is not None:
        _default_match(resources)


def _default_match(resources: Object) -> None:
    if resources.get("matchPolicy") is None:
        resources["matchPolicy"] = "Equivalent"
    for field in ("namespaceSelector", "objectSelector"):
        resources.setdefault(field, {})
    for field in ("resourceRules", "excludeResourceRules"):
        for rule in resources.get(field) or ():
            rule.setdefault("scope", "*")
