import time

import pytest
import yaml

from podium.objects import support
from podium.objects.resources import resource
from podium.objects.values import copy

POD = yaml.safe_load(
    "{metadata: {name: p}, spec: {containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /v}]}], volumes: [{name: v, emptyDir: {}}]}}"
)

REFUSED = """
- [{hostPID: true}, spec.hostPID, Podium does not support sharing the host's processes yet]
- [{volumes: [{name: v, nfs: {server: s, path: /}}]}, 'spec.volumes[0]', 'Podium does not support this kind of volume yet; these work: emptyDir, configMap, secret, downwardAPI, projected, hostPath']
- [{volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]}, 'spec.volumes[0]', this kind of volume]
- [{containers: [{name: a, livenessProbe: {grpc: {port: 1}}}]}, 'spec.containers[0].livenessProbe.grpc', gRPC probes]
- [{initContainers: [{name: a, volumeDevices: [{name: b}]}]}, 'spec.initContainers[0].volumeDevices', block devices]
- [{initContainers: [{name: a, restartPolicy: Never}]}, 'spec.initContainers[0].restartPolicy', restart policies of init containers]
- [{hostUsers: false}, spec.hostUsers, user namespaces]
- [{securityContext: {seccompProfile: {type: Localhost, localhostProfile: x}}}, spec.securityContext.seccompProfile, seccomp]
- [{containers: [{name: a, volumeMounts: [{name: v, mountPath: /v, mountPropagation: Bidirectional}]}]}, 'spec.containers[0].volumeMounts[0].mountPropagation', mount propagation]
"""  # noqa: E501
FINE = """
- {hostPID: false}
- {hostUsers: true}
- {runtimeClassName: gvisor, overhead: {cpu: 250m}}
- {initContainers: [{name: a, restartPolicy: Always}]}
- {os: {name: linux}}
- {volumes: [{name: v, hostPath: {path: /x}}, {name: w, projected: {sources: [{serviceAccountToken: {path: t}}]}}]}
- {containers: [{name: a, readinessProbe: {httpGet: {port: 80}}, lifecycle: {preStop: {sleep: {seconds: 1}}}, securityContext: {procMount: Default, seccompProfile: {type: RuntimeDefault}}}]}
- {readinessGates: [{conditionType: x/y}]}
- {topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, minDomains: 2, labelSelector: {}}]}
"""  # noqa: E501


def _pod(change: dict) -> dict:
    return {**copy(POD), "spec": {**copy(POD["spec"]), **change}}


@pytest.mark.parametrize(("change", "field", "text"), yaml.safe_load(REFUSED), ids=lambda v: str(v)[:40])
def test_what_would_run_otherwise_than_asked_is_refused(change: dict, field: str, text: str) -> None:
    found = support.review(resource("pods"), _pod(change))
    assert [c.field for c in found.causes] == [field]
    assert text in found.causes[0].message
    assert found.causes[0].message.startswith("Forbidden: Podium does not support ")


@pytest.mark.parametrize("change", yaml.safe_load(FINE), ids=lambda v: str(v)[:40])
def test_what_works_is_passed_in_silence(change: dict) -> None:
    assert support.review(resource("pods"), _pod(change)) == support.Review()


def test_the_same_holds_in_the_templates_of_pods() -> None:
    template = {"metadata": {"name": "d"}, "spec": {"template": {"spec": {"hostIPC": True}}}}
    assert [c.field for c in support.review(resource("deployments", "apps"), template).causes] == ["spec.template.spec.hostIPC"]
    job = {"metadata": {"name": "d"}, "spec": {"jobTemplate": {"spec": {"template": {"spec": {"hostIPC": True}}}}}}
    assert [c.field for c in support.review(resource("cronjobs", "batch"), job).causes] == ["spec.jobTemplate.spec.template.spec.hostIPC"]


def test_what_was_there_before_is_not_spoken_of_again() -> None:
    old = _pod({"hostPID": True, "imagePullSecrets": [{"name": "s"}]})
    new = {**copy(old), "status": {"phase": "Running"}}
    assert support.review(resource("pods"), new, old) == support.Review()
    new["spec"]["containers"][0]["image"] = "j"
    assert support.review(resource("pods"), new, old) == support.Review()
    assert support.review(resource("pods"), new, POD).causes


def test_warnings_say_what_happens_instead() -> None:
    found = support.review(resource("services"), {"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer"}})
    assert found.warnings == ["spec.type: there is no load balancer yet: EXTERNAL-IP stays <pending>; cluster and node addresses work"]
    assert not found.causes
    found = support.review(resource("pods"), _pod({"imagePullSecrets": [{"name": "s"}]}))
    assert len(found.warnings) == 1 and not found.causes
    assert support.review(resource("pods"), _pod({"priorityClassName": "high"})) == support.Review()


def test_kinds_that_nothing_acts_on_are_stored_with_a_warning() -> None:
    value = {"metadata": {"name": "x"}}
    assert support.review(resource("configmaps"), value).warnings == []
    assert support.review(resource("csidrivers", "storage.k8s.io"), value).warnings == [
        "CSIDriver is stored, but nothing in Podium acts on it yet"
    ]
    assert support.review(resource("csidrivers", "storage.k8s.io"), value, value).warnings == []


def test_a_pod_is_reviewed_in_some_microseconds() -> None:
    pod = _pod({})
    start = time.process_time()
    for _ in range(1000):
        support.review(resource_of_pods, pod)
    assert time.process_time() - start < 0.1


resource_of_pods = resource("pods")
