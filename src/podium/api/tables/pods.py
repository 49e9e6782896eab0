"""Pods: the most looked-at table, and the one with the most to say in one word.

STATUS is the phase, unless something more telling is known: the pod's own reason, the first init container that is not done
(`Init:1/2`, `Init:CrashLoopBackOff`), the first container that waits or has ended, `Terminating`. RESTARTS counts the containers', and
says when the last one was.
"""

from datetime import datetime
from typing import Any

from podium.api.tables import ages
from podium.api.tables.columns import AGE, NAME, NONE, WIDE, Column, Table, at, containers, labels, name
from podium.objects.values import Object

_EMPTY: Object = {}
_ENDED = {
    "Succeeded": [{"type": "Completed", "status": "True", "reason": "Succeeded", "message": "The pod has completed successfully."}],
    "Failed": [{"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."}],
}


def _cells(value: Object, now: datetime) -> list[Any]:
    spec, status = value.get("spec") or _EMPTY, value.get("status") or _EMPTY
    metadata = value["metadata"]
    ready, total, reason, restarts, last = _summary(value, spec, status)
    restarts_text = f"{restarts} ({ages.since(last, now)} ago)" if restarts and last else str(restarts)
    ips = status.get("podIPs")
    gates = spec.get("readinessGates")
    return [
        metadata.get("name", ""),
        f"{ready}/{total}",
        reason,
        restarts_text,
        ages.since(metadata.get("creationTimestamp"), now),
        (ips[0].get("ip") if ips else status.get("podIP")) or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates(gates, status) if gates else NONE,
    ]


def _summary(value: Object, spec: Object, status: Object) -> tuple[int, int, str, int, str]:
    """Ready and total containers, the status word, restarts and when the last restart was (empty: never)."""
    phase = status.get("phase", "")
    reason = status.get("reason") or phase
    conditions = status.get("conditions") or ()
    for condition in conditions:
        if condition.get("reason") == "SchedulingGated" and condition.get("type") == "PodScheduled":
            reason = "SchedulingGated"
    total, ready, restarts, last, initializing = len(spec.get("containers") or ()), 0, 0, "", False
    if spec.get("initContainers"):
        init = _Initialization(spec, status)
        total += len(init.sidecars)
        ready, restarts, last, initializing = init.ready, init.restarts, init.last, bool(init.reason)
        reason = init.reason or reason
        if not initializing or _holds(conditions, "Initialized"):
            initializing = False
            restarts, last = init.sidecar_restarts, init.sidecar_last
    if not initializing:
        running = 0
        for container in reversed(status.get("containerStatuses") or ()):
            restarts += container.get("restartCount") or 0
            last = max(last, _ended_at(container))
            state = container.get("state") or _EMPTY
            word = _word(state)
            if word:
                reason = word
            elif container.get("ready") and "running" in state:
                running += 1
        ready += running
        if running and reason == "Completed":
            reason = "Running" if _holds(conditions, "Ready") else "NotReady"
    if "deletionTimestamp" in value["metadata"]:
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif phase not in _ENDED:
            reason = "Terminating"
    return ready, total, reason, restarts, last


class _Initialization:
    """What the init containers say, up to the first that is not done. `reason` is empty when all are."""

    def __init__(self, spec: Object, status: Object) -> None:
        declared = spec["initContainers"]
        self.sidecars = [c["name"] for c in declared if c.get("restartPolicy") == "Always"]
        self.ready = self.restarts = self.sidecar_restarts = 0
        self.last = self.sidecar_last = self.reason = ""
        for position, container in enumerate(status.get("initContainerStatuses") or ()):
            count, ended = container.get("restartCount") or 0, _ended_at(container)
            sidecar = container.get("name") in self.sidecars
            self.restarts += count
            self.last = max(self.last, ended)
            if sidecar:
                self.sidecar_restarts += count
                self.sidecar_last = max(self.sidecar_last, ended)
            state = container.get("state") or _EMPTY
            terminated = state.get("terminated")
            if terminated is not None and not terminated.get("exitCode"):
                continue
            if sidecar and container.get("started"):
                self.ready += bool(container.get("ready"))
                continue
            word = _word(state)
            self.reason = f"Init:{word}" if word and word != "PodInitializing" else f"Init:{position}/{len(declared)}"
            return


def _word(state: Object) -> str:
    """Why a container waits or how it ended; empty when it runs or waits for no told reason."""
    waiting = state.get("waiting")
    if waiting and waiting.get("reason"):
        return str(waiting["reason"])
    terminated = state.get("terminated")
    if terminated is None:
        return ""
    if terminated.get("reason"):
        return str(terminated["reason"])
    return f"Signal:{terminated['signal']}" if terminated.get("signal") else f"ExitCode:{terminated.get('exitCode', 0)}"


def _ended_at(container: Object) -> str:
    last = container.get("lastState")
    return at(last, "terminated", "finishedAt", default="") if last else ""


def _holds(conditions: Any, kind: str) -> bool:
    return any(c.get("type") == kind and c.get("status") == "True" for c in conditions)


def _gates(gates: list[Object], status: Object) -> str:
    conditions = status.get("conditions") or ()
    return f"{sum(_holds(conditions, gate.get('conditionType', '')) for gate in gates)}/{len(gates)}"


def _template(value: Object, now: datetime) -> list[Any]:
    template = value.get("template") or {}
    return [name(value), *containers(template), labels(at(template, "metadata", "labels"))]


TABLES = {
    ("", "pods"): Table(
        (
            NAME,
            Column("Ready", text="The aggregate readiness state of this pod for accepting traffic."),
            Column("Status", text="The aggregate status of the containers in this pod."),
            Column(
                "Restarts",
                text="The number of times the containers in this pod have been restarted and when the last container in this pod "
                "has restarted.",
            ),
            AGE,
            Column("IP", field="core.v1.PodStatus.podIP", priority=WIDE),
            Column("Node", field="core.v1.PodSpec.nodeName", priority=WIDE),
            Column("Nominated Node", field="core.v1.PodStatus.nominatedNodeName", priority=WIDE),
            Column("Readiness Gates", field="core.v1.PodSpec.readinessGates", priority=WIDE),
        ),
        _cells,
        lambda value: _ENDED.get((value.get("status") or _EMPTY).get("phase", ""), []),
    ),
    ("", "podtemplates"): Table(
        (
            NAME,
            Column("Containers", text="Names of each container in the template."),
            Column("Images", text="Images referenced by each container in the template."),
            Column("Pod Labels", text="The labels for the pod template."),
        ),
        _template,
    ),
}
