"""Ingress and IngressClass.

Source: k8s.io/kubernetes pkg/apis/networking/validation/validation.go.
"""

from podium.objects import names
from podium.objects.validation.addresses import check_address, parse
from podium.objects.validation.faults import Faults
from podium.objects.values import Object

CONTROLLER_LENGTH_MAX = 250
_CLASS = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_ENDS = ("/..", "/.")
_NO_ADDRESS = "must be a DNS name, not an IP address"


def check_ingress(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    _check_spec(faults, spec, {})
    annotated, named = ((value.get("metadata") or {}).get("annotations") or {}).get(_CLASS), spec.get("ingressClassName")
    if annotated is not None and named is not None and annotated != named:
        faults.invalid(f"annotations.{_CLASS}", annotated, "must match `ingressClassName` when both are specified")


def check_ingress_update(faults: Faults, new: Object, old: Object) -> None:
    _check_spec(faults, new.get("spec") or {}, old.get("spec") or {})


def check_ingress_status(faults: Faults, new: Object, old: Object) -> None:
    for i, entry in enumerate(((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()):
        path = f"status.loadBalancer.ingress[{i}]"
        if entry.get("ip"):
            check_address(faults, f"{path}.ip", entry["ip"])
        if name := entry.get("hostname"):
            faults.each(f"{path}.hostname", name, names.dns_subdomain(name))
            if parse(name) is not None:
                faults.invalid(f"{path}.hostname", name, _NO_ADDRESS)


def _check_spec(faults: Faults, spec: Object, before: Object) -> None:
    rules, backend = spec.get("rules") or [], spec.get("defaultBackend")
    if not rules and backend is None:
        faults.invalid("spec", rules or None, "either `defaultBackend` or `rules` must be specified")
    if backend is not None:
        _check_backend(faults, backend, "spec.defaultBackend")
    for i, rule in enumerate(rules):
        _check_rule(faults, rule, f"spec.rules[{i}]")
    kept = any(_secret_name(tls) for tls in before.get("tls") or ())  # names that were stored before there was a rule
    for i, tls in enumerate(spec.get("tls") or ()):
        for j, host in enumerate(tls.get("hosts") or ()):
            _check_host(faults, host, f"spec.tls[{i}].hosts[{j}]")
        if not kept:
            faults.each(f"spec.tls[{i}].secretName", tls.get("secretName"), _secret_name(tls))
    if (name := spec.get("ingressClassName")) is not None:
        faults.each("spec.ingressClassName", name, names.dns_subdomain(name))


def _secret_name(tls: Object) -> list[str]:
    return names.dns_subdomain(tls["secretName"]) if tls.get("secretName") else []


def _check_host(faults: Faults, host: str, path: str) -> None:
    faults.each(path, host, names.wildcard_subdomain(host) if "*" in host else names.dns_subdomain(host))


def _check_rule(faults: Faults, rule: Object, path: str) -> None:
    if host := rule.get("host"):
        if parse(host) is not None:
            faults.invalid(f"{path}.host", host, _NO_ADDRESS)
        _check_host(faults, host, f"{path}.host")
    if (http := rule.get("http")) is None:
        return
    if not http.get("paths"):
        faults.required(f"{path}.http.paths")
    for i, entry in enumerate(http.get("paths") or ()):
        _check_path(faults, entry, f"{path}.http.paths[{i}]")


def _check_path(faults: Faults, entry: Object, path: str) -> None:
    type_, text = entry.get("pathType"), entry.get("path") or ""
    if type_ is None:
        faults.required(f"{path}.pathType", "pathType must be specified")
        return
    if (type_ in ("Exact", "Prefix") or (type_ == "ImplementationSpecific" and text)) and not text.startswith("/"):
        faults.invalid(f"{path}.path", text, "must be an absolute path")
    if type_ in ("Exact", "Prefix"):
        for sequence in _SEQUENCES:
            if sequence in text:
                faults.invalid(f"{path}.path", text, f"must not contain '{sequence}'")
        for end in _ENDS:
            if text.endswith(end):
                faults.invalid(f"{path}.path", text, f"cannot end with '{end}'")
    faults.one_of(f"{path}.pathType", type_, _PATH_TYPES)
    _check_backend(faults, entry.get("backend") or {}, f"{path}.backend")


def _check_backend(faults: Faults, backend: Object, path: str) -> None:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        faults.invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        _check_reference(faults, resource, f"{path}.resource")
    elif service is None:
        faults.invalid(path, "", "resource or service backend is required")
    else:
        _check_service(faults, service, path)


def _check_service(faults: Faults, service: Object, path: str) -> None:
    if not (name := service.get("name")):
        faults.required(f"{path}.service.name")
    else:
        faults.each(f"{path}.service.name", name, names.dns_1035_label(name))
    port = service.get("port") or {}
    if port.get("name") and port.get("number"):
        faults.invalid(path, "", "cannot set both port name & port number")
    elif port.get("name"):
        faults.each(f"{path}.service.port.name", port["name"], names.port_name(port["name"]))
    elif port.get("number"):
        faults.each(f"{path}.service.port.number", port["number"], names.port_number(port["number"]))
    else:
        faults.required(path, "port name or number is required")


def _check_reference(faults: Faults, reference: Object, path: str) -> None:
    if (group := reference.get("apiGroup")) is not None:
        faults.each(f"{path}.apiGroup", group, names.dns_subdomain(group))
    for field in ("kind", "name"):
        if not (text := reference.get(field)):
            faults.required(f"{path}.{field}")
        else:
            faults.each(f"{path}.{field}", text, names.path_segment(text))


def check_class(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    if not (controller := spec.get("controller")):
        faults.required("spec.controller")
    else:
        if len(controller.encode()) > CONTROLLER_LENGTH_MAX:
            faults.too_long("spec.controller", CONTROLLER_LENGTH_MAX)
        _check_prefixed_path(faults, controller, "spec.controller")
    if (parameters := spec.get("parameters")) is not None:
        _check_parameters(faults, parameters, "spec.parameters")


def check_class_update(faults: Faults, new: Object, old: Object) -> None:
    faults.unchanged("spec.controller", (new.get("spec") or {}).get("controller"), (old.get("spec") or {}).get("controller"))
    check_class(faults, new)


def _check_prefixed_path(faults: Faults, text: str, path: str) -> None:
    """A domain, a slash, a path."""
    domain, slash, rest = text.partition("/")
    if not domain or not slash or not rest:
        faults.invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    faults.each(path, domain, names.dns_subdomain(domain))
    faults.each(path, rest, names.url_path(rest))


def _check_parameters(faults: Faults, parameters: Object, path: str) -> None:
    _check_reference(faults, parameters, path)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        faults.required(f"{path}.scope")
        return
    faults.one_of(f"{path}.scope", scope, ("Cluster", "Namespace"))
    if scope == "Namespace":
        if namespace is None:
            faults.required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
        else:
            faults.each(f"{path}.namespace", namespace, names.dns_label(namespace))
    if scope == "Cluster" and namespace is not None:
        faults.forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")
