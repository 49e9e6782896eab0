"""What each controller may do: a ClusterRole `system:controller:NAME`, bound to the service account NAME in kube-system.

Mirrors are shared and read as system:kube-controller-manager; these are the rights for what a controller does itself. Where Podium's does more
than upstream's (it patches where upstream updates), the row says so.

Source: k8s.io/kubernetes plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go and its testdata.
"""

from podium.api.bootstrap_roles import ACCESS_REVIEW, EVENTS, READ, Row

_WRITE_ALL = "create delete get list patch update watch"
_SIGNERS = " ".join(
    f"kubernetes.io/{name}" for name in ("legacy-unknown", "kubelet-serving", "kube-apiserver-client", "kube-apiserver-client-kubelet")
)

CONTROLLER_ROLES: dict[str, list[Row]] = {
    "attachdetach-controller": [
        ("list watch", "core", "persistentvolumes persistentvolumeclaims"),
        (READ, "core", "nodes"),
        ("patch update", "core", "nodes/status"),
        ("list watch", "core", "pods"),
        EVENTS,
        ("get list watch create delete", "storage.k8s.io", "volumeattachments"),
        (READ, "storage.k8s.io", "csidrivers"),
        (READ, "storage.k8s.io", "csinodes"),
    ],
    "certificate-controller": [
        ("get list watch delete", "certificates.k8s.io", "certificatesigningrequests"),
        ("update", "certificates.k8s.io", "certificatesigningrequests/status certificatesigningrequests/approval"),
        ("approve", "certificates.k8s.io", "signers", "kubernetes.io/kube-apiserver-client-kubelet"),
        ("sign", "certificates.k8s.io", "signers", _SIGNERS),
        ACCESS_REVIEW,
        EVENTS,
    ],
    "clusterrole-aggregation-controller": [("escalate get list watch update patch", "rbac.authorization.k8s.io", "clusterroles")],
    "cronjob-controller": [
        ("get list watch update", "batch", "cronjobs"),
        (_WRITE_ALL, "batch", "jobs"),
        ("update", "batch", "cronjobs/status"),
        ("update", "batch", "cronjobs/finalizers"),
        ("list watch delete", "core", "pods"),
        EVENTS,
    ],
    "daemon-set-controller": [
        (READ, "apps extensions", "daemonsets"),
        ("update", "apps extensions", "daemonsets/status"),
        ("update", "apps extensions", "daemonsets/finalizers"),
        ("list watch", "core", "nodes"),
        ("list watch create delete patch", "core", "pods"),
        ("create", "core", "pods/binding"),
        ("get list watch create delete update patch", "apps", "controllerrevisions"),
        EVENTS,
    ],
    "deployment-controller": [
        ("get list watch update", "apps extensions", "deployments"),
        ("patch", "apps", "deployments"),  # Podium's sets the revision annotation with a patch
        ("update", "apps extensions", "deployments/status"),
        ("update", "apps extensions", "deployments/finalizers"),
        ("get list watch create update patch delete", "apps extensions", "replicasets"),
        ("get list watch update", "core", "pods"),
        EVENTS,
    ],
    "disruption-controller": [
        (READ, "apps extensions", "deployments"),
        (READ, "apps extensions", "replicasets"),
        (READ, "core", "replicationcontrollers"),
        (READ, "policy", "poddisruptionbudgets"),
        (READ, "apps", "statefulsets"),
        ("update", "policy", "poddisruptionbudgets/status"),
        ("patch update", "core", "pods/status"),
        ("get", "*", "*/scale"),
        EVENTS,
    ],
    "endpoint-controller": [
        (READ, "core", "services pods"),
        ("get list watch create update delete", "core", "endpoints"),
        ("create", "core", "endpoints/restricted"),
        EVENTS,
    ],
    "endpointslice-controller": [
        (READ, "core", "services pods nodes"),
        ("update", "core", "services/finalizers"),
        ("get list watch create update delete", "discovery.k8s.io", "endpointslices"),
        EVENTS,
    ],
    "endpointslicemirroring-controller": [
        (READ, "core", "services endpoints"),
        ("update", "core", "services/finalizers"),
        ("update", "core", "endpoints/finalizers"),
        ("get list watch create update delete", "discovery.k8s.io", "endpointslices"),
        EVENTS,
    ],
    "ephemeral-volume-controller": [
        (READ, "core", "pods"),
        ("update", "core", "pods/finalizers"),
        ("get list watch create", "core", "persistentvolumeclaims"),
        EVENTS,
    ],
    "expand-controller": [
        ("get list watch patch update", "core", "persistentvolumes"),
        ("patch update", "core", "persistentvolumeclaims/status"),
        (READ, "core", "persistentvolumeclaims"),
        EVENTS,
    ],
    "generic-garbage-collector": [("get list watch patch update delete", "*", "*"), EVENTS],
    "horizontal-pod-autoscaler": [
        (READ, "autoscaling", "horizontalpodautoscalers"),
        ("update", "autoscaling", "horizontalpodautoscalers/status"),
        ("get update", "*", "*/scale"),
        ("list watch", "core", "pods"),
        ("list watch", "metrics.k8s.io", "pods"),
        (READ, "custom.metrics.k8s.io", "*"),
        (READ, "external.metrics.k8s.io", "*"),
        EVENTS,
    ],
    "job-controller": [
        ("get list watch update patch", "batch", "jobs"),
        ("delete", "batch", "jobs"),  # Podium's also removes those whose ttlSecondsAfterFinished is over
        ("update", "batch", "jobs/status"),
        ("update", "batch", "jobs/finalizers"),
        ("list watch create delete patch", "core", "pods"),
        EVENTS,
    ],
    "namespace-controller": [
        ("get list watch delete", "core", "namespaces"),
        ("update", "core", "namespaces/finalize namespaces/status"),
        ("get list watch delete deletecollection", "*", "*"),
    ],
    "node-controller": [
        ("get list watch update delete patch", "core", "nodes"),
        ("patch update", "core", "nodes/status"),
        ("patch update", "core", "pods/status"),
        ("get list watch delete", "core", "pods"),
        EVENTS,
    ],
    "persistent-volume-binder": [
        ("get list watch update create delete", "core", "persistentvolumes"),
        ("update", "core", "persistentvolumes/status"),
        ("get list watch update", "core", "persistentvolumeclaims"),
        ("update", "core", "persistentvolumeclaims/status"),
        ("get list watch create delete", "core", "pods"),
        (READ, "storage.k8s.io", "storageclasses"),
        ("list watch", "core", "nodes"),
        EVENTS,
        ("watch", "core", "events"),
    ],
    "pod-garbage-collector": [
        ("list watch delete", "core", "pods"),
        (READ, "core", "nodes"),
        ("patch", "core", "pods/status"),
        EVENTS,  # Podium's tells why it deleted a pod
    ],
    "pv-protection-controller": [("get list watch update", "core", "persistentvolumes"), EVENTS],
    "pvc-protection-controller": [
        ("get list watch update", "core", "persistentvolumeclaims"),
        ("update", "core", "persistentvolumeclaims/status"),
        (READ, "core", "pods"),
        EVENTS,
    ],
    "replicaset-controller": [
        ("get list watch update", "apps extensions", "replicasets"),
        ("update", "apps extensions", "replicasets/status"),
        ("update", "apps extensions", "replicasets/finalizers"),
        ("list watch create delete patch", "core", "pods"),
        EVENTS,
    ],
    "replication-controller": [
        ("get list watch update", "core", "replicationcontrollers"),
        ("update", "core", "replicationcontrollers/status"),
        ("update", "core", "replicationcontrollers/finalizers"),
        ("list watch create delete patch", "core", "pods"),
        EVENTS,
    ],
    "resource-claim-controller": [
        (READ, "core", "pods"),
        ("update", "core", "pods/finalizers"),
        ("get list watch create delete", "resource.k8s.io", "resourceclaims"),
        ("patch update", "resource.k8s.io", "resourceclaims resourceclaims/status"),
        ("patch update", "core", "pods/status"),
        EVENTS,
    ],
    "resourcequota-controller": [("list watch", "*", "*"), ("update", "core", "resourcequotas/status"), EVENTS],
    "root-ca-cert-publisher": [("create update", "core", "configmaps"), EVENTS],
    "route-controller": [("list watch", "core", "nodes"), ("patch", "core", "nodes/status"), EVENTS],
    "service-account-controller": [("create", "core", "serviceaccounts"), EVENTS],
    "service-cidrs-controller": [
        ("get list watch patch update", "networking.k8s.io", "servicecidrs"),
        ("patch update", "networking.k8s.io", "servicecidrs/finalizers"),
        ("patch update", "networking.k8s.io", "servicecidrs/status"),
        (READ, "networking.k8s.io", "ipaddresses"),
        EVENTS,
    ],
    "service-controller": [
        (READ, "core", "services"),
        ("patch update", "core", "services/status"),
        ("list watch", "core", "nodes"),
        EVENTS,
    ],
    "statefulset-controller": [
        ("list watch", "core", "pods"),
        (READ, "apps", "statefulsets"),
        ("update", "apps", "statefulsets/status"),
        ("update", "apps", "statefulsets/finalizers"),
        ("get create delete update patch", "core", "pods"),
        ("get create delete update patch list watch", "apps", "controllerrevisions"),
        ("get create list watch", "core", "persistentvolumeclaims"),
        ("update delete", "core", "persistentvolumeclaims"),
        ("update", "core", "pods/finalizers"),
        EVENTS,
    ],
    "ttl-after-finished-controller": [("get list watch delete", "batch", "jobs"), EVENTS],
    "ttl-controller": [("list watch update patch", "core", "nodes"), EVENTS],
    "validatingadmissionpolicy-status-controller": [
        (READ, "admissionregistration.k8s.io", "validatingadmissionpolicies"),
        ("get patch update", "admissionregistration.k8s.io", "validatingadmissionpolicies/status"),
        EVENTS,
    ],
    "volumeattributesclass-protection-controller": [
        (READ, "core", "persistentvolumeclaims"),
        (READ, "core", "persistentvolumes"),
        ("get list watch update", "storage.k8s.io", "volumeattributesclasses"),
        EVENTS,
    ],
}
