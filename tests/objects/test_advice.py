"""Each case: a kind, an object of it, and the warnings its author gets."""

import time

import pytest
import yaml

from podium.objects.advice import advice
from podium.objects.resources import builtin
from podium.objects.values import copy

CASES = r"""
- [Pod, {spec: {containers: [{name: a, env: [{name: A, value: x}, {name: A, value: 'x$(A)'}, {name: B, value: y}, {name: B, value: z}, {name: C, value: c}, {name: C, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}]}},
    ['spec.containers[0].env[3]: hides previous definition of "B", which may be dropped when using apply', 'spec.containers[0].env[5]: hides previous definition of "C", which may be dropped when using apply']]
- [Pod, {spec: {containers: [{name: a, env: [{name: A, value: x}, {name: A, value: $(A)}]}]}}, ['spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply']]
- [Pod, {spec: {nodeSelector: {beta.kubernetes.io/os: linux, kubernetes.io/os: linux}}}, ['spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead']]
- [Deployment, {spec: {template: {spec: {affinity: {nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a}, {key: failure-domain.beta.kubernetes.io/zone}]}]},
      preferredDuringSchedulingIgnoredDuringExecution: [{preference: {matchExpressions: [{key: beta.kubernetes.io/instance-type}]}}]}}}}}},
    ['spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1].key: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
     'spec.template.spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].key: beta.kubernetes.io/instance-type is deprecated since v1.17; use "node.kubernetes.io/instance-type" instead']]
- [Pod, {spec: {topologySpreadConstraints: [{topologyKey: failure-domain.beta.kubernetes.io/region}], affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: a}]},
      podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{podAffinityTerm: {labelSelector: {}}}, {podAffinityTerm: {topologyKey: a}}]}}}},
    ['spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/region is deprecated since v1.17; use "topology.kubernetes.io/region" instead',
     'spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod', 'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null labelSelector results in matching no pod',
     'spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[1].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod']]
- [CronJob, {spec: {jobTemplate: {spec: {template: {metadata: {annotations: {scheduler.alpha.kubernetes.io/critical-pod: ''}}, spec: {terminationGracePeriodSeconds: -1}}}}}},
    ['spec.jobTemplate.spec.template.metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "priorityClassName" field instead',
     'spec.jobTemplate.spec.template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1']]
- [Pod, {spec: {volumes: [{name: a, gitRepo: {}}, {name: b, storageos: {}}, {name: c, ephemeral: {volumeClaimTemplate: {spec: {resources: {requests: {storage: 1500m}}}}}}]}},
    ['spec.volumes[0].gitRepo: deprecated in v1.11', 'spec.volumes[1].storageOS: deprecated in v1.22, non-functional in v1.25+',
     'spec.volumes[2].ephemeral.volumeClaimTemplate.spec.resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer']]
- [Pod, {spec: {volumes: [{name: a, projected: {sources: [{serviceAccountToken: {path: token}}, {configMap: {items: [{key: k, path: x}, {key: k, path: token}]}}, {secret: {items: [{key: k, path: token}]}}]}}]}},
    ['spec.volumes[0].projected.sources.configMap[1]: has duplicated path with ServiceAccountToken "token"', 'spec.volumes[0].projected.sources.secrets[0]: has duplicated path with ServiceAccountToken "token"']]
- [Pod, {spec: {hostAliases: [{ip: 1.1.1.1}, {ip: 1.1.1.1}], imagePullSecrets: [{name: a}, {name: a}, {}]}},
    ['spec.hostAliases[1].ip: duplicate ip "1.1.1.1"', 'spec.imagePullSecrets[1].name: duplicate name "a"', 'spec.imagePullSecrets[2].name: invalid empty name ""']]
- [Pod, {spec: {overhead: {memory: 0.5}, containers: [{name: a, resources: {limits: {memory: 1500m, cpu: 1500m}, requests: {ephemeral-storage: 1Gi}}}]}},
    ['spec.overhead[memory]: fractional byte value "500m" is invalid, must be an integer', 'spec.containers[0].resources.limits[memory]: fractional byte value "1500m" is invalid, must be an integer']]
- [Pod, {metadata: {annotations: {seccomp.security.alpha.kubernetes.io/pod: x, container.seccomp.security.alpha.kubernetes.io/a: x, container.apparmor.security.beta.kubernetes.io/a: x}}, spec: {containers: [{name: a}]}},
    ['metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the "seccompProfile" field instead',
     'metadata.annotations[container.seccomp.security.alpha.kubernetes.io/a]: non-functional in v1.27+; use the "seccompProfile" field instead']]
- [Deployment, {spec: {template: {metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/a: x}}, spec: {containers: [{name: a}]}}}},
    ['spec.template.metadata.annotations[container.apparmor.security.beta.kubernetes.io/a]: deprecated since v1.30; use the "appArmorProfile" field instead']]
- [Pod, {spec: {containers: [{name: a, ports: [{containerPort: 80, protocol: TCP}, {containerPort: 53, protocol: UDP, hostIP: 1.2.3.4}]}, {name: b, ports: [{containerPort: 80, protocol: TCP}, {containerPort: 53, protocol: TCP}]}]}},
    ['spec.containers[0].ports[1]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:53 Protocol:UDP HostIP:1.2.3.4}', 'spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]']]
- [Pod, {spec: {containers: [{name: a, ports: [{containerPort: 80, hostPort: 80}, {containerPort: 80}, {containerPort: 80, hostPort: 80, hostIP: 1.2.3.4}]}]}},
    ['spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]', 'spec.containers[0].ports[2]: dangerously ambiguous port definition with spec.containers[0].ports[0]',
     'spec.containers[0].ports[2]: overlapping port definition with spec.containers[0].ports[1]']]
- [Ingress, {metadata: {annotations: {kubernetes.io/ingress.class: a}}, spec: {}}, ["annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"]]
- [PersistentVolume, {metadata: {annotations: {volume.beta.kubernetes.io/mount-options: x}}, spec: {persistentVolumeReclaimPolicy: Recycle}},
    ['spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.',
     'metadata.annotations[volume.beta.kubernetes.io/mount-options]: deprecated since v1.31; use "mountOptions" attribute instead']]
- [PersistentVolumeClaim, {metadata: {annotations: {volume.beta.kubernetes.io/storage-class: x}}, spec: {resources: {requests: {storage: 0.5}}}},
    ['spec.resources.requests[storage]: fractional byte value "500m" is invalid, must be an integer', 'metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "storageClassName" attribute instead']]
- [StorageClass, {allowedTopologies: [{matchLabelExpressions: [{key: failure-domain.beta.kubernetes.io/zone}]}]},
    ['allowedTopologies[0].matchLabelExpressions[0].key: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use "topology.kubernetes.io/zone" instead']]
- [ConfigMap, {data: {a: b}}, []]
"""  # noqa: E501


def of(kind: str):
    return next(r for r in builtin() if r.kind == kind)


@pytest.mark.parametrize(("kind", "value", "expected"), yaml.safe_load(CASES), ids=lambda v: str(v)[:40])
def test_what_an_author_is_told(kind: str, value: dict, expected: list[str]) -> None:
    assert advice(of(kind), value, None) == expected
    changed = copy(value)
    changed.setdefault("metadata", {})["labels"] = {"a": "b"}
    assert advice(of(kind), changed, value) == [], "nobody is told twice of what does not change"


def test_advice_on_a_plain_pod_costs_little() -> None:
    env = [{"name": f"V{n}", "value": "x"} for n in range(20)]
    container = {"name": "a", "image": "i", "env": env, "ports": [{"containerPort": 80}], "resources": {"limits": {"memory": "1Gi"}}}
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [container, {**container, "name": "b", "ports": []}]}}
    resource, began = of("Pod"), time.process_time()
    for _ in range(1000):
        assert advice(resource, pod, None) == []
    assert time.process_time() - began < 0.2, "200 µs of 1.2 ms for a pod would be too much"
