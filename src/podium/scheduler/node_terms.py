"""Node selectors and tolerations, evaluated over all nodes at once.

Source: k8s.io/component-helpers scheduling/corev1/nodeaffinity (terms: a node matches if it matches any term; a term, if it matches all of
its requirements; an empty term matches nothing).
"""

from collections.abc import Callable

import numpy as np

from podium.objects.tolerations import Taint, tolerates
from podium.objects.values import Object
from podium.scheduler.columns import Columns, Mask
from podium.scheduler.demand import Demand

NAME_FIELD = "metadata.name"


def required_nodes(columns: Columns, demand: Demand) -> Mask | None:
    """Nodes that the pod's nodeSelector and required node affinity allow, over the whole capacity; None when they say nothing."""
    mask: Mask | None = None
    for key, value in demand.node_selector.items():
        found = columns.label(key).among([value])
        mask = found if mask is None else mask & found
    if demand.node_terms is not None:
        found = np.zeros(columns.capacity, np.bool_)
        for term in demand.node_terms:
            found |= term_nodes(columns, term)
        mask = found if mask is None else mask & found
    return mask


def term_nodes(columns: Columns, term: Object) -> Mask:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return np.zeros(columns.capacity, np.bool_)
    mask = np.ones(columns.capacity, np.bool_)
    for requirement in expressions:
        mask &= _label_nodes(columns, requirement)
    for requirement in fields:
        mask &= _field_nodes(columns, requirement)
    return mask


def tolerated(columns: Columns, tolerations: list[Object], effects: tuple[str, ...]) -> Mask:
    """Nodes whose taints of these effects are all tolerated."""
    return columns.taints.spread(lambda taints: not _intolerable(taints, tolerations, effects), absent=True)


def intolerable_count(columns: Columns, tolerations: list[Object], effect: str) -> np.ndarray:
    """Per slot, how many taints of that effect are not tolerated."""
    relevant = [t for t in tolerations if not t.get("effect") or t["effect"] == effect]
    counts = [len(_intolerable(taints, relevant, (effect,))) for taints in columns.taints.values]
    return np.array([*counts, 0], np.int64)[columns.taints.ids]


def _intolerable(taints: tuple[Taint, ...], tolerations: list[Object], effects: tuple[str, ...]) -> list[Taint]:
    return [taint for taint in taints if taint[2] in effects and not any(tolerates(t, taint) for t in tolerations)]


def _label_nodes(columns: Columns, requirement: Object) -> Mask:
    column = columns.label(requirement["key"])
    operator, values = requirement["operator"], requirement.get("values") or []
    if operator == "In":
        return column.among(values)
    if operator == "NotIn":
        return ~column.among(values)
    if operator == "Exists":
        return column.ids >= 0
    if operator == "DoesNotExist":
        return column.ids < 0
    return column.spread(_compare(operator, values), absent=False)


def _compare(operator: str, values: list[str]) -> Callable[[str], bool]:
    """Gt and Lt: both sides must be integers."""
    bound = _integer(values[0]) if len(values) == 1 else None
    if bound is None or operator not in ("Gt", "Lt"):
        return lambda value: False
    limit = bound
    if operator == "Gt":
        return lambda value: (number := _integer(value)) is not None and number > limit
    return lambda value: (number := _integer(value)) is not None and number < limit


def _field_nodes(columns: Columns, requirement: Object) -> Mask:
    """Only metadata.name exists as a field."""
    mask = np.zeros(columns.capacity, np.bool_)
    if requirement["key"] == NAME_FIELD:
        slots = [slot for value in requirement.get("values") or () if (slot := columns.slots.get(value)) is not None]
        mask[slots] = True
    if requirement["operator"] == "NotIn":
        return ~mask
    return mask if requirement["operator"] == "In" else np.zeros(columns.capacity, np.bool_)


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
