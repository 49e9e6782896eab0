"""Tolerations and taints: whether a pod puts up with a node.

Source: k8s.io/api core/v1 Toleration.ToleratesTaint; k8s.io/component-helpers scheduling/corev1.
"""

from podium.objects.values import Object

Taint = tuple[str, str, str]
"""(key, value, effect)"""


def tolerates(toleration: Object, taint: Taint) -> bool:
    """An empty effect or key of the toleration stands for every one; the operators are Equal (default), Exists, Gt and Lt."""
    key, value, effect = taint
    if toleration.get("effect") and toleration["effect"] != effect:
        return False
    wanted = toleration.get("key") or ""
    operator = toleration.get("operator") or "Equal"
    if wanted and wanted != key:
        return False
    if operator == "Exists":
        return True
    given = toleration.get("value") or ""
    if operator == "Equal":
        return given == value
    bound, number = _integer(given), _integer(value)
    if bound is None or number is None or operator not in ("Gt", "Lt"):
        return False
    return number > bound if operator == "Gt" else number < bound


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
