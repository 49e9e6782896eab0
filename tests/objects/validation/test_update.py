"""Each case: a kind, the old object, a change to it, and the causes expected, as `field: message`."""

import pytest
import yaml

from podium.objects import validation
from podium.objects.resources import builtin
from podium.objects.values import copy

BASE = {"resourceVersion": "1", "uid": "u", "name": "x", "namespace": "n"}

CASES = r"""
- [Pod, {}, {metadata: {uid: v}}, ['metadata.uid: Invalid value: "v": field is immutable']]
- [Pod, {}, {metadata: {name: y, namespace: m}}, ['metadata.name: Invalid value: "y": field is immutable', 'metadata.namespace: Invalid value: "m": field is immutable']]
- [Pod, {}, {metadata: {resourceVersion: ''}}, ['metadata.resourceVersion: Invalid value: "": must be specified for an update']]
- [Pod, {metadata: {generation: 2}}, {metadata: {generation: 1}}, ['metadata.generation: Invalid value: 1: must not be decremented']]
- [Pod, {metadata: {deletionTimestamp: t, finalizers: [a/a]}}, {metadata: {finalizers: [a/a, b/b]}},
    ['metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"b/b"}']]
- [Pod, {metadata: {deletionTimestamp: t, finalizers: [a/a]}}, {metadata: {finalizers: []}}, []]
- [Pod, {spec: {containers: [{name: a, image: i}]}}, {spec: {containers: [{name: a, image: j}], activeDeadlineSeconds: 9}}, []]
- [Pod, {spec: {containers: [{name: a, image: i}]}}, {spec: {containers: [{name: a, image: i, command: [x]}]}}, ['spec: CHANGED spec.containers[0].command: null -> ["x"]']]
- [Pod, {spec: {nodeName: a, containers: [{name: a, image: i}]}}, {spec: {nodeName: b}}, ['spec: CHANGED spec.nodeName: "a" -> "b"']]
- [Pod, {spec: {containers: [{name: a, image: i}]}}, {spec: {containers: [{name: a, image: i}, {name: b, image: i}]}},
    ['spec.containers: Forbidden: pod updates may not add or remove containers']]
- [Pod, {spec: {activeDeadlineSeconds: 5, containers: [{name: a, image: i}]}}, {spec: {activeDeadlineSeconds: 6}},
    ['spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value']]
- [Pod, {spec: {activeDeadlineSeconds: 5, containers: [{name: a, image: i}]}}, {spec: {activeDeadlineSeconds: null}},
    ['spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value']]
- [Pod, {spec: {tolerations: [{key: a, operator: Exists}], containers: [{name: a, image: i}]}}, {spec: {tolerations: [{key: a, operator: Exists, tolerationSeconds: 5, effect: NoExecute}, {key: b, operator: Exists}]}},
    ['spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds']]
- [Pod, {spec: {tolerations: [{key: a, operator: Exists}], containers: [{name: a, image: i}]}}, {spec: {tolerations: [{key: a, operator: Exists}, {key: b, operator: Exists}]}}, []]
- [Pod, {spec: {schedulingGates: [{name: a}], containers: [{name: a, image: i}]}}, {spec: {schedulingGates: [], nodeSelector: {zone: a}}}, []]
- [Pod, {spec: {schedulingGates: [{name: a}], containers: [{name: a, image: i}]}}, {spec: {schedulingGates: [{name: b}]}},
    ["spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'b'"]]
- [Pod, {spec: {schedulingGates: [{name: a}], nodeSelector: {zone: a}, containers: [{name: a, image: i}]}}, {spec: {nodeSelector: {zone: b}}},
    ['spec.nodeSelector: Invalid value: {"zone":"b"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)']]
- [Deployment, {spec: {replicas: 1, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b, c: d}}, spec: {containers: [{name: a, image: i}]}}}},
    {spec: {selector: {matchLabels: {c: d}}}}, ['spec.selector: Invalid value: {"matchLabels":{"a":"b","c":"d"}}: field is immutable']]
- [Deployment, {spec: {replicas: 1, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: i}]}}}}, {spec: {replicas: -2}},
    ['spec.replicas: Invalid value: -2: must be greater than or equal to 0']]
- [Service, {spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], type: ClusterIP, ports: [{port: 80}]}}, {spec: {clusterIP: 10.0.0.2, clusterIPs: [10.0.0.2]}},
    ['spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set']]
- [Service, {spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], type: ClusterIP, ports: [{port: 80}]}}, {spec: {clusterIP: null, clusterIPs: null}},
    ['spec.clusterIPs[0]: Invalid value: []: primary clusterIP can not be unset']]
- [Service, {spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], type: ClusterIP, ports: [{port: 80}]}}, {spec: {type: ExternalName, externalName: a.b, clusterIP: null, clusterIPs: null, ports: null}}, []]
- [ConfigMap, {immutable: true, data: {a: b}}, {data: {a: c}}, ['data: Forbidden: field is immutable when `immutable` is set']]
- [ConfigMap, {immutable: true, data: {a: b}}, {immutable: false}, ['immutable: Forbidden: field is immutable when `immutable` is set']]
- [ConfigMap, {immutable: true, data: {a: b}}, {metadata: {labels: {a: b}}}, []]
- [Secret, {type: Opaque}, {type: kubernetes.io/tls, data: {tls.crt: '', tls.key: ''}}, ['type: Invalid value: "kubernetes.io/tls": field is immutable']]
- [EndpointSlice, {addressType: IPv4}, {addressType: IPv6}, ['addressType: Invalid value: "IPv6": field is immutable']]
- [Node, {metadata: {namespace: null}, spec: {podCIDRs: [10.0.0.0/24], providerID: a}}, {spec: {podCIDRs: [10.0.1.0/24], providerID: b}},
    ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid', 'spec.providerID: Forbidden: node updates may not change providerID except from "" to valid']]
- [Lease, {spec: {leaseTransitions: 1}}, {spec: {leaseTransitions: -1}}, ['spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0']]
"""  # noqa: E501

STATUS = r"""
- [Pod, {spec: {restartPolicy: Never}, status: {containerStatuses: [{name: a, state: {terminated: {exitCode: 1}}}]}}, {status: {containerStatuses: [{name: a, state: {running: {}}}]}},
    ['status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state']]
- [Pod, {spec: {restartPolicy: OnFailure}, status: {containerStatuses: [{name: a, state: {terminated: {exitCode: 1}}}]}}, {status: {containerStatuses: [{name: a, state: {running: {}}}]}}, []]
- [Pod, {}, {status: {podIPs: [{ip: x}]}}, ['status.podIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']]
- [Deployment, {}, {status: {replicas: 1, readyReplicas: 2, availableReplicas: 3}},
    ['status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas', 'status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas',
     'status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas']]
- [Namespace, {metadata: {namespace: null}}, {status: {phase: Terminating}}, ["status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"]]
- [Service, {spec: {type: ClusterIP}}, {status: {loadBalancer: {ingress: [{ip: 1.2.3.4}]}}}, ['status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is "LoadBalancer"']]
"""  # noqa: E501


def merged(value: dict, change: dict) -> dict:
    result = copy(value)
    for key, wanted in change.items():
        both = isinstance(wanted, dict) and wanted and isinstance(result.get(key), dict)
        result[key] = merged(result[key], wanted) if both else wanted
    return {k: v for k, v in result.items() if v is not None}


def causes_of(kind: str, old: dict, change: dict, subresource: str = "") -> list[str]:
    resource = next(r for r in builtin() if r.kind == kind)
    before = merged({"metadata": BASE}, old)
    found = [str(c) for c in validation.validate_update(resource, merged(before, change), before, subresource)]
    return [_shortened(text) for text in found]


def _shortened(text: str) -> str:
    head, separator, changes = text.partition(" (allow it to be set to 1 if it was previously negative)\n  ")
    return f"spec: CHANGED {changes}" if separator and "pod updates may not change fields other than" in head else text


@pytest.mark.parametrize(("kind", "old", "change", "expected"), yaml.safe_load(CASES), ids=lambda v: str(v)[:50])
def test_faults_of_a_change(kind: str, old: dict, change: dict, expected: list[str]) -> None:
    assert causes_of(kind, old, change) == expected


@pytest.mark.parametrize(("kind", "old", "change", "expected"), yaml.safe_load(STATUS), ids=lambda v: str(v)[:50])
def test_faults_of_a_status(kind: str, old: dict, change: dict, expected: list[str]) -> None:
    assert causes_of(kind, old, change, "status") == expected


def test_the_refusal_of_a_pod_update_lists_what_may_change() -> None:
    resource = next(r for r in builtin() if r.kind == "Pod")
    old = {"metadata": BASE, "spec": {"hostname": "a", "containers": [{"name": "a", "image": "i"}]}}
    (cause,) = validation.validate_update(resource, merged(old, {"spec": {"hostname": "b"}}), old)
    assert cause.field == "spec"
    assert cause.message == (
        "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
        "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
        "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
        '  spec.hostname: "a" -> "b"'
    )


def test_ephemeral_containers_are_only_added() -> None:
    resource = next(r for r in builtin() if r.kind == "Pod")
    pod = {"metadata": BASE, "spec": {"containers": [{"name": "a", "image": "i"}], "ephemeralContainers": [{"name": "e", "image": "i"}]}}
    changed = merged(pod, {"spec": {"ephemeralContainers": [{"name": "e", "image": "j"}]}})
    (cause,) = validation.validate_update(resource, changed, pod, "ephemeralcontainers")
    assert cause.message.startswith('Forbidden: existing ephemeral containers "e" may not be changed')


def test_a_scale_is_checked_by_itself() -> None:
    resource = next(r for r in builtin() if r.kind == "Deployment")
    (cause,) = validation.validate_update(resource, {"spec": {"replicas": -1}}, {}, "scale")
    assert str(cause) == "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
