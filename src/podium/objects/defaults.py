"""Defaults: what an object means where its author said nothing.

Theory: upstream's defaults are Go code, not in its documents, so the functions in `objects/defaulting/` are our own table, by kind,
with the same values. `apply` runs after `structure.conform` (so types are right) on every write, since a patch can remove a field.

Invariants: in place; idempotent; a field that is there is never changed, save an empty string or zero where upstream's type cannot tell
it from an absent one. Kinds that are not in the table have no defaults upstream, or are not acted on yet.

Source: named in each file. Not here: what upstream's registries and admission set (cluster addresses, tolerations, finalizers).
"""

from collections.abc import Callable
from typing import Any

from podium.objects.defaulting import admission, cluster, devices, flow_control, network, pods, storage, workloads

_RBAC = "rbac.authorization.k8s.io/v1"

_DEFAULTS: dict[tuple[str, str], Callable[[dict[str, Any]], None]] = {
    ("v1", "Pod"): pods.default_pod,
    ("v1", "PodTemplate"): workloads.default_pod_template,
    ("v1", "ReplicationController"): workloads.default_replication_controller,
    ("apps/v1", "Deployment"): workloads.default_deployment,
    ("apps/v1", "ReplicaSet"): workloads.default_replica_set,
    ("apps/v1", "StatefulSet"): workloads.default_stateful_set,
    ("apps/v1", "DaemonSet"): workloads.default_daemon_set,
    ("batch/v1", "Job"): workloads.default_job,
    ("batch/v1", "CronJob"): workloads.default_cron_job,
    ("autoscaling/v1", "HorizontalPodAutoscaler"): workloads.default_autoscaler_v1,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): workloads.default_autoscaler,
    ("v1", "Service"): network.default_service,
    ("v1", "Endpoints"): network.default_endpoints,
    ("discovery.k8s.io/v1", "EndpointSlice"): network.default_endpoint_slice,
    ("networking.k8s.io/v1", "NetworkPolicy"): network.default_network_policy,
    ("networking.k8s.io/v1", "IngressClass"): network.default_ingress_class,
    ("v1", "PersistentVolume"): storage.default_volume,
    ("v1", "PersistentVolumeClaim"): storage.default_claim,
    ("storage.k8s.io/v1", "StorageClass"): storage.default_storage_class,
    ("storage.k8s.io/v1", "CSIDriver"): storage.default_csi_driver,
    ("v1", "Namespace"): cluster.default_namespace,
    ("v1", "Node"): cluster.default_node,
    ("v1", "Secret"): cluster.default_secret,
    ("v1", "LimitRange"): cluster.default_limit_range,
    (_RBAC, "RoleBinding"): cluster.default_binding,
    (_RBAC, "ClusterRoleBinding"): cluster.default_binding,
    ("scheduling.k8s.io/v1", "PriorityClass"): cluster.default_priority_class,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): cluster.default_custom_resource_definition,
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"): admission.default_webhooks,
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"): admission.default_mutating_webhooks,
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"): admission.default_policy,
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"): admission.default_policy_binding,
    ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy"): admission.default_policy,
    ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicyBinding"): admission.default_policy_binding,
    ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema"): flow_control.default_flow_schema,
    ("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration"): flow_control.default_priority_level,
    ("certificates.k8s.io/v1", "PodCertificateRequest"): cluster.default_pod_certificate_request,
    ("resource.k8s.io/v1", "ResourceClaim"): devices.default_claim,
    ("resource.k8s.io/v1", "ResourceClaimTemplate"): devices.default_template,
    ("authentication.k8s.io/v1", "TokenRequest"): cluster.default_token_request,
}


def apply(value: dict[str, Any], api_version: str, kind: str) -> None:
    """Fill in `value`, in place. It must have the structure of its kind."""
    if (default := _DEFAULTS.get((api_version, kind))) is not None:
        default(value)
