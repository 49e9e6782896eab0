"""The filters once more, in the plainest words: one node, one pod, loops. Slow and obvious, to compare with.

Nodes and pods are as `building.py` makes them; `placed` are (pod, node name). Only what the property test generates is understood.
"""

from podium.objects.selectors import from_value
from podium.objects.values import Object

Placed = list[tuple[Object, str]]


def feasible(nodes: dict[str, Object], placed: Placed, pod: Object) -> list[str]:
    return [name for name in nodes if _takes(nodes, placed, pod, name)]


def _takes(nodes: dict[str, Object], placed: Placed, pod: Object, name: str) -> bool:
    return (
        not nodes[name]["spec"].get("unschedulable")
        and _tolerated(nodes[name], pod)
        and _selected(nodes[name], pod)
        and _fits(nodes[name], [p for p, where in placed if where == name], pod)
        and all(_spread(nodes, placed, pod, name, c) for c in pod["spec"].get("topologySpreadConstraints", ()))
        and _with_friends(nodes, placed, pod, name)
        and not _near_any(nodes, placed, pod, name, _terms(pod, "podAntiAffinity"))
        and not any(_objects(nodes, other, where, pod, name) for other, where in placed)
    )


def _labels(value: Object) -> dict[str, str]:
    return value["metadata"]["labels"]


def _tolerated(node: Object, pod: Object) -> bool:
    tolerated = [t["key"] for t in pod["spec"].get("tolerations", ())]
    return all(t["effect"] == "PreferNoSchedule" or t["key"] in tolerated for t in node["spec"]["taints"])


def _selected(node: Object, pod: Object) -> bool:
    labels = _labels(node)
    if any(labels.get(key) != value for key, value in pod["spec"].get("nodeSelector", {}).items()):
        return False
    required = pod["spec"].get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(all(_meets(labels.get(e["key"]), e) for e in term["matchExpressions"]) for term in required["nodeSelectorTerms"])


def _meets(value: str | None, expression: Object) -> bool:
    operator, values = expression["operator"], expression.get("values", [])
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if value is None or not value.isdigit():
        return False
    return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])


def _fits(node: Object, here: list[Object], pod: Object) -> bool:
    allocatable = node["status"]["allocatable"]
    free = 1000 * int(allocatable["cpu"]) - sum(_cpu(p) for p in here)
    return (not _cpu(pod) or _cpu(pod) <= free) and len(here) < int(allocatable["pods"])


def _cpu(pod: Object) -> int:
    return int(pod["spec"]["containers"][0]["resources"]["requests"].get("cpu", "0m")[:-1])


def _spread(nodes: dict[str, Object], placed: Placed, pod: Object, name: str, constraint: Object) -> bool:
    key, selector = constraint["topologyKey"], from_value(constraint["labelSelector"])
    keys = [c["topologyKey"] for c in pod["spec"]["topologySpreadConstraints"]]
    if key not in _labels(nodes[name]):
        return False
    counts: dict[str, int] = {}
    for other, node in nodes.items():
        if _selected(node, pod) and all(k in _labels(node) for k in keys):
            matching = [p for p, where in placed if where == other and selector.matches(_labels(p)) and _same_namespace(p, pod)]
            counts[_labels(node)[key]] = counts.get(_labels(node)[key], 0) + len(matching)
    if not counts:
        return True
    least = min(counts.values())
    here = counts.get(_labels(nodes[name])[key], 0)
    return here + selector.matches(_labels(pod)) - least <= constraint["maxSkew"]


def _same_namespace(one: Object, other: Object) -> bool:
    return one["metadata"]["namespace"] == other["metadata"]["namespace"]


def _terms(pod: Object, kind: str) -> list[Object]:
    return pod["spec"].get("affinity", {}).get(kind, {}).get("requiredDuringSchedulingIgnoredDuringExecution", [])


def _means(owner: Object, term: Object, pod: Object) -> bool:
    return _same_namespace(owner, pod) and from_value(term["labelSelector"]).matches(_labels(pod))


def _same_domain(nodes: dict[str, Object], key: str, one: str, other: str) -> bool:
    return one in nodes and other in nodes and key in _labels(nodes[one]) and _labels(nodes[one])[key] == _labels(nodes[other]).get(key)


def _with_friends(nodes: dict[str, Object], placed: Placed, pod: Object, name: str) -> bool:
    terms = _terms(pod, "podAffinity")
    if not all(t["topologyKey"] in _labels(nodes[name]) for t in terms):
        return False
    friends = [(p, where) for p, where in placed if all(_means(pod, t, p) for t in terms) and where in nodes]
    if all(any(_same_domain(nodes, t["topologyKey"], where, name) for _, where in friends) for t in terms):
        return True
    known = any(t["topologyKey"] in _labels(nodes[where]) for t in terms for _, where in friends)
    return not known and all(_means(pod, t, pod) for t in terms)


def _near_any(nodes: dict[str, Object], placed: Placed, pod: Object, name: str, terms: list[Object]) -> bool:
    return any(_means(pod, t, p) and _same_domain(nodes, t["topologyKey"], where, name) for t in terms for p, where in placed)


def _objects(nodes: dict[str, Object], other: Object, where: str, pod: Object, name: str) -> bool:
    return any(_means(other, t, pod) and _same_domain(nodes, t["topologyKey"], where, name) for t in _terms(other, "podAntiAffinity"))
