"""What pods belong together when they do not say so: the pods of one Service, ReplicaSet, ReplicationController or StatefulSet.

Such pods are spread over nodes and zones by default. Which those are is the conjunction of the selectors of all Services that mean the pod
and of its controller's own selector.

Source: kubernetes pkg/scheduler/framework/plugins/helper/spread.go (DefaultSelector).
"""

from podium.objects import selectors
from podium.objects.selectors import LabelSelector, Requirement
from podium.objects.status import BadRequest
from podium.objects.values import Object
from podium.scheduler.demand import Demand

NO_SELECTOR = LabelSelector((), nothing=True)


class Workloads:
    """`version` grows when a selector appears, changes or goes. Selectors are None for what has none."""

    def __init__(self) -> None:
        self.version = 0
        self._services: dict[str, dict[str, LabelSelector]] = {}
        self._controllers: dict[tuple[str, str, str], LabelSelector] = {}

    def set_service(self, service: Object, gone: bool = False) -> None:
        metadata = service["metadata"]
        of_namespace = self._services.setdefault(metadata["namespace"], {})
        wanted = (service.get("spec") or {}).get("selector")
        before = of_namespace.pop(metadata["name"], None)
        after = selectors.from_labels(wanted) if wanted and not gone else None
        if after is not None:
            of_namespace[metadata["name"]] = after
        self._note(before, after)

    def set_controller(self, kind: str, value: Object, gone: bool = False) -> None:
        metadata = value["metadata"]
        key = (metadata["namespace"], kind, metadata["name"])
        before, after = self._controllers.pop(key, None), None if gone else _own_selector(kind, value)
        if after is not None:
            self._controllers[key] = after
        self._note(before, after)

    def selector_for(self, demand: Demand) -> LabelSelector | None:
        """Pods that belong together with this one; None when nothing says so."""
        requirements: dict[Requirement, None] = {}
        for _, selector in sorted(self._services.get(demand.namespace, {}).items()):
            if selector.matches(demand.labels):
                requirements |= dict.fromkeys(selector.requirements)
        if demand.controller is not None:
            own = self._controllers.get((demand.namespace, *demand.controller))
            if own is not None:
                requirements |= dict.fromkeys(own.requirements)
        return LabelSelector(requirements) if requirements else None

    def _note(self, before: LabelSelector | None, after: LabelSelector | None) -> None:
        if str(before) != str(after):
            self.version += 1


def _own_selector(kind: str, value: Object) -> LabelSelector | None:
    wanted = (value.get("spec") or {}).get("selector")
    if not wanted:
        return None
    try:
        return selectors.from_labels(wanted) if kind == "ReplicationController" else selectors.from_value(wanted)
    except BadRequest:
        return None
