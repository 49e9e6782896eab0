"""Each case: a kind, a change to a sound object of it, and the causes expected, as `field: message`."""

from typing import Any

import pytest
import yaml

from podium.objects import validation
from podium.objects.resources import builtin
from podium.objects.values import copy

SOUND = yaml.safe_load("""
Pod: {metadata: {name: p, namespace: n}, spec: {containers: [{name: a, image: i}]}}
Deployment: {metadata: {name: d, namespace: n}, spec: {replicas: 1, selector: {matchLabels: {app: d}},
  template: {metadata: {labels: {app: d}}, spec: {containers: [{name: a, image: i}]}}}}
ReplicaSet: {metadata: {name: d, namespace: n}, spec: {replicas: 1, selector: {matchLabels: {app: d}},
  template: {metadata: {labels: {app: d}}, spec: {containers: [{name: a, image: i}]}}}}
Service: {metadata: {name: s, namespace: n}, spec: {type: ClusterIP, ports: [{port: 80, protocol: TCP, targetPort: 80}]}}
Endpoints: {metadata: {name: e, namespace: n}, subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 80, protocol: TCP}]}]}
EndpointSlice: {metadata: {name: e, namespace: n}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{name: '', port: 80}]}
ConfigMap: {metadata: {name: c, namespace: n}, data: {a: b}}
Secret: {metadata: {name: s, namespace: n}, type: Opaque, data: {a: eA==}}
Namespace: {metadata: {name: n}, spec: {finalizers: [kubernetes]}}
Node: {metadata: {name: n}, spec: {}}
Lease: {metadata: {name: l, namespace: n}, spec: {}}
Event: {metadata: {name: e, namespace: n}, involvedObject: {namespace: n, kind: Pod, name: p}}
PodDisruptionBudget: {metadata: {name: b, namespace: n}, spec: {minAvailable: 1}}
ClusterRole: {metadata: {name: 'system:x'}}
""")

LABEL = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"  # noqa: E501

CASES = r"""
- [Pod, {metadata: {name: null}}, ['metadata.name: Required value: name or generateName is required']]
- [Pod, {metadata: {namespace: null}}, ['metadata.namespace: Required value']]
- [Node, {metadata: {namespace: n}}, ['metadata.namespace: Forbidden: not allowed on this type']]
- [Namespace, {metadata: {name: a.b}}, ['metadata.name: Invalid value: "a.b": must not contain dots']]
- [Namespace, {metadata: {name: A}}, ['metadata.name: Invalid value: "A": LABEL']]
- [ClusterRole, {metadata: {name: a/b}}, ["metadata.name: Invalid value: \"a/b\": may not contain '/'"]]
- [Pod, {metadata: {finalizers: [x]}}, ['metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified']]
- [Pod, {metadata: {finalizers: [orphan, foregroundDeletion]}},
    ['metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be both set']]
- [Pod, {metadata: {ownerReferences: [{apiVersion: v1, kind: A, name: a, uid: '', controller: true}, {apiVersion: v1, kind: B, name: b, uid: u, controller: true}]}},
    ['metadata.ownerReferences.uid: Invalid value: "": must not be empty',
     'metadata.ownerReferences: Invalid value: [{"apiVersion":"v1","kind":"A","name":"a","uid":"","controller":true},{"apiVersion":"v1","kind":"B","name":"b","uid":"u","controller":true}]: Only one reference can have Controller set to true. Found "true" in references for A/a and B/b']]
- [Pod, {metadata: {labels: {a: '-'}}}, ['metadata.labels: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, ''-'', ''_'' or ''.'', and must start and end with an alphanumeric character (e.g. ''MyValue'',  or ''my_value'',  or ''12345'', regex used for validation is ''(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?'')']]

- [Pod, {spec: {containers: []}}, ['spec.containers: Required value']]
- [Pod, {spec: {containers: [{name: a, image: i}, {name: a, image: i}]}}, ['spec.containers[1].name: Duplicate value: "a"']]
- [Pod, {spec: {containers: [{}]}}, ['spec.containers[0].name: Required value', 'spec.containers[0].image: Required value']]
- [Pod, {spec: {containers: [{name: a, image: ' i'}]}}, ['spec.containers[0].image: Invalid value: " i": must not have leading or trailing whitespace']]
- [Pod, {spec: {restartPolicy: Never, containers: [{name: a, image: i, resizePolicy: [{resourceName: cpu, restartPolicy: RestartContainer}, {resourceName: cpu, restartPolicy: NotRequired}]}]}},
    ["spec.containers[0].resizePolicy: Invalid value: \"RestartContainer\": must be 'NotRequired' when `restartPolicy` is 'Never'",
     'spec.containers[0].resizePolicy[1]: Duplicate value: "cpu"']]
- [Pod, {spec: {containers: [{name: a, image: i, resizePolicy: [{resourceName: disk, restartPolicy: Now}]}]}},
    ['spec.containers[0].resizePolicy: Unsupported value: "disk": supported values: "cpu", "memory"',
     'spec.containers[0].resizePolicy: Unsupported value: "Now": supported values: "NotRequired", "RestartContainer"']]
- [Pod, {spec: {restartPolicy: Sometimes}}, ['spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"']]
- [Pod, {spec: {dnsPolicy: None}}, ['spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None']]
- [Pod, {spec: {ephemeralContainers: [{name: e, image: i}]}}, ['spec.ephemeralContainers: Forbidden: cannot be set on create']]
- [Pod, {spec: {nodeName: A_}}, ["spec.nodeName: Invalid value: \"A_\": SUBDOMAIN"]]
- [Pod, {spec: {activeDeadlineSeconds: 0}}, ['spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive']]
- [Pod, {spec: {containers: [{name: a, image: i, imagePullPolicy: Often}]}},
    ['spec.containers[0].imagePullPolicy: Unsupported value: "Often": supported values: "Always", "IfNotPresent", "Never"']]
- [Pod, {spec: {containers: [{name: a, image: i, ports: [{containerPort: 0}, {containerPort: 70000, name: x}, {containerPort: 1, name: x, protocol: ICMP}]}]}},
    ['spec.containers[0].ports[0].containerPort: Required value',
     'spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
     'spec.containers[0].ports[2].name: Duplicate value: "x"',
     'spec.containers[0].ports[2].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"']]
- [Pod, {spec: {hostNetwork: true, containers: [{name: a, image: i, ports: [{containerPort: 80}]}]}},
    ['spec.containers[0].ports[0].hostPort: Invalid value: 0: must match `containerPort` when `hostNetwork` is true']]
- [Pod, {spec: {containers: [{name: a, image: i, ports: [{containerPort: 80, hostPort: 80, protocol: TCP}, {containerPort: 81, hostPort: 80, protocol: TCP}]}]}},
    ['spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//80"']]
- [Pod, {spec: {containers: [{name: a, image: i, env: [{name: a=b}, {name: ''}, {name: c, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: d, valueFrom: {}}]}]}},
    ["spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
     'spec.containers[0].env[1].name: Required value',
     'spec.containers[0].env[2].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
     'spec.containers[0].env[3].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`']]
- [Pod, {spec: {containers: [{name: a, image: i, env: [{name: a, valueFrom: {fieldRef: {fieldPath: spec.x}}}, {name: b, valueFrom: {fieldRef: {fieldPath: status.phase}}},
     {name: c, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}]}]}},
    ['spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.x": error converting fieldPath: field label not supported: spec.x',
     'spec.containers[0].env[1].valueFrom.fieldRef.fieldPath: Unsupported value: "status.phase": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"']]
- [Pod, {spec: {containers: [{name: a, image: i, envFrom: [{}]}]}}, ['spec.containers[0].envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`']]
- [Pod, {spec: {containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /a}]}]}}, ['spec.containers[0].volumeMounts[0].name: Not found: "v"']]
- [Pod, {spec: {volumes: [{name: v, emptyDir: {}}], containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /a, subPath: ../b}]}]}},
    ['spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique',
     "spec.containers[0].volumeMounts.subPath: Invalid value: \"../b\": must not contain '..'"]]
- [Pod, {spec: {volumes: [{name: v}, {name: w, emptyDir: {}, hostPath: {path: /x}}, {name: x, configMap: {}}, {name: y, hostPath: {path: /a/../b}}, {name: z, emptyDir: {}}, {name: z, emptyDir: {}}]}},
    ['spec.volumes[0]: Required value: must specify a volume type', 'spec.volumes[1].hostPath: Forbidden: may not specify more than 1 volume type',
     'spec.volumes[2].configMap.name: Required value', "spec.volumes[3].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
     'spec.volumes[5].name: Duplicate value: "z"']]
- [Pod, {spec: {volumes: [{name: v, secret: {secretName: s, defaultMode: 512, items: [{key: k, path: /a}]}}]}},
    ['spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive',
     'spec.volumes[0].secret.items[0].path: Invalid value: "/a": must be a relative path']]
- [Pod, {spec: {volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t, expirationSeconds: 5}}]}}]}},
    ['spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes',
     'spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set']]
- [Pod, {spec: {containers: [{name: a, image: i, resources: {requests: {cpu: '2', memory: 1Gi}, limits: {cpu: '1', memory: -1, foo: 1, x.y/z: 1500m}}}]}},
    ['spec.containers[0].resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0',
     'spec.containers[0].resources.limits[foo]: Invalid value: "foo": must be a standard resource type or fully qualified',
     'spec.containers[0].resources.limits[foo]: Invalid value: "foo": must be a standard resource for containers',
     'spec.containers[0].resources.limits[x.y/z]: Invalid value: "1500m": must be an integer',
     'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
     'spec.containers[0].resources.requests: Invalid value: "1Gi": must be less than or equal to memory limit of -1']]
- [Pod, {spec: {containers: [{name: a, image: i, livenessProbe: {successThreshold: 2}, readinessProbe: {exec: {}, periodSeconds: -1}, startupProbe: {httpGet: {port: http!}, tcpSocket: {port: 0}}}]}},
    ['spec.containers[0].livenessProbe: Required value: must specify a handler type', 'spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1',
     'spec.containers[0].readinessProbe.exec.command: Required value',
     'spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0',
     'spec.containers[0].startupProbe.tcpSocket: Forbidden: may not specify more than 1 handler type',
     'spec.containers[0].startupProbe.httpGet.port: Invalid value: "http!": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)']]
- [Pod, {spec: {terminationGracePeriodSeconds: 5, containers: [{name: a, image: i, lifecycle: {preStop: {sleep: {seconds: 9}}}}]}},
    ['spec.containers[0].lifecycle.preStop.sleep: Invalid value: 9: must be non-negative and less than terminationGracePeriodSeconds (5)']]
- [Pod, {spec: {initContainers: [{name: a, image: i, livenessProbe: {exec: {command: [x]}}}]}},
    ['spec.initContainers[0].name: Duplicate value: "a"', 'spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always']]
- [Pod, {spec: {tolerations: [{operator: Equal}, {key: a, operator: Exists, value: b}, {key: a, operator: Near}, {key: a, tolerationSeconds: 5, effect: NoSchedule}]}},
    ['spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"',
     "spec.tolerations[1].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
     'spec.tolerations[2].operator: Unsupported value: "Near": supported values: "Equal", "Exists"',
     "spec.tolerations[3].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set"]]
- [Pod, {spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In}, {key: b, operator: Like}]}]},
     preferredDuringSchedulingIgnoredDuringExecution: [{weight: 0, preference: {}}]}, podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: ''}]}}}},
    ["spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
     'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1].operator: Invalid value: "Like": not a valid selector operator',
     'spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100',
     'spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty', 'KEY spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey']]
- [Pod, {spec: {topologySpreadConstraints: [{maxSkew: 0, topologyKey: zone, whenUnsatisfiable: Never}]}},
    ['spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero',
     'spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Never": supported values: "DoNotSchedule", "ScheduleAnyway"']]
- [Pod, {spec: {securityContext: {runAsUser: -1}, containers: [{name: a, image: i, securityContext: {seccompProfile: {type: Localhost}}}]}},
    ['spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost',
     'spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 4294967295, inclusive']]

- [Deployment, {spec: {selector: null}}, ['spec.selector: Required value']]
- [Deployment, {spec: {selector: {matchLabels: {app: other}}}}, ['spec.template.metadata.labels: Invalid value: {"app":"d"}: `selector` does not match template `labels`']]
- [Deployment, {spec: {selector: {}}}, ['spec.selector: Invalid value: {}: empty selector is invalid for deployment']]
- [Deployment, {spec: {replicas: -1}}, ['spec.replicas: Invalid value: -1: must be greater than or equal to 0']]
- [Deployment, {spec: {strategy: {type: Recreate, rollingUpdate: {}}}}, ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"]]
- [Deployment, {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 0%}}}},
    ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0']]
- [Deployment, {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 110%, maxSurge: x}}}},
    ["spec.strategy.rollingUpdate.maxSurge: Invalid value: \"x\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
     'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "110%": must not be greater than 100%']]
- [Deployment, {spec: {strategy: {type: Slow}}}, ['spec.strategy: Unsupported value: {"type":"Slow"}: supported values: "Recreate", "RollingUpdate"']]
- [Deployment, {spec: {minReadySeconds: 10, progressDeadlineSeconds: 10}}, ['spec.progressDeadlineSeconds: Invalid value: 10: must be greater than minReadySeconds']]
- [Deployment, {spec: {template: {spec: {restartPolicy: Never}}}}, ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"']]
- [ReplicaSet, {spec: {template: {spec: {containers: [{name: a}]}}}}, ['spec.template.spec.containers[0].image: Required value']]

- [Service, {metadata: {name: 1a}}, ["metadata.name: Invalid value: \"1a\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"]]
- [Service, {spec: {ports: []}}, ['spec.ports: Required value']]
- [Service, {spec: {clusterIP: None, clusterIPs: [None], ports: []}}, []]
- [Service, {spec: {ports: [{port: 80}, {port: 81}]}}, ['spec.ports[0].name: Required value', 'spec.ports[1].name: Required value']]
- [Service, {spec: {ports: [{name: a, port: 80, protocol: TCP}, {name: a, port: 80, protocol: TCP}]}},
    ['spec.ports[1].name: Duplicate value: "a"', 'spec.ports[1]: Duplicate value: {"port":80,"protocol":"TCP"}']]
- [Service, {spec: {ports: [{port: 80, nodePort: 30000}]}}, ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]]
- [Service, {spec: {type: NodePort, ports: [{port: 80, nodePort: 80}]}},
    ['spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767']]
- [Service, {spec: {type: Magic}}, ['spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"']]
- [Service, {spec: {type: ExternalName, ports: null}}, ['spec.externalName: Required value']]
- [Service, {spec: {clusterIP: x, clusterIPs: [x]}}, ['spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']]
- [Service, {spec: {sessionAffinity: Sticky}}, ['spec.sessionAffinity: Unsupported value: "Sticky": supported values: "ClientIP", "None"']]
- [Service, {spec: {externalTrafficPolicy: Local}}, ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services']]
- [Service, {spec: {externalIPs: [127.0.0.1]}}, ['spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)']]

- [Endpoints, {subsets: [{}]}, ['subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`']]
- [Endpoints, {subsets: [{addresses: [{ip: 0.0.0.0}]}]}, ['subsets[0].addresses[0].ip: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)']]
- [EndpointSlice, {addressType: IPv6}, ['endpoints[0].addresses[0]: Invalid value: "10.0.0.1": must be a valid IPv6 address']]
- [EndpointSlice, {endpoints: [{addresses: [127.0.0.5]}]}, []]
- [EndpointSlice, {addressType: null}, ['addressType: Required value']]
- [EndpointSlice, {endpoints: [{addresses: []}]}, ['endpoints[0].addresses: Required value: must contain at least 1 address']]
- [EndpointSlice, {ports: [{name: a}, {name: a}]}, ['ports[1].name: Duplicate value: "a"']]
- [ConfigMap, {data: {a b: x}}, ["data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"]]
- [ConfigMap, {binaryData: {a: eA==}}, ['data[a]: Invalid value: "a": duplicate of key present in binaryData']]
- [Secret, {type: kubernetes.io/tls}, ['data[tls.crt]: Required value', 'data[tls.key]: Required value']]
- [Secret, {type: kubernetes.io/dockerconfigjson, data: {.dockerconfigjson: eA==}}, ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid character looking for beginning of value']]
- [Secret, {type: kubernetes.io/service-account-token}, ['metadata.annotations[kubernetes.io/service-account.name]: Required value']]
- [Secret, {type: kubernetes.io/basic-auth, data: {password: eA==}}, []]
- [Node, {spec: {taints: [{key: a, effect: NoSchedule}, {key: a, effect: NoSchedule}, {key: b, effect: Maybe}]}},
    ['metadata.taints[1]: Duplicate value: {"key":"a","effect":"NoSchedule"}: taints must be unique by key and effect pair',
     'metadata.taints[2].effect: Unsupported value: "Maybe": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"']]
- [Node, {spec: {podCIDRs: [10.0.0.0/24, 10.0.1.0/24]}}, ['spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than one CIDR for each IP family']]
- [Lease, {spec: {leaseDurationSeconds: 0}}, ['spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0']]
- [Event, {involvedObject: {namespace: other}}, ['involvedObject.namespace: Invalid value: "other": does not match event.namespace']]
- [PodDisruptionBudget, {spec: {maxUnavailable: 1}}, ['spec: Invalid value: {"minAvailable":1,"maxUnavailable":1}: minAvailable and maxUnavailable cannot be both set']]
"""  # noqa: E501

_SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"  # noqa: E501


def merged(value: Any, change: Any) -> Any:
    if not isinstance(change, dict) or not isinstance(value, dict) or not change:
        return change
    result = {**value, **{k: merged(value.get(k), v) for k, v in change.items()}}
    return {k: v for k, v in result.items() if v is not None}


def of_kind(kind: str) -> Any:
    return next(r for r in builtin() if r.kind == kind and r.group != "events.k8s.io")


@pytest.mark.parametrize("kind", list(SOUND))
def test_a_sound_object_has_no_faults(kind: str) -> None:
    assert validation.validate_create(of_kind(kind), SOUND[kind]) == []


@pytest.mark.parametrize(("kind", "change", "expected"), yaml.safe_load(CASES), ids=lambda v: str(v)[:60])
def test_faults_of_a_new_object(kind: str, change: dict, expected: list[str]) -> None:
    value = merged(copy(SOUND[kind]), change)
    found = [
        str(cause).replace(LABEL, "LABEL").replace(_SUBDOMAIN, "SUBDOMAIN") for cause in validation.validate_create(of_kind(kind), value)
    ]
    found = [f"KEY {f.partition(':')[0]}" if "name part must be non-empty" in f else f for f in found if "name part must consist" not in f]
    assert found == expected


def test_data_over_a_mebibyte_is_too_long() -> None:
    value = merged(SOUND["ConfigMap"], {"data": {"a": "x" * (1024 * 1024 + 1)}})
    assert [str(c) for c in validation.validate_create(of_kind("ConfigMap"), value)] == [": Too long: may not be more than 1048576 bytes"]
    value = merged(SOUND["Secret"], {"data": {"a": "eHh4" * (350 * 1024)}})
    assert [c.field for c in validation.validate_create(of_kind("Secret"), value)] == ["data"]


def test_a_generated_name_may_end_with_a_dash() -> None:
    value = merged(SOUND["Pod"], {"metadata": {"generateName": "web-"}})
    assert validation.validate_create(of_kind("Pod"), value) == []


def test_a_binding_is_checked_by_its_own_kind() -> None:
    causes = validation.validate_create(of_kind("Pod"), {"target": {"kind": "Cloud"}}, "binding")
    assert [str(c) for c in causes] == [
        'target.kind: Unsupported value: "Cloud": supported values: "Node", "<empty>"',
        "target.name: Required value",
    ]
