"""Pod specs, in pods and in the templates of what makes pods.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidatePodSpec, ValidatePodTemplateSpec).
"""

from podium.objects import names
from podium.objects.selectors import LabelSelector
from podium.objects.validation.addresses import check_address
from podium.objects.validation.containers import check_containers
from podium.objects.validation.faults import Faults
from podium.objects.validation.labels import check_labels
from podium.objects.validation.metadata import check_annotations
from podium.objects.validation.placement import check_affinity, check_spread, check_tolerations
from podium.objects.validation.resource_amounts import check_requirements
from podium.objects.validation.security import check_pod_security_context
from podium.objects.validation.volumes import check_volumes
from podium.objects.values import Object

INT32_MAX = 2**31 - 1
_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_NAMESERVERS_MAX, _SEARCHES_MAX, _SEARCH_CHARACTERS_MAX = 3, 32, 2048
_NAMED = (
    ("serviceAccountName", names.dns_subdomain),
    ("nodeName", names.dns_subdomain),
    ("hostname", names.dns_label),
    ("subdomain", names.dns_label),
    ("priorityClassName", names.dns_subdomain),
    ("runtimeClassName", names.dns_subdomain),
)


def check_pod_spec(faults: Faults, spec: Object, path: str, *, pod: bool) -> None:
    """`pod`: it is a pod's own, not a template's."""
    volumes = check_volumes(faults, spec.get("volumes") or [], f"{path}.volumes")
    check_containers(faults, spec, volumes, path)
    if spec.get("resources"):
        if spec["resources"].get("claims") is not None:
            faults.forbidden(f"{path}.resources.claims", "claims cannot be set for Resources at pod-level")
        check_requirements(faults, spec["resources"], f"{path}.resources")
    if spec.get("hostNetwork"):
        _check_host_network_ports(faults, spec, path, pod=pod)
    faults.one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), _RESTART_POLICIES)
    faults.one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), _DNS_POLICIES)
    check_labels(faults, spec.get("nodeSelector"), f"{path}.nodeSelector")
    check_pod_security_context(faults, spec, path)
    if spec.get("affinity"):
        check_affinity(faults, spec["affinity"], f"{path}.affinity")
    _check_dns(faults, spec, f"{path}.dnsConfig")
    _check_gates(faults, spec, path)
    check_spread(faults, spec.get("topologySpreadConstraints") or [], f"{path}.topologySpreadConstraints")
    for field, check in _NAMED:
        if spec.get(field):
            faults.each(f"{path}.{field}", spec[field], check(spec[field]))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= INT32_MAX:
        faults.invalid(f"{path}.activeDeadlineSeconds", deadline, names.out_of_range(1, INT32_MAX))
    faults.not_negative(f"{path}.terminationGracePeriodSeconds", spec.get("terminationGracePeriodSeconds"))
    check_tolerations(faults, spec.get("tolerations") or [], f"{path}.tolerations")
    for i, alias in enumerate(spec.get("hostAliases") or ()):
        check_address(faults, f"{path}.hostAliases[{i}].ip", alias.get("ip", ""))
        for j, hostname in enumerate(alias.get("hostnames") or ()):
            faults.each(f"{path}.hostAliases[{i}].hostnames[{j}]", hostname, names.dns_subdomain(hostname))
    faults.one_of(f"{path}.preemptionPolicy", spec.get("preemptionPolicy"), ("PreemptLowerPriority", "Never"))
    if spec.get("os"):
        faults.one_of(f"{path}.os.name", spec["os"].get("name"), ("linux", "windows"))


def check_template(faults: Faults, template: Object, path: str) -> None:
    metadata = template.get("metadata") or {}
    check_labels(faults, metadata.get("labels"), f"{path}.labels")
    check_annotations(faults, metadata.get("annotations"), f"{path}.annotations")
    spec = template.get("spec") or {}
    check_pod_spec(faults, spec, f"{path}.spec", pod=False)
    if spec.get("ephemeralContainers"):
        faults.forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def check_selected_template(faults: Faults, template: Object | None, selector: LabelSelector | None, path: str, kind: str) -> None:
    """The template of a controller that keeps its pods running; `selector` None when it is not a sound one."""
    if template is None:
        faults.required(path)
        return
    labels = (template.get("metadata") or {}).get("labels")
    if selector is not None and not selector.empty and not selector.matches(labels):
        faults.invalid(f"{path}.metadata.labels", labels, "`selector` does not match template `labels`")
    check_template(faults, template, path)
    spec = template.get("spec") or {}
    faults.one_of(f"{path}.spec.restartPolicy", spec.get("restartPolicy"), ("Always",))
    if spec.get("activeDeadlineSeconds") is not None:
        faults.forbidden(f"{path}.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported")


def _check_host_network_ports(faults: Faults, spec: Object, path: str, *, pod: bool) -> None:
    for i, container in enumerate(spec.get("containers") or ()):
        for j, port in enumerate(container.get("ports") or ()):
            host = port.get("hostPort") or 0
            if (pod or host) and host != port.get("containerPort"):
                at = f"{path}.containers[{i}].ports[{j}].hostPort"
                faults.invalid(at, host, "must match `containerPort` when `hostNetwork` is true")


def _check_dns(faults: Faults, spec: Object, path: str) -> None:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            faults.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not config.get("nameservers"):
            faults.required(f"{path}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
            return
    if config is None:
        return
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    if len(servers) > _NAMESERVERS_MAX:
        faults.invalid(f"{path}.nameservers", servers, f"must not have more than {_NAMESERVERS_MAX} nameservers")
    for i, server in enumerate(servers):
        check_address(faults, f"{path}.nameservers[{i}]", server)
    if len(searches) > _SEARCHES_MAX:
        faults.invalid(f"{path}.searches", searches, f"must not have more than {_SEARCHES_MAX} search paths")
    if len(" ".join(searches)) > _SEARCH_CHARACTERS_MAX:
        why = f"must not have more than {_SEARCH_CHARACTERS_MAX} characters (including spaces) in the search list"
        faults.invalid(f"{path}.searches", searches, why)
    for i, search in enumerate(searches):
        if search != ".":
            faults.each(f"{path}.searches[{i}]", search, names.dns_subdomain(search.removesuffix(".").replace("_", "a")))
    for i, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            faults.required(f"{path}.options[{i}]", "must not be empty")


def _check_gates(faults: Faults, spec: Object, path: str) -> None:
    for i, gate in enumerate(spec.get("readinessGates") or ()):
        kind = gate.get("conditionType", "")
        faults.each(f"{path}.readinessGates[{i}].conditionType", kind, names.label_key(kind))
    seen: set[str] = set()
    for i, gate in enumerate(spec.get("schedulingGates") or ()):
        name = gate.get("name", "")
        faults.each(f"{path}.schedulingGates[{i}]", name, names.label_key(name))
        faults.unique(f"{path}.schedulingGates[{i}]", name, seen)
