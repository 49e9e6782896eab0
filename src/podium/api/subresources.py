"""The subresources that are more than a part of the object: binding, eviction, scale, finalize (tokens: token_requests.py).

`status` is not here: it is the object itself under other rules (Strategy.prepare_status).
Source: k8s.io/kubernetes pkg/registry/core/pod/storage (binding, eviction), pkg/registry/apps (scale).
"""

from typing import Any

from podium.api import deleting, writing
from podium.api.admission import admit, approve
from podium.api.core import Core, Object
from podium.api.custom import scaling
from podium.api.node_restriction import check_delete
from podium.api.request import ObjectResult, Request
from podium.objects import patches, selectors, structure, values
from podium.objects.cause import invalid, invalid_error, required
from podium.objects.resources import Resource, resource
from podium.objects.selectors import from_value
from podium.objects.status import (
    BadRequest,
    Conflict,
    MethodNotAllowed,
    NotFound,
    ServerError,
    TooManyRequests,
    conflict,
)  # fmt: skip


async def _admit(core: Core, request: Request) -> None:
    """The body of a create on a subresource passes admission, too."""
    await admit(core, request, request.value, None)
    await approve(core, request, request.value, None)


async def bind(core: Core, request: Request) -> ObjectResult:
    """Sets the node of a pod that has none. Also where the scheduler's decision becomes the pod's PodScheduled condition."""
    await _admit(core, request)
    binding = request.value
    target = binding.get("target") or {}
    node = target.get("name", "")
    if not node:
        raise invalid_error("", "Binding", request.name, [required("target.name")])
    if target.get("kind", "Node") not in ("Node", ""):
        raise invalid_error("", "Binding", request.name, [invalid("target.kind", target["kind"], 'must be "Node"')])
    if (given := (binding.get("metadata") or {}).get("name", request.name)) != request.name:
        raise BadRequest(f"name in URL does not match name in Binding object: {request.name} != {given}")
    pods = resource("pods")
    now = core.world.clock.timestamp()

    def assign(old: Object) -> Object:
        if "deletionTimestamp" in old["metadata"]:
            raise _cannot_bind(request, f"pod {request.name} is being deleted, cannot be assigned to a host")
        if bound := old["spec"].get("nodeName"):
            raise _cannot_bind(request, f"pod {request.name} is already assigned to node {bound!r}".replace("'", '"'))
        if old["spec"].get("schedulingGates"):
            raise _cannot_bind(request, f"pod {request.name} has non-empty .spec.schedulingGates")
        new = {**old, "metadata": dict(old["metadata"]), "spec": {**old["spec"], "nodeName": node}}
        annotations = (binding.get("metadata") or {}).get("annotations")
        if annotations:
            new["metadata"]["annotations"] = {**old["metadata"].get("annotations", {}), **annotations}
        conditions = [c for c in old.get("status", {}).get("conditions", ()) if c["type"] != "PodScheduled"]
        conditions.append({"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now})
        new["status"] = {**old.get("status", {}), "conditions": conditions}
        new["status"].pop("nominatedNodeName", None)  # it has come true, or not
        return new

    await _replace(core, Request("update", pods, request.user, request.namespace, request.name), assign, dry_run=request.dry_run)
    return ObjectResult(value={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, status=201)


def _cannot_bind(request: Request, why: str) -> Conflict:
    return conflict("", "pods/binding", request.name, why)


async def _replace(core: Core, request: Request, compute: writing.Change, *, dry_run: bool) -> None:
    """A trusted change of ours: no strategy, no admission, only the compare-and-put."""
    from podium.api.encoding import encode
    from podium.store.errors import RevisionMismatch

    for _ in range(writing.RETRIES_MAX):
        record = await core.fetch(request)
        new = compute(record.value)
        if dry_run:
            return
        try:
            metadata = new["metadata"] = dict(new["metadata"])
            metadata.pop("resourceVersion", None)
            await core.store.put(record.key, encode(new), expected=record.revision, value=new)
            return
        except RevisionMismatch:
            continue
    raise conflict(request.resource.group, request.resource.plural, request.name)


async def evict(core: Core, request: Request) -> ObjectResult:
    """Deletes a pod unless a disruption budget forbids it now (429)."""
    await _admit(core, request)
    eviction = request.value
    check_delete(core.authorizer, request)
    record = await core.fetch(request)
    pod = record.value
    phase = pod.get("status", {}).get("phase")
    if phase not in ("Succeeded", "Failed", "Pending") and "deletionTimestamp" not in pod["metadata"]:
        await _check_budgets(core, request, pod)
    options = {"kind": "DeleteOptions", "apiVersion": "v1", **(eviction.get("deleteOptions") or {})}
    options["dryRun"] = options.get("dryRun") or (["All"] if request.dry_run else [])
    if not options["dryRun"]:
        await _replace(core, request, lambda old: _disrupted(core, old), dry_run=False)
    one = Request("delete", request.resource, request.user, request.namespace, request.name, value=options)
    await deleting.delete(core, one)
    return ObjectResult(value={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, status=201)


def _disrupted(core: Core, old: Object) -> Object:
    """With the condition that says why it ends."""
    status = old.get("status") or {}
    others = [c for c in status.get("conditions") or () if c["type"] != "DisruptionTarget"]
    condition = {
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
        "lastTransitionTime": core.world.clock.timestamp(),
    }  # fmt: skip
    return {**old, "status": {**status, "conditions": [*others, condition]}}


async def _check_budgets(core: Core, request: Request, pod: Object) -> None:
    """Takes one of the disruptions that the pod's budget allows. Raises TooManyRequests when there is none left, ServerError for two budgets."""
    found = await core.store.range(f"{resource('poddisruptionbudgets', 'policy').prefix}{request.namespace}/")
    labels = pod["metadata"].get("labels")
    mine = [r for r in found.records if (chosen := r.value["spec"].get("selector")) is not None and from_value(chosen).matches(labels)]
    if not mine:
        return
    if len(mine) > 1:
        raise ServerError("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
    budget = mine[0].value
    if not _is_ready(pod) and _goes_unhealthy(budget):
        return
    name = budget["metadata"]["name"]
    inner = Request("update", resource("poddisruptionbudgets", "policy"), request.user, request.namespace, name)
    await _replace(core, inner, lambda value: _taken(core, value, request.name), dry_run=request.dry_run)


def _is_ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in (pod.get("status") or {}).get("conditions") or ())


def _goes_unhealthy(budget: Object) -> bool:
    """Whether a pod that is not ready may go without being counted."""
    status = budget.get("status") or {}
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    wanted = status.get("desiredHealthy", 0)
    return bool(wanted > 0 and status.get("currentHealthy", 0) >= wanted)


def _taken(core: Core, budget: Object, pod: str) -> Object:
    """The budget with one disruption less."""
    status, name = budget.get("status") or {}, budget["metadata"]["name"]
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _no_disruption(f"The disruption budget {name} is still being processed by the server.", retry_s=10)
    allowed = status.get("disruptionsAllowed", 0)
    if allowed <= 0:
        healthy, wanted = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
        raise _no_disruption(f"The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently")
    disrupted = {**(status.get("disruptedPods") or {}), pod: core.world.clock.timestamp()}
    return {**budget, "status": {**status, "disruptionsAllowed": allowed - 1, "disruptedPods": disrupted}}


def _no_disruption(why: str, retry_s: int = 0) -> TooManyRequests:
    details: Object = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if retry_s:
        details["retryAfterSeconds"] = retry_s
    return TooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", details=details)


def scale_of(resource: Resource, value: Object) -> Object:
    """The autoscaling/v1 Scale of a Deployment, ReplicaSet or another workload."""
    metadata = {
        k: value["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if k in value["metadata"]
    }
    if resource.custom is not None:
        return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, **scaling.parts(resource.custom, value)}
    status: Object = {"replicas": value.get("status", {}).get("replicas", 0)}
    if selector := value["spec"].get("selector"):
        status["selector"] = (
            str(selectors.from_value(selector)) if "matchLabels" in selector or "matchExpressions" in selector else _plain(selector)
        )
    spec = {"replicas": value["spec"].get("replicas", 0)}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}


def set_replicas(resource: Resource, value: Object, replicas: int) -> None:
    """Where scaling of such an object is written down, in place."""
    if resource.custom is not None:
        scaling.set_replicas(resource.custom, value, replicas)
    else:
        value["spec"]["replicas"] = replicas


def _plain(selector: Object) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted(selector.items()))


async def get_scale(core: Core, request: Request) -> ObjectResult:
    return ObjectResult(value=scale_of(request.resource, (await core.fetch(request)).value))


async def change_scale(core: Core, request: Request) -> ObjectResult:
    """Update or patch of the Scale: only spec.replicas reaches the object behind it."""
    instructions, patch_type = request.value, request.patch_type
    if patch_type == "apply":
        return await _apply_scale(core, request)

    def scaled(old: Object) -> Object:
        before = scale_of(request.resource, old)
        if request.verb == "update":
            scale = instructions
        elif patch_type == "json":
            scale = patches.apply_json(before, instructions)
        else:
            scale = patches.apply_merge(before, instructions)
        replicas = _replicas(request, scale)
        new = values.copy(old)
        set_replicas(request.resource, new, replicas)
        version = (scale.get("metadata") or {}).get("resourceVersion", "")
        new["metadata"]["resourceVersion"] = version if request.verb == "update" else ""
        if not new["metadata"]["resourceVersion"]:
            del new["metadata"]["resourceVersion"]
        return new

    inner = _behind(request, "update")
    return ObjectResult(value=scale_of(request.resource, (await writing.change(core, inner, scaled)).to_value()))


def _behind(request: Request, verb: str) -> Request:
    """The same request, on the object behind the Scale."""
    return Request(
        verb, request.resource, request.user, request.namespace, request.name, "scale", options=request.options, warnings=request.warnings,
        user_agent=request.user_agent,
    )  # fmt: skip


async def _apply_scale(core: Core, request: Request) -> ObjectResult:
    """The manager comes to own the number of replicas, wherever the object has it, and nothing else."""
    scale, resource_ = request.value, request.resource
    writing.check_kind(request, scale, "autoscaling/v1", "Scale")
    replicas = _replicas(request, scale)
    if (scale.get("spec") or {}).get("replicas") is None:
        raise invalid_error("autoscaling", "Scale", request.name, [required("spec.replicas", "is what is applied to a Scale")])
    metadata = {k: v for k, v in (scale.get("metadata") or {}).items() if k in ("name", "namespace", "uid", "resourceVersion")}
    applied: Object = {"apiVersion": resource_.api_version, "kind": resource_.kind, "metadata": metadata}
    if resource_.custom is None:
        applied["spec"] = {}
    set_replicas(resource_, applied, replicas)
    inner = _behind(request, "patch")
    inner.patch_type, inner.value = "apply", applied
    return ObjectResult(value=scale_of(resource_, (await writing.apply(core, inner)).to_value()))


def _replicas(request: Request, scale: Any) -> int:
    if not isinstance(scale, dict):
        raise BadRequest("the patch does not leave a Scale")
    findings = structure.conform(scale, "autoscaling/v1", "Scale")
    if findings.causes:
        raise invalid_error("autoscaling", "Scale", request.name, findings.causes)
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        raise invalid_error(
            "autoscaling", "Scale", request.name, [invalid("spec.replicas", replicas, "must be greater than or equal to 0")]
        )
    return int(replicas)


async def finalize(core: Core, request: Request) -> ObjectResult:
    """Replaces a namespace's spec.finalizers; the last one gone while it is being deleted, the namespace goes."""
    from podium.api.encoding import encode

    record = await core.fetch(request)
    new = values.copy(record.value)
    version = (request.value.get("metadata") or {}).get("resourceVersion", "")
    if version and version != new["metadata"]["resourceVersion"]:
        raise conflict("", "namespaces", request.name)
    new["spec"] = {"finalizers": list((request.value.get("spec") or {}).get("finalizers") or ())}
    if not new["spec"]["finalizers"]:
        new["spec"] = {}
    metadata = new["metadata"]
    if "deletionTimestamp" in metadata and not new["spec"] and not metadata.get("finalizers"):
        return ObjectResult(await core.store.delete(record.key, expected=record.revision))
    return ObjectResult(await core.store.put(record.key, encode(new), expected=record.revision, value=new))


def refuse(request: Request) -> MethodNotAllowed | NotFound:
    """For a subresource that is known but that Podium does not act on."""
    resource_ = request.resource
    found = resource_.subresource(request.subresource)
    if found is None:
        return NotFound("the server could not find the requested resource")
    if request.verb not in found.verbs:
        return MethodNotAllowed("the server does not allow this method on the requested resource")
    return MethodNotAllowed(f"Podium does not support the subresource {resource_.plural}/{request.subresource} yet")
