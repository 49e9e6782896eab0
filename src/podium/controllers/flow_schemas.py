"""The condition Dangling of every FlowSchema: whether the priority level it refers to exists.

Source: k8s.io/apiserver pkg/util/flowcontrol/apf_controller.go (syncFlowSchemaStatus).
"""

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.objects.resources import resource
from podium.objects.values import Object, name_of
from podium.world.interface import World

_GROUP = "flowcontrol.apiserver.k8s.io"


class FlowSchemaController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._client = client
        self._clock = world.clock
        self._kind = resource("flowschemas", _GROUP)
        self._schemas = mirrors.of(self._kind)
        self._levels = mirrors.of(resource("prioritylevelconfigurations", _GROUP))
        self._queue = WorkQueue(world)
        self._loop = ControlLoop("flow-schemas", self._queue, self.reconcile)

    async def run(self) -> None:
        await self._levels.synced()
        self._levels.subscribe(self._level_changed)
        self._schemas.subscribe(lambda change: self._queue.add(name_of(change.object)))
        await self._schemas.synced()
        await self._loop.run()

    def _level_changed(self, change: Change) -> None:
        if change.type != "modified":
            for schema in self._schemas.all():
                if level_of(schema) == name_of(change.object):
                    self._queue.add(name_of(schema))

    async def reconcile(self, name: str) -> None:
        schema = self._schemas.get("", name)
        if schema is None:
            return
        status = plan_status(schema, self._levels.get("", level_of(schema)) is not None, self._clock.timestamp())
        if status is not None:
            await self._client.update(self._kind, {**schema, "status": status}, subresource="status")


def level_of(schema: Object) -> str:
    return ((schema.get("spec") or {}).get("priorityLevelConfiguration") or {}).get("name", "")


def plan_status(schema: Object, exists: bool, now: str) -> Object | None:
    """The status to write; None when it is right."""
    level, status = level_of(schema), schema.get("status") or {}
    text = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}" '
    wanted = (
        {"status": "False", "reason": "Found", "message": text + "and it exists"}
        if exists
        else {"status": "True", "reason": "NotFound", "message": text + "but there is no such object"}
    )
    conditions = status.get("conditions") or []
    before: Object = next((c for c in conditions if c.get("type") == "Dangling"), {})
    if all(before.get(k) == v for k, v in wanted.items()):
        return None
    since = before["lastTransitionTime"] if before.get("status") == wanted["status"] else now
    others = [c for c in conditions if c.get("type") != "Dangling"]
    return {**status, "conditions": [*others, {"type": "Dangling", **wanted, "lastTransitionTime": since}]}
