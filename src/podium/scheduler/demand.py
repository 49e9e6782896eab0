"""What a pod asks of a node, taken from its spec once and shared by all pods that ask the same.

Pods of one template differ only in their names, so `Demands.of(pod)` interns by everything that scheduling looks at: namespace, labels,
controller, and the scheduling part of the spec. All that is computed for a demand (masks over nodes, scores) is then computed once per
template, not per pod (`decision.py` keeps it).

Resources: the sum over containers, or the largest initial container with the sidecars before it if that is more, plus overhead; pod-level
requests replace what containers say. CPU counts in thousandths, everything else in units.

Source: k8s.io/component-helpers resource (PodRequests), kubernetes pkg/scheduler/framework/types.go.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from podium.objects import quantities, selectors
from podium.objects.selectors import LabelSelector
from podium.objects.values import Object, controller_of

CPU, MEMORY, STORAGE, PODS = "cpu", "memory", "ephemeral-storage", "pods"

SCORED_CPU_MILLI = 100
SCORED_MEMORY_BYTES = 200 * 1024 * 1024
"""What a container without a request counts as in scores, so that such pods spread too. Filters count it as nothing."""

ANY_ADDRESS = "0.0.0.0"
"""The hostIP of a port that asks for it on all of the node's addresses."""

DEMANDS_MAX = 4_096
"""Templates remembered; past it the one used longest ago is forgotten, and computed again when seen again."""

AMOUNT_MAX = 2**55
"""Amounts are clamped to this, so that sums of them, and a hundred times one, stay within 64 bits."""

Amounts = dict[str, int]


@dataclass(frozen=True, slots=True)
class HostPort:
    address: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Spread:
    """One topology spread constraint. `hard` is DoNotSchedule. `selector` already holds the pod's own values of matchLabelKeys."""

    topology_key: str
    max_skew: int
    hard: bool
    selector: LabelSelector
    selector_key: str
    domains_min: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


@dataclass(frozen=True, slots=True)
class PodTerm:
    """A pod (anti-)affinity term. It speaks of the pods in `namespaces` or in namespaces whose labels match `namespace_selector`."""

    key: str
    topology_key: str
    namespaces: frozenset[str]
    namespace_selector: LabelSelector | None
    selector: LabelSelector
    weight: int = 1

    def matches(self, namespace: str, namespace_labels: dict[str, str] | None, labels: dict[str, str]) -> bool:
        if namespace not in self.namespaces and (self.namespace_selector is None or not self.namespace_selector.matches(namespace_labels)):
            return False
        return self.selector.matches(labels)


@dataclass(slots=True, eq=False)
class Demand:
    """Compared by identity: equal demands are the same object while they are remembered. `requests` holds what is greater than zero, and
    always one of `pods`. `refusal` says why no node can take the pod (something Podium does not have yet)."""

    key: bytes
    namespace: str
    labels: dict[str, str]
    controller: tuple[str, str] | None
    requests: Amounts
    scored_cpu: int
    scored_memory: int
    ports: tuple[HostPort, ...]
    node_selector: dict[str, str]
    node_terms: list[Object] | None
    preferred_node_terms: list[Object]
    tolerations: list[Object]
    spreads: tuple[Spread, ...]
    affinity: tuple[PodTerm, ...]
    anti_affinity: tuple[PodTerm, ...]
    preferred: tuple[PodTerm, ...]
    refusal: str


class Demands:
    """The interning table."""

    def __init__(self, demands_max: int = DEMANDS_MAX) -> None:
        self._by_key: dict[bytes, Demand] = {}
        self._demands_max = demands_max

    def of(self, pod: Object) -> Demand:
        key = _key(pod)
        demand = self._by_key.pop(key, None)
        if demand is None:
            demand = parse(pod, key)
            if len(self._by_key) >= self._demands_max:
                del self._by_key[next(iter(self._by_key))]
        self._by_key[key] = demand
        return demand


def _key(pod: Object) -> bytes:
    metadata, spec = pod["metadata"], pod["spec"]
    controller = controller_of(pod)
    get = spec.get
    return orjson.dumps(
        (
            metadata.get("namespace"),
            metadata.get("labels"),
            controller and (controller["kind"], controller["name"]),
            [(c.get("resources"), c.get("ports")) for c in spec["containers"]],
            [(c.get("resources"), c.get("ports"), c.get("restartPolicy")) for c in get("initContainers") or ()],
            get("nodeSelector"),
            get("affinity"),
            get("tolerations"),
            get("topologySpreadConstraints"),
            get("overhead"),
            get("resources"),
            get("resourceClaims"),
            _claims(spec),
        )
    )


def parse(pod: Object, key: bytes = b"") -> Demand:
    metadata, spec = pod["metadata"], pod["spec"]
    namespace, labels = metadata.get("namespace", ""), metadata.get("labels") or {}
    affinity = spec.get("affinity") or {}
    node = affinity.get("nodeAffinity") or {}
    required = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    controller = controller_of(pod)
    requests = pod_requests(spec)
    scored = pod_requests(spec, {CPU: SCORED_CPU_MILLI, MEMORY: SCORED_MEMORY_BYTES})
    terms = _PodTerms(namespace, labels)
    together, apart = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    return Demand(
        key=key,
        namespace=namespace,
        labels=labels,
        controller=(controller["kind"], controller["name"]) if controller else None,
        requests={PODS: 1, **{name: amount for name, amount in requests.items() if amount > 0}},
        scored_cpu=scored.get(CPU, 0),
        scored_memory=scored.get(MEMORY, 0),
        ports=_ports(spec),
        node_selector=spec.get("nodeSelector") or {},
        node_terms=None if required is None else required.get("nodeSelectorTerms") or [],
        preferred_node_terms=node.get("preferredDuringSchedulingIgnoredDuringExecution") or [],
        tolerations=spec.get("tolerations") or [],
        spreads=tuple(_spread(c, labels) for c in spec.get("topologySpreadConstraints") or ()),
        affinity=terms.required(together),
        anti_affinity=terms.required(apart),
        preferred=terms.preferred(together, 1) + terms.preferred(apart, -1),
        refusal=_refusal(spec),
    )


def held(pod: Object) -> Object:
    """The placed pod with what it holds of its node while it is resized: of what its spec asks for, what the node granted and what is in
    force, the most; without the spec when the node said that it can never have that. The pod itself when these are the same."""
    status, spec = pod.get("status") or {}, pod["spec"]
    changed: dict[str, Amounts] = {}
    for kind, entries in (("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")):
        asked = {c["name"]: (c.get("resources") or {}).get("requests") or {} for c in spec.get(kind) or ()}
        for entry in status.get(entries) or ():
            granted = entry.get("allocatedResources")
            requests, in_force = asked.get(entry["name"]), (entry.get("resources") or {}).get("requests")
            if granted is None or requests is None or (granted == requests and in_force in (None, requests)):
                continue
            parts = [
                amounts(texts) for texts in ([granted] if is_infeasible(pod) else [requests, granted]) + ([in_force] if in_force else [])
            ]
            changed[entry["name"]] = {name: max(part.get(name, 0) for part in parts) for part in parts for name in part}
    if not changed:
        return pod
    new = dict(spec)
    for kind in ("containers", "initContainers"):
        if spec.get(kind):
            new[kind] = [{**c, "resources": {"requests": _texts(changed[c["name"]])}} if c["name"] in changed else c for c in spec[kind]]
    return {**pod, "spec": new}


def is_infeasible(pod: Object) -> bool:
    """Whether its node said that it will never have what the spec asks for."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "PodResizePending" and c.get("reason") == "Infeasible" for c in conditions)


def _texts(found: Amounts) -> dict[str, str]:
    return {name: f"{amount}m" if name == CPU else str(amount) for name, amount in found.items()}


def pod_requests(spec: Object, missing: Amounts | None = None) -> Amounts:
    """What the pod needs at its peak. `missing`: what a container that names no request for a resource counts as."""
    total: Amounts = {}
    for container in spec["containers"]:
        _add(total, _container(container, missing))
    peak: Amounts = {}
    sidecars: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _container(container, missing)
        if container.get("restartPolicy") == "Always":
            _add(total, own)
            _add(sidecars, own)
            own = dict(sidecars)
        else:
            _add(own, sidecars)
        peak = {name: max(peak.get(name, 0), own.get(name, 0)) for name in {**peak, **own}}
    total = {name: max(total.get(name, 0), peak.get(name, 0)) for name in {**total, **peak}}
    whole_pod = (spec.get("resources") or {}).get("requests")
    if whole_pod:
        total.update(amounts(whole_pod))
    _add(total, amounts(spec.get("overhead") or {}))
    return total


def amounts(texts: dict[str, Any]) -> Amounts:
    """Quantities as integers: CPU in thousandths, the rest in units, both rounded up; what cannot be read counts as nothing."""
    found: Amounts = {}
    for name, text in texts.items():
        try:
            amount = quantities.milli(str(text)) if name == CPU else quantities.whole(str(text))
        except ValueError:
            continue
        found[name] = max(-AMOUNT_MAX, min(AMOUNT_MAX, amount))
    return found


def _container(container: Object, missing: Amounts | None) -> Amounts:
    resources = container.get("resources") or {}
    found = amounts(resources.get("requests") or {})
    return {**missing, **found} if missing else found


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = min(AMOUNT_MAX, total.get(name, 0) + amount)


def _ports(spec: Object) -> tuple[HostPort, ...]:
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    found = {
        HostPort(port.get("hostIP") or ANY_ADDRESS, port.get("protocol") or "TCP", port["hostPort"]): None
        for container in [*spec["containers"], *sidecars]
        for port in container.get("ports") or ()
        if port.get("hostPort")
    }
    return tuple(found)


def _claims(spec: Object) -> list[str]:
    return [v["persistentVolumeClaim"]["claimName"] for v in spec.get("volumes") or () if v.get("persistentVolumeClaim")]


def _refusal(spec: Object) -> str:
    """Things a node cannot give yet; better a clear word than a pod that hangs on its node."""
    if claims := _claims(spec):
        return f'persistentvolumeclaim "{claims[0]}" cannot be bound: persistent volumes are not supported yet'
    if spec.get("resourceClaims"):
        return "resource claims (dynamic resource allocation) are not supported yet"
    return ""


def _spread(constraint: Object, labels: dict[str, str]) -> Spread:
    selector, key = _selector(constraint.get("labelSelector"), constraint.get("matchLabelKeys"), (), labels)
    return Spread(
        topology_key=constraint["topologyKey"],
        max_skew=constraint["maxSkew"],
        hard=constraint.get("whenUnsatisfiable") == "DoNotSchedule",
        selector=selector,
        selector_key=key,
        domains_min=constraint.get("minDomains") or 1,
        honor_affinity=constraint.get("nodeAffinityPolicy", "Honor") == "Honor",
        honor_taints=constraint.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )


def _selector(value: Object | None, same: list[str] | None, different: Any, labels: dict[str, str]) -> tuple[LabelSelector, str]:
    """The selector with the pod's own values of `same` keys demanded and those of `different` keys excluded, and a text that identifies
    it."""
    if value is not None and (same or different):
        extra = [{"key": k, "operator": "In", "values": [labels[k]]} for k in same or () if k in labels]
        extra += [{"key": k, "operator": "NotIn", "values": [labels[k]]} for k in different or () if k in labels]
        value = {**value, "matchExpressions": [*(value.get("matchExpressions") or ()), *extra]}
    selector = selectors.from_value(value)
    return selector, "\0" if selector.nothing else str(selector)


class _PodTerms:
    """Reads the (anti-)affinity terms of a pod with this namespace and these labels."""

    def __init__(self, namespace: str, labels: dict[str, str]) -> None:
        self._namespace = namespace
        self._labels = labels

    def required(self, affinity: Object) -> tuple[PodTerm, ...]:
        return tuple(self._term(t) for t in affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ())

    def preferred(self, affinity: Object, sign: int) -> tuple[PodTerm, ...]:
        weighted = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        return tuple(self._term(w["podAffinityTerm"], sign * w["weight"]) for w in weighted)

    def _term(self, term: Object, weight: int = 1) -> PodTerm:
        selector, text = _selector(term.get("labelSelector"), term.get("matchLabelKeys"), term.get("mismatchLabelKeys"), self._labels)
        named, by_labels = term.get("namespaces") or [], term.get("namespaceSelector")
        namespaces = frozenset(named) if named or by_labels is not None else frozenset((self._namespace,))
        namespace_selector = None if by_labels is None else selectors.from_value(by_labels)
        key = "\n".join(
            (term["topologyKey"], ",".join(sorted(namespaces)), "-" if namespace_selector is None else str(namespace_selector), text)
        )
        return PodTerm(key, term["topologyKey"], namespaces, namespace_selector, selector, weight)
