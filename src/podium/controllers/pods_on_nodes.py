"""An index of a pod mirror: the pods bound to a node."""

from podium.objects.values import Object

BY_NODE = "node"


def by_node(pod: Object) -> tuple[str, ...]:
    node = pod["spec"].get("nodeName")
    return (node,) if node else ()
