"""Which nodes a pod's spec allows: selector, required affinity, taints. Pure, for one node at a time.

Source: k8s.io/component-helpers scheduling/corev1/nodeaffinity; pkg/controller/daemon (NodeShouldRunDaemonPod).
"""

from podium.client.interface import Object
from podium.objects.tolerations import tolerates


def allows(spec: Object, node: Object) -> bool:
    """Whether the nodeSelector and the required node affinity match the node."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_term_matches(term, node, labels) for term in required.get("nodeSelectorTerms") or ())


def intolerable(tolerations: list[Object], node: Object) -> list[str]:
    """The effects of the node's taints that are not tolerated."""
    taints = (node.get("spec") or {}).get("taints") or ()
    return [t["effect"] for t in taints if not any(tolerates(o, (t["key"], t.get("value", ""), t["effect"])) for o in tolerations)]


def _term_matches(term: Object, node: Object, labels: dict[str, str]) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    names = {"metadata.name": node["metadata"]["name"]}
    return all(_meets(e, labels) for e in expressions) and all(_meets(f, names) for f in fields)


def _meets(requirement: Object, labels: dict[str, str]) -> bool:
    value, values = labels.get(requirement["key"]), requirement.get("values") or []
    match requirement["operator"]:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    try:
        number, bound = int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if requirement["operator"] == "Gt" else number < bound
