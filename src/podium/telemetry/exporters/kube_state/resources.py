"""Which resources are shown, and how: the table that the exporter works by.

Each has the labels that name its objects, the function that renders one, and its families with their meanings. Every resource with a label prefix
also has *_labels and *_annotations, shown when an allow list names the resource.
"""

from dataclasses import dataclass

from podium.objects.resources import Resource, resource
from podium.objects.values import Object
from podium.telemetry.exporters.kube_state import cluster, pods, workloads
from podium.telemetry.exporters.kube_state.rendering import Kind, Rendering


@dataclass(frozen=True, slots=True)
class Shown:
    """`label` is the name of the label with the object's name; `prefix` what its families begin with, without kube_."""

    resource: Resource
    label: str
    prefix: str
    render: Kind
    families: dict[str, str]
    with_uid: bool = False
    with_signer: bool = False

    def rendering(self, value: Object) -> Rendering:
        metadata = value["metadata"]
        base = [("namespace", metadata["namespace"])] if self.resource.namespaced else []
        base.append((self.label, metadata["name"]))
        if self.with_uid:
            base.append(("uid", metadata.get("uid", "")))
        if self.with_signer:
            base.append(("signer_name", value["spec"].get("signerName", "")))
        return Rendering(*base)

    def lines(self, value: Object, labels: tuple[str, ...] = (), annotations: tuple[str, ...] = ()) -> dict[str, str]:
        """The object's lines by family; `labels` and `annotations` are what of them is allowed."""
        out, metadata = self.rendering(value), value["metadata"]
        self.render(value, out)
        out.metadata(f"kube_{self.prefix}_labels", "label", metadata.get("labels"), labels)
        out.metadata(f"kube_{self.prefix}_annotations", "annotation", metadata.get("annotations"), annotations)
        return out.lines


def _families(prefix: str, text: str) -> dict[str, str]:
    found = dict(line.split(": ", 1) for line in text.strip().splitlines())
    found.setdefault(f"kube_{prefix}_labels", "Labels of the object.")
    found.setdefault(f"kube_{prefix}_annotations", "Annotations of the object.")
    return found


_CLUSTER, _WORKLOADS = cluster.CLUSTER_FAMILIES, workloads.WORKLOAD_FAMILIES


def _shown(plural: str, group: str, prefix: str, render: Kind, *, label: str = "", uid: bool = False, signer: bool = False) -> Shown:
    text = pods.POD_FAMILIES if plural == "pods" else _WORKLOADS.get(plural) or _CLUSTER[plural]
    return Shown(resource(plural, group), label or prefix, prefix, render, _families(prefix, text), uid, signer)


SHOWN = (
    _shown("certificatesigningrequests", "certificates.k8s.io", "certificatesigningrequest", cluster.certificate_request, signer=True),
    _shown("configmaps", "", "configmap", cluster.config_map),
    _shown("cronjobs", "batch", "cronjob", workloads.cron_job),
    _shown("daemonsets", "apps", "daemonset", workloads.daemon_set),
    _shown("deployments", "apps", "deployment", workloads.deployment),
    _shown("endpoints", "", "endpoint", cluster.endpoints),
    _shown("horizontalpodautoscalers", "autoscaling", "horizontalpodautoscaler", workloads.autoscaler),
    _shown("ingresses", "networking.k8s.io", "ingress", cluster.ingress),
    _shown("jobs", "batch", "job", workloads.job, label="job_name"),
    _shown("leases", "coordination.k8s.io", "lease", cluster.lease),
    _shown("limitranges", "", "limitrange", cluster.limit_range),
    _shown("mutatingwebhookconfigurations", "admissionregistration.k8s.io", "mutatingwebhookconfiguration", cluster.mutating_webhooks),
    _shown("namespaces", "", "namespace", cluster.namespace),
    _shown("networkpolicies", "networking.k8s.io", "networkpolicy", cluster.network_policy),
    _shown("nodes", "", "node", cluster.node),
    _shown("persistentvolumeclaims", "", "persistentvolumeclaim", cluster.claim),
    _shown("persistentvolumes", "", "persistentvolume", cluster.persistent_volume),
    _shown("poddisruptionbudgets", "policy", "poddisruptionbudget", workloads.disruption_budget),
    _shown("pods", "", "pod", pods.pod, uid=True),
    _shown("replicasets", "apps", "replicaset", workloads.replica_set),
    _shown("replicationcontrollers", "", "replicationcontroller", workloads.replication_controller),
    _shown("resourcequotas", "", "resourcequota", cluster.resource_quota),
    _shown("secrets", "", "secret", cluster.secret),
    _shown("services", "", "service", cluster.service, uid=True),
    _shown("statefulsets", "apps", "statefulset", workloads.stateful_set),
    _shown("storageclasses", "storage.k8s.io", "storageclass", cluster.storage_class),
    _shown("validatingwebhookconfigurations", "admissionregistration.k8s.io", "validatingwebhookconfiguration", cluster.validating_webhooks),
    _shown("volumeattachments", "storage.k8s.io", "volumeattachment", cluster.volume_attachment),
)  # fmt: skip
