"""Containers of a pod: regular, init and ephemeral ones.

Source: k8s.io/kubernetes pkg/apis/core/validation (validateContainers, validateInitContainers, validateEphemeralContainers).
"""

from podium.objects import names
from podium.objects.validation.environment import check_environment
from podium.objects.validation.faults import Faults
from podium.objects.validation.handlers import PROBES, check_handlers
from podium.objects.validation.resource_amounts import check_requirements
from podium.objects.validation.security import check_security_context
from podium.objects.validation.volumes import check_mounts
from podium.objects.values import Object

PROTOCOLS = ("SCTP", "TCP", "UDP")
_EPHEMERAL_FIELDS = ("ports", "resources", "resizePolicy", "restartPolicy", *PROBES, "lifecycle")
_RESIZABLE, _RESIZE_POLICIES = ("cpu", "memory"), ("NotRequired", "RestartContainer")
_EPHEMERAL = "cannot be set for an Ephemeral Container"


def check_containers(faults: Faults, spec: Object, volumes: dict[str, Object], path: str) -> None:
    """All containers of a pod spec."""
    regular = spec.get("containers") or []
    if not regular:
        faults.required(f"{path}.containers")
        return
    grace_s = spec.get("terminationGracePeriodSeconds")
    seen: set[str] = set()
    for i, container in enumerate(regular):
        at = f"{path}.containers[{i}]"
        _check_container(faults, container, volumes, at)
        faults.unique(f"{at}.name", container.get("name", ""), seen)
        check_handlers(faults, container, at, grace_s)
        if container.get("restartPolicy") is not None and not container.get("restartPolicyRules"):
            faults.one_of(f"{at}.restartPolicy", container["restartPolicy"], ("Always", "Never", "OnFailure"))
    _check_host_ports(faults, regular, f"{path}.containers")
    for i, container in enumerate(spec.get("initContainers") or ()):
        at = f"{path}.initContainers[{i}]"
        _check_container(faults, container, volumes, at)
        if container.get("name"):
            faults.unique(f"{at}.name", container["name"], seen)
        _check_host_ports(faults, [container], f"{path}.initContainers")
        _check_init(faults, container, at, grace_s)
    for kind in ("containers", "initContainers"):
        _check_resize_policies(faults, spec.get(kind) or [], spec.get("restartPolicy"), f"{path}.{kind}")
    for i, container in enumerate(spec.get("ephemeralContainers") or ()):
        _check_ephemeral(faults, container, volumes, seen, f"{path}.ephemeralContainers[{i}]")


def check_image_blanks(faults: Faults, spec: Object, path: str) -> None:
    """Pods are stricter than templates here."""
    for kind in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(kind) or ()):
            image = container.get("image", "")
            if image != image.strip():
                faults.invalid(f"{path}.{kind}[{i}].image", image, "must not have leading or trailing whitespace")


def _check_container(faults: Faults, container: Object, volumes: dict[str, Object], path: str) -> None:
    name = container.get("name")
    if not name:
        faults.required(f"{path}.name")
    else:
        faults.each(f"{path}.name", name, names.dns_label(name))
    if not container.get("image"):
        faults.required(f"{path}.image")
    faults.one_of(f"{path}.terminationMessagePolicy", container.get("terminationMessagePolicy"), ("File", "FallbackToLogsOnError"))
    faults.one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), ("Always", "IfNotPresent", "Never"))
    if container.get("ports"):
        _check_ports(faults, container["ports"], f"{path}.ports")
    check_environment(faults, container, path)
    if container.get("volumeMounts") or container.get("volumeDevices"):
        check_mounts(faults, container, volumes, path)
    if container.get("resources"):
        check_requirements(faults, container["resources"], f"{path}.resources")
    if container.get("securityContext"):
        check_security_context(faults, container["securityContext"], f"{path}.securityContext")


def _check_resize_policies(faults: Faults, containers: list[Object], pod_policy: str | None, path: str) -> None:
    for i, container in enumerate(containers):
        at, seen = f"{path}[{i}].resizePolicy", set[str]()
        for j, policy in enumerate(container.get("resizePolicy") or ()):
            resource, restart = policy.get("resourceName"), policy.get("restartPolicy")
            faults.unique(f"{at}[{j}]", resource, seen)
            for value, supported in ((resource, _RESIZABLE), (restart, _RESIZE_POLICIES)):
                if value:
                    faults.one_of(at, value, supported)
                else:
                    faults.required(at)
            if pod_policy == "Never" and restart != "NotRequired":
                faults.invalid(at, restart, "must be 'NotRequired' when `restartPolicy` is 'Never'")


def _check_ports(faults: Faults, ports: list[Object], path: str) -> None:
    seen: set[str] = set()
    for i, port in enumerate(ports):
        at = f"{path}[{i}]"
        name, number = port.get("name"), port.get("containerPort")
        if name:
            wrong = names.port_name(name)
            faults.each(f"{at}.name", name, wrong)
            if not wrong:
                faults.unique(f"{at}.name", name, seen)
        if not number:
            faults.required(f"{at}.containerPort")
        else:
            faults.each(f"{at}.containerPort", number, names.port_number(number))
        if port.get("hostPort"):
            faults.each(f"{at}.hostPort", port["hostPort"], names.port_number(port["hostPort"]))
        faults.one_of(f"{at}.protocol", port.get("protocol"), PROTOCOLS)


def _check_host_ports(faults: Faults, containers: list[Object], path: str) -> None:
    seen: set[str] = set()
    for i, container in enumerate(containers):
        for j, port in enumerate(container.get("ports") or ()):
            if port.get("hostPort"):
                shown = f"{port.get('protocol', 'TCP')}/{port.get('hostIP', '')}/{port['hostPort']}"
                faults.unique(f"{path}[{i}].ports[{j}].hostPort", shown, seen)


def _check_init(faults: Faults, container: Object, path: str, grace_s: int | None) -> None:
    """Sidecars (restartPolicy Always) may have probes and hooks; the others run to their end first."""
    policy = container.get("restartPolicy")
    if not container.get("restartPolicyRules"):
        faults.one_of(f"{path}.restartPolicy", policy, ("Always", "Never", "OnFailure"))
    if policy == "Always":
        check_handlers(faults, container, path, grace_s)
        return
    for field in ("lifecycle", *PROBES):
        if container.get(field) is not None:
            faults.forbidden(f"{path}.{field}", "may not be set for init containers without restartPolicy=Always")


def _check_ephemeral(faults: Faults, container: Object, volumes: dict[str, Object], seen: set[str], path: str) -> None:
    _check_container(faults, container, volumes, path)
    target = container.get("targetContainerName")
    if target and target not in seen:
        faults.missing(f"{path}.targetContainerName", target)
    faults.unique(f"{path}.name", container.get("name", ""), seen)
    for field in _EPHEMERAL_FIELDS:
        if container.get(field):
            faults.forbidden(f"{path}.{field}", _EPHEMERAL)
    for i, mount in enumerate(container.get("volumeMounts") or ()):
        for field in ("subPath", "subPathExpr"):
            if mount.get(field):
                faults.forbidden(f"{path}.volumeMounts[{i}].{field}", _EPHEMERAL)
