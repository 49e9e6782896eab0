"""What a pod may ask for and this node does not do: found before anything is started, said plainly, never passed over.

A refused pod waits (FailedCreatePodSandBox or CreateContainerConfigError, with the reason in its message and an event) instead of failing:
a failed pod would be replaced by its ReplicaSet at once, and again, and again.
"""

from podium.objects.values import Object

_POD_FLAGS = ("hostPID", "hostIPC", "shareProcessNamespace", "setHostnameAsFQDN")
_POD_VALUES = ("resourceClaims", "resources", "hostnameOverride")
_SECURITY = ("seLinuxOptions", "windowsOptions", "procMount", "appArmorProfile")
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def pod_refusals(pod: Object) -> list[str]:
    """One sentence each."""
    spec = pod["spec"]
    found = [f"{name} is not supported by Podium yet" for name in _POD_FLAGS if spec.get(name)]
    found += [f"{name} is not supported by Podium yet" for name in _POD_VALUES if spec.get(name)]
    if spec.get("hostUsers") is False:
        found.append("hostUsers: false is not supported by Podium yet")
    found += _security_refusals(spec.get("securityContext") or {}, "securityContext")
    if (spec.get("os") or {}).get("name", "linux") != "linux":
        found.append("only pods for os linux can run here")
    return found


def container_refusals(container: Object) -> list[str]:
    found = [f"{name} is not supported by Podium yet" for name in ("volumeDevices", "restartPolicyRules") if container.get(name)]
    for probe in _PROBES:
        if "grpc" in (container.get(probe) or {}):
            found.append(f"{probe}.grpc is not supported by Podium yet")
    if (container.get("resources") or {}).get("claims"):
        found.append("resources.claims is not supported by Podium yet")
    if (container.get("lifecycle") or {}).get("stopSignal"):
        found.append("lifecycle.stopSignal is not supported by Podium yet")
    for mount in container.get("volumeMounts") or ():
        if mount.get("mountPropagation") not in (None, "", "None"):
            found.append(f"mountPropagation {mount['mountPropagation']} is not supported by Podium yet")
        if mount.get("recursiveReadOnly") not in (None, "", "Disabled"):
            found.append(f"recursiveReadOnly {mount['recursiveReadOnly']} is not supported by Podium yet")
    found += _security_refusals(container.get("securityContext") or {}, "securityContext")
    return found


def _security_refusals(security: Object, path: str) -> list[str]:
    found = [f"{path}.{name} is not supported by Podium yet" for name in _SECURITY if security.get(name) not in (None, {}, "Default")]
    profile = (security.get("seccompProfile") or {}).get("type", "")
    if profile not in ("", "Unconfined", "RuntimeDefault"):
        found.append(f"{path}.seccompProfile {profile} is not supported by Podium yet")
    if security.get("supplementalGroupsPolicy") not in (None, "", "Merge"):
        found.append(f"{path}.supplementalGroupsPolicy {security['supplementalGroupsPolicy']} is not supported by Podium yet")
    return found
