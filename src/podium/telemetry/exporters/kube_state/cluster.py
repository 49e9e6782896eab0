"""kube_node_*, kube_namespace_*, kube_service_*, kube_endpoint_*, kube_ingress_*, kube_configmap_*, kube_secret_*, kube_persistentvolume*,
kube_storageclass_*, kube_volumeattachment_*, kube_resourcequota*, kube_limitrange*, kube_lease_*, kube_networkpolicy_*,
kube_certificatesigningrequest_*, kube_*webhookconfiguration_*.

Source: kube-state-metrics internal/store, the files of these names.
"""

import base64
import binascii

from podium.objects.values import Object
from podium.telemetry.exporters.kube_state.rendering import Rendering, exact, label_name, quantity

_ROLE = "node-role.kubernetes.io/"


def node(value: Object, out: Rendering) -> None:
    metadata, spec, status = value["metadata"], value.get("spec") or {}, value.get("status") or {}
    told, addresses = status.get("nodeInfo") or {}, status.get("addresses") or ()
    internal = next((a["address"] for a in addresses if a["type"] == "InternalIP"), "")
    out.add(
        "kube_node_info", 1, ("kernel_version", told.get("kernelVersion", "")), ("os_image", told.get("osImage", "")),
        ("container_runtime_version", told.get("containerRuntimeVersion", "")), ("kubelet_version", told.get("kubeletVersion", "")),
        ("kubeproxy_version", told.get("kubeProxyVersion") or "deprecated"), ("provider_id", spec.get("providerID", "")),
        ("pod_cidr", spec.get("podCIDR", "")), ("system_uuid", told.get("systemUUID", "")), ("internal_ip", internal),
    )  # fmt: skip
    for address in addresses:
        out.add("kube_node_status_addresses", 1, ("type", address["type"]), ("address", address["address"]))
    for label in metadata.get("labels") or {}:
        if label.startswith(_ROLE):
            out.add("kube_node_role", 1, ("role", label.removeprefix(_ROLE)))
    out.add("kube_node_spec_unschedulable", bool(spec.get("unschedulable")))
    for taint in spec.get("taints") or ():
        out.add("kube_node_spec_taint", 1, ("key", taint["key"]), ("value", taint.get("value", "")), ("effect", taint["effect"]))
    out.resources("kube_node_status_capacity", status.get("capacity"))
    out.resources("kube_node_status_allocatable", status.get("allocatable"))
    for condition in status.get("conditions") or ():
        out.statuses("kube_node_status_condition", condition["status"], ("condition", condition["type"]), label="status")
    out.time("kube_node_created", metadata.get("creationTimestamp"))
    out.time("kube_node_deletion_timestamp", metadata.get("deletionTimestamp"))


def namespace(value: Object, out: Rendering) -> None:
    status = value.get("status") or {}
    out.time("kube_namespace_created", value["metadata"].get("creationTimestamp"))
    out.one_of("kube_namespace_status_phase", "phase", ("Active", "Terminating"), status.get("phase", ""))
    for condition in status.get("conditions") or ():
        out.statuses("kube_namespace_status_condition", condition["status"], ("condition", condition["type"]), label="status")


def service(value: Object, out: Rendering) -> None:
    spec = value["spec"]
    out.add(
        "kube_service_info", 1, ("cluster_ip", spec.get("clusterIP", "")), ("external_name", spec.get("externalName", "")),
        ("load_balancer_ip", spec.get("loadBalancerIP", "")), ("external_traffic_policy", spec.get("externalTrafficPolicy", "")),
    )  # fmt: skip
    out.time("kube_service_created", value["metadata"].get("creationTimestamp"))
    out.add("kube_service_spec_type", 1, ("type", spec.get("type", "")))
    for address in spec.get("externalIPs") or ():
        out.add("kube_service_spec_external_ip", 1, ("external_ip", address))
    for ingress_point in ((value.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
        labels = (("ip", ingress_point.get("ip", "")), ("hostname", ingress_point.get("hostname", "")))
        out.add("kube_service_status_load_balancer_ingress", 1, *labels)


def endpoints(value: Object, out: Rendering) -> None:
    out.add("kube_endpoint_info", 1)
    out.time("kube_endpoint_created", value["metadata"].get("creationTimestamp"))
    for subset in value.get("subsets") or ():
        for port in subset.get("ports") or ():
            labels = (
                ("port_protocol", port.get("protocol", "")), ("port_number", str(port["port"])), ("port_name", port.get("name", "")),
            )  # fmt: skip
            for field, ready in (("addresses", "true"), ("notReadyAddresses", "false")):
                for address in subset.get(field) or ():
                    out.add("kube_endpoint_address", 1, *labels, ("ip", address["ip"]), ("ready", ready))
            out.add("kube_endpoint_ports", 1, labels[2], labels[0], labels[1])


def ingress(value: Object, out: Rendering) -> None:
    spec = value.get("spec") or {}
    annotations = value["metadata"].get("annotations") or {}
    name = spec.get("ingressClassName") or annotations.get("kubernetes.io/ingress.class") or "_default"
    out.add("kube_ingress_info", 1, ("ingressclass", name))
    out.time("kube_ingress_created", value["metadata"].get("creationTimestamp"))
    for rule in spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            labels = [("host", rule.get("host", "")), ("path", path.get("path", "")), ("path_type", path.get("pathType", ""))]
            backend = path["backend"]
            if target := backend.get("service"):
                port = target.get("port") or {}
                labels += [("service_name", target["name"]), ("service_port", port.get("name") or str(port.get("number", 0)))]
            elif target := backend.get("resource"):
                group = ("resource_api_group", target.get("apiGroup", ""))
                labels += [group, ("resource_kind", target["kind"]), ("resource_name", target["name"])]
            out.add("kube_ingress_path", 1, *labels)
    for entry in spec.get("tls") or ():
        for host in entry.get("hosts") or ():
            out.add("kube_ingress_tls", 1, ("tls_host", host), ("secret", entry.get("secretName", "")))


def config_map(value: Object, out: Rendering) -> None:
    out.add("kube_configmap_info", 1)
    out.time("kube_configmap_created", value["metadata"].get("creationTimestamp"))


def secret(value: Object, out: Rendering) -> None:
    """Nothing of its data."""
    out.add("kube_secret_info", 1)
    out.add("kube_secret_type", 1, ("type", value.get("type", "")))
    out.time("kube_secret_created", value["metadata"].get("creationTimestamp"))
    out.owners("kube_secret_owner", value["metadata"])


VOLUME_PHASES = ("Pending", "Available", "Bound", "Released", "Failed")
CLAIM_PHASES = ("Lost", "Bound", "Pending")


def persistent_volume(value: Object, out: Rendering) -> None:
    metadata, spec, status = value["metadata"], value["spec"], value.get("status") or {}
    out.add("kube_persistentvolume_capacity_bytes", quantity("storage", str((spec.get("capacity") or {}).get("storage", "0"))))
    if phase := status.get("phase"):
        out.one_of("kube_persistentvolume_status_phase", "phase", VOLUME_PHASES, phase)
    if claim := spec.get("claimRef"):
        labels = (("name", claim.get("name", "")), ("claim_namespace", claim.get("namespace", "")))
        out.add("kube_persistentvolume_claim_ref", 1, *labels)
    out.add("kube_persistentvolume_info", 1, *_volume_info(spec))
    out.add("kube_persistentvolume_volume_mode", 1, ("volumemode", spec.get("volumeMode", "")))
    for mode in spec.get("accessModes") or ():
        out.add("kube_persistentvolume_access_mode", 1, ("access_mode", mode))
    out.time("kube_persistentvolume_created", metadata.get("creationTimestamp"))
    out.time("kube_persistentvolume_deletion_timestamp", metadata.get("deletionTimestamp"))


def _volume_info(spec: Object) -> list[tuple[str, str]]:
    def of(source: str, field: str) -> str:
        found = (spec.get(source) or {}).get(field, "")
        return ",".join(found) if isinstance(found, list) else str(found)

    return [
        ("storageclass", spec.get("storageClassName", "")), ("gce_persistent_disk_name", of("gcePersistentDisk", "pdName")),
        ("ebs_volume_id", of("awsElasticBlockStore", "volumeID")), ("azure_disk_name", of("azureDisk", "diskName")),
        ("fc_wwids", of("fc", "wwids")), ("fc_lun", of("fc", "lun")), ("fc_target_wwns", of("fc", "targetWWNs")),
        ("iscsi_target_portal", of("iscsi", "targetPortal")), ("iscsi_iqn", of("iscsi", "iqn")), ("iscsi_lun", of("iscsi", "lun")),
        ("iscsi_initiator_name", of("iscsi", "initiatorName")), ("nfs_server", of("nfs", "server")), ("nfs_path", of("nfs", "path")),
        ("csi_driver", of("csi", "driver")), ("csi_volume_handle", of("csi", "volumeHandle")), ("local_path", of("local", "path")),
        ("local_fs", of("local", "fsType")), ("host_path", of("hostPath", "path")), ("host_path_type", of("hostPath", "type")),
        ("reclaim_policy", spec.get("persistentVolumeReclaimPolicy", "")),
    ]  # fmt: skip


def claim(value: Object, out: Rendering) -> None:
    metadata, spec, status = value["metadata"], value["spec"], value.get("status") or {}
    beta = (metadata.get("annotations") or {}).get("volume.beta.kubernetes.io/storage-class")
    out.add(
        "kube_persistentvolumeclaim_info", 1, ("storageclass", beta or spec.get("storageClassName") or ""),
        ("volumename", spec.get("volumeName", "")), ("volumemode", spec.get("volumeMode", "")),
    )  # fmt: skip
    if phase := status.get("phase"):
        out.one_of("kube_persistentvolumeclaim_status_phase", "phase", CLAIM_PHASES, phase)
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if wanted is not None:
        out.add("kube_persistentvolumeclaim_resource_requests_storage_bytes", quantity("storage", str(wanted)))
    for mode in spec.get("accessModes") or ():
        out.add("kube_persistentvolumeclaim_access_mode", 1, ("access_mode", mode))
    for condition in status.get("conditions") or ():
        labels = ("condition", condition["type"])
        out.statuses("kube_persistentvolumeclaim_status_condition", condition["status"], labels, label="status")
    out.time("kube_persistentvolumeclaim_created", metadata.get("creationTimestamp"))
    out.time("kube_persistentvolumeclaim_deletion_timestamp", metadata.get("deletionTimestamp"))


def storage_class(value: Object, out: Rendering) -> None:
    out.add(
        "kube_storageclass_info", 1, ("provisioner", value["provisioner"]), ("reclaim_policy", value.get("reclaimPolicy", "Delete")),
        ("volume_binding_mode", value.get("volumeBindingMode", "Immediate")),
    )  # fmt: skip
    out.time("kube_storageclass_created", value["metadata"].get("creationTimestamp"))


def volume_attachment(value: Object, out: Rendering) -> None:
    spec, status = value["spec"], value.get("status") or {}
    out.add("kube_volumeattachment_info", 1, ("attacher", spec["attacher"]), ("node", spec["nodeName"]))
    out.time("kube_volumeattachment_created", value["metadata"].get("creationTimestamp"))
    if volume := (spec.get("source") or {}).get("persistentVolumeName"):
        out.add("kube_volumeattachment_spec_source_persistentvolume", 1, ("volumename", volume))
    out.add("kube_volumeattachment_status_attached", bool(status.get("attached")))
    for key, text in sorted((status.get("attachmentMetadata") or {}).items()):
        out.add("kube_volumeattachment_status_attachment_metadata", 1, (f"metadata_{label_name(key)}", text))


def resource_quota(value: Object, out: Rendering) -> None:
    out.time("kube_resourcequota_created", value["metadata"].get("creationTimestamp"))
    for field in ("hard", "used"):
        for resource, amount in ((value.get("status") or {}).get(field) or {}).items():
            out.add("kube_resourcequota", exact(str(amount)), ("resource", resource), ("type", field))


def limit_range(value: Object, out: Rendering) -> None:
    out.time("kube_limitrange_created", value["metadata"].get("creationTimestamp"))
    for limit in (value.get("spec") or {}).get("limits") or ():
        for field in ("min", "max", "default", "defaultRequest", "maxLimitRequestRatio"):
            for resource, amount in (limit.get(field) or {}).items():
                labels = (("resource", resource), ("type", limit["type"]), ("constraint", field))
                out.add("kube_limitrange", exact(str(amount)), *labels)


def lease(value: Object, out: Rendering) -> None:
    spec = value.get("spec") or {}
    for owner in value["metadata"].get("ownerReferences") or ({"kind": "", "name": ""},):
        labels = (("owner_kind", owner["kind"]), ("owner_name", owner["name"]), ("lease_holder", spec.get("holderIdentity") or ""))
        out.add("kube_lease_owner", 1, *labels)
    out.time("kube_lease_renew_time", spec.get("renewTime"))


def network_policy(value: Object, out: Rendering) -> None:
    spec = value.get("spec") or {}
    out.time("kube_networkpolicy_created", value["metadata"].get("creationTimestamp"))
    out.add("kube_networkpolicy_spec_egress_rules", len(spec.get("egress") or ()))
    out.add("kube_networkpolicy_spec_ingress_rules", len(spec.get("ingress") or ()))


def certificate_request(value: Object, out: Rendering) -> None:
    status = value.get("status") or {}
    out.time("kube_certificatesigningrequest_created", value["metadata"].get("creationTimestamp"))
    given = [condition["type"] for condition in status.get("conditions") or ()]
    for kind in ("Approved", "Denied"):
        out.add("kube_certificatesigningrequest_condition", given.count(kind), ("condition", kind.lower()))
    try:
        length = len(base64.b64decode(status.get("certificate") or "", validate=True))
    except binascii.Error:
        length = 0
    out.add("kube_certificatesigningrequest_cert_length", length)


def mutating_webhooks(value: Object, out: Rendering) -> None:
    _webhooks("kube_mutatingwebhookconfiguration", value, out)


def validating_webhooks(value: Object, out: Rendering) -> None:
    _webhooks("kube_validatingwebhookconfiguration", value, out)


def _webhooks(prefix: str, value: Object, out: Rendering) -> None:
    metadata = value["metadata"]
    version = metadata.get("resourceVersion", "")
    out.add(f"{prefix}_info", 1)
    out.time(f"{prefix}_created", metadata.get("creationTimestamp"))
    out.add(f"{prefix}_metadata_resource_version", int(version) if version.isdigit() else 0)
    for webhook in value.get("webhooks") or ():
        target = (webhook.get("clientConfig") or {}).get("service")
        if target:
            labels = (("webhook_name", webhook["name"]), ("service_name", target["name"]), ("service_namespace", target["namespace"]))
            out.add(f"{prefix}_webhook_clientconfig_service", 1, *labels)


_SINCE = "in seconds since the epoch"
CLUSTER_FAMILIES = {
    "nodes": f"""
kube_node_info: What a node is.
kube_node_status_addresses: A node's addresses.
kube_node_role: A node's roles.
kube_node_spec_unschedulable: Whether new pods are kept from a node.
kube_node_spec_taint: A node's taints.
kube_node_status_capacity: What a node has of a resource.
kube_node_status_allocatable: What a node has of a resource for pods.
kube_node_status_condition: A node's conditions.
kube_node_created: When a node was created, {_SINCE}.
kube_node_deletion_timestamp: When a node is to be deleted, {_SINCE}.
""",
    "namespaces": f"""
kube_namespace_created: When a namespace was created, {_SINCE}.
kube_namespace_status_phase: A namespace's phase.
kube_namespace_status_condition: A namespace's conditions.
""",
    "services": f"""
kube_service_info: What a service is.
kube_service_created: When a service was created, {_SINCE}.
kube_service_spec_type: A service's type.
kube_service_spec_external_ip: A service's external addresses.
kube_service_status_load_balancer_ingress: A service's addresses at its load balancer.
""",
    "endpoints": f"""
kube_endpoint_info: An Endpoints object; always 1.
kube_endpoint_created: When an Endpoints object was created, {_SINCE}.
kube_endpoint_address: Addresses of endpoints.
kube_endpoint_ports: Ports of endpoints.
""",
    "ingresses": f"""
kube_ingress_info: What an ingress is.
kube_ingress_created: When an ingress was created, {_SINCE}.
kube_ingress_path: Where an ingress leads.
kube_ingress_tls: An ingress' hosts with certificates.
""",
    "configmaps": f"""
kube_configmap_info: A config map; always 1.
kube_configmap_created: When a config map was created, {_SINCE}.
""",
    "secrets": f"""
kube_secret_info: A secret; always 1.
kube_secret_type: A secret's type.
kube_secret_created: When a secret was created, {_SINCE}.
kube_secret_owner: A secret's owners.
""",
    "persistentvolumes": f"""
kube_persistentvolume_capacity_bytes: A volume's size.
kube_persistentvolume_status_phase: A volume's phase.
kube_persistentvolume_claim_ref: The claim that a volume is bound to.
kube_persistentvolume_info: What a volume is.
kube_persistentvolume_volume_mode: Whether a volume is a file system or a block device.
kube_persistentvolume_access_mode: How a volume may be used.
kube_persistentvolume_created: When a volume was created, {_SINCE}.
kube_persistentvolume_deletion_timestamp: When a volume is to be deleted, {_SINCE}.
""",
    "persistentvolumeclaims": f"""
kube_persistentvolumeclaim_info: What a claim is.
kube_persistentvolumeclaim_status_phase: A claim's phase.
kube_persistentvolumeclaim_resource_requests_storage_bytes: The storage that a claim asks for.
kube_persistentvolumeclaim_access_mode: How a claim's volume may be used.
kube_persistentvolumeclaim_status_condition: A claim's conditions.
kube_persistentvolumeclaim_created: When a claim was created, {_SINCE}.
kube_persistentvolumeclaim_deletion_timestamp: When a claim is to be deleted, {_SINCE}.
""",
    "storageclasses": f"""
kube_storageclass_info: What a storage class is.
kube_storageclass_created: When a storage class was created, {_SINCE}.
""",
    "volumeattachments": f"""
kube_volumeattachment_info: What is attached where.
kube_volumeattachment_created: When an attachment was created, {_SINCE}.
kube_volumeattachment_spec_source_persistentvolume: The volume of an attachment.
kube_volumeattachment_status_attached: Whether an attachment is done.
kube_volumeattachment_status_attachment_metadata: What the attacher says of an attachment.
""",
    "resourcequotas": f"""
kube_resourcequota: What a quota allows and what is used.
kube_resourcequota_created: When a quota was created, {_SINCE}.
""",
    "limitranges": f"""
kube_limitrange: The limits of a limit range.
kube_limitrange_created: When a limit range was created, {_SINCE}.
""",
    "leases": f"""
kube_lease_owner: Owner and holder of a lease.
kube_lease_renew_time: When a lease was renewed, {_SINCE}.
""",
    "networkpolicies": f"""
kube_networkpolicy_created: When a network policy was created, {_SINCE}.
kube_networkpolicy_spec_egress_rules: Rules of a network policy for what leaves pods.
kube_networkpolicy_spec_ingress_rules: Rules of a network policy for what comes to pods.
""",
    "certificatesigningrequests": f"""
kube_certificatesigningrequest_created: When a request for a certificate was created, {_SINCE}.
kube_certificatesigningrequest_condition: Whether a request for a certificate was approved or denied.
kube_certificatesigningrequest_cert_length: The size of a certificate that was issued.
""",
    "mutatingwebhookconfigurations": f"""
kube_mutatingwebhookconfiguration_info: A configuration of webhooks; always 1.
kube_mutatingwebhookconfiguration_created: When a configuration of webhooks was created, {_SINCE}.
kube_mutatingwebhookconfiguration_metadata_resource_version: The version of a configuration of webhooks.
kube_mutatingwebhookconfiguration_webhook_clientconfig_service: The services of webhooks.
""",
    "validatingwebhookconfigurations": f"""
kube_validatingwebhookconfiguration_info: A configuration of webhooks; always 1.
kube_validatingwebhookconfiguration_created: When a configuration of webhooks was created, {_SINCE}.
kube_validatingwebhookconfiguration_metadata_resource_version: The version of a configuration of webhooks.
kube_validatingwebhookconfiguration_webhook_clientconfig_service: The services of webhooks.
""",
}
