"""MutatingWebhookConfiguration and ValidatingWebhookConfiguration; their rules and selectors are those of the admission policies, too.

Source: k8s.io/kubernetes pkg/apis/admissionregistration/validation, k8s.io/apiserver pkg/util/webhook/validation.go.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from podium.objects import names
from podium.objects.validation.faults import Faults
from podium.objects.validation.labels import check_label_selector
from podium.objects.values import Object

OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
REVIEW_VERSIONS = ("v1", "v1beta1")
TIMEOUT_S = (1, 30)
_FORM = "; desired format: https://host[/path]"


def check_mutating(faults: Faults, value: Object) -> None:
    _check_webhooks(faults, value)
    for i, hook in enumerate(value.get("webhooks") or ()):
        faults.one_of(f"webhooks[{i}].reinvocationPolicy", hook.get("reinvocationPolicy"), ("IfNeeded", "Never"))


def check_validating(faults: Faults, value: Object) -> None:
    _check_webhooks(faults, value)


def _check_webhooks(faults: Faults, value: Object) -> None:
    seen: set[Any] = set()
    for i, hook in enumerate(value.get("webhooks") or ()):
        path = f"webhooks[{i}]"
        _check_webhook(faults, hook, path)
        if hook.get("name"):
            faults.unique(f"{path}.name", hook["name"], seen)


def _check_webhook(faults: Faults, hook: Object, path: str) -> None:
    check_qualified_name(faults, hook.get("name") or "", f"{path}.name")
    for i, rule in enumerate(hook.get("rules") or ()):
        check_rule(faults, rule, f"{path}.rules[{i}]")
    faults.one_of(f"{path}.failurePolicy", hook.get("failurePolicy"), ("Fail", "Ignore"))
    faults.one_of(f"{path}.matchPolicy", hook.get("matchPolicy"), ("Equivalent", "Exact"))
    if not hook.get("sideEffects"):
        faults.required(f"{path}.sideEffects", "must specify one of None, NoneOnDryRun")
    else:
        faults.one_of(f"{path}.sideEffects", hook["sideEffects"], ("None", "NoneOnDryRun"))
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not TIMEOUT_S[0] <= seconds <= TIMEOUT_S[1]:
        faults.invalid(f"{path}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds")
    for field in ("namespaceSelector", "objectSelector"):
        if hook.get(field):
            check_label_selector(faults, hook[field], f"{path}.{field}")
    if conditions := hook.get("matchConditions"):
        from podium.objects.policy_expressions import Scope  # only who has conditions pays for loading the language
        from podium.objects.validation.expressions import check_conditions

        check_conditions(faults, conditions, f"{path}.matchConditions", Scope())
    _check_versions(faults, hook.get("admissionReviewVersions") or (), f"{path}.admissionReviewVersions")
    check_client_config(faults, hook.get("clientConfig") or {}, f"{path}.clientConfig")


def check_qualified_name(faults: Faults, name: str, path: str) -> None:
    if not name:
        faults.required(path)
        return
    wrong = names.dns_subdomain(name)
    if wrong:
        faults.each(path, name, wrong)
    elif name.count(".") < 2:
        faults.invalid(path, name, "should be a domain with at least three segments separated by dots")


def _check_versions(faults: Faults, versions: Sequence[str], path: str) -> None:
    if not versions:
        faults.required(path, f"must specify one of {', '.join(REVIEW_VERSIONS)}")
        return
    seen: set[Any] = set()
    for i, version in enumerate(versions):
        faults.unique(f"{path}[{i}]", version, seen)
        faults.each(f"{path}[{i}]", version, names.dns_1035_label(version))
    if not any(version in REVIEW_VERSIONS for version in versions):
        faults.invalid(path, list(versions), f"must include at least one of {', '.join(REVIEW_VERSIONS)}")


def check_rule(faults: Faults, rule: Object, path: str) -> None:
    """A rule with its operations, of a webhook or of a policy."""
    operations = rule.get("operations") or []
    if not operations:
        faults.required(f"{path}.operations")
    if len(operations) > 1 and "*" in operations:
        faults.invalid(f"{path}.operations", operations, "if '*' is present, must not specify other operations")
    for i, operation in enumerate(operations):
        faults.one_of(f"{path}.operations[{i}]", operation, OPERATIONS)
    for field, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        given = rule.get(field) or []
        if not given:
            faults.required(f"{path}.{field}")
        if len(given) > 1 and "*" in given:
            faults.invalid(f"{path}.{field}", given, f"if '*' is present, must not specify other {what}")
        if field == "apiVersions":
            for i, version in enumerate(given):
                if not version:
                    faults.required(f"{path}.{field}[{i}]")
    _check_resources(faults, rule.get("resources") or [], f"{path}.resources")
    faults.one_of(f"{path}.scope", rule.get("scope"), ("*", "Cluster", "Namespaced"))


def _check_resources(faults: Faults, given: list[str], path: str) -> None:
    if not given:
        faults.required(path)
    seen: set[Any] = set()
    for i, resource in enumerate(given):
        if not resource:
            faults.required(f"{path}[{i}]")
        faults.unique(f"{path}[{i}]", resource, seen)
        main, _, sub = resource.partition("/")
        if (resource not in ("*/*", "*") and "*/*" in given) or (resource == "*" and "*/*" in given):
            continue
        if sub and sub != "*" and (f"{main}/*" in given or (f"*/{sub}" in given and main != "*")):
            wider = f"{main}/*" if f"{main}/*" in given else f"*/{sub}"
            faults.invalid(f"{path}[{i}]", resource, f"if '{wider}' is present, must not specify {resource}")
    if len(given) > 1 and "*/*" in given:
        faults.invalid(path, given, "if '*/*' is present, must not specify other resources")
    if "*" in given and any("/" not in resource and resource != "*" for resource in given):
        faults.invalid(path, given, "if '*' is present, must not specify other resources without subresources")


def check_client_config(faults: Faults, config: Object, path: str) -> None:
    """How a webhook is reached, of admission or of conversion."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        faults.required(path, "exactly one of url or service is required")
    if url is not None:
        _check_url(faults, url, f"{path}.url")
    if service is not None:
        _check_service(faults, service, f"{path}.service")


def _check_url(faults: Faults, url: str, path: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        faults.required(path, f"url must be a valid URL: {error}{_FORM}")
        return
    if parts.scheme != "https":
        faults.invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}")
    if not parts.netloc:
        faults.invalid(path, parts.netloc, f"host must be specified{_FORM}")
    if "@" in parts.netloc:
        faults.invalid(path, parts.netloc.rpartition("@")[0], f"user information is not permitted in the URL{_FORM}")
    if parts.fragment:
        faults.invalid(path, parts.fragment, f"fragments are not permitted in the URL{_FORM}")
    if parts.query:
        faults.invalid(path, parts.query, f"query parameters are not permitted in the URL{_FORM}")


def _check_service(faults: Faults, service: Object, path: str) -> None:
    for field in ("name", "namespace"):
        if not service.get(field):
            faults.required(f"{path}.{field}", f"service {field} is required")
    port = service.get("port")
    if port is not None and not 1 <= port <= 65535:
        faults.invalid(f"{path}.port", port, "port is not valid: must be between 1 and 65535, inclusive")
    url_path = service.get("path")
    if url_path is None:
        return
    if url_path == "/" or not url_path:
        return
    if not url_path.startswith("/"):
        faults.invalid(f"{path}.path", url_path, "must start with a '/'")
    if "//" in url_path:
        faults.invalid(f"{path}.path", url_path, "segment[0] may not be empty")
    for i, segment in enumerate(url_path.strip("/").split("/")):
        for wrong in names.dns_subdomain(segment):
            faults.invalid(f"{path}.path", url_path, f"segment[{i}]: {wrong}")
