"""Validation: the rules of each kind, told as upstream tells them.

Asked after structure and defaults: types are right, required lists and strings may still be missing. Metadata rules hold for every kind;
kinds that are not in the tables below have no others yet (they are stored as data, see support.py). A value that was stored under these
rules and is not changed is not refused.

Source: k8s.io/kubernetes pkg/apis/*/validation, named in each file.
"""

from collections.abc import Callable, Mapping

from podium.objects.cause import Cause
from podium.objects.resources import Resource
from podium.objects.validation import (
    access,
    api_services,
    autoscaling,
    batch,
    certificates,
    cluster,
    configuration,
    definitions,
    device_claims,
    devices,
    endpoints,
    flow_control,
    ingresses,
    limits,
    metadata,
    networking,
    persistent_volumes,
    pod_resize,
    pods,
    resource_slices,
    services,
    storage,
    trust,
    webhooks,
    workloads,
)
from podium.objects.validation.faults import Faults
from podium.objects.values import Object

_CreateCheck = Callable[[Faults, Object], None]
_UpdateCheck = Callable[[Faults, Object, Object], None]


def _of_policy(name: str) -> _CreateCheck:
    """A check of admission policies: the expression language is loaded by the first, not at every start."""

    def check(faults: Faults, value: Object) -> None:
        from podium.objects.validation import admission_policies

        getattr(admission_policies, name)(faults, value)

    return check


_CERTIFICATES = "certificates.k8s.io"
_NETWORKING, _STORAGE, _DEVICES = "networking.k8s.io", "storage.k8s.io", "resource.k8s.io"
_CREATE: Mapping[tuple[str, str], _CreateCheck] = {
    ("", "Pod"): pods.check_create,
    ("", "PodTemplate"): pods.check_pod_template,
    ("", "Binding"): pods.check_binding,
    ("apps", "Deployment"): workloads.check_deployment,
    ("apps", "StatefulSet"): batch.check_stateful_set,
    ("apps", "DaemonSet"): batch.check_daemon_set,
    ("batch", "Job"): batch.check_job,
    ("batch", "CronJob"): batch.check_cron_job,
    ("apps", "ReplicaSet"): workloads.check_replica_set,
    ("", "ReplicationController"): workloads.check_replication_controller,
    ("policy", "PodDisruptionBudget"): workloads.check_disruption_budget,
    ("", "Service"): services.check_service,
    ("", "Endpoints"): endpoints.check_endpoints,
    ("discovery.k8s.io", "EndpointSlice"): endpoints.check_slice,
    ("", "ConfigMap"): configuration.check_config_map,
    ("", "Secret"): configuration.check_secret,
    ("", "Namespace"): cluster.check_namespace,
    ("", "Node"): cluster.check_node,
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): flow_control.check_flow_schema,
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): flow_control.check_priority_level,
    ("", "LimitRange"): limits.check_limit_range,
    ("", "ResourceQuota"): limits.check_quota,
    ("scheduling.k8s.io", "PriorityClass"): limits.check_priority_class,
    ("certificates.k8s.io", "CertificateSigningRequest"): certificates.check_request,
    ("node.k8s.io", "RuntimeClass"): limits.check_runtime_class,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): webhooks.check_mutating,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): webhooks.check_validating,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): _of_policy("check_validating"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): _of_policy("check_mutating"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): _of_policy("check_validating_binding"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): _of_policy("check_mutating_binding"),
    ("coordination.k8s.io", "Lease"): cluster.check_lease,
    ("", "Event"): cluster.check_event,
    ("events.k8s.io", "Event"): cluster.check_event,
    ("apiregistration.k8s.io", "APIService"): api_services.check_api_service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): definitions.check_definition,
    ("autoscaling", "HorizontalPodAutoscaler"): autoscaling.check_autoscaler,
    (_NETWORKING, "Ingress"): ingresses.check_ingress,
    (_NETWORKING, "IngressClass"): ingresses.check_class,
    (_NETWORKING, "NetworkPolicy"): networking.check_policy,
    (_NETWORKING, "IPAddress"): networking.check_address,
    (_NETWORKING, "ServiceCIDR"): networking.check_service_range,
    ("", "PersistentVolume"): persistent_volumes.check_volume,
    ("", "PersistentVolumeClaim"): persistent_volumes.check_claim,
    (_STORAGE, "StorageClass"): storage.check_class,
    (_STORAGE, "VolumeAttributesClass"): storage.check_attributes_class,
    (_STORAGE, "VolumeAttachment"): storage.check_attachment,
    (_STORAGE, "CSIDriver"): storage.check_driver,
    (_STORAGE, "CSINode"): storage.check_csi_node,
    (_STORAGE, "CSIStorageCapacity"): storage.check_capacity,
    (_DEVICES, "ResourceClaim"): device_claims.check_claim,
    (_DEVICES, "ResourceClaimTemplate"): device_claims.check_template,
    (_DEVICES, "DeviceClass"): device_claims.check_device_class,
    (_DEVICES, "DeviceTaintRule"): devices.check_taint_rule,
    (_DEVICES, "ResourceSlice"): resource_slices.check_slice,
    ("apps", "ControllerRevision"): workloads.check_revision,
    (_CERTIFICATES, "ClusterTrustBundle"): trust.check_bundle,
    (_CERTIFICATES, "PodCertificateRequest"): trust.check_pod_request,
    ("storagemigration.k8s.io", "StorageVersionMigration"): cluster.check_migration,
    (access.GROUP, "Role"): access.check_role,
    (access.GROUP, "ClusterRole"): access.check_cluster_role,
    (access.GROUP, "RoleBinding"): access.check_role_binding,
    (access.GROUP, "ClusterRoleBinding"): access.check_cluster_role_binding,
}
"""By (group, kind), of what is created: the body of a subresource has its own kind."""

_UPDATE: Mapping[tuple[str, str, str], _UpdateCheck] = {
    ("", "Pod", ""): pods.check_update,
    ("batch", "Job", ""): batch.check_job_update,
    ("apps", "StatefulSet", ""): batch.check_stateful_set_update,
    ("", "Pod", "status"): pods.check_status_update,
    ("", "Pod", "ephemeralcontainers"): pods.check_ephemeral_update,
    ("", "Pod", "resize"): pod_resize.check_resize,
    ("", "Service", ""): services.check_update,
    ("", "Service", "status"): services.check_status,
    ("discovery.k8s.io", "EndpointSlice", ""): endpoints.check_slice_update,
    ("", "ConfigMap", ""): configuration.check_config_map_update,
    ("", "Secret", ""): configuration.check_secret_update,
    ("apiextensions.k8s.io", "CustomResourceDefinition", ""): definitions.check_definition_update,
    ("apiextensions.k8s.io", "CustomResourceDefinition", "status"): definitions.check_definition_status,
    ("", "Namespace", "status"): cluster.check_namespace_status,
    ("", "Namespace", "finalize"): cluster.check_namespace_finalize,
    ("", "Node", ""): cluster.check_node_update,
    ("", "Node", "status"): cluster.check_node_update,
    ("", "ResourceQuota", ""): limits.check_quota_update,
    ("scheduling.k8s.io", "PriorityClass", ""): limits.check_priority_class_update,
    ("certificates.k8s.io", "CertificateSigningRequest", ""): certificates.check_update,
    ("certificates.k8s.io", "CertificateSigningRequest", "status"): certificates.check_update,
    ("certificates.k8s.io", "CertificateSigningRequest", "approval"): certificates.check_update,
    ("node.k8s.io", "RuntimeClass", ""): limits.check_runtime_class_update,
    ("autoscaling", "HorizontalPodAutoscaler", ""): autoscaling.check_autoscaler_update,
    ("autoscaling", "HorizontalPodAutoscaler", "status"): autoscaling.check_autoscaler_status,
    (_NETWORKING, "Ingress", ""): ingresses.check_ingress_update,
    (_NETWORKING, "Ingress", "status"): ingresses.check_ingress_status,
    (_NETWORKING, "IngressClass", ""): ingresses.check_class_update,
    (_NETWORKING, "NetworkPolicy", ""): networking.check_policy_update,
    (_NETWORKING, "IPAddress", ""): networking.check_address_update,
    (_NETWORKING, "ServiceCIDR", ""): networking.check_service_range_update,
    ("", "PersistentVolume", ""): persistent_volumes.check_volume_update,
    ("", "PersistentVolumeClaim", ""): persistent_volumes.check_claim_update,
    ("", "PersistentVolumeClaim", "status"): persistent_volumes.check_claim_status,
    (_STORAGE, "StorageClass", ""): storage.check_class_update,
    (_STORAGE, "VolumeAttributesClass", ""): storage.check_attributes_class_update,
    (_STORAGE, "VolumeAttachment", ""): storage.check_attachment_update,
    (_STORAGE, "VolumeAttachment", "status"): storage.check_attachment_status,
    (_STORAGE, "CSIDriver", ""): storage.check_driver_update,
    (_STORAGE, "CSINode", ""): storage.check_csi_node_update,
    (_STORAGE, "CSIStorageCapacity", ""): storage.check_capacity_update,
    (_DEVICES, "ResourceClaim", ""): device_claims.check_claim_update,
    (_DEVICES, "ResourceClaim", "status"): device_claims.check_claim_status,
    (_DEVICES, "ResourceClaimTemplate", ""): device_claims.check_claim_update,
    (_DEVICES, "DeviceClass", ""): device_claims.check_device_class_update,
    (_DEVICES, "DeviceTaintRule", ""): devices.check_taint_rule_update,
    (_DEVICES, "ResourceSlice", ""): resource_slices.check_slice_update,
    ("apps", "ControllerRevision", ""): workloads.check_revision_update,
    (_CERTIFICATES, "ClusterTrustBundle", ""): trust.check_bundle_update,
    (_CERTIFICATES, "PodCertificateRequest", ""): trust.check_pod_request_update,
    (_CERTIFICATES, "PodCertificateRequest", "status"): trust.check_pod_request_status,
    ("storagemigration.k8s.io", "StorageVersionMigration", ""): cluster.check_migration_update,
    (access.GROUP, "RoleBinding", ""): access.check_role_binding_update,
    (access.GROUP, "ClusterRoleBinding", ""): access.check_cluster_role_binding_update,
    ("apps", "Deployment", "status"): workloads.check_counts,
    ("apps", "ReplicaSet", "status"): workloads.check_counts,
    ("", "ReplicationController", "status"): workloads.check_counts,
}
"""By (group, kind, subresource). Without an entry for "", an update obeys the rules of a creation."""

_FIXED_SELECTOR = (("apps", "Deployment"), ("apps", "ReplicaSet"), ("apps", "StatefulSet"), ("apps", "DaemonSet"))
_WITHOUT_METADATA = ("Binding", "Scale", "Eviction", "TokenRequest")


def validate_create(resource: Resource, value: Object, subresource: str = "") -> list[Cause]:
    """What is wrong with a new object, or with the body of a create on one of its subresources (binding)."""
    faults = Faults()
    group, kind = _kind(resource, subresource)
    if kind not in _WITHOUT_METADATA:
        metadata.check_create(faults, resource, value)
    check = _CREATE.get((group, kind))
    if check:
        check(faults, value)
    return faults


def validate_update(resource: Resource, new: Object, old: Object, subresource: str = "") -> list[Cause]:
    """What is wrong with `new` in place of `old`. For the scale subresource `new` is the Scale."""
    faults = Faults()
    if subresource == "scale":
        workloads.check_scale(faults, new)
        return faults
    metadata.check_update(faults, resource, new, old)
    key = (resource.group, resource.kind)
    update = _UPDATE.get((*key, subresource))
    if update:
        update(faults, new, old)
    elif not subresource and key in _CREATE and key != ("", "Namespace"):
        _check_again(faults, key, new, old)
    if key in _FIXED_SELECTOR and not subresource:
        workloads.check_selector_unchanged(faults, new, old)
    return faults


def _check_again(faults: Faults, key: tuple[str, str], new: Object, old: Object) -> None:
    """The rules of a creation, unless nothing but metadata and status changed."""
    if any(new.get(f) != old.get(f) for f in {**new, **old} if f not in ("metadata", "status")):
        _CREATE[key](faults, new)


def _kind(resource: Resource, subresource: str) -> tuple[str, str]:
    found = resource.subresource(subresource) if subresource else None
    return (found.group, found.kind) if found else (resource.group, resource.kind)
