"""A sound object of every built-in kind that can be written, as a client would send it: without name and namespace."""

from typing import Any

Object = dict[str, Any]

POD_SPEC: Object = {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}]}
LABELS = {"app": "web"}
TEMPLATE: Object = {"metadata": {"labels": LABELS}, "spec": POD_SPEC}
SELECTOR = {"matchLabels": LABELS}
JOB_SPEC: Object = {"template": {"metadata": {"labels": LABELS}, "spec": {**POD_SPEC, "restartPolicy": "Never"}}}
CSR = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIa01JR1JBZ0VBTUM4eEZUQVRCZ05WQkFvTURITjVjM1JsYlRwdQpiMlJsY3pFV01CUUdBMVVFQXd3TmMz"
"""Replaced by a request made with `cryptography` where its content matters."""


def _policy(action: Object) -> Object:
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
    return {"spec": {"matchConstraints": {"resourceRules": [rule], "namespaceSelector": {"matchLabels": {"none": "such"}}}, **action}}


def _webhook() -> Object:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    config = {"url": "https://127.0.0.1:1/none"}
    hook = {"name": "a.example.com", "clientConfig": config, "rules": [rule], "sideEffects": "None", "admissionReviewVersions": ["v1"]}
    return {"webhooks": [{**hook, "namespaceSelector": {"matchLabels": {"none": "such"}}, "failurePolicy": "Ignore"}]}


_MUTATION: Object = {
    "failurePolicy": "Ignore",
    "reinvocationPolicy": "Never",
    "mutations": [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{metadata: Object.metadata{labels: {'a': 'b'}}}"}}
    ],
}
_ROLE_REF = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
_PV_SPEC: Object = {
    "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/tmp/none"},
    "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "none",
}  # fmt: skip

OBJECTS: dict[str, Object] = {
    "configmaps": {"data": {"k": "v"}},
    "endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.24"}], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}]},
    "events": {
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "web"}, "reason": "Test", "message": "tried", "type": "Normal",
        "source": {"component": "test"}, "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1,
    },
    "limitranges": {"spec": {"limits": [{"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}}]}},
    "namespaces": {},
    "nodes": {"spec": {"unschedulable": True}},
    "persistentvolumes": {"spec": _PV_SPEC},
    "persistentvolumeclaims": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "none"}
    },
    "pods": {"spec": POD_SPEC},
    "podtemplates": {"template": TEMPLATE},
    "replicationcontrollers": {"spec": {"replicas": 0, "selector": LABELS, "template": TEMPLATE}},
    "resourcequotas": {"spec": {"hard": {"configmaps": "50", "cpu": "1"}}},
    "secrets": {"stringData": {"k": "v"}},
    "services": {"spec": {"selector": LABELS, "ports": [{"port": 80}]}},
    "serviceaccounts": {},
    "mutatingadmissionpolicies.admissionregistration.k8s.io": _policy(_MUTATION),
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": {"spec": {"policyName": "none"}},
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _webhook(),
    "validatingadmissionpolicies.admissionregistration.k8s.io": _policy(
        {"failurePolicy": "Ignore", "validations": [{"expression": "object.spec.replicas <= 100"}]}
    ),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": {"spec": {"policyName": "none", "validationActions": ["Deny"]}},
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _webhook(),
    "controllerrevisions.apps": {"data": {"spec": {"a": 1}}, "revision": 1},
    "daemonsets.apps": {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
    "deployments.apps": {"spec": {"replicas": 1, "selector": SELECTOR, "template": TEMPLATE}},
    "replicasets.apps": {"spec": {"replicas": 1, "selector": SELECTOR, "template": TEMPLATE}},
    "statefulsets.apps": {"spec": {"replicas": 1, "serviceName": "web", "selector": SELECTOR, "template": TEMPLATE}},
    "horizontalpodautoscalers.autoscaling": {
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 3}
    },
    "cronjobs.batch": {"spec": {"schedule": "*/1 * * * *", "suspend": True, "jobTemplate": {"spec": JOB_SPEC}}},
    "jobs.batch": {"spec": JOB_SPEC},
    "certificatesigningrequests.certificates.k8s.io": {
        "spec": {"request": CSR, "signerName": "example.com/test", "usages": ["client auth"], "expirationSeconds": 3600}
    },
    "leases.coordination.k8s.io": {
        "spec": {
            "holderIdentity": "me", "leaseDurationSeconds": 30, "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": "2026-01-01T00:00:05.000000Z", "leaseTransitions": 0,
        }
    },
    "endpointslices.discovery.k8s.io": {
        "addressType": "IPv4", "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    },
    "events.events.k8s.io": {
        "regarding": {"kind": "Pod", "namespace": "default", "name": "web"}, "reason": "Test", "note": "tried", "type": "Normal",
        "action": "Do", "reportingController": "test-controller", "reportingInstance": "test-1",
        "eventTime": "2026-01-01T00:00:00.000000Z",
    },
    "flowschemas.flowcontrol.apiserver.k8s.io": {
        "spec": {
            "matchingPrecedence": 10000,
            "priorityLevelConfiguration": {"name": "global-default"},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [
                {
                    "subjects": [{"kind": "User", "user": {"name": "example"}}],
                    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                }
            ],
        }
    },
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": {
        "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 2, "limitResponse": {"type": "Reject"}}}
    },
    "ipaddresses.networking.k8s.io": {"spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "web"}}},
    "ingresses.networking.k8s.io": {
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}, "rules": [{"host": "a.example.com"}]}
    },
    "ingressclasses.networking.k8s.io": {"spec": {"controller": "example.com/controller"}},
    "networkpolicies.networking.k8s.io": {"spec": {"podSelector": SELECTOR, "policyTypes": ["Ingress"]}},
    "servicecidrs.networking.k8s.io": {"spec": {"cidrs": ["10.200.0.0/24"]}},
    "runtimeclasses.node.k8s.io": {"handler": "some"},
    "poddisruptionbudgets.policy": {"spec": {"minAvailable": 1, "selector": SELECTOR}},
    "clusterroles.rbac.authorization.k8s.io": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "clusterrolebindings.rbac.authorization.k8s.io": {"roleRef": _ROLE_REF, "subjects": [{"kind": "User", "name": "jane"}]},
    "roles.rbac.authorization.k8s.io": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "rolebindings.rbac.authorization.k8s.io": {"roleRef": _ROLE_REF, "subjects": [{"kind": "User", "name": "jane"}]},
    "deviceclasses.resource.k8s.io": {"spec": {"selectors": [{"cel": {"expression": 'device.driver == "dra.example.com"'}}]}},
    "resourceclaims.resource.k8s.io": {
        "spec": {"devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": "gpu"}}]}}
    },
    "resourceclaimtemplates.resource.k8s.io": {
        "spec": {"spec": {"devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": "gpu"}}]}}}
    },
    "resourceslices.resource.k8s.io": {
        "spec": {
            "driver": "dra.example.com", "nodeName": "n1", "pool": {"name": "pool", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "gpu-0"}],
        }
    },
    "priorityclasses.scheduling.k8s.io": {"value": 1000, "description": "some"},
    "csidrivers.storage.k8s.io": {"spec": {"attachRequired": True, "podInfoOnMount": False}},
    "csinodes.storage.k8s.io": {"spec": {"drivers": [{"name": "csi.example.com", "nodeID": "n1", "topologyKeys": ["zone"]}]}},
    "csistoragecapacities.storage.k8s.io": {"storageClassName": "fast", "capacity": "100Gi"},
    "storageclasses.storage.k8s.io": {"provisioner": "example.com/disks"},
    "volumeattachments.storage.k8s.io": {
        "spec": {"attacher": "csi.example.com", "nodeName": "n1", "source": {"persistentVolumeName": "pv1"}}
    },
    "volumeattributesclasses.storage.k8s.io": {"driverName": "csi.example.com", "parameters": {"iops": "100"}},
}  # fmt: skip
"""By `plural` or `plural.group`, as in kubectl."""

_MICRO = "2026-01-02T00:00:00.000000Z"
CHANGES: dict[str, Object] = {
    "configmaps": {"data": {"k": "w"}},
    "endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.25"}], "ports": [{"name": "other", "port": 8080, "protocol": "TCP"}]}]},
    "events": {"message": "tried again", "count": 2, "series": {"count": 100, "lastObservedTime": _MICRO}},
    "events.events.k8s.io": {"note": "tried again", "series": {"count": 100, "lastObservedTime": _MICRO}},
    "limitranges": {"spec": {"limits": [{"type": "Container", "default": {"cpu": "600m"}, "defaultRequest": {"cpu": "50m"}}]}},
    "nodes": {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
    "persistentvolumes": {"spec": {"persistentVolumeReclaimPolicy": "Delete"}},
    "podtemplates": {"template": {"metadata": {"labels": {"app": "other"}}}},
    "replicationcontrollers": {"spec": {"minReadySeconds": 3}},
    "resourcequotas": {"spec": {"hard": {"configmaps": "10", "cpu": "750m", "memory": "1Gi"}}},
    "secrets": {"data": {"k": "dmFsdWUx"}},
    "services": {"spec": {"ports": [{"port": 81, "protocol": "TCP", "targetPort": 81}]}},
    "serviceaccounts": {"automountServiceAccountToken": False},
    "validatingadmissionpolicies.admissionregistration.k8s.io": {"spec": {"validations": [{"expression": "object.spec.replicas <= 9"}]}},
    "mutatingadmissionpolicies.admissionregistration.k8s.io": {"spec": {"reinvocationPolicy": "IfNeeded"}},
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": {"spec": {"validationActions": ["Warn"]}},
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": {"spec": {"policyName": "other"}},
    "controllerrevisions.apps": {"revision": 2},
    "daemonsets.apps": {"spec": {"minReadySeconds": 3}},
    "deployments.apps": {"spec": {"replicas": 2}},
    "replicasets.apps": {"spec": {"replicas": 2}},
    "statefulsets.apps": {"spec": {"replicas": 2}},
    "horizontalpodautoscalers.autoscaling": {"spec": {"maxReplicas": 5}},
    "cronjobs.batch": {"spec": {"schedule": "*/5 * * * *"}},
    "jobs.batch": {"spec": {"parallelism": 2}},
    "leases.coordination.k8s.io": {"spec": {"holderIdentity": "other", "leaseDurationSeconds": 60, "renewTime": _MICRO, "leaseTransitions": 1}},
    "endpointslices.discovery.k8s.io": {"endpoints": [{"addresses": ["10.1.2.4"], "conditions": {"ready": False}}]},
    "flowschemas.flowcontrol.apiserver.k8s.io": {"spec": {"matchingPrecedence": 9999}},
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": {"spec": {"limited": {"nominalConcurrencyShares": 4}}},
    "ingresses.networking.k8s.io": {"spec": {"defaultBackend": {"service": {"name": "other", "port": {"number": 81}}}}},
    "networkpolicies.networking.k8s.io": {"spec": {"policyTypes": ["Ingress", "Egress"]}},
    "poddisruptionbudgets.policy": {"spec": {"minAvailable": 2}},
    "clusterroles.rbac.authorization.k8s.io": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]},
    "roles.rbac.authorization.k8s.io": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]},
    "clusterrolebindings.rbac.authorization.k8s.io": {"subjects": [{"kind": "User", "name": "joe"}]},
    "rolebindings.rbac.authorization.k8s.io": {"subjects": [{"kind": "User", "name": "joe"}]},
    "deviceclasses.resource.k8s.io": {"spec": {"selectors": [{"cel": {"expression": 'device.driver == "other.example.com"'}}]}},
    "resourceslices.resource.k8s.io": {"spec": {"devices": [{"name": "gpu-1"}], "pool": {"generation": 2}}},
    "priorityclasses.scheduling.k8s.io": {"description": "other"},
    "csidrivers.storage.k8s.io": {"spec": {"podInfoOnMount": True}},
    "csistoragecapacities.storage.k8s.io": {"capacity": "10Gi"},
    "storageclasses.storage.k8s.io": {"allowVolumeExpansion": True},
}  # fmt: skip
"""What may be changed of the object above by a merge patch, beside its metadata. Kinds that are not here are fixed once made."""


def contains(value: Any, part: Any) -> bool:
    """Every field of `part` is in `value`; lists have the same length."""
    if isinstance(part, dict):
        return isinstance(value, dict) and all(key in value and contains(value[key], below) for key, below in part.items())
    if isinstance(part, list):
        return isinstance(value, list) and len(value) == len(part) and all(map(contains, value, part))
    return bool(value == part)


def served(api_version: str, kind: str, value: Object, name: str, labels: dict[str, str] | None = None) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": labels or {}}, **value}
