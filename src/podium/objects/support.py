"""Support: what Podium stores but does not act on yet, said when it is written rather than found out later.

A field that would make a pod run otherwise than asked is refused; one that changes little is warned of. Kinds that nothing acts on are
stored as data, with a warning. All of it is the tables below: a rule is a path with `*` for every item of a list, a sentence, whether it
refuses, and which values it means.

Invariants: pure; what the old object had already is not spoken of again, so nobody is refused a change of something else; the cost is
that of the fields that have rules.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from podium.objects.advice import advice
from podium.objects.cause import Cause, forbidden
from podium.objects.resources import Resource
from podium.objects.values import Object

Test = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Review:
    """`warnings` for the Warning header, `causes` to refuse with."""

    warnings: list[str] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)


def review(resource: Resource, value: Object, old: Object | None = None) -> Review:
    """What to say about `value`, which replaces `old` or is new."""
    found = Review()
    if old is None:
        text = _stored_only(resource)
        if text:
            found.warnings.append(text)
    rules = _RULES.get((resource.group, resource.kind))
    if rules:
        _walk(rules, value, old, "", found)
    found.warnings.extend(advice(resource, value, old))
    return found


@dataclass(frozen=True, slots=True)
class _Rule:
    text: str
    refuses: bool
    applies: Test


@dataclass(slots=True)
class _Node:
    """A place in the paths of the rules."""

    rules: list[_Rule] = field(default_factory=list)
    below: dict[str, "_Node"] = field(default_factory=dict)


def _walk(node: _Node, value: Any, old: Any, path: str, found: Review) -> None:
    if value == old:
        return
    for rule in node.rules:
        if rule.applies(value) and not (old is not None and rule.applies(old)):
            if rule.refuses:
                found.causes.append(forbidden(path, f"Podium does not support {rule.text}"))
            else:
                found.warnings.append(f"{path}: {rule.text}")
    if isinstance(value, dict):
        for name, child in node.below.items():
            if name in value:
                _walk(child, value[name], old.get(name) if isinstance(old, dict) else None, f"{path}.{name}" if path else name, found)
    elif isinstance(value, list) and "*" in node.below:
        before = _by_name(old)
        for i, item in enumerate(value):
            _walk(node.below["*"], item, before(i, item), f"{path}[{i}]", found)


def _by_name(old: Any) -> Callable[[int, Any], Any]:
    """The old item for a new one: of the same name, else at the same place."""
    items = old if isinstance(old, list) else []
    named = {item["name"]: item for item in items if isinstance(item, dict) and "name" in item}

    def find(place: int, item: Any) -> Any:
        if isinstance(item, dict) and "name" in item:
            return named.get(item["name"])
        return items[place] if place < len(items) else None

    return find


def _given(value: Any) -> bool:
    """Present and not empty or false."""
    return bool(value)


def _is(*wanted: Any) -> Test:
    return lambda value: value in wanted


def _is_not(*fine: Any) -> Test:
    return lambda value: value is not None and value not in fine


def _field_is(name: str, *wanted: Any) -> Test:
    return lambda value: isinstance(value, dict) and value.get(name) in wanted


def _field_is_not(name: str, *fine: Any) -> Test:
    return lambda value: isinstance(value, dict) and value.get(name) not in fine


def _other_than(*kinds: str) -> Test:
    """An object with one field per kind has one that is not among these."""
    return lambda value: isinstance(value, dict) and any(k not in kinds and v is not None for k, v in value.items())


_VOLUMES = ("name", "emptyDir", "configMap", "secret", "downwardAPI", "projected", "hostPath")
_REFUSED = True
_WARNED = False

_SECURITY = (
    ("seLinuxOptions", _REFUSED, _given, "SELinux labels yet; leave them out"),
    ("windowsOptions", _REFUSED, _given, "Windows containers"),
    ("appArmorProfile", _REFUSED, _field_is_not("type", "Unconfined"), "AppArmor profiles yet; leave the profile out to run without one"),
    ("seccompProfile", _REFUSED, _field_is("type", "Localhost"), "seccomp profiles from files yet; use RuntimeDefault or Unconfined"),
)
_CONTAINER = (
    *((f"securityContext.{path}", refuses, test, text) for path, refuses, test, text in _SECURITY),
    ("securityContext.procMount", _REFUSED, _is_not("Default"), "an unmasked /proc yet"),
    ("volumeDevices", _REFUSED, _given, "block devices yet"),
    ("volumeMounts.*.mountPropagation", _REFUSED, _is_not("None", ""), "mount propagation yet"),
    ("volumeMounts.*.recursiveReadOnly", _REFUSED, _is_not("Disabled", ""), "recursive read-only mounts yet; readOnly works"),
    ("restartPolicyRules", _REFUSED, _given, "restart rules per exit code yet"),
    ("resources.claims", _REFUSED, _given, "dynamic resource claims yet"),
    ("lifecycle.stopSignal", _REFUSED, _given, "a stop signal of one's own yet; containers are stopped with SIGTERM"),
    ("livenessProbe.grpc", _REFUSED, lambda value: True, "gRPC probes yet; use exec, httpGet or tcpSocket"),
    ("readinessProbe.grpc", _REFUSED, lambda value: True, "gRPC probes yet; use exec, httpGet or tcpSocket"),
    ("startupProbe.grpc", _REFUSED, lambda value: True, "gRPC probes yet; use exec, httpGet or tcpSocket"),
    ("env.*.valueFrom.fileKeyRef", _REFUSED, lambda value: True, "variables from files of a volume yet"),
)
_POD = (
    ("hostPID", _REFUSED, _given, "sharing the host's processes yet"),
    ("hostIPC", _REFUSED, _given, "sharing the host's IPC namespace yet"),
    ("shareProcessNamespace", _REFUSED, _given, "one process namespace for all containers of a pod yet"),
    ("setHostnameAsFQDN", _REFUSED, _given, "fully qualified host names yet"),
    ("hostnameOverride", _REFUSED, _given, "hostnameOverride yet; hostname and subdomain work"),
    ("hostUsers", _REFUSED, _is(False), "user namespaces for pods yet"),
    ("resources", _REFUSED, _given, "resources of a whole pod yet; set them on its containers"),
    ("resourceClaims", _REFUSED, _given, "dynamic resource claims yet"),
    ("os.name", _REFUSED, _is_not("linux", ""), "operating systems other than Linux"),
    ("volumes.*", _REFUSED, _other_than(*_VOLUMES, "csi"), f"this kind of volume yet; these work: {', '.join(_VOLUMES[1:])}"),
    ("volumes.*.csi", _WARNED, _given, "is stored, but Podium runs no CSI drivers yet: the pod waits on its node"),
    ("volumes.*.emptyDir.medium", _REFUSED, _is_not("", "Memory"), "huge pages as a volume yet; leave medium out or use Memory"),
    ("containers.*.restartPolicy", _REFUSED, _given, "a restart policy of one container yet; that of the pod holds for all"),
    ("initContainers.*.restartPolicy", _REFUSED, _is_not("Always", ""), "restart policies of init containers other than Always yet"),
    ("volumes.*.projected.sources.*.clusterTrustBundle", _REFUSED, _given, "trust bundles in volumes yet"),
    ("volumes.*.projected.sources.*.podCertificate", _REFUSED, _given, "certificates of pods yet"),
    *((f"securityContext.{path}", refuses, test, text) for path, refuses, test, text in _SECURITY),
    ("securityContext.supplementalGroupsPolicy", _REFUSED, _is_not("Merge", ""), "supplementalGroupsPolicy Strict yet"),
    ("securityContext.seLinuxChangePolicy", _WARNED, _given, "has no effect: Podium sets no SELinux labels"),
    ("imagePullSecrets", _WARNED, _given, "not used yet: images are pulled without credentials, so private ones must be on the node already"),
    ("workloadRef", _WARNED, _given, "no effect yet: the pods of a group are scheduled one by one"),
    ("schedulingGroup", _WARNED, _given, "no effect yet: the pods of a group are scheduled one by one"),
    *(
        (f"{kind}.*.{path}", refuses, test, text)
        for kind in ("containers", "initContainers", "ephemeralContainers")
        for path, refuses, test, text in _CONTAINER
    ),
)  # fmt: skip

_SERVICE = (
    (
        "spec.type",
        _WARNED,
        _is("LoadBalancer"),
        "there is no load balancer yet: EXTERNAL-IP stays <pending>; cluster and node addresses work",
    ),
    (
        "spec.sessionAffinity",
        _WARNED,
        _is("ClientIP"),
        "a client stays with its pod only where Services are kernel rules (Podium as root); otherwise connections are spread",
    ),
    ("spec.sessionAffinityConfig.clientIP.timeoutSeconds", _WARNED, _is_not(10800), "the timeout of session affinity is not kept exactly"),
    ("spec.ipFamilyPolicy", _WARNED, _is("RequireDualStack"), "Podium serves one address family yet: the Service gets one address"),
    ("spec.loadBalancerSourceRanges", _WARNED, _given, "no effect yet: there is no load balancer"),
    ("spec.trafficDistribution", _WARNED, _given, "no effect yet: traffic goes to all ready pods alike"),
)

_NO_CLAIMS = "no effect: Podium provides no volumes from claims yet"
_STATEFUL_SET = (
    (
        "spec.volumeClaimTemplates",
        _WARNED,
        _given,
        "the claims are made, but Podium provides no volumes yet, so pods with them are refused",
    ),
    ("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", _WARNED, _is("Delete"), _NO_CLAIMS),
    ("spec.persistentVolumeClaimRetentionPolicy.whenScaled", _WARNED, _is("Delete"), _NO_CLAIMS),
)
_DAEMON_SET = (
    ("spec.updateStrategy.rollingUpdate.maxSurge", _REFUSED, _is_not(0, "0%"), "surging updates of DaemonSets yet; maxUnavailable works"),
)
_SECRET = (
    (
        "type",
        _REFUSED,
        _is("kubernetes.io/service-account-token"),
        "tokens that live in Secrets; pods get theirs by themselves, others come from kubectl create token (TokenRequest)",
    ),
)

_TEMPLATES = {
    ("", "PodTemplate"): "template.spec",
    ("", "ReplicationController"): "spec.template.spec",
    ("apps", "Deployment"): "spec.template.spec",
    ("apps", "ReplicaSet"): "spec.template.spec",
    ("apps", "StatefulSet"): "spec.template.spec",
    ("apps", "DaemonSet"): "spec.template.spec",
    ("batch", "Job"): "spec.template.spec",
    ("batch", "CronJob"): "spec.jobTemplate.spec.template.spec",
}


def _tree(rows: Any, root: _Node | None = None) -> _Node:
    """The rules by their paths, added to `root` if that is given."""
    root = root or _Node()
    for path, refuses, applies, text in rows:
        node = root
        for part in path.split("."):
            node = node.below.setdefault(part, _Node())
        node.rules.append(_Rule(text, refuses, applies))
    return root


def _under(prefix: str, tree: _Node) -> _Node:
    for part in reversed(prefix.split(".")):
        tree = _Node(below={part: tree})
    return tree


_POD_TREE = _tree(_POD)
_RULES: Mapping[tuple[str, str], _Node] = {
    ("", "Pod"): _under("spec", _POD_TREE),
    ("", "Service"): _tree(_SERVICE),
    ("", "Secret"): _tree(_SECRET),
    **{kind: _under(prefix, _POD_TREE) for kind, prefix in _TEMPLATES.items()},
    ("apps", "StatefulSet"): _tree(_STATEFUL_SET, _under("spec.template.spec", _POD_TREE)),
    ("apps", "DaemonSet"): _tree(_DAEMON_SET, _under("spec.template.spec", _POD_TREE)),
}

_ACTED_ON = frozenset({
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"), ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"), ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"), ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"), ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("", "Binding"), ("", "ComponentStatus"), ("", "ConfigMap"), ("", "Endpoints"), ("", "Event"), ("", "Namespace"), ("", "Node"),
    ("", "LimitRange"), ("", "Pod"), ("", "PodTemplate"), ("", "ReplicationController"), ("", "ResourceQuota"),
    ("apiregistration.k8s.io", "APIService"), ("", "Secret"), ("", "Service"), ("", "ServiceAccount"), ("apps", "ControllerRevision"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"), ("apps", "Deployment"), ("apps", "ReplicaSet"),
    ("coordination.k8s.io", "Lease"), ("coordination.k8s.io", "LeaseCandidate"), ("apps", "DaemonSet"), ("apps", "StatefulSet"),
    ("scheduling.k8s.io", "PriorityClass"), ("node.k8s.io", "RuntimeClass"),
    ("policy", "PodDisruptionBudget"), ("batch", "CronJob"), ("batch", "Job"),
    ("discovery.k8s.io", "EndpointSlice"), ("events.k8s.io", "Event"), ("authentication.k8s.io", "TokenReview"),
    ("authentication.k8s.io", "SelfSubjectReview"), ("authorization.k8s.io", "LocalSubjectAccessReview"),
    ("authorization.k8s.io", "SelfSubjectAccessReview"), ("authorization.k8s.io", "SelfSubjectRulesReview"),
    ("authorization.k8s.io", "SubjectAccessReview"), ("rbac.authorization.k8s.io", "Role"), ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "RoleBinding"), ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
})  # fmt: skip
"""Kinds that something acts on, or that are plain data upstream, too."""

_NO_RULES = "is stored, but not enforced yet"
_STORED: Mapping[tuple[str, str], str] = {
    ("autoscaling", "HorizontalPodAutoscaler"): "is stored, but nothing is scaled by it yet",
    (
        "networking.k8s.io",
        "Ingress",
    ): "is stored, but nothing answers for it yet; reach the Service itself (its cluster address, a NodePort)",
    ("networking.k8s.io", "NetworkPolicy"): f"{_NO_RULES}: all pods reach each other",
    ("", "PersistentVolumeClaim"): "is stored, but stays Pending: Podium provides no volumes yet",
    ("", "PersistentVolume"): "is stored, but never bound: Podium provides no volumes yet",
    ("storage.k8s.io", "StorageClass"): "is stored, but Podium provides no volumes yet",
}


def _stored_only(resource: Resource) -> str:
    key = (resource.group, resource.kind)
    if key in _ACTED_ON:
        return ""
    return f"{resource.kind} {_STORED.get(key, 'is stored, but nothing in Podium acts on it yet')}"
