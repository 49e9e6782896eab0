"""The roles that every cluster has from its start, as data: those of users, of components and of the system's namespaces.

A rule is written (verbs, groups, resources[, names]) or (verbs, paths), each a text of words; `core` is the core group. Bindings are beside their
roles. What Podium's own components need beyond upstream's is under names that begin with `podium:`.

Source: k8s.io/kubernetes plugin/pkg/auth/authorizer/rbac/bootstrappolicy (policy.go, namespace_policy.go, and their testdata).
"""

from typing import Any

Object = dict[str, Any]
Row = tuple[str, ...]

READ = "get list watch"
WRITE = "create delete deletecollection patch update"
ALL = "create delete deletecollection get list patch update watch"
EVENTS: Row = ("create patch update", "core events.k8s.io", "events")
TOKEN_REVIEW: Row = ("create", "authentication.k8s.io", "tokenreviews")
ACCESS_REVIEW: Row = ("create", "authorization.k8s.io", "subjectaccessreviews")
_CERTIFICATES = "certificates.k8s.io"
_STORAGE = "storage.k8s.io"
_MONITORING_DEFINITIONS = " ".join(
    f"{plural}.monitoring.coreos.com"
    for plural in (
        "alertmanagerconfigs", "alertmanagers", "podmonitors", "probes", "prometheusagents", "prometheuses", "prometheusrules",
        "scrapeconfigs", "servicemonitors",
    )
)  # fmt: skip
_HEALTH = "/healthz /livez /readyz /version /version/"


def rule(row: Row) -> Object:
    if len(row) == 2:
        return {"verbs": row[0].split(), "nonResourceURLs": row[1].split()}
    groups = ["" if g == "core" else g for g in row[1].split()]
    value: Object = {"verbs": row[0].split(), "apiGroups": groups, "resources": row[2].split()}
    return {**value, "resourceNames": row[3].split()} if len(row) > 3 else value


def _approver(signer: str) -> list[Row]:
    return [("approve", _CERTIFICATES, "signers", f"kubernetes.io/{signer}")]


def _leader(component: str) -> list[Row]:
    leases = "coordination.k8s.io"
    return [
        EVENTS,
        ("create", leases, "leases"),
        ("get update", leases, "leases", component),
        ("create", leases, "leasecandidates"),
        ("get list watch delete deletecollection patch update", leases, "leasecandidates"),
    ]


_AGGREGATE_ADMIN: list[Row] = [
    ("create", "authorization.k8s.io", "localsubjectaccessreviews"),
    (ALL, "rbac.authorization.k8s.io", "roles rolebindings"),
]
_AGGREGATE_EDIT: list[Row] = [
    (READ, "core", "pods/attach pods/proxy pods/exec pods/portforward secrets services/proxy"),
    ("impersonate", "core", "serviceaccounts"),
    (WRITE, "core", "pods pods/attach pods/proxy pods/exec pods/portforward"),
    ("create", "core", "pods/eviction"),
    (
        WRITE,
        "core",
        "replicationcontrollers replicationcontrollers/scale serviceaccounts services services/proxy persistentvolumeclaims configmaps secrets"
        " events",
    ),
    ("create", "core", "serviceaccounts/token"),
    (
        WRITE,
        "apps",
        "statefulsets statefulsets/scale daemonsets deployments deployments/scale deployments/rollback replicasets replicasets/scale",
    ),
    (WRITE, "autoscaling", "horizontalpodautoscalers"),
    (WRITE, "batch", "jobs cronjobs"),
    (
        WRITE,
        "extensions",
        "daemonsets deployments deployments/scale deployments/rollback ingresses replicasets replicasets/scale"
        " replicationcontrollers/scale networkpolicies",
    ),
    (WRITE, "policy", "poddisruptionbudgets"),
    (WRITE, "networking.k8s.io", "networkpolicies ingresses"),
    (ALL, "coordination.k8s.io", "leases"),
    (WRITE, "resource.k8s.io", "resourceclaims resourceclaimtemplates"),
]
_AGGREGATE_VIEW: list[Row] = [
    (
        READ,
        "core",
        "pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status endpoints persistentvolumeclaims"
        " persistentvolumeclaims/status configmaps",
    ),
    (
        READ,
        "core",
        "limitranges resourcequotas bindings events pods/status resourcequotas/status namespaces/status replicationcontrollers/status"
        " pods/log",
    ),
    (READ, "core", "namespaces"),
    (READ, "discovery.k8s.io", "endpointslices"),
    (
        READ,
        "apps",
        "controllerrevisions statefulsets statefulsets/status statefulsets/scale daemonsets daemonsets/status deployments deployments/status"
        " deployments/scale replicasets replicasets/status replicasets/scale",
    ),
    (READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    (READ, "batch", "jobs cronjobs cronjobs/status jobs/status"),
    (
        READ,
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status replicasets"
        " replicasets/scale replicasets/status replicationcontrollers/scale networkpolicies",
    ),
    (READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    (READ, "networking.k8s.io", "networkpolicies ingresses ingresses/status"),
    (READ, "resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates"),
]
_NODE: list[Row] = [
    TOKEN_REVIEW,
    ("create", "authorization.k8s.io", "subjectaccessreviews localsubjectaccessreviews"),
    (READ, "core", "services"),
    ("create get list watch", "core", "nodes"),
    ("update patch", "core", "nodes/status"),
    ("update patch", "core", "nodes"),
    ("create update patch", "core", "events"),
    (READ, "core", "pods"),
    ("create delete", "core", "pods"),
    ("update patch", "core", "pods/status"),
    ("create", "core", "pods/eviction"),
    (READ, "core", "secrets configmaps"),
    ("get", "core", "persistentvolumeclaims persistentvolumes"),
    ("get", "core", "endpoints"),
    ("create get list watch", _CERTIFICATES, "certificatesigningrequests"),
    ("get create update patch delete", "coordination.k8s.io", "leases"),
    ("get", _STORAGE, "volumeattachments"),
    ("create", "core", "serviceaccounts/token"),
    ("get update patch", "core", "persistentvolumeclaims/status"),
    (READ, _STORAGE, "csidrivers"),
    ("get create update patch delete", _STORAGE, "csinodes"),
    (READ, "node.k8s.io", "runtimeclasses"),
    ("get", "resource.k8s.io", "resourceclaims"),
    ("deletecollection", "resource.k8s.io", "resourceslices"),
    ("get list watch create update patch delete", "resource.k8s.io", "resourceslices"),
    (READ, _CERTIFICATES, "clustertrustbundles"),
]
NODE_RULES = [rule(row) for row in _NODE]

CLUSTER_ROLES: dict[str, list[Row]] = {
    "cluster-admin": [("*", "*", "*"), ("*", "*")],
    "system:discovery": [("get", "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/")],
    "system:monitoring": [("get", "/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*")],
    "system:basic-user": [
        ("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
        ("create", "authentication.k8s.io", "selfsubjectreviews"),
    ],
    "system:public-info-viewer": [("get", _HEALTH)],
    "system:aggregate-to-admin": _AGGREGATE_ADMIN,
    "system:aggregate-to-edit": _AGGREGATE_EDIT,
    "system:aggregate-to-view": _AGGREGATE_VIEW,
    "system:heapster": [(READ, "core", "events pods nodes namespaces"), (READ, "extensions", "deployments")],
    "system:node": _NODE,
    "system:node-problem-detector": [("get", "core", "nodes"), ("patch", "core", "nodes/status"), EVENTS],
    "system:kubelet-api-admin": [
        (READ, "core", "nodes"),
        ("proxy", "core", "nodes"),
        ("*", "core", "nodes/proxy nodes/metrics nodes/stats nodes/log nodes/configz nodes/healthz nodes/pods"),
    ],
    "system:node-bootstrapper": [("create get list watch", _CERTIFICATES, "certificatesigningrequests")],
    "system:auth-delegator": [TOKEN_REVIEW, ACCESS_REVIEW],
    "system:kube-aggregator": [(READ, "core", "services endpoints")],
    "system:kube-controller-manager": [
        *_leader("kube-controller-manager"),
        ("create", "core", "secrets serviceaccounts"),
        ("delete", "core", "secrets"),
        ("get", "core", "namespaces secrets serviceaccounts configmaps"),
        ("update", "core", "secrets serviceaccounts"),
        TOKEN_REVIEW,
        ACCESS_REVIEW,
        ("list watch", "*", "*"),
        ("create", "core", "serviceaccounts/token"),
    ],
    "system:kube-dns": [("list watch", "core", "endpoints services")],
    "system:persistent-volume-provisioner": [
        ("get list watch create delete", "core", "persistentvolumes"),
        ("get list watch update", "core", "persistentvolumeclaims"),
        (READ, _STORAGE, "storageclasses"),
        ("watch", "core", "events"),
        EVENTS,
    ],
    "system:service-account-issuer-discovery": [("get", "/.well-known/openid-configuration /openid/v1/jwks")],
    "system:node-proxier": [
        ("list watch", "core", "services endpoints"),
        (READ, "core", "nodes"),
        EVENTS,
        ("list watch", "discovery.k8s.io", "endpointslices"),
        ("list watch", "networking.k8s.io", "servicecidrs"),
    ],
    "system:kube-scheduler": [
        *_leader("kube-scheduler"),
        (READ, "core", "nodes"),
        ("get list watch delete", "core", "pods"),
        ("create", "core", "bindings pods/binding"),
        ("patch update", "core", "pods/status"),
        (READ, "core", "services replicationcontrollers"),
        (READ, "apps extensions", "replicasets"),
        (READ, "apps", "statefulsets"),
        (READ, "policy", "poddisruptionbudgets"),
        (READ, "core", "persistentvolumeclaims persistentvolumes"),
        TOKEN_REVIEW,
        ACCESS_REVIEW,
        (READ, _STORAGE, "csinodes"),
        (READ, "core", "namespaces"),
        (READ, _STORAGE, "csidrivers"),
        (READ, _STORAGE, "csistoragecapacities"),
        (READ, _STORAGE, "volumeattachments"),
        (READ, "resource.k8s.io", "deviceclasses"),
        ("get list watch patch update", "resource.k8s.io", "resourceclaims"),
        ("get list watch patch update", "resource.k8s.io", "resourceclaims/status"),
        ("patch update", "core", "pods/finalizers"),
        (READ, "resource.k8s.io", "resourceslices"),
    ],
    "system:volume-scheduler": [
        ("get list watch patch update", "core", "persistentvolumes"),
        (READ, _STORAGE, "storageclasses"),
        ("get list watch patch update", "core", "persistentvolumeclaims"),
    ],
    "system:certificates.k8s.io:certificatesigningrequests:nodeclient": [
        ("create", _CERTIFICATES, "certificatesigningrequests/nodeclient"),
    ],
    "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient": [
        ("create", _CERTIFICATES, "certificatesigningrequests/selfnodeclient"),
    ],
    "system:certificates.k8s.io:kubelet-serving-approver": _approver("kubelet-serving"),
    "system:certificates.k8s.io:kube-apiserver-client-approver": _approver("kube-apiserver-client"),
    "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver": _approver("kube-apiserver-client-kubelet"),
    "system:certificates.k8s.io:legacy-unknown-approver": _approver("legacy-unknown"),
    "podium:network": [("list watch", "core", "namespaces")],
    "podium:telemetry": [
        ("get", "/metrics /metrics/*"),
        ("get", "core", "nodes/metrics"),
        (
            READ,
            "core",
            "configmaps endpoints limitranges namespaces nodes persistentvolumeclaims persistentvolumes pods replicationcontrollers",
        ),
        (READ, "core", "resourcequotas secrets services serviceaccounts"),
        (READ, "apps", "daemonsets deployments replicasets statefulsets"),
        (READ, "batch", "cronjobs jobs"),
        (READ, "autoscaling", "horizontalpodautoscalers"),
        (READ, "policy", "poddisruptionbudgets"),
        (READ, "networking.k8s.io", "ingressclasses ingresses networkpolicies"),
        (READ, "discovery.k8s.io", "endpointslices"),
        (READ, _STORAGE, "storageclasses volumeattachments"),
        (READ, _CERTIFICATES, "certificatesigningrequests"),
        (READ, "coordination.k8s.io", "leases"),
        (READ, "admissionregistration.k8s.io", "mutatingwebhookconfigurations validatingwebhookconfigurations"),
        (READ, "rbac.authorization.k8s.io", "clusterrolebindings clusterroles rolebindings roles"),
        ("create get", "apiextensions.k8s.io", "customresourcedefinitions"),
        ("patch", "apiextensions.k8s.io", "customresourcedefinitions", _MONITORING_DEFINITIONS),
        ("create", "core", "endpoints namespaces services"),
        ("delete patch", "core", "endpoints services", "alertmanager-operated prometheus-agent-operated prometheus-operated"),
        (READ, "monitoring.coreos.com", "*"),
        ("create", "monitoring.coreos.com", "alertmanagers prometheuses"),
        ("patch", "monitoring.coreos.com", "alertmanagers prometheuses", "podium"),
        ("patch update", "monitoring.coreos.com", "alertmanagers/status prometheuses/status prometheusagents/status"),
        ("create", "admissionregistration.k8s.io", "validatingwebhookconfigurations"),
        ("patch", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "podium-monitoring"),
        EVENTS,
    ],
    "podium:simulated-nodes": [
        ("create get list watch update patch", "core", "nodes"),
        ("update patch", "core", "nodes/status"),
        ("get list watch delete", "core", "pods"),
        ("update patch", "core", "pods/status"),
        TOKEN_REVIEW,
        ACCESS_REVIEW,
        EVENTS,
    ],
}

AGGREGATED = {"admin": "admin", "edit": "edit", "view": "view"}
"""ClusterRoles that are made of others: all that carry the label aggregate-to-NAME."""

AGGREGATE_TO = {
    "edit": "admin",
    "system:aggregate-to-admin": "admin",
    "view": "edit",
    "system:aggregate-to-edit": "edit",
    "system:aggregate-to-view": "view",
}

_AUTHENTICATED, _UNAUTHENTICATED = "g:system:authenticated", "g:system:unauthenticated"
CLUSTER_BINDINGS: dict[str, tuple[str, str]] = {
    "cluster-admin": ("cluster-admin", "g:system:masters"),
    "system:monitoring": ("system:monitoring", "g:system:monitoring"),
    "system:discovery": ("system:discovery", _AUTHENTICATED),
    "system:basic-user": ("system:basic-user", _AUTHENTICATED),
    "system:public-info-viewer": ("system:public-info-viewer", f"{_AUTHENTICATED} {_UNAUTHENTICATED}"),
    "system:node-proxier": ("system:node-proxier", "u:system:kube-proxy"),
    "system:kube-controller-manager": ("system:kube-controller-manager", "u:system:kube-controller-manager"),
    "system:kube-dns": ("system:kube-dns", "s:kube-system/kube-dns"),
    "system:kube-scheduler": ("system:kube-scheduler", "u:system:kube-scheduler"),
    "system:volume-scheduler": ("system:volume-scheduler", "u:system:kube-scheduler"),
    "system:node": ("system:node", ""),
    "system:service-account-issuer-discovery": ("system:service-account-issuer-discovery", "g:system:serviceaccounts"),
    "podium:network": ("podium:network", "u:system:kube-proxy"),
    "podium:telemetry": ("podium:telemetry", "u:podium:telemetry"),
    "podium:simulated-nodes": ("podium:simulated-nodes", "u:podium:simulated-nodes"),
}
"""(role, subjects); a subject is u:USER, g:GROUP or s:NAMESPACE/SERVICEACCOUNT."""

ROLES: dict[tuple[str, str], list[Row]] = {
    ("kube-system", "extension-apiserver-authentication-reader"): [
        (READ, "core", "configmaps", "extension-apiserver-authentication"),
    ],
    ("kube-system", "system:controller:bootstrap-signer"): [(READ, "core", "secrets")],
    ("kube-system", "system:controller:cloud-provider"): [("create get list watch", "core", "configmaps")],
    ("kube-system", "system:controller:token-cleaner"): [("get list watch delete", "core", "secrets"), EVENTS],
    ("kube-system", "system::leader-locking-kube-controller-manager"): [
        ("watch", "core", "configmaps"),
        ("get update", "core", "configmaps", "kube-controller-manager"),
    ],
    ("kube-system", "system::leader-locking-kube-scheduler"): [
        ("watch", "core", "configmaps"),
        ("get update", "core", "configmaps", "kube-scheduler"),
    ],
    ("kube-public", "system:controller:bootstrap-signer"): [
        (READ, "core", "configmaps"),
        ("update", "core", "configmaps", "cluster-info"),
        EVENTS,
    ],
    ("kube-node-lease", "podium:simulated-nodes"): [("get create update patch delete", "coordination.k8s.io", "leases")],
}

ROLE_BINDINGS: dict[tuple[str, str], tuple[str, str]] = {
    ("kube-system", "system::extension-apiserver-authentication-reader"): (
        "extension-apiserver-authentication-reader",
        "u:system:kube-controller-manager u:system:kube-scheduler",
    ),
    ("kube-system", "system:controller:bootstrap-signer"): ("system:controller:bootstrap-signer", "s:kube-system/bootstrap-signer"),
    ("kube-system", "system:controller:cloud-provider"): ("system:controller:cloud-provider", "s:kube-system/cloud-provider"),
    ("kube-system", "system:controller:token-cleaner"): ("system:controller:token-cleaner", "s:kube-system/token-cleaner"),
    ("kube-system", "system::leader-locking-kube-controller-manager"): (
        "system::leader-locking-kube-controller-manager",
        "u:system:kube-controller-manager s:kube-system/kube-controller-manager",
    ),
    ("kube-system", "system::leader-locking-kube-scheduler"): (
        "system::leader-locking-kube-scheduler",
        "u:system:kube-scheduler s:kube-system/kube-scheduler",
    ),
    ("kube-public", "system:controller:bootstrap-signer"): ("system:controller:bootstrap-signer", "s:kube-system/bootstrap-signer"),
    ("kube-node-lease", "podium:simulated-nodes"): ("podium:simulated-nodes", "u:podium:simulated-nodes"),
}
