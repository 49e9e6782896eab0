"""Admission: rules that need more than the object itself, in upstream's order.

`admit` lets every plugin that a write concerns change the object, before validation; `approve` lets them refuse the final object, just before
it is written, and sets aside what the write takes of quotas; `approve_delete` and `approve_connect` are the same for what writes no object.
Which plugins a (operation, resource, subresource) concerns is worked out once and remembered, so a write pays for those alone.

Source: k8s.io/kubernetes pkg/kubeapiserver/options/plugins.go (AllOrderedPlugins), k8s.io/apiserver pkg/admission.
"""

from podium.api.admission import (
    certificates,
    default_tolerations,
    ingress_class,
    limit_ranger,
    namespace_lifecycle,
    node_taints,
    owner_references,
    pod_security,
    priority,
    resource_quota,
    runtime_class,
    service_account,
    storage,
    webhooks,
)
from podium.api.admission.namespace_lifecycle import PROTECTED_NAMESPACES, check_deletable
from podium.api.admission.plugin import Hold, Operation, Plan, Plugin, on, operation_of
from podium.api.admission.state import AdmissionState
from podium.api.core import Core, Object
from podium.api.node_restriction import check_write
from podium.api.request import Request
from podium.objects.resources import Resource

__all__ = [
    "ORDER", "PROTECTED_NAMESPACES", "AdmissionState", "admit", "approve", "approve_connect", "approve_delete", "check_deletable", "start",
]  # fmt: skip


_CSR = "certificatesigningrequests.certificates.k8s.io"


def _created_in_namespaces(operation: Operation, resource: Resource, subresource: str) -> bool:
    return operation == "CREATE" and resource.namespaced and not subresource


_BODIES = ("binding", "eviction")
"""Subresources that are no part of the object; a node's evictions are looked at as deletions."""


def _written_by_nodes(operation: Operation, resource: Resource, subresource: str) -> bool:
    return operation in ("CREATE", "UPDATE") and subresource not in _BODIES


async def _restrict_nodes(core: Core, request: Request, new: Object, old: Object | None) -> None:
    check_write(core.authorizer, request, new, old)


ORDER: tuple[Plugin, ...] = (
    Plugin("NamespaceLifecycle", _created_in_namespaces, mutate=namespace_lifecycle.check_namespace),
    Plugin("LimitRanger", on("CREATE", "pods"), mutate=limit_ranger.set_defaults, validate=limit_ranger.check),
    Plugin("LimitRanger", on("CREATE UPDATE", "persistentvolumeclaims"), validate=limit_ranger.check),
    Plugin("LimitRanger", on("UPDATE", "pods", subresources=("resize",)), validate=limit_ranger.check),
    Plugin("ServiceAccount", on("CREATE", "pods"), mutate=service_account.set_account, validate=service_account.check_account),
    Plugin("ServiceAccount", on("UPDATE", "pods", subresources=("ephemeralcontainers",)), validate=service_account.check_account),
    Plugin("NodeRestriction", _written_by_nodes, mutate=_restrict_nodes),
    Plugin("TaintNodesByCondition", on("CREATE", "nodes"), mutate=node_taints.taint_new_node),
    Plugin("PodSecurity", on("CREATE UPDATE", "pods", subresources=("", "ephemeralcontainers", "resize")), validate=pod_security.check),
    Plugin("PodSecurity", on("CREATE UPDATE", "namespaces", *pod_security.TEMPLATES), validate=pod_security.check),
    Plugin("Priority", on("CREATE UPDATE", "pods"), mutate=priority.set_priority),
    Plugin("Priority", on("CREATE UPDATE", "priorityclasses.scheduling.k8s.io"), validate=priority.check_class),
    Plugin("DefaultTolerationSeconds", on("CREATE", "pods"), mutate=default_tolerations.set_tolerations),
    Plugin("DefaultStorageClass", on("CREATE", "persistentvolumeclaims"), mutate=storage.set_default_class),
    Plugin("StorageObjectInUseProtection", on("CREATE", "persistentvolumeclaims", "persistentvolumes"), mutate=storage.protect_in_use),
    Plugin("OwnerReferencesPermissionEnforcement", owner_references.concerns, validate=owner_references.check),
    Plugin("PersistentVolumeClaimResize", on("UPDATE", "persistentvolumeclaims"), validate=storage.check_resize),
    Plugin("RuntimeClass", on("CREATE", "pods"), mutate=runtime_class.set_overhead, validate=runtime_class.check),
    Plugin("CertificateApproval", on("UPDATE", _CSR, subresources=("approval",)), validate=certificates.check_approval),
    Plugin("CertificateSigning", on("UPDATE", _CSR, subresources=("status",)), validate=certificates.check_signing),
    Plugin("CertificateSubjectRestriction", on("CREATE", _CSR), mutate=certificates.set_requester, validate=certificates.check_subject),
    Plugin("DefaultIngressClass", on("CREATE", "ingresses.networking.k8s.io"), mutate=ingress_class.set_class),
)
"""Webhooks and policies come after these, quotas last. Two rows of one name are one plugin of upstream's that does two things."""

PLANS_MAX = 4096
"""Remembered plans: custom resources that come and go must not fill memory."""


def _plan(core: Core, operation: Operation, request: Request) -> Plan:
    plans = core.admission.plans
    key = (operation, request.resource, request.subresource)
    plan = plans.get(key)
    if plan is None:
        if len(plans) >= PLANS_MAX:
            plans.clear()
        asked = [plugin for plugin in ORDER if plugin.name not in core.disabled_plugins and plugin.concerns(*key)]
        mutating = tuple(plugin.mutate for plugin in asked if plugin.mutate is not None)
        plan = plans[key] = (mutating, tuple(plugin.validate for plugin in asked if plugin.validate is not None))
    return plan


async def start(core: Core) -> None:
    """Loads what the plugins look up, and keeps it up to date. Before the first write."""
    core.admission = AdmissionState(core)
    await core.admission.start()


async def admit(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """Asks every plugin that may change this write, policies and then webhooks last; what those changed is shown to all again. Raises
    StatusError."""
    operation = operation_of(new, old)
    plugins = _plan(core, operation, request)[0]
    for mutate in plugins:
        await mutate(core, request, new, old)
    policies = core.admission.mutating_policies.matching(core, operation, request)
    hooks = core.admission.mutating.matching(core, operation, request)
    if "MutatingAdmissionWebhook" in core.disabled_plugins:
        hooks = []
    round_ = None
    if policies and "MutatingAdmissionPolicy" not in core.disabled_plugins:
        from podium.api.admission import mutating_policies  # loads the expression language: only with policies

        round_ = mutating_policies.PolicyRound(core, request, operation, new, old)
        await round_.first(policies)
    elif not hooks:
        return
    calls = await webhooks.mutate(core, hooks, request, operation, new, old)
    if calls.changed or (round_ is not None and round_.changed):
        for mutate in plugins:
            await mutate(core, request, new, old)
        if round_ is not None:
            await round_.again()
        await calls.again(new)


async def approve(core: Core, request: Request, new: Object, old: Object | None) -> Hold | None:
    """Asks every plugin that may refuse the final object. What is returned is the caller's to undo or keep. Raises StatusError."""
    await _validate(core, request, operation_of(new, old), new, old)
    if request.subresource not in ("", "resize") or not request.namespace or "ResourceQuota" in core.disabled_plugins:
        return None
    return await resource_quota.reserve(core, request, new, old)


async def _validate(core: Core, request: Request, operation: Operation, new: Object | None, old: Object | None) -> None:
    for validate in _plan(core, operation, request)[1]:
        await validate(core, request, new, old)
    policies = core.admission.validating_policies.matching(core, operation, request)
    if policies and "ValidatingAdmissionPolicy" not in core.disabled_plugins:
        from podium.api.admission import validating_policies

        await validating_policies.validate(core, policies, request, operation, new, old)
    hooks = core.admission.validating.matching(core, operation, request)
    if hooks and "ValidatingAdmissionWebhook" not in core.disabled_plugins:
        await webhooks.validate(core, hooks, request, operation, new, old)


async def approve_delete(core: Core, request: Request, old: Object) -> None:
    """Before an object is deleted or marked so."""
    if hooks := core.admission.mutating.matching(core, "DELETE", request):
        await webhooks.mutate(core, hooks, request, "DELETE", None, old)
    await _validate(core, request, "DELETE", None, old)


async def approve_connect(core: Core, request: Request, options: Object) -> None:
    """Before a connection is made; `options` is what the caller asks of it (PodExecOptions...)."""
    if hooks := core.admission.mutating.matching(core, "CONNECT", request):
        await webhooks.mutate(core, hooks, request, "CONNECT", options, None)
    await _validate(core, request, "CONNECT", options, None)
