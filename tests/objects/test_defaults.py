from typing import Any

import pytest

from podium.objects import defaults
from podium.objects.structure import conform
from podium.objects.values import Object, copy


def defaulted(value: Object, api_version: str = "v1", kind: str = "Pod") -> Object:
    defaults.apply(value, api_version, kind)
    return value


def pod(**spec: Any) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i:1"}], **spec}}


CONTAINER = {
    "name": "c",
    "image": "i:1",
    "imagePullPolicy": "IfNotPresent",
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
POD_SPEC = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}


def test_a_pod_gets_upstreams_defaults() -> None:
    assert defaulted(pod())["spec"] == {"containers": [CONTAINER], "enableServiceLinks": True, **POD_SPEC}


def test_what_the_author_said_stays() -> None:
    said = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "enableServiceLinks": False, "schedulerName": "mine"}
    assert {name: defaulted(pod(**said))["spec"][name] for name in said} == said


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("host:5000/nginx", "Always"),
        ("host:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
        ("nginx:latest@sha256:abc", "Always"),
        ("", "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert defaulted({"spec": {"containers": [{"name": "c", "image": image}]}})["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_requests_come_from_limits_in_a_pod_but_not_in_a_template(kind: str) -> None:
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}}
    spec = {"containers": [{"name": "c"}], kind: [{"name": "c", "image": "i", "resources": resources}]}
    own = defaulted({"spec": copy(spec)})["spec"][kind][0]["resources"]
    assert own == {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}}
    template = defaulted({"spec": {"template": {"spec": copy(spec)}}}, "apps/v1", "Deployment")["spec"]["template"]
    assert template["spec"][kind][0]["resources"] == resources
    assert "enableServiceLinks" not in template["spec"]


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({"ports": [{"containerPort": 80}]}, {"ports": [{"containerPort": 80, "protocol": "TCP"}]}),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
         {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x", "apiVersion": "v1"}}}]}),
        ({"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"key": "k", "path": "p", "volumeName": "v"}}}]},
         {"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"key": "k", "path": "p", "volumeName": "v", "optional": False}}}]}),
        ({"livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 0}},
         {"livenessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                            "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3}}),
        ({"readinessProbe": {"grpc": {"port": 1}, "timeoutSeconds": 2, "successThreshold": 2, "failureThreshold": 4, "periodSeconds": 5}},
         {"readinessProbe": {"grpc": {"port": 1, "service": ""}, "timeoutSeconds": 2, "successThreshold": 2, "failureThreshold": 4,
                             "periodSeconds": 5}}),
        ({"lifecycle": {"preStop": {"httpGet": {"port": 1}}}},
         {"lifecycle": {"preStop": {"httpGet": {"port": 1, "path": "/", "scheme": "HTTP"}}}}),
    ],
)  # fmt: skip
def test_container_fields_get_upstreams_defaults(container: Object, expected: Object) -> None:
    value = defaulted({"spec": {"containers": [{"name": "c", "image": "i:1", **container}]}})
    assert value["spec"]["containers"] == [{**CONTAINER, **expected}]


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ({}, {"emptyDir": {}}),
        ({"emptyDir": {"medium": "Memory"}}, {"emptyDir": {"medium": "Memory"}}),
        ({"configMap": {"name": "c"}}, {"configMap": {"name": "c", "defaultMode": 420}}),
        ({"secret": {"secretName": "s", "defaultMode": 0}}, {"secret": {"secretName": "s", "defaultMode": 0}}),
        ({"hostPath": {"path": "/x"}}, {"hostPath": {"path": "/x", "type": ""}}),
        ({"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "f"}}]}},
         {"downwardAPI": {"defaultMode": 420, "items": [{"path": "p", "fieldRef": {"fieldPath": "f", "apiVersion": "v1"}}]}}),
        ({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"configMap": {"name": "c"}}]}},
         {"projected": {"defaultMode": 420,
                        "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}, {"configMap": {"name": "c"}}]}}),
        ({"rbd": {"monitors": [], "image": "i", "pool": "p"}},
         {"rbd": {"monitors": [], "image": "i", "pool": "p", "user": "admin", "keyring": "/etc/ceph/keyring"}}),
        ({"ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
         {"ephemeral": {"volumeClaimTemplate": {"spec": {"volumeMode": "Filesystem", "resources": {}}}}}),
    ],
)  # fmt: skip
def test_volumes_get_upstreams_defaults(volume: Object, expected: Object) -> None:
    assert defaulted(pod(volumes=[{"name": "v", **volume}]))["spec"]["volumes"] == [{"name": "v", **expected}]


def test_both_names_of_the_service_account_are_kept_equal() -> None:
    for name in ("serviceAccount", "serviceAccountName"):
        spec = defaulted(pod(**{name: "a"}))["spec"]
        assert (spec["serviceAccount"], spec["serviceAccountName"]) == ("a", "a")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"podIP": "10.0.0.1"}, {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}),
        ({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd::1"}]}, {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd::1"}]}),
        ({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.2"}]}, {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}),
        ({"phase": "Pending"}, {"phase": "Pending"}),
    ],
)
def test_both_forms_of_the_pods_address_are_kept_equal(status: Object, expected: Object) -> None:
    assert defaulted({**pod(), "status": status})["status"] == expected


def test_a_negative_grace_period_is_one_second_in_a_pod() -> None:
    assert defaulted(pod(terminationGracePeriodSeconds=-5))["spec"]["terminationGracePeriodSeconds"] == 1


def test_ports_on_the_host_network_are_host_ports() -> None:
    value = {"spec": {"hostNetwork": True, "containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}}
    assert defaulted(value)["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]


SELECTED = {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}}


@pytest.mark.parametrize(
    ("api_version", "kind", "spec", "expected"),
    [
        ("apps/v1", "Deployment", {}, {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
         "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}}),
        ("apps/v1", "Deployment", {"replicas": 0, "strategy": {"type": "Recreate"}}, {"replicas": 0, "revisionHistoryLimit": 10,
         "progressDeadlineSeconds": 600, "strategy": {"type": "Recreate"}}),
        ("apps/v1", "ReplicaSet", {}, {"replicas": 1}),
        ("apps/v1", "StatefulSet", {}, {"replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady",
         "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}},
         "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"}}),
        ("apps/v1", "DaemonSet", {}, {"revisionHistoryLimit": 10,
         "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}}),
        ("batch/v1", "Job", {}, {"completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False,
         "manualSelector": False, "podReplacementPolicy": "TerminatingOrFailed"}),
        ("batch/v1", "Job", {"parallelism": 3}, {"parallelism": 3, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False,
         "manualSelector": False, "podReplacementPolicy": "TerminatingOrFailed"}),
    ],
)  # fmt: skip
def test_workloads_get_upstreams_defaults(api_version: str, kind: str, spec: Object, expected: Object) -> None:
    value = defaulted({"spec": {**copy(SELECTED), **spec}}, api_version, kind)
    template = value["spec"].pop("template")
    assert template["spec"] == {"containers": [], **POD_SPEC}
    assert value["spec"] == {"selector": SELECTED["selector"], **expected}


def test_a_cron_job_defaults_its_template_but_not_the_job_in_it() -> None:
    value = defaulted({"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {}}}}}}, "batch/v1", "CronJob")
    assert value["spec"].pop("jobTemplate") == {"metadata": {}, "spec": {"template": {"metadata": {}, "spec": POD_SPEC}}}
    assert value["spec"] == {"schedule": "* * * * *", "concurrencyPolicy": "Allow", "suspend": False,
                             "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"ports": [{"port": 80}]}, {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
                                     "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]}),
        ({"ports": [{"port": 80, "targetPort": "web"}], "type": "NodePort"},
         {"type": "NodePort", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster",
          "ports": [{"port": 80, "protocol": "TCP", "targetPort": "web"}]}),
        ({"type": "LoadBalancer"}, {"type": "LoadBalancer", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
                                    "externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": True}),
        ({"type": "ExternalName", "externalName": "x"}, {"type": "ExternalName", "externalName": "x", "sessionAffinity": "None"}),
        ({"sessionAffinity": "ClientIP"}, {"type": "ClusterIP", "sessionAffinity": "ClientIP", "internalTrafficPolicy": "Cluster",
                                           "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}}),
    ],
)  # fmt: skip
def test_services_get_upstreams_defaults(spec: Object, expected: Object) -> None:
    assert defaulted({"spec": spec}, "v1", "Service") == {"spec": expected, "status": {"loadBalancer": {}}}


@pytest.mark.parametrize(
    ("api_version", "kind", "value", "expected"),
    [
        ("v1", "Secret", {}, {"type": "Opaque"}),
        ("v1", "Namespace", {"metadata": {"name": "n"}},
         {"metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "n"}}, "status": {"phase": "Active"}}),
        ("v1", "Namespace", {"metadata": {"generateName": "n"}}, {"metadata": {"generateName": "n"}, "status": {"phase": "Active"}}),
        ("v1", "Node", {"status": {"capacity": {"cpu": "1"}}},
         {"spec": {}, "status": {"capacity": {"cpu": "1"}, "allocatable": {"cpu": "1"}}}),
        ("v1", "Endpoints", {"subsets": [{"ports": [{"port": 1}]}]}, {"subsets": [{"ports": [{"port": 1, "protocol": "TCP"}]}]}),
        ("discovery.k8s.io/v1", "EndpointSlice", {"ports": [{"port": 1}]}, {"ports": [{"port": 1, "name": "", "protocol": "TCP"}]}),
        ("v1", "ConfigMap", {}, {}),
        ("coordination.k8s.io/v1", "Lease", {"spec": {}}, {"spec": {}}),
        ("v1", "Event", {"count": 1}, {"count": 1}),
        ("v1", "PersistentVolumeClaim", {}, {"spec": {"volumeMode": "Filesystem", "resources": {}}, "status": {"phase": "Pending"}}),
        ("v1", "PersistentVolume", {"spec": {"hostPath": {"path": "/"}}},
         {"spec": {"hostPath": {"path": "/", "type": ""}, "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"},
          "status": {"phase": "Pending"}}),
        ("storage.k8s.io/v1", "StorageClass", {"provisioner": "p"},
         {"provisioner": "p", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}),
        ("rbac.authorization.k8s.io/v1", "RoleBinding",
         {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}]},
         {"roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
          "subjects": [{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}, {"kind": "ServiceAccount", "name": "s"}]}),
        ("networking.k8s.io/v1", "NetworkPolicy", {"spec": {"egress": [{"ports": [{"port": 1}]}]}},
         {"spec": {"egress": [{"ports": [{"port": 1, "protocol": "TCP"}]}], "podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}),
        ("scheduling.k8s.io/v1", "PriorityClass", {"value": 1}, {"value": 1, "preemptionPolicy": "PreemptLowerPriority"}),
        ("authentication.k8s.io/v1", "TokenRequest", {}, {"spec": {"expirationSeconds": 3600}}),
        ("resource.k8s.io/v1", "ResourceClaim", {"spec": {"devices": {"requests": [
            {"name": "a", "exactly": {"deviceClassName": "c"}},
            {"name": "b", "exactly": {"deviceClassName": "c", "allocationMode": "All", "tolerations": [{"key": "k"}]}},
            {"name": "d", "firstAvailable": [{"name": "e", "deviceClassName": "c", "count": 2}]}]}}},
         {"spec": {"devices": {"requests": [
            {"name": "a", "exactly": {"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1}},
            {"name": "b", "exactly": {"deviceClassName": "c", "allocationMode": "All", "tolerations": [{"key": "k", "operator": "Equal"}]}},
            {"name": "d", "firstAvailable": [{"name": "e", "deviceClassName": "c", "allocationMode": "ExactCount", "count": 2}]}]}}}),
        ("resource.k8s.io/v1", "ResourceClaimTemplate", {"spec": {"spec": {"devices": {"requests": [
            {"name": "a", "exactly": {"deviceClassName": "c"}}]}}}},
         {"spec": {"spec": {"devices": {"requests": [
            {"name": "a", "exactly": {"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1}}]}}}}),
        ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", {"spec": {}}, {"spec": {"matchingPrecedence": 1000}}),
        ("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration", {"spec": {"type": "Exempt"}},
         {"spec": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}}),
        ("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration",
         {"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {}}}}},
         {"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 30, "lendablePercent": 0, "limitResponse": {
             "type": "Queue", "queuing": {"queues": 64, "handSize": 8, "queueLengthLimit": 50}}}}}),
        ("v1", "LimitRange", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1", "memory": "1"}}]}},
         {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1", "memory": "1"},
                               "default": {"cpu": "2"}, "defaultRequest": {"cpu": "2", "memory": "1"}}]}}),
        ("autoscaling/v2", "HorizontalPodAutoscaler", {"spec": {"behavior": {"scaleDown": {"selectPolicy": "Disabled"}}}},
         {"spec": {"minReplicas": 1, "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                   "target": {"type": "Utilization", "averageUtilization": 80}}}],
                   "behavior": {"scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max",
                                            "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15},
                                                         {"type": "Percent", "value": 100, "periodSeconds": 15}]},
                                "scaleDown": {"selectPolicy": "Disabled",
                                              "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}}}}),
    ],
)  # fmt: skip
def test_other_kinds_get_upstreams_defaults(api_version: str, kind: str, value: Object, expected: Object) -> None:
    assert defaulted(value, api_version, kind) == expected


def _everything() -> Object:
    """A value with what the defaulting functions look at, in one kind or another; conform keeps what the kind has."""
    probe = {"httpGet": {"port": 1}, "grpc": {"port": 1}}
    container = {"name": "c", "image": "i", "ports": [{"containerPort": 1}], "livenessProbe": probe, "resources": {"limits": {"cpu": "1"}}}
    volumes = [
        {"name": "a"},
        {"name": "b", "configMap": {}},
        {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "p"}}]}},
        {"name": "h", "hostPath": {"path": "/"}},
        {"name": "i", "image": {"reference": "x"}},
    ]
    spec: Object = {
        "containers": [container],
        "initContainers": [copy(container)],
        "volumes": volumes,
        "hostNetwork": True,
        "serviceAccountName": "s",
        "ports": [{"port": 1}],
        "selector": {},
        "type": "LoadBalancer",
        "behavior": {},
        "limits": [{"type": "Container"}],
        "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "x"}]}]},
    }
    template = {"metadata": {"labels": {"a": "b"}}, "spec": copy(spec)}
    spec = {**spec, "template": template, "jobTemplate": {"spec": {"template": copy(template)}}, "volumeClaimTemplates": [{}]}
    return {"metadata": {"name": "n"}, "spec": spec, "template": template, "ports": [{"port": 1}], "subsets": [{"ports": [{"port": 1}]}],
            "subjects": [{"kind": "User", "name": "u"}], "roleRef": {"kind": "Role", "name": "r"},
            "status": {"capacity": {"cpu": "1"}}}  # fmt: skip


@pytest.mark.parametrize(("api_version", "kind"), defaults._DEFAULTS)
def test_defaults_keep_to_the_schema_and_are_idempotent(api_version: str, kind: str) -> None:
    value = _everything()
    conform(value, api_version, kind)
    once = copy(defaulted(value, api_version, kind))
    findings = conform(value, api_version, kind)
    assert (findings.unknown, value) == ([], once)
    assert not any("must be of type" in c.message for c in findings.causes if "Invalid value" in c.message)
    assert defaulted(value, api_version, kind) == once
