"""Security contexts of pods and containers.

Source: k8s.io/kubernetes pkg/apis/core/validation (validatePodSpecSecurityContext, ValidateSecurityContext).
"""

import re

from podium.objects import names
from podium.objects.validation.faults import Faults
from podium.objects.validation.volumes import check_descending
from podium.objects.values import Object

_ID_MAX = 2**32 - 1
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = f"({_SYSCTL_SEGMENT}[\\./])*{_SYSCTL_SEGMENT}"


def check_pod_security_context(faults: Faults, spec: Object, path: str) -> None:
    context = spec.get("securityContext") or {}
    at = f"{path}.securityContext"
    _check_ids(faults, context, at, ("fsGroup", "runAsUser", "runAsGroup"))
    for i, group in enumerate(context.get("supplementalGroups") or ()):
        _check_id(faults, f"{at}.supplementalGroups[{i}]", group)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        faults.invalid(f"{at}.shareProcessNamespace", True, "ShareProcessNamespace and HostPID cannot both be enabled")
    seen: set[str] = set()
    for i, sysctl in enumerate(context.get("sysctls") or ()):
        name = sysctl.get("name")
        if not name:
            faults.required(f"{at}.sysctls[{i}].name")
        elif len(name) > names.SUBDOMAIN_LENGTH_MAX or not re.fullmatch(_SYSCTL, name):
            faults.invalid(f"{at}.sysctls[{i}].name", name, f"must have at most 253 characters and match regex ^{_SYSCTL}$")
        else:
            faults.unique(f"{at}.sysctls[{i}].name", name, seen)
    faults.one_of(f"{at}.fsGroupChangePolicy", context.get("fsGroupChangePolicy"), ("Always", "OnRootMismatch"))
    faults.one_of(f"{at}.supplementalGroupsPolicy", context.get("supplementalGroupsPolicy"), ("Merge", "Strict"))
    faults.one_of(f"{at}.seLinuxChangePolicy", context.get("seLinuxChangePolicy"), ("MountOption", "Recursive"))
    _check_profiles(faults, context, at)
    if spec.get("hostUsers") is False:
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(field):
                shown = field if field == "hostNetwork" else "H" + field[1:]
                faults.forbidden(f"{path}.{shown}", "when `pod.Spec.HostUsers` is false")


def check_security_context(faults: Faults, context: Object, path: str) -> None:
    """A container's."""
    _check_ids(faults, context, path, ("runAsUser", "runAsGroup"))
    faults.one_of(f"{path}.procMount", context.get("procMount"), ("Default", "Unmasked"))
    _check_profiles(faults, context, path)
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            faults.invalid(path, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            faults.invalid(path, context, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")


def _check_ids(faults: Faults, context: Object, path: str, fields: tuple[str, ...]) -> None:
    for field in fields:
        if context.get(field) is not None:
            _check_id(faults, f"{path}.{field}", context[field])


def _check_id(faults: Faults, path: str, number: int) -> None:
    if not 0 <= number <= _ID_MAX:
        faults.invalid(path, number, names.out_of_range(0, _ID_MAX))


def _check_profiles(faults: Faults, context: Object, path: str) -> None:
    for field, shown in (("seccompProfile", "seccomp"), ("appArmorProfile", "AppArmor")):
        profile = context.get(field)
        if profile is None:
            continue
        at, kind, local = f"{path}.{field}", profile.get("type"), profile.get("localhostProfile")
        if not kind:
            faults.required(f"{at}.type", f"type is required when {field} is set")
        else:
            faults.one_of(f"{at}.type", kind, _PROFILES)
        if kind == "Localhost":
            if not local:
                faults.required(f"{at}.localhostProfile", f"must be set when {shown} type is Localhost")
            elif field == "seccompProfile":
                check_descending(faults, f"{at}.localhostProfile", local)
        elif local is not None:
            faults.invalid(f"{at}.localhostProfile", local, f"can only be set when {shown} type is Localhost")
