"""The Pod Security Standards, control by control: what a pod must not ask for at the levels baseline and restricted.

A check looks at a pod's spec and gives None, or why not: a reason, and the detail that names containers and values. Each counts from a
version of the standards on, so that a namespace can stay with an older one.

Source: k8s.io/pod-security-admission policy/check_*.go (order, reasons, details); kubernetes.io/docs/concepts/security/pod-security-standards.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from podium.api.core import Object
from podium.api.pod_security_config import LATEST


@dataclass(frozen=True, slots=True)
class Fault:
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


@dataclass(frozen=True, slots=True)
class _Pod:
    spec: Object
    annotations: Mapping[str, str]
    minor: int

    @property
    def in_user_namespace(self) -> bool:
        return self.spec.get("hostUsers") is False

    def containers(self) -> Iterator[Object]:
        for field in ("initContainers", "containers", "ephemeralContainers"):
            yield from self.spec.get(field) or ()

    def security(self) -> Object:
        return self.spec.get("securityContext") or {}


_Check = Callable[[_Pod], Fault | None]


def faults(level: str, minor: int, spec: Object, annotations: Mapping[str, str] | None = None) -> list[Fault]:
    """Everything that `level` (baseline or restricted) of the standards of version 1.`minor` forbids of this pod."""
    pod = _Pod(spec, annotations or {}, minor)
    found = [check(pod) for since, check in _CHECKS[level] if since <= minor]
    return [fault for fault in found if fault is not None]


def _quoted(names: Iterable[Any]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _several(one: str, count: int) -> str:
    return one if count == 1 else one + "s"


def _containers(names: list[str]) -> str:
    return f"{_several('container', len(names))} {_quoted(names)}"


def _own(container: Object) -> Object:
    return container.get("securityContext") or {}


def _named(pod: _Pod, wrong: Callable[[Object], bool]) -> list[str]:
    return [container.get("name", "") for container in pod.containers() if wrong(container)]


def _setters(pod: _Pod, wrong: Callable[[Object], bool]) -> list[str]:
    """Who sets it wrongly: the pod, its containers; each by its security context."""
    names = _named(pod, lambda container: wrong(_own(container)))
    return [*(["pod"] if wrong(pod.security()) else []), *([_containers(names)] if names else [])]


def _app_armor(pod: _Pod) -> Fault | None:
    bad: dict[str, None] = {}

    def wrong(security: Object) -> bool:
        type_ = (security.get("appArmorProfile") or {}).get("type")
        if type_ in (None, "RuntimeDefault", "Localhost"):
            return False
        bad[type_] = None
        return True

    setters = _setters(pod, wrong)
    if setters:
        detail = f"{' and '.join(setters)} must not set AppArmor profile type to {_quoted(sorted(bad))}"
        return Fault(_several("forbidden AppArmor profile", len(bad)), detail)
    prefix = "container.apparmor.security.beta.kubernetes.io/"
    forbidden = sorted(
        f'{k}="{v}"'
        for k, v in pod.annotations.items()
        if k.startswith(prefix) and v not in ("", "runtime/default") and not v.startswith("localhost/")
    )
    return Fault(_several("forbidden AppArmor profile", len(forbidden)), ", ".join(forbidden)) if forbidden else None


_DEFAULT_CAPABILITIES = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP",
    "SETUID", "SYS_CHROOT",
})  # fmt: skip


def _added(container: Object, allowed: Iterable[str]) -> list[str]:
    return [c for c in (_own(container).get("capabilities") or {}).get("add") or () if c not in allowed]


def _capabilities_baseline(pod: _Pod) -> Fault | None:
    names = _named(pod, lambda c: bool(_added(c, _DEFAULT_CAPABILITIES)))
    if not names:
        return None
    bad = sorted({capability for c in pod.containers() for capability in _added(c, _DEFAULT_CAPABILITIES)})
    return Fault("non-default capabilities", f"{_containers(names)} must not include {_quoted(bad)} in securityContext.capabilities.add")


def _capabilities_restricted(pod: _Pod) -> Fault | None:
    allowed = ("NET_BIND_SERVICE",)
    keeping = _named(pod, lambda c: "ALL" not in ((_own(c).get("capabilities") or {}).get("drop") or ()))
    adding = _named(pod, lambda c: bool(_added(c, allowed)))
    details = [f'{_containers(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        bad = sorted({capability for c in pod.containers() for capability in _added(c, allowed)})
        details.append(f"{_containers(adding)} must not include {_quoted(bad)} in securityContext.capabilities.add")
    return Fault("unrestricted capabilities", "; ".join(details)) if details else None


def _host_namespaces(pod: _Pod) -> Fault | None:
    used = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(field)]
    return Fault("host namespaces", ", ".join(used)) if used else None


def _host_paths(pod: _Pod) -> Fault | None:
    names = [v.get("name", "") for v in pod.spec.get("volumes") or () if v.get("hostPath") is not None]
    return Fault("hostPath volumes", f"{_several('volume', len(names))} {_quoted(names)}") if names else None


def _host_ports(pod: _Pod) -> Fault | None:
    names = _named(pod, lambda c: any(p.get("hostPort") for p in c.get("ports") or ()))
    if not names:
        return None
    ports = sorted({str(p["hostPort"]) for c in pod.containers() for p in c.get("ports") or () if p.get("hostPort")})
    use = "uses" if len(names) == 1 else "use"
    return Fault("hostPort", f"{_containers(names)} {use} {_several('hostPort', len(ports))} {', '.join(ports)}")


def _handler_hosts(container: Object) -> list[str]:
    lifecycle = container.get("lifecycle") or {}
    handlers = [container.get(probe) for probe in ("livenessProbe", "readinessProbe", "startupProbe")]
    handlers += [lifecycle.get("postStart"), lifecycle.get("preStop")]
    hosts = [((handler or {}).get(kind) or {}).get("host") for handler in handlers for kind in ("httpGet", "tcpSocket")]
    return [host for host in hosts if host]


def _host_probes(pod: _Pod) -> Fault | None:
    names = sorted(set(_named(pod, lambda c: bool(_handler_hosts(c)))))
    if not names:
        return None
    hosts = sorted({host for c in pod.containers() for host in _handler_hosts(c)})
    use = "uses" if len(names) == 1 else "use"
    return Fault(
        "probe or lifecycle host", f"{_containers(names)} {use} {_several('probe or lifecycle host', len(hosts))} {_quoted(hosts)}"
    )


def _privileged(pod: _Pod) -> Fault | None:
    names = _named(pod, lambda c: bool(_own(c).get("privileged")))
    return Fault("privileged", f"{_containers(names)} must not set securityContext.privileged=true") if names else None


def _proc_mount(pod: _Pod) -> Fault | None:
    names = _named(pod, lambda c: _own(c).get("procMount") not in (None, "Default"))
    if not names:
        return None
    bad = sorted({_own(c)["procMount"] for c in pod.containers() if _own(c).get("procMount") not in (None, "Default")})
    return Fault("procMount", f"{_containers(names)} must not set securityContext.procMount to {_quoted(bad)}")


def _proc_mount_baseline(pod: _Pod) -> Fault | None:
    return None if pod.in_user_namespace and pod.minor >= 35 else _proc_mount(pod)


def _se_linux(pod: _Pod) -> Fault | None:
    allowed = ("", "container_t", "container_init_t", "container_kvm_t", *(("container_engine_t",) if pod.minor >= 31 else ()))
    types: dict[str, None] = {}
    others: dict[str, None] = {}

    def wrong(security: Object) -> bool:
        options = security.get("seLinuxOptions") or {}
        bad = options.get("type", "") not in allowed
        if bad:
            types[options["type"]] = None
        for field in ("user", "role"):
            if options.get(field):
                others[field] = None
                bad = True
        return bad

    setters = _setters(pod, wrong)
    if not setters:
        return None
    data = [f"{_several('type', len(types))} {_quoted(sorted(types))}"] if types else []
    data += [f"{field} may not be set" for field in ("user", "role") if field in others]
    return Fault("seLinuxOptions", f"{' and '.join(setters)} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}")


def _bad_seccomp(security: Object) -> bool:
    profile = security.get("seccompProfile")
    return profile is not None and profile.get("type") not in ("RuntimeDefault", "Localhost")


def _seccomp_baseline(pod: _Pod) -> Fault | None:
    setters = _setters(pod, _bad_seccomp)
    if not setters:
        return None
    profiles = [s["seccompProfile"] for s in (pod.security(), *map(_own, pod.containers())) if _bad_seccomp(s)]
    bad = sorted({profile.get("type", "") for profile in profiles})
    return Fault("seccompProfile", f"{' and '.join(setters)} must not set securityContext.seccompProfile.type to {_quoted(bad)}")


def _seccomp_restricted(pod: _Pod) -> Fault | None:
    if fault := _seccomp_baseline(pod):
        return fault
    if pod.security().get("seccompProfile") is not None:
        return None
    names = _named(pod, lambda c: _own(c).get("seccompProfile") is None)
    if not names:
        return None
    detail = f'pod or {_containers(names)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Fault("seccompProfile", detail)


_SYSCTLS = {
    "kernel.shm_rmid_forced": 0, "net.ipv4.ip_local_port_range": 0, "net.ipv4.tcp_syncookies": 0, "net.ipv4.ping_group_range": 0,
    "net.ipv4.ip_unprivileged_port_start": 0, "net.ipv4.ip_local_reserved_ports": 27, "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_fin_timeout": 29, "net.ipv4.tcp_keepalive_intvl": 29, "net.ipv4.tcp_keepalive_probes": 29, "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_wmem": 32,
}  # fmt: skip
"""The safe ones, with the minor version since when they count as such."""


def _sysctls(pod: _Pod) -> Fault | None:
    names = [s.get("name", "") for s in pod.security().get("sysctls") or ()]
    bad = [name for name in names if _SYSCTLS.get(name, LATEST + 1) > pod.minor]
    return Fault("forbidden sysctls", ", ".join(bad)) if bad else None


def _host_process(pod: _Pod) -> Fault | None:
    setters = _setters(pod, lambda security: bool((security.get("windowsOptions") or {}).get("hostProcess")))
    detail = f"{' and '.join(setters)} must not set securityContext.windowsOptions.hostProcess=true"
    return Fault("hostProcess", detail) if setters else None


def _escalation(pod: _Pod) -> Fault | None:
    names = _named(pod, lambda c: _own(c).get("allowPrivilegeEscalation") is not False)
    detail = f"{_containers(names)} must set securityContext.allowPrivilegeEscalation=false"
    return Fault("allowPrivilegeEscalation != false", detail) if names else None


_VOLUMES = ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret", "image")


def _volumes(pod: _Pod) -> Fault | None:
    volumes = pod.spec.get("volumes") or ()
    bad = [v for v in volumes if all(v.get(kind) is None for kind in _VOLUMES)]
    if not bad:
        return None
    kinds = sorted({next((k for k in v if k != "name"), "unknown") for v in bad})
    names, use = [v.get("name", "") for v in bad], "uses" if len(bad) == 1 else "use"
    detail = f"{_several('volume', len(names))} {_quoted(names)} {use} {_several('restricted volume type', len(kinds))} {_quoted(kinds)}"
    return Fault("restricted volume types", detail)


def _non_root(pod: _Pod) -> Fault | None:
    if pod.in_user_namespace and pod.minor >= 35:
        return None
    setters = _setters(pod, lambda security: security.get("runAsNonRoot") is False)
    if setters:
        return Fault("runAsNonRoot != true", f"{' and '.join(setters)} must not set securityContext.runAsNonRoot=false")
    if pod.security().get("runAsNonRoot"):
        return None
    names = _named(pod, lambda c: not _own(c).get("runAsNonRoot"))
    return Fault("runAsNonRoot != true", f"pod or {_containers(names)} must set securityContext.runAsNonRoot=true") if names else None


def _root_user(pod: _Pod) -> Fault | None:
    if pod.in_user_namespace and pod.minor >= 35:
        return None
    setters = _setters(pod, lambda security: security.get("runAsUser") == 0)
    return Fault("runAsUser=0", f"{' and '.join(setters)} must not set runAsUser=0") if setters else None


_BASELINE: tuple[tuple[int, _Check], ...] = (
    (0, _app_armor), (0, _capabilities_baseline), (0, _host_namespaces), (0, _host_paths), (0, _host_ports), (34, _host_probes),
    (0, _privileged), (0, _proc_mount_baseline), (0, _se_linux), (19, _seccomp_baseline), (0, _sysctls), (0, _host_process),
)  # fmt: skip
"""(since minor version, check), sorted by the names that upstream gives them: the order of the messages."""

_RESTRICTED: tuple[tuple[int, _Check], ...] = (
    (8, _escalation), (22, _capabilities_restricted), (0, _proc_mount), (0, _volumes), (0, _non_root), (23, _root_user),
    (19, _seccomp_restricted),
)  # fmt: skip
_REPLACED = (_capabilities_baseline, _host_paths, _proc_mount_baseline, _seccomp_baseline)
"""Baseline's checks that a stricter one stands for at restricted."""

_CHECKS: Mapping[str, tuple[tuple[int, _Check], ...]] = {
    "privileged": (),
    "baseline": _BASELINE,
    "restricted": (*((since, check) for since, check in _BASELINE if check not in _REPLACED), *_RESTRICTED),
}
