"""Pods: created once, hardly changed after; their status goes forward only.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidatePodCreate, ValidatePodUpdate, ValidatePodStatusUpdate,
ValidatePodEphemeralContainersUpdate, ValidatePodBinding).
"""

from podium.objects import names
from podium.objects.cause import show
from podium.objects.validation.addresses import check_address
from podium.objects.validation.containers import check_image_blanks
from podium.objects.validation.differences import differences
from podium.objects.validation.faults import Faults
from podium.objects.validation.placement import check_tolerations
from podium.objects.validation.pod_spec import INT32_MAX, check_pod_spec, check_template
from podium.objects.values import Object

_UPDATABLE = ",".join((
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
))  # fmt: skip
_DIFFERENCES_SHOWN_MAX = 20


def check_create(faults: Faults, pod: Object) -> None:
    spec = pod.get("spec") or {}
    check_spec(faults, spec)
    if spec.get("ephemeralContainers"):
        faults.forbidden("spec.ephemeralContainers", "cannot be set on create")
    if spec.get("nodeName") and spec.get("schedulingGates"):
        faults.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")


def check_update(faults: Faults, new: Object, old: Object) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if spec == before:
        return
    check_spec(faults, spec)
    for kind in ("containers", "initContainers"):
        if len(spec.get(kind) or ()) != len(before.get(kind) or ()):
            faults.forbidden(f"spec.{kind}", "pod updates may not add or remove containers")
            return
    if not _check_deadline(faults, spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")):
        return
    _check_tolerations(faults, spec.get("tolerations") or [], before.get("tolerations") or [])
    _check_scheduling_gates(faults, spec.get("schedulingGates") or [], before.get("schedulingGates") or [])
    allowed = _with_updates(spec, before)
    if before.get("schedulingGates"):
        _check_gated(faults, allowed, before)
    if allowed != before:
        changes = "\n".join(list(differences(before, allowed, "spec"))[:_DIFFERENCES_SHOWN_MAX])
        faults.forbidden("spec", f"pod updates may not change fields other than {_UPDATABLE}\n{changes}")


def check_status_update(faults: Faults, new: Object, old: Object) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    status, earlier = new.get("status") or {}, old.get("status") or {}
    if spec.get("nodeName") != before.get("nodeName"):
        faults.forbidden("status.nodeName", "may not be changed directly")
    nominated = status.get("nominatedNodeName")
    if nominated and nominated != earlier.get("nominatedNodeName"):
        faults.each("status.nominatedNodeName", nominated, names.dns_subdomain(nominated))
    if earlier.get("qosClass"):
        faults.unchanged("status.qosClass", status.get("qosClass"), earlier.get("qosClass"))
    policy = before.get("restartPolicy", "Always")
    sidecars = [c["name"] for c in before.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    _check_transitions(faults, "containerStatuses", status, earlier, policy, [])
    _check_transitions(faults, "initContainerStatuses", status, earlier, policy, sidecars)
    _check_transitions(faults, "ephemeralContainerStatuses", status, earlier, "Never", [])
    for field in ("podIPs", "hostIPs"):
        for i, ip in enumerate(status.get(field) or ()):
            check_address(faults, f"status.{field}[{i}]", ip.get("ip", ""))


def check_ephemeral_update(faults: Faults, new: Object, old: Object) -> None:
    """`new` differs from `old` in its ephemeral containers only."""
    spec, path = new.get("spec") or {}, "spec.ephemeralContainers"
    check_spec(faults, spec)
    by_name = {c.get("name"): c for c in spec.get("ephemeralContainers") or ()}
    for container in (old.get("spec") or {}).get("ephemeralContainers") or ():
        name = container.get("name", "")
        if name not in by_name:
            faults.forbidden(path, f"existing ephemeral containers {show(name)} may not be removed\n")
        elif by_name[name] != container:
            changes = "\n".join(differences(container, by_name[name], name))
            faults.forbidden(path, f"existing ephemeral containers {show(name)} may not be changed\n{changes}")


def check_binding(faults: Faults, binding: Object) -> None:
    target = binding.get("target") or {}
    if target.get("kind"):
        faults.one_of("target.kind", target["kind"], ("Node", "<empty>"))
    if not target.get("name"):
        faults.required("target.name")


def check_pod_template(faults: Faults, value: Object) -> None:
    check_template(faults, value.get("template") or {}, "template")


def check_spec(faults: Faults, spec: Object) -> None:
    check_pod_spec(faults, spec, "spec", pod=True)
    check_image_blanks(faults, spec, "spec")
    if not spec.get("serviceAccountName"):
        for i, volume in enumerate(spec.get("volumes") or ()):
            for j, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
                if source.get("serviceAccountToken") is not None:
                    at = f"spec.volumes[{i}].projected.sources[{j}].serviceAccountToken"
                    faults.forbidden(at, "must not be specified when serviceAccountName is not set")


def _check_deadline(faults: Faults, new: int | None, old: int | None) -> bool:
    """It may be set, and lowered. Says whether the rest is worth checking."""
    path = "spec.activeDeadlineSeconds"
    if new is None:
        if old is not None:
            faults.invalid(path, None, "must not update from a positive integer to nil value")
        return True
    if not 0 <= new <= INT32_MAX:
        faults.invalid(path, new, names.out_of_range(0, INT32_MAX))
        return False
    if old is not None and old < new:
        faults.invalid(path, new, "must be less than or equal to previous value")
        return False
    return True


def _check_tolerations(faults: Faults, new: list[Object], old: list[Object]) -> None:
    def essence(toleration: Object) -> Object:
        return {k: v for k, v in toleration.items() if k != "tolerationSeconds"}

    kept = [essence(toleration) for toleration in new]
    if any(essence(toleration) not in kept for toleration in old):
        faults.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
        return
    check_tolerations(faults, new, "spec.tolerations")


def _check_scheduling_gates(faults: Faults, new: list[Object], old: list[Object]) -> None:
    known = [gate.get("name") for gate in old]
    for i, gate in enumerate(new):
        if gate.get("name") not in known:
            why = f"only deletion is allowed, but found new scheduling gate '{gate.get('name', '')}'"
            faults.forbidden(f"spec.schedulingGates[{i}].name", why)


def _with_updates(spec: Object, before: Object) -> Object:
    """The new spec with its allowed changes undone: what is left must equal the old one."""
    result = dict(spec)
    for kind in ("containers", "initContainers"):
        if spec.get(kind):
            result[kind] = [{**c, "image": o.get("image")} for c, o in zip(spec[kind], before[kind], strict=True)]
    for field in ("activeDeadlineSeconds", "schedulingGates", "tolerations"):
        result.pop(field, None)
        if field in before:
            result[field] = before[field]
    if (before.get("terminationGracePeriodSeconds") or 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        result["terminationGracePeriodSeconds"] = before["terminationGracePeriodSeconds"]
    return result


def _check_gated(faults: Faults, spec: Object, before: Object) -> None:
    """A pod with scheduling gates may still be given node selectors and node affinity."""
    new, old = spec.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    if any(new.get(key) != value for key, value in old.items()):
        faults.invalid("spec.nodeSelector", new, "only additions to spec.nodeSelector are allowed (no mutations or deletions)")
    _restore(spec, before, "nodeSelector")
    affinity, earlier = dict(spec.get("affinity") or {}), before.get("affinity") or {}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    terms = ((affinity.get("nodeAffinity") or {}).get(required) or {}).get("nodeSelectorTerms") or []
    known = ((earlier.get("nodeAffinity") or {}).get(required) or {}).get("nodeSelectorTerms") or []
    path = f"spec.affinity.nodeAffinity.{required}.nodeSelectorTerms"
    if known and len(terms) != len(known):
        faults.invalid(path, terms, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")
    else:
        for i, (term, past) in enumerate(zip(terms, known, strict=False)):
            if any(r not in (term.get(f) or ()) for f in ("matchExpressions", "matchFields") for r in past.get(f) or ()):
                faults.invalid(f"{path}[{i}]", term, "only additions are allowed (no mutations or deletions)")
    _restore(affinity, earlier, "nodeAffinity")
    spec.pop("affinity", None)
    if affinity or "affinity" in before:
        spec["affinity"] = affinity


def _restore(value: Object, before: Object, field: str) -> None:
    value.pop(field, None)
    if field in before:
        value[field] = before[field]


def _check_transitions(faults: Faults, field: str, status: Object, earlier: Object, policy: str, sidecars: list[str]) -> None:
    """What has ended and is not to be restarted stays ended."""
    if policy == "Always":
        return
    ended = {s.get("name"): "terminated" in (s.get("state") or {}) for s in status.get(field) or ()}
    for i, before in enumerate(earlier.get(field) or ()):
        terminated = (before.get("state") or {}).get("terminated")
        if terminated is None or (terminated.get("exitCode") and policy == "OnFailure") or before.get("name") in sidecars:
            continue
        if ended.get(before.get("name")) is False:
            faults.forbidden(f"status.{field}[{i}].state", "may not be transitioned to non-terminated state")
