"""Kinds that nothing in a small cluster acts on: each case a kind, a change to a sound object of it, and the causes, as `field: message`.

CREATE cases change what is created, UPDATE cases what is stored. Lists in a change replace. Texts in capitals stand for upstream's long ones.
"""

from typing import Any

import pytest
import yaml

from podium.objects import validation
from podium.objects.resources import builtin
from podium.objects.values import copy

SOUND = yaml.safe_load("""
HorizontalPodAutoscaler: {metadata: {name: h, namespace: n}, spec: {minReplicas: 1, maxReplicas: 3, scaleTargetRef: {kind: Deployment, name: web, apiVersion: apps/v1}}}
Ingress: {metadata: {name: i, namespace: n}, spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}}
IngressClass: {metadata: {name: i}, spec: {controller: example.com/c}}
NetworkPolicy: {metadata: {name: p, namespace: n}, spec: {podSelector: {}, policyTypes: [Ingress]}}
IPAddress: {metadata: {name: 10.0.0.1}, spec: {parentRef: {resource: services, namespace: n, name: s}}}
ServiceCIDR: {metadata: {name: s}, spec: {cidrs: [10.0.0.0/24]}}
PersistentVolume: {metadata: {name: v}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], volumeMode: Filesystem, persistentVolumeReclaimPolicy: Retain, hostPath: {path: /a}}}
PersistentVolumeClaim: {metadata: {name: c, namespace: n}, spec: {accessModes: [ReadWriteOnce], volumeMode: Filesystem, storageClassName: s, resources: {requests: {storage: 1Gi}}}}
StorageClass: {metadata: {name: s}, provisioner: example.com/p, reclaimPolicy: Delete, volumeBindingMode: Immediate}
VolumeAttributesClass: {metadata: {name: a}, driverName: example.com, parameters: {a: b}}
VolumeAttachment: {metadata: {name: a}, spec: {attacher: example.com, nodeName: n, source: {persistentVolumeName: v}}}
CSIDriver: {metadata: {name: d}, spec: {attachRequired: true, podInfoOnMount: false, storageCapacity: false, fsGroupPolicy: File, volumeLifecycleModes: [Persistent]}}
CSINode: {metadata: {name: n}, spec: {drivers: [{name: example.com, nodeID: x, topologyKeys: [zone]}]}}
CSIStorageCapacity: {metadata: {name: c, namespace: n}, storageClassName: s, capacity: 1Gi}
ControllerRevision: {metadata: {name: r, namespace: n}, data: {a: b}, revision: 1}
ResourceClaim: {metadata: {name: c, namespace: n}, spec: {devices: {requests: [{name: r, exactly: {deviceClassName: gpu, allocationMode: ExactCount, count: 1}}]}}}
ResourceClaimTemplate: {metadata: {name: c, namespace: n}, spec: {spec: {devices: {requests: [{name: r, exactly: {deviceClassName: gpu, allocationMode: All}}]}}}}
DeviceClass: {metadata: {name: c}, spec: {selectors: [{cel: {expression: 'device.driver == "a"'}}]}}
DeviceTaintRule: {metadata: {name: t}, spec: {taint: {key: a, effect: NoSchedule}}}
ResourceSlice: {metadata: {name: s}, spec: {driver: d.example.com, nodeName: n, pool: {name: p, generation: 1, resourceSliceCount: 1}, devices: [{name: a}]}}
RuntimeClass: {metadata: {name: r}, handler: h}
Lease: {metadata: {name: l, namespace: n}, spec: {}}
StorageVersionMigration: {metadata: {name: m}, spec: {resource: {group: apps, resource: deployments}}}
""")  # noqa: E501

TEXTS = {
    "LABEL": "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",  # noqa: E501
    "SUBDOMAIN": "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",  # noqa: E501
    "IDENTIFIER": "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')",  # noqa: E501
    "PORT": "must be between 1 and 65535, inclusive",
    "KEY": "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",  # noqa: E501
    "CIDR": "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
    "FIXED": "field is immutable",
    "REFERENCE": "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
}

CREATE = r"""
- [HorizontalPodAutoscaler, {spec: {minReplicas: 0, maxReplicas: 0}},
    ['spec.minReplicas: Invalid value: 0: must be greater than or equal to 1', 'spec.maxReplicas: Invalid value: 0: must be greater than 0',
     'spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas']]
- [HorizontalPodAutoscaler, {spec: {minReplicas: 5}}, ['spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`']]
- [HorizontalPodAutoscaler, {spec: {scaleTargetRef: {kind: '', name: a/b}}},
    ['spec.scaleTargetRef.kind: Required value', "spec.scaleTargetRef.name: Invalid value: \"a/b\": may not contain '/'"]]
- [HorizontalPodAutoscaler, {spec: {targetCPUUtilizationPercentage: 0}}, ['spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0']]
- [HorizontalPodAutoscaler, {spec: {metrics: [{type: Strange}]}},
    ['spec.metrics[0].type: Unsupported value: "Strange": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"']]
- [HorizontalPodAutoscaler, {spec: {metrics: [{type: Pods, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]}},
    ['spec.metrics[0].pods: Required value: must populate information for the given metric source']]
- [HorizontalPodAutoscaler, {spec: {metrics: [{type: Resource, resource: {name: cpu, target: {type: Percent, averageUtilization: 0, averageValue: -1}}}]}},
    ['spec.metrics[0].resource.target.type: Invalid value: "Percent": must be either Utilization, Value, or AverageValue',
     'spec.metrics[0].resource.target.averageValue: Invalid value: -1: must be positive', 'spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0',
     'spec.metrics[0].resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization']]
- [HorizontalPodAutoscaler, {spec: {metrics: [{type: ContainerResource, containerResource: {name: foo, container: A, target: {type: Value}}}]}},
    ['spec.metrics[0].containerResource.name: Invalid value: "foo": must be a standard resource type or fully qualified',
     'spec.metrics[0].containerResource.name: Invalid value: "foo": must be a standard resource for containers', 'spec.metrics[0].containerResource.container: Invalid value: "A": LABEL',
     'spec.metrics[0].containerResource.target.averageUtilization: Required value: must set either a target raw value or a target utilization']]
- [HorizontalPodAutoscaler, {spec: {metrics: [{type: External, external: {metric: {name: ''}, target: {type: Value, value: 1, averageValue: 1}}},
     {type: Object, object: {describedObject: {kind: A, name: a}, metric: {name: m}, target: {type: Value}}}, {type: Pods, pods: {metric: {name: m}, target: {type: ''}}}]}},
    ['spec.metrics[0].external.metric.name: Required value: must specify a metric name',
     'spec.metrics[0].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target',
     'spec.metrics[1].object.target.averageValue: Required value: must set either a target value or averageValue',
     'spec.metrics[2].pods.target.type: Required value: must specify a metric target type', 'spec.metrics[2].pods.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue',
     'spec.metrics[2].pods.target.averageValue: Required value: must specify a positive target averageValue']]
- [HorizontalPodAutoscaler, {spec: {behavior: {scaleUp: {stabilizationWindowSeconds: 3601, selectPolicy: Mean, policies: [{type: Some, value: 0, periodSeconds: 1801}]}, scaleDown: {stabilizationWindowSeconds: -1}}}},
    ['spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600',
     'spec.behavior.scaleUp.selectPolicy: Unsupported value: "Mean": supported values: "Disabled", "Max", "Min"',
     'spec.behavior.scaleUp.policies[0].type: Unsupported value: "Some": supported values: "Percent", "Pods"',
     'spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero', 'spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800',
     'spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal to zero', 'spec.behavior.scaleDown.policies: Required value: must specify at least one Policy']]

- [Ingress, {spec: {defaultBackend: null}}, ['spec: Invalid value: null: either `defaultBackend` or `rules` must be specified']]
- [Ingress, {spec: {defaultBackend: {}}}, ['spec.defaultBackend: Invalid value: "": resource or service backend is required']]
- [Ingress, {spec: {defaultBackend: {resource: {kind: A, name: a}}}}, ['spec.defaultBackend: Invalid value: "": cannot set both resource and service backends']]
- [Ingress, {spec: {rules: [{http: {paths: [{path: /a, pathType: Prefix, backend: {service: {name: 0a, port: {}}}}]}}]}},
    ['spec.rules[0].http.paths[0].backend.service.name: Invalid value: "0a": a DNS-1035 label must consist of lower case alphanumeric characters or ''-'', start with an alphabetic character, and end with an alphanumeric character (e.g. ''my-name'',  or ''abc-123'', regex used for validation is ''[a-z]([-a-z0-9]*[a-z0-9])?'')',
     'spec.rules[0].http.paths[0].backend: Required value: port name or number is required']]
- [Ingress, {spec: {rules: [{http: {paths: [{path: a//b, pathType: Exact, backend: {service: {name: a, port: {number: 70000}}}},
     {path: '', backend: {}}, {path: '', pathType: ImplementationSpecific, backend: {service: {name: a, port: {name: http, number: 1}}}}, {path: /x/.., pathType: Some, backend: {resource: {kind: '', name: b/c}}}]}}]}},
    ['spec.rules[0].http.paths[0].path: Invalid value: "a//b": must be an absolute path', "spec.rules[0].http.paths[0].path: Invalid value: \"a//b\": must not contain '//'",
     'spec.rules[0].http.paths[0].backend.service.port.number: Invalid value: 70000: PORT', 'spec.rules[0].http.paths[1].pathType: Required value: pathType must be specified',
     'spec.rules[0].http.paths[2].backend: Invalid value: "": cannot set both port name & port number',
     'spec.rules[0].http.paths[3].pathType: Unsupported value: "Some": supported values: "Exact", "ImplementationSpecific", "Prefix"',
     'spec.rules[0].http.paths[3].backend.resource.kind: Required value', "spec.rules[0].http.paths[3].backend.resource.name: Invalid value: \"b/c\": may not contain '/'"]]
- [Ingress, {spec: {rules: [{host: 1.2.3.4}, {host: '*.a.com', http: {}}]}}, ['spec.rules[0].host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address', 'spec.rules[1].http.paths: Required value']]
- [Ingress, {spec: {rules: [{host: 'a.*.com'}]}}, ["spec.rules[0].host: Invalid value: \"a.*.com\": a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]]
- [Ingress, {spec: {tls: [{hosts: [A], secretName: B}], ingressClassName: C}}, ['spec.tls[0].hosts[0]: Invalid value: "A": SUBDOMAIN', 'spec.tls[0].secretName: Invalid value: "B": SUBDOMAIN', 'spec.ingressClassName: Invalid value: "C": SUBDOMAIN']]
- [Ingress, {metadata: {annotations: {kubernetes.io/ingress.class: a}}, spec: {ingressClassName: b}}, ['annotations.kubernetes.io/ingress.class: Invalid value: "a": must match `ingressClassName` when both are specified']]
- [IngressClass, {spec: {controller: ''}}, ['spec.controller: Required value']]
- [IngressClass, {spec: {controller: abc}}, ['spec.controller: Invalid value: "abc": must be a domain-prefixed path (such as "acme.io/foo")']]
- [IngressClass, {spec: {controller: 'a.b/c d'}}, ["spec.controller: Invalid value: \"c d\": Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"]]
- [IngressClass, {spec: {parameters: {kind: K, name: n, scope: Namespace}}}, ["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"]]
- [IngressClass, {spec: {parameters: {kind: K, name: n, scope: Cluster, namespace: n}}}, ["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"]]
- [IngressClass, {spec: {parameters: {kind: '', name: ''}}}, ['spec.parameters.kind: Required value', 'spec.parameters.name: Required value', 'spec.parameters.scope: Required value']]
- [IngressClass, {spec: {parameters: {kind: K, name: n, scope: World}}}, ['spec.parameters.scope: Unsupported value: "World": supported values: "Cluster", "Namespace"']]

- [NetworkPolicy, {spec: {ingress: [{ports: [{protocol: ICMP, port: 0}, {port: http, endPort: 5}, {endPort: 5}, {port: 10, endPort: 5}], from: [{}, {podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}]}},
    ['spec.ingress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"', 'spec.ingress[0].ports[0].port: Invalid value: 0: PORT',
     'spec.ingress[0].ports[1].endPort: Invalid value: 5: may not be specified when `port` is non-numeric', 'spec.ingress[0].ports[2].endPort: Invalid value: 5: may not be specified when `port` is not specified',
     'spec.ingress[0].ports[3].endPort: Invalid value: 5: must be greater than or equal to `port`', 'spec.ingress[0].from[0]: Required value: must specify a peer',
     'spec.ingress[0].from[1]: Forbidden: may not specify both ipBlock and another peer']]
- [NetworkPolicy, {spec: {egress: [{to: [{ipBlock: {cidr: ''}}, {ipBlock: {cidr: 10.0.0.1}}, {ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16, 10.0.0.0/8, x]}}]}]}},
    ['spec.egress[0].to[0].ipBlock.cidr: Required value', 'spec.egress[0].to[1].ipBlock.cidr: Invalid value: "10.0.0.1": CIDR',
     'spec.egress[0].to[2].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`', 'spec.egress[0].to[2].ipBlock.except[1]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`',
     'spec.egress[0].to[2].ipBlock.except[2]: Invalid value: "x": CIDR']]
- [NetworkPolicy, {spec: {policyTypes: [Ingress, Egress, Ingress]}}, ['spec.policyTypes: Invalid value: ["Ingress","Egress","Ingress"]: may not specify more than two policyTypes']]
- [NetworkPolicy, {spec: {podSelector: {matchLabels: {a b: c}}, policyTypes: [Both]}}, ['spec.podSelector.matchLabels: Invalid value: "a b": KEY', 'spec.policyTypes[0]: Unsupported value: "Both": supported values: "Ingress", "Egress"']]
- [IPAddress, {metadata: {name: '2001:DB8::1'}}, ['metadata.name: Invalid value: "2001:DB8::1": must be in canonical form ("2001:db8::1")']]
- [IPAddress, {metadata: {name: abc}}, ['metadata.name: Invalid value: "abc": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']]
- [IPAddress, {spec: {parentRef: null}}, ['spec.parentRef: Required value']]
- [IPAddress, {spec: {parentRef: {group: A, name: a/b, resource: ''}}}, ['spec.parentRef.group: Invalid value: "A": SUBDOMAIN', 'spec.parentRef.resource: Required value', "spec.parentRef.name: Invalid value: \"a/b\": may not contain '/'"]]
- [ServiceCIDR, {spec: {cidrs: []}}, ['spec.cidrs: Required value: at least one CIDR required']]
- [ServiceCIDR, {spec: {cidrs: [10.0.0.1/24, x]}}, ['spec.cidrs[0]: Invalid value: "10.0.0.1/24": must not have bits set beyond the prefix length', 'spec.cidrs[1]: Invalid value: "x": CIDR']]
- [ServiceCIDR, {spec: {cidrs: [10.0.0.0/24, 10.0.1.0/24]}}, ['spec.cidrs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64']]
- [ServiceCIDR, {spec: {cidrs: [10.0.0.0/24, 'fd00::/112']}}, []]

- [PersistentVolume, {spec: {capacity: null, accessModes: []}},
    ['spec.accessModes: Required value', 'spec.capacity: Required value', 'spec.capacity: Unsupported value: {}: supported values: "storage"']]
- [PersistentVolume, {spec: {capacity: {storage: 0}, accessModes: [ReadWriteOncePod, ReadWriteOnce, Some], persistentVolumeReclaimPolicy: Burn, volumeMode: Odd, storageClassName: A}},
    ['spec.accessModes: Unsupported value: "Some": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
     'spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes', 'spec.capacity[storage]: Invalid value: "0": must be greater than zero',
     'spec.persistentVolumeReclaimPolicy: Unsupported value: "Burn": supported values: "Delete", "Recycle", "Retain"', 'spec.volumeMode: Unsupported value: "Odd": supported values: "Block", "Filesystem"',
     'spec.storageClassName: Invalid value: "A": SUBDOMAIN']]
- [PersistentVolume, {spec: {hostPath: null}}, ['spec: Required value: must specify a volume type']]
- [PersistentVolume, {spec: {nfs: {server: s, path: /p}}}, ['spec.nfs: Forbidden: may not specify more than 1 volume type']]
- [PersistentVolume, {spec: {hostPath: {path: /a/..}, persistentVolumeReclaimPolicy: Recycle}},
    ["spec.hostPath.path: Invalid value: \"/a/..\": must not contain '..'", "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"]]
- [PersistentVolume, {spec: {hostPath: null, nfs: {server: '', path: a}}}, ['spec.nfs.server: Required value', 'spec.nfs.path: Invalid value: "a": must be an absolute path']]
- [PersistentVolume, {spec: {hostPath: null, local: {path: /d}}}, ['spec.nodeAffinity: Required value: Local volume requires node affinity']]
- [PersistentVolume, {spec: {hostPath: null, csi: {driver: 'A_', volumeHandle: '', nodePublishSecretRef: {name: B}}, nodeAffinity: {}, volumeAttributesClassName: ''}},
    ['spec.nodeAffinity.required: Required value: must specify required node constraints', 'spec.csi.volumeHandle: Required value', 'spec.csi.driver: Invalid value: "A_": SUBDOMAIN',
     'spec.csi.nodePublishSecretRef.namespace: Required value', 'spec.csi.nodePublishSecretRef.name: Invalid value: "B": SUBDOMAIN', 'spec.volumeAttributesClassName: Required value: an empty string is disallowed']]
- [PersistentVolume, {spec: {hostPath: null, fc: {lun: 300, targetWWNs: [a], wwids: [b]}}},
    ['spec.fc.targetWWNs: Invalid value: ["a"]: targetWWNs and wwids can not be specified simultaneously', 'spec.fc.lun: Invalid value: 300: must be between 0 and 255, inclusive']]
- [PersistentVolumeClaim, {spec: {accessModes: [], resources: {requests: {}}, volumeMode: Odd}},
    ['spec.accessModes: Required value: at least 1 access mode is required', 'spec.resources[storage]: Required value', 'spec.volumeMode: Unsupported value: "Odd": supported values: "Block", "Filesystem"']]
- [PersistentVolumeClaim, {spec: {resources: {requests: {storage: -1}}, dataSource: {kind: Pod, name: ''}}},
    ['spec.resources[storage]: Invalid value: "-1": must be greater than zero', 'spec.dataSource.name: Required value',
     "spec.dataSource: Invalid value: \"Pod\": must be 'PersistentVolumeClaim' when referencing the default apiGroup"]]
- [PersistentVolumeClaim, {spec: {dataSource: {kind: PersistentVolumeClaim, name: a}, dataSourceRef: {kind: PersistentVolumeClaim, name: b}}}, ['spec: Invalid value: "spec.dataSource": must match dataSourceRef']]
- [StorageClass, {provisioner: '', reclaimPolicy: Recycle, volumeBindingMode: Later},
    ['provisioner: Required value', 'reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"', 'volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer"']]
- [StorageClass, {provisioner: Example.com/P, parameters: {'': x}, allowedTopologies: [{matchLabelExpressions: [{key: zone, values: [a, a]}, {key: zone, values: []}]}]},
    ['parameters: Invalid value: "": field can not be empty.', 'allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: "a"',
     'allowedTopologies[0].matchLabelExpressions[1].values: Required value', 'allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: "zone"']]
- [StorageClass, {allowedTopologies: [{matchLabelExpressions: [{key: z, values: [a, b]}]}, {matchLabelExpressions: [{key: z, values: [b, a]}]}]}, ['allowedTopologies[1].matchLabelExpressions: Duplicate value: ""']]
- [VolumeAttributesClass, {driverName: '', parameters: {}}, ['driverName: Required value', 'parameters: Required value: must contain at least one key/value pair']]
- [VolumeAttachment, {spec: {attacher: '', nodeName: A, source: {}}},
    ['spec.attacher: Required value', 'spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName', 'spec.nodeName: Invalid value: "A": SUBDOMAIN']]
- [VolumeAttachment, {spec: {source: {persistentVolumeName: null, inlineVolumeSpec: {accessModes: [ReadWriteOnce], capacity: {storage: 1}, hostPath: {path: /}}}}},
    ['spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes', 'spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes']]
- [CSIDriver, {spec: {fsGroupPolicy: Some, tokenRequests: [{audience: a, expirationSeconds: 5}, {audience: a}], volumeLifecycleModes: [Often], nodeAllocatableUpdatePeriodSeconds: 5}},
    ['spec.fsGroupPolicy: Unsupported value: "Some": supported values: "File", "None", "ReadWriteOnceWithFSType"', 'spec.tokenRequests[0].expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes',
     'spec.tokenRequests[1].audience: Duplicate value: "a"', 'spec.volumeLifecycleModes: Unsupported value: "Often": supported values: "Persistent", "Ephemeral"',
     'spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 5: must be greater than or equal to 10 seconds']]
- [CSINode, {spec: {drivers: [{name: a, nodeID: '', allocatable: {count: -1}}, {name: a, nodeID: x, topologyKeys: [z, z]}]}},
    ['spec.drivers[0].nodeID: Required value', 'spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0', 'spec.drivers[1].name: Duplicate value: "a"', 'spec.drivers[1]: Duplicate value: "z"']]
- [CSIStorageCapacity, {storageClassName: A, capacity: -1}, ['storageClassName: Invalid value: "A": SUBDOMAIN', 'capacity: Invalid value: "-1": must be greater than or equal to 0']]
- [ControllerRevision, {data: null, revision: -1}, ['data: Required value: data is mandatory', 'revision: Invalid value: -1: must be greater than or equal to 0']]
- [RuntimeClass, {handler: A}, ['handler: Invalid value: "A": LABEL']]
- [RuntimeClass, {scheduling: {nodeSelector: {a b: c}, tolerations: [{operator: Equal}, {key: a, operator: Exists}, {key: a, operator: Exists}]}},
    ['scheduling.nodeSelector: Invalid value: "a b": KEY', 'scheduling.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"',
     'scheduling.tolerations[2]: Duplicate value: {"key":"a","operator":"Exists"}']]

- [ResourceClaim, {spec: {devices: {requests: [{name: A}, {name: r, exactly: {deviceClassName: '', allocationMode: Some}}, {name: r, exactly: {deviceClassName: c, allocationMode: All, count: 2}}]}}},
    ['spec.devices.requests[0].name: Invalid value: "A": LABEL', 'spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required',
     'spec.devices.requests[1].exactly.deviceClassName: Required value', 'spec.devices.requests[1].exactly.allocationMode: Unsupported value: "Some": supported values: "All", "ExactCount"',
     "spec.devices.requests[2].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'", 'spec.devices.requests[2]: Duplicate value: "r"']]
- [ResourceClaim, {spec: {devices: {requests: [{name: r, firstAvailable: [{name: a, deviceClassName: c, allocationMode: ExactCount, count: 0}, {name: a, deviceClassName: c, allocationMode: All}]}]}}},
    ['spec.devices.requests[0].firstAvailable[0].count: Invalid value: 0: must be greater than zero', 'spec.devices.requests[0].firstAvailable[1]: Duplicate value: "a"']]
- [ResourceClaim, {spec: {devices: {requests: [{name: r, exactly: {deviceClassName: c, allocationMode: All, selectors: [{}, {cel: {expression: 'device.drive == "a"'}}, {cel: {expression: '1 + 1'}}, {cel: {expression: 'device.attributes["d"].x == 1'}}],
     tolerations: [{operator: Exists, value: v, effect: Some}]}}]}}},
    ['spec.devices.requests[0].exactly.selectors[0].cel: Required value',
     "spec.devices.requests[0].exactly.selectors[1].cel.expression: Invalid value: \"device.drive == \\\"a\\\"\": compilation failed: ERROR: <input>:1:7: undefined field 'drive'\n | device.drive == \"a\"\n | ......^",
     'spec.devices.requests[0].exactly.selectors[2].cel.expression: Invalid value: "1 + 1": must evaluate to bool or the unknown type, not int',
     'spec.devices.requests[0].exactly.tolerations[0].value: Invalid value: "v": must be empty for operator `Exists`',
     'spec.devices.requests[0].exactly.tolerations[0].effect: Unsupported value: "Some": supported values: "NoExecute", "NoSchedule", "None"']]
- [ResourceClaim, {spec: {devices: {constraints: [{}, {requests: [x], matchAttribute: numa}, {requests: [r, r], matchAttribute: a.com/1x}], config: [{requests: [r/y]}, {opaque: {driver: a.com, parameters: 5}}]}}},
    ['spec.devices.constraints[0]: Required value: exactly one of "matchAttribute" or "distinctAttribute" is required', 'spec.devices.constraints[1].requests[0]: Invalid value: "x": REFERENCE',
     'spec.devices.constraints[1].matchAttribute: Invalid value: "numa": a fully qualified name must be a domain and a name separated by a slash',
     'spec.devices.constraints[2].requests[1]: Duplicate value: "r"', 'spec.devices.constraints[2].matchAttribute: Invalid value: "1x": IDENTIFIER', 'spec.devices.config[0].requests[0]: Invalid value: "r/y": REFERENCE',
     'spec.devices.config[0].opaque: Required value', 'spec.devices.config[1].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object']]
- [ResourceClaimTemplate, {spec: {metadata: {name: x, labels: {a b: c}}}}, ['spec.metadata.labels: Invalid value: "a b": KEY', 'spec.metadata.name: Forbidden: cannot be set']]
- [DeviceClass, {spec: {extendedResourceName: cpu}}, ['spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name']]
- [DeviceTaintRule, {spec: {deviceSelector: {driver: '', pool: A, device: B}, taint: {key: '', effect: Often}}},
    ['spec.deviceSelector.driver: Required value', 'spec.deviceSelector.pool: Invalid value: "A": SUBDOMAIN', 'spec.deviceSelector.device: Invalid value: "B": LABEL',
     'spec.taint.key: Invalid value: "": name part must be non-empty', 'spec.taint.key: Invalid value: "": KEY', 'spec.taint.effect: Unsupported value: "Often": supported values: "NoExecute", "NoSchedule", "None"']]
- [ResourceSlice, {spec: {driver: '', pool: {name: '', generation: -1, resourceSliceCount: 0}, nodeName: null}},
    ['spec.driver: Required value', 'spec.pool.name: Required value', 'spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero', 'spec.pool.generation: Invalid value: -1: must be greater than or equal to zero',
     'spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required']]
- [ResourceSlice, {spec: {allNodes: true, sharedCounters: [{name: c}]}},
    ['spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set',
     'spec: Invalid value: "": only one of `sharedCounters` or `devices` is allowed', 'spec.sharedCounters[0].counters: Required value']]
- [ResourceSlice, {spec: {devices: [{name: a, attributes: {x: {}, 1y: {bool: true}, a/b/c: {int: 1}, v: {version: '1'}, t: {int: 1, bool: true}}, nodeName: n}, {name: a, taints: [{key: k}], bindingConditions: [c]}]}},
    ['spec.devices[0].attributes[x]: Invalid value: "": exactly one value must be specified', 'spec.devices[0].attributes: Invalid value: "1y": IDENTIFIER',
     'spec.devices[0].attributes: Invalid value: "a/b/c": must not contain more than one slash', 'spec.devices[0].attributes[v].version: Invalid value: "1": must be a string compatible with semver.org spec 2.0.0',
     'spec.devices[0].attributes[t]: Invalid value: {"int":1,"bool":true}: exactly one value must be specified',
     'spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec',
     'spec.devices[1].taints[0].effect: Required value', 'spec.devices[1].bindingFailureConditions: Invalid value: []: bindingFailureConditions are required to use bindingConditions', 'spec.devices[1]: Duplicate value: "a"']]
- [ResourceSlice, {spec: {devices: [{name: a, capacity: {m: {value: 4, requestPolicy: {default: 1, validValues: [1]}}}}, {name: b, allowMultipleAllocations: true, capacity: {
     m: {value: 4, requestPolicy: {default: 3, validValues: [2, 1, 8]}}, n: {value: 10, requestPolicy: {default: 1, validRange: {min: 2, max: 11, step: 2}}}, o: {value: 4, requestPolicy: {validRange: {min: 1}}}}}]}},
    ['spec.devices[0].capacity[m].requestPolicy: Forbidden: allowMultipleAllocations must be true', 'spec.devices[1].capacity[m].requestPolicy.validValues[1]: Invalid value: "1": values must be sorted in ascending order',
     'spec.devices[1].capacity[m].requestPolicy.validValues[2]: Invalid value: "8": option is larger than capacity value: 4', 'spec.devices[1].capacity[m].requestPolicy.validValues: Invalid value: "3": default value is not valid according to the requestPolicy',
     'spec.devices[1].capacity[n].requestPolicy.validRange.default: Invalid value: "1": default is less than min: 2', 'spec.devices[1].capacity[n].requestPolicy.validRange.max: Invalid value: "11": max is larger than capacity value: 10',
     'spec.devices[1].capacity[n].requestPolicy.validRange.step: Invalid value: "1": value is not a multiple of a given step (2) from (2)',
     'spec.devices[1].capacity[n].requestPolicy.validRange.step: Invalid value: "11": value is not a multiple of a given step (2) from (2)', 'spec.devices[1].capacity[o].requestPolicy.default: Required value: required when validRange is defined']]
- [Lease, {spec: {strategy: Other, preferredHolder: a}}, ['spec.strategy: Unsupported value: "Other": supported values: "OldestEmulationVersion"']]
- [Lease, {spec: {strategy: a.com/mine, preferredHolder: a}}, []]
- [Lease, {spec: {preferredHolder: a}}, ['spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined']]
- [StorageVersionMigration, {spec: {resource: {group: A, resource: ''}}}, ['spec.resource.resource: Required value: resource is required to be set', 'spec.resource.group: Invalid value: "A": SUBDOMAIN']]
"""  # noqa: E501

UPDATE = r"""
- [HorizontalPodAutoscaler, {spec: {minReplicas: 0}}, {spec: {maxReplicas: 5}}, ['spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas']]
- [IngressClass, {}, {spec: {controller: example.com/d}}, ['spec.controller: Invalid value: "example.com/d": FIXED']]
- [Ingress, {spec: {tls: [{secretName: A}]}}, {spec: {tls: [{secretName: B}]}}, []]
- [NetworkPolicy, {spec: {ingress: [{from: [{ipBlock: {cidr: x}}]}]}}, {spec: {egress: [{to: [{ipBlock: {cidr: x}}]}]}}, []]
- [IPAddress, {}, {spec: {parentRef: {name: other}}}, ['spec.parentRef: Invalid value: {"resource":"services","namespace":"n","name":"other"}: FIXED']]
- [ServiceCIDR, {}, {spec: {cidrs: [10.0.0.0/16]}}, ['spec.cidrs[0]: Invalid value: "10.0.0.0/16": FIXED']]
- [ServiceCIDR, {}, {spec: {cidrs: [10.0.0.0/24, 'fd00::/112']}}, []]
- [ServiceCIDR, {spec: {cidrs: [10.0.0.0/24, 'fd00::/112']}}, {spec: {cidrs: [10.0.0.0/24]}}, ['spec.cidrs: Invalid value: ["10.0.0.0/24"]: FIXED']]
- [PersistentVolume, {}, {spec: {hostPath: {path: /b}}}, ["spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n  spec.hostPath.path: \"/a\" -> \"/b\""]]
- [PersistentVolume, {}, {spec: {capacity: {storage: 2Gi}, volumeMode: Block}}, ['volumeMode: Invalid value: "Block": FIXED']]
- [PersistentVolume, {spec: {nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: failure-domain.beta.kubernetes.io/zone, operator: In, values: [a]}]}]}}}},
    {spec: {nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: topology.kubernetes.io/zone, operator: In, values: [a]}]}]}}}}, []]
- [PersistentVolume, {spec: {nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]}}}}, {spec: {nodeAffinity: null}}, ['nodeAffinity: Invalid value: null: FIXED']]
- [PersistentVolumeClaim, {}, {spec: {resources: {requests: {storage: 2Gi}}}},
    ["spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n  spec.resources.requests.storage: \"1Gi\" -> \"2Gi\""]]
- [PersistentVolumeClaim, {status: {phase: Bound}}, {spec: {resources: {requests: {storage: 2Gi}}}}, []]
- [PersistentVolumeClaim, {status: {phase: Bound, capacity: {storage: 1Gi}}}, {spec: {resources: {requests: {storage: 512Mi}}}}, ['spec.resources.requests.storage: Forbidden: field can not be less than status.capacity']]
- [PersistentVolumeClaim, {}, {spec: {volumeName: v}}, []]
- [PersistentVolumeClaim, {spec: {volumeName: v}}, {spec: {volumeName: w}},
    ["spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n  spec.volumeName: \"v\" -> \"w\""]]
- [PersistentVolumeClaim, {spec: {storageClassName: null}}, {spec: {storageClassName: t}}, []]
- [PersistentVolumeClaim, {spec: {volumeAttributesClassName: a}}, {spec: {volumeAttributesClassName: ''}}, ['spec.volumeAttributesClassName: Forbidden: update from non-nil value to an empty string is forbidden']]
- [StorageClass, {}, {parameters: {a: b}, provisioner: b.com/p, reclaimPolicy: Retain, volumeBindingMode: WaitForFirstConsumer},
    ['parameters: Forbidden: updates to parameters are forbidden.', 'provisioner: Forbidden: updates to provisioner are forbidden.', 'reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.',
     'volumeBindingMode: Invalid value: "WaitForFirstConsumer": FIXED']]
- [VolumeAttributesClass, {}, {driverName: b.com, parameters: {c: d}}, ['driverName: Forbidden: updates to driverName are forbidden.', 'parameters: Forbidden: updates to parameters are forbidden.']]
- [VolumeAttachment, {}, {spec: {nodeName: m}}, ['spec: Invalid value: {"attacher":"example.com","nodeName":"m","source":{"persistentVolumeName":"v"}}: FIXED']]
- [CSIDriver, {}, {spec: {attachRequired: false, podInfoOnMount: true, volumeLifecycleModes: [Ephemeral]}}, ['spec.attachedRequired: Invalid value: false: FIXED', 'spec.volumeLifecycleModes: Invalid value: ["Ephemeral"]: FIXED']]
- [CSINode, {}, {spec: {drivers: [{name: example.com, nodeID: y, topologyKeys: [zone]}]}}, ['spec.drivers: Invalid value: {"name":"example.com","nodeID":"y","topologyKeys":["zone"]}: FIXED']]
- [CSINode, {}, {spec: {drivers: [{name: example.com, nodeID: x, topologyKeys: [zone], allocatable: {count: 3}}, {name: b, nodeID: z}]}}, []]
- [CSIStorageCapacity, {}, {storageClassName: t, capacity: 2Gi}, ['storageClassName: Invalid value: "t": FIXED']]
- [ControllerRevision, {}, {data: {c: d}, revision: 2}, ['data: Invalid value: {"a":"b","c":"d"}: FIXED']]
- [ResourceClaim, {}, {spec: {devices: {requests: []}}}, ['spec: Invalid value: {"devices":{"requests":[]}}: FIXED']]
- [DeviceClass, {spec: {selectors: [{cel: {expression: broken}}]}}, {spec: {extendedResourceName: a.com/gpu}}, []]
- [ResourceSlice, {}, {spec: {driver: e.example.com, nodeName: m, pool: {name: q}}}, ['spec.pool.name: Invalid value: "q": FIXED', 'spec.driver: Invalid value: "e.example.com": FIXED', 'spec.nodeName: Invalid value: "m": FIXED']]
- [StorageVersionMigration, {}, {spec: {resource: {resource: pods}}}, ['spec: Invalid value: {"resource":{"group":"apps","resource":"pods"}}: FIXED']]
- [RuntimeClass, {}, {handler: g}, ['handler: Invalid value: "g": FIXED']]
"""  # noqa: E501

STATUS = r"""
- [HorizontalPodAutoscaler, {}, {status: {currentReplicas: -1, desiredReplicas: 1}}, ['status.currentReplicas: Invalid value: -1: must be greater than or equal to 0']]
- [Ingress, {}, {status: {loadBalancer: {ingress: [{ip: x, hostname: 1.2.3.4}]}}}, ['status.loadBalancer.ingress[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    'status.loadBalancer.ingress[0].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address']]
- [VolumeAttachment, {}, {status: {attached: false, attachError: {errorCode: -1}}}, ['status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive']]
- [PersistentVolumeClaim, {}, {status: {capacity: {storage: -1}, allocatedResources: {cpu: 1}, allocatedResourceStatuses: {storage: Odd}}},
    ['status.capacity[storage]: Invalid value: "-1": must be greater than or equal to 0', 'status.allocatedResources: Unsupported value: "cpu": supported values: "storage"',
     'status.allocatedResourceStatus: Unsupported value: "storage": supported values: "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending"']]
- [ResourceClaim, {}, {status: {reservedFor: [{resource: pods, name: p, uid: u}, {resource: pods, name: q, uid: u}]}},
    ['status.reservedFor[1]: Duplicate value: "u"', 'status.reservedFor: Forbidden: may not be specified when `allocated` is not set']]
- [ResourceClaim, {}, {status: {allocation: {devices: {results: [{request: x, driver: a.com, pool: p, device: D, shareID: z}]}}, devices: [{driver: a.com, pool: p, device: e}]}},
    ['status.allocation.devices.results[0].request: Invalid value: "x": REFERENCE', 'status.allocation.devices.results[0].device: Invalid value: "D": LABEL',
     'status.allocation.devices.results[0].shareID: Invalid value: "z": error validating uid: invalid UUID length: 1', 'status.devices[0]: Invalid value: "a.com/p/e": must be an allocated device in the claim']]
- [ResourceClaim, {status: {allocation: {devices: {}}}}, {status: {allocation: {devices: {results: []}}}}, ['status.allocation: Invalid value: {"devices":{"results":[]}}: FIXED']]
"""  # noqa: E501


def merged(value: dict, change: dict) -> dict:
    result = copy(value)
    for key, wanted in change.items():
        both = isinstance(wanted, dict) and isinstance(result.get(key), dict) and wanted
        result[key] = merged(result[key], wanted) if both else wanted
    return {k: v for k, v in result.items() if v is not None}


def full(expected: list[str]) -> list[str]:
    for name, text in TEXTS.items():
        expected = [e.replace(f": {name}", f": {text}") for e in expected]
    return expected


def rows(text: str) -> Any:
    return [pytest.param(*row, id=f"{row[0]}-{n}") for n, row in enumerate(yaml.safe_load(text))]


def of(kind: str) -> Any:
    return next(r for r in builtin() if r.kind == kind)


@pytest.mark.parametrize("kind", SOUND)
def test_a_sound_object_has_no_faults(kind: str) -> None:
    assert validation.validate_create(of(kind), SOUND[kind]) == []


@pytest.mark.parametrize(("kind", "change", "expected"), rows(CREATE))
def test_faults_of_a_new_object(kind: str, change: dict, expected: list[str]) -> None:
    assert [str(c) for c in validation.validate_create(of(kind), merged(SOUND[kind], change))] == full(expected)


@pytest.mark.parametrize(("kind", "old", "change", "expected"), rows(UPDATE))
def test_faults_of_a_change(kind: str, old: dict, change: dict, expected: list[str]) -> None:
    before = merged(merged(SOUND[kind], {"metadata": {"resourceVersion": "1"}}), old)
    assert [str(c) for c in validation.validate_update(of(kind), merged(before, change), before)] == full(expected)


@pytest.mark.parametrize(("kind", "old", "change", "expected"), rows(STATUS))
def test_faults_of_a_status(kind: str, old: dict, change: dict, expected: list[str]) -> None:
    before = merged(merged(SOUND[kind], {"metadata": {"resourceVersion": "1"}}), old)
    assert [str(c) for c in validation.validate_update(of(kind), merged(before, change), before, "status")] == full(expected)


def test_more_than_a_limit_is_told_by_its_number() -> None:
    requests = [{"name": f"r{n}", "exactly": {"deviceClassName": "c", "allocationMode": "All"}} for n in range(33)]
    (fault,) = validation.validate_create(
        of("ResourceClaim"), merged(SOUND["ResourceClaim"], {"spec": {"devices": {"requests": requests}}})
    )
    assert str(fault) == "spec.devices.requests: Too many: 33: must have at most 32 items"


def test_a_selector_may_not_cost_too_much() -> None:
    nested = "device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, a + b + c + d != ''))))"
    claim = merged(SOUND["DeviceClass"], {"spec": {"selectors": [{"cel": {"expression": nested}}]}})
    (fault,) = validation.validate_create(of("DeviceClass"), claim)
    assert str(fault) == "spec.selectors[0].cel.expression: Forbidden: too complex, exceeds cost limit"
