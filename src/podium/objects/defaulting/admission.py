"""Defaults of webhook configurations.

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
