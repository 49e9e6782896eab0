"""Warnings about pods, and templates of pods, that are sound and yet hardly what their author means. Pure.

Names that are going away, definitions that hide others, amounts that cannot be. Said when a spec is new or changes.

Source: k8s.io/kubernetes pkg/api/pod/warnings.go, pkg/api/node/util.go.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from podium.objects import quantities
from podium.objects.cause import show
from podium.objects.values import Object

_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_SHOWN_AS = {"storageos": "storageOS"}
_SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_OF_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
_APPARMOR_OF_CONTAINER = "container.apparmor.security.beta.kubernetes.io/"
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_NO_SELECTOR = "a null labelSelector results in matching no pod"
_USE_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_BYTES = ("memory", "ephemeral-storage")


def of_pod(pod: Object) -> Iterator[str]:
    return _of(pod.get("metadata") or {}, pod.get("spec") or {}, "")


def of_template(template: Object, path: str) -> Iterator[str]:
    """`path` is where the template is, `spec.template`."""
    return _of(template.get("metadata") or {}, template.get("spec") or {}, path + ".")


def of_node_term(term: Object, path: str) -> Iterator[str]:
    """Of a term of a node selector, wherever it stands."""
    for i, expression in enumerate(term.get("matchExpressions") or ()):
        if why := _LABELS.get(key := expression.get("key", "")):
            yield f"{path}.matchExpressions[{i}].key: {key} is {why}"


def label_warning(key: str) -> str:
    """Why a node's label should not be asked for any more; empty when nothing is against it."""
    return _LABELS.get(key, "")


def fractional(text: Any, path: str) -> Iterator[str]:
    """Of an amount of bytes."""
    if text is None or (isinstance(text, str) and not text.endswith("m") and "." not in text):
        return
    try:
        amount = quantities.parse(str(text))
    except ValueError:
        return
    if amount.nanos % quantities.NANO:
        yield f'{path}: fractional byte value "{amount}" is invalid, must be an integer'


def _of(metadata: Object, spec: Object, path: str) -> Iterator[str]:
    annotations, at = metadata.get("annotations") or {}, f"{path}spec"
    yield from _placement(spec, at)
    for key in annotations.keys() & _ANNOTATIONS.keys() if annotations else ():
        yield f"{path}metadata.annotations[{key}]: {_ANNOTATIONS[key]}"
    volumes = spec.get("volumes") or ()
    yield from _volumes(volumes, f"{at}.volumes")
    yield from _twice(spec.get("hostAliases") or (), "ip", f"{at}.hostAliases")
    yield from _twice(spec.get("imagePullSecrets") or (), "name", f"{at}.imagePullSecrets")
    for i, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            yield f'{at}.imagePullSecrets[{i}].name: invalid empty name ""'
    for name in _BYTES if spec.get("overhead") else ():
        yield from fractional(spec["overhead"].get(name), f"{at}.overhead[{name}]")
    if _SECCOMP in annotations and not (spec.get("securityContext") or {}).get("seccompProfile"):
        yield f"{path}metadata.annotations[{_SECCOMP}]: {_USE_SECCOMP}"
    for kind in _CONTAINERS:
        for i, container in enumerate(spec.get(kind) or ()):
            if annotations:
                yield from _annotated(container, spec, annotations, path)
            yield from _container(container, f"{at}.{kind}[{i}]")
    yield from _ports(spec, at)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        yield f"{at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"


def _placement(spec: Object, path: str) -> Iterator[str]:
    for key in spec.get("nodeSelector") or ():
        if why := _LABELS.get(key):
            yield f"{path}.nodeSelector[{key}]: {why}"
    for i, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        at, key = f"{path}.topologySpreadConstraints[{i}]", constraint.get("topologyKey", "")
        if why := _LABELS.get(key):
            yield f"{at}.topologyKey: {key} is {why}"
        if constraint.get("labelSelector") is None:
            yield f"{at}.labelSelector: {_NO_SELECTOR}"
    affinity = spec.get("affinity")
    if not affinity:
        return
    required, preferred = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
    nodes, at = affinity.get("nodeAffinity") or {}, f"{path}.affinity.nodeAffinity"
    for i, term in enumerate((nodes.get(required) or {}).get("nodeSelectorTerms") or ()):
        yield from of_node_term(term, f"{at}.{required}.nodeSelectorTerms[{i}]")
    for i, weighted in enumerate(nodes.get(preferred) or ()):
        yield from of_node_term(weighted.get("preference") or {}, f"{at}.{preferred}[{i}].preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        terms, at = affinity.get(kind) or {}, f"{path}.affinity.{kind}"
        for i, term in enumerate(terms.get(required) or ()):
            if term.get("labelSelector") is None:
                yield f"{at}.{required}[{i}].labelSelector: {_NO_SELECTOR}"
        for i, weighted in enumerate(terms.get(preferred) or ()):
            if (weighted.get("podAffinityTerm") or {}).get("labelSelector") is None:
                yield f"{at}.{preferred}[{i}].podAffinityTerm.labelSelector: {_NO_SELECTOR}"


def _volumes(volumes: Any, path: str) -> Iterator[str]:
    tokens: set[str] = set()
    for i, volume in enumerate(volumes):
        for kind in volume.keys() & _VOLUMES.keys():
            if volume[kind] is not None:
                yield f"{path}[{i}].{_SHOWN_AS.get(kind, kind)}: {_VOLUMES[kind]}"
        if claim := (volume.get("ephemeral") or {}).get("volumeClaimTemplate"):
            at = f"{path}[{i}].ephemeral.volumeClaimTemplate.spec"
            size = (((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage")
            yield from fractional(size, f"{at}.resources.requests[storage]")
        for source in (volume.get("projected") or {}).get("sources") or ():
            if token := source.get("serviceAccountToken"):
                tokens.add(token.get("path", ""))
    if tokens:
        yield from _over_tokens(volumes, tokens, path)


def _over_tokens(volumes: Any, tokens: set[str], path: str) -> Iterator[str]:
    for i, volume in enumerate(volumes):
        for source in (volume.get("projected") or {}).get("sources") or ():
            at = f"{path}[{i}].projected.sources"
            for kind, shown in (("configMap", "configMap"), ("secret", "secrets"), ("downwardAPI", "downwardAPI")):
                for j, item in enumerate((source.get(kind) or {}).get("items") or ()):
                    if item.get("path") in tokens:
                        yield f"{at}.{shown}[{j}]: has duplicated path with ServiceAccountToken {show(item['path'])}"
            if (bundle := source.get("clusterTrustBundle")) and bundle.get("path") in tokens:
                yield f"{at}.ClusterTrustBundle: has duplicated path with ServiceAccountToken {show(bundle['path'])}"


def _twice(items: Any, field: str, path: str) -> Iterator[str]:
    seen: set[str] = set()
    for i, item in enumerate(items):
        key = item.get(field) or ""
        if key in seen:
            yield f"{path}[{i}].{field}: duplicate {field} {show(key)}"
        seen.add(key)


def _annotated(container: Object, spec: Object, annotations: Mapping[str, str], path: str) -> Iterator[str]:
    """Settings of a container that were annotations once. Those of a pod itself about AppArmor are not spoken of, as they are carried over."""
    name, own = container.get("name", ""), container.get("securityContext") or {}
    if (key := _SECCOMP_OF_CONTAINER + name) in annotations and not own.get("seccompProfile"):
        yield f"{path}metadata.annotations[{key}]: {_USE_SECCOMP}"
    profile = own.get("appArmorProfile") or (spec.get("securityContext") or {}).get("appArmorProfile")
    if path and (key := _APPARMOR_OF_CONTAINER + name) in annotations and not profile:
        yield f'{path}metadata.annotations[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'


def _container(container: Object, path: str) -> Iterator[str]:
    if resources := container.get("resources"):
        for name in _BYTES:
            for field in ("limits", "requests"):
                yield from fractional((resources.get(field) or {}).get(name), f"{path}.resources.{field}[{name}]")
    environment = container.get("env") or ()
    if len(environment) < 2:
        return
    seen: set[str] = set()
    for i, variable in enumerate(environment):
        name, text = variable.get("name", ""), variable.get("value") or ""
        reference = f"$({name})"
        if name in seen and (variable.get("valueFrom") is not None or text == reference or reference not in text):
            yield f"{path}.env[{i}]: hides previous definition of {show(name)}, which may be dropped when using apply"
        seen.add(name)


def _ports(spec: Object, path: str) -> Iterator[str]:
    """Across all containers, which share the pod's address."""
    known: dict[tuple[int, str], list[tuple[str, Object]]] = {}
    for kind in _CONTAINERS:
        for i, container in enumerate(spec.get(kind) or ()):
            for j, port in enumerate(container.get("ports") or ()):
                at, host_ip, host_port = f"{path}.{kind}[{i}].ports[{j}]", port.get("hostIP") or "", port.get("hostPort") or 0
                if host_ip and not host_port:
                    yield f"{at}: hostIP set without hostPort: {_as_go(port)}"
                others = known.setdefault((port.get("containerPort", 0), port.get("protocol") or "TCP"), [])
                for where, other in others:
                    if why := _overlap(host_ip, host_port, other.get("hostIP") or "", other.get("hostPort") or 0):
                        yield f"{at}: {why} port definition with {where}"
                others.append((at, port))


def _overlap(host_ip: str, host_port: int, other_ip: str, other_port: int) -> str:
    if (host_ip, host_port) == (other_ip, other_port):
        return "duplicate"
    if not host_port or not other_port:
        return "overlapping"
    return "dangerously ambiguous" if host_port == other_port and bool(host_ip) != bool(other_ip) else ""


def _as_go(port: Object) -> str:
    fields = (
        ("Name", "name", ""),
        ("HostPort", "hostPort", 0),
        ("ContainerPort", "containerPort", 0),
        ("Protocol", "protocol", ""),
        ("HostIP", "hostIP", ""),
    )
    return "{" + " ".join(f"{shown}:{port.get(name, none)}" for shown, name, none in fields) + "}"
