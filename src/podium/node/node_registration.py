"""Keeps one Node object in the API: creates it, or brings it up to date, and writes its status when it changed and every 5 minutes,
and at once after a silence in which the node may have been marked as lost.

Source: kubelet kubelet_node_status.go (registerWithAPIServer, tryUpdateNodeStatus), nodeStatusReportFrequency.
"""

import math

from podium.client.interface import Client
from podium.node.node_object import NodeDescription, node_labels, node_object, node_status
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists, NotFound
from podium.objects.values import Object
from podium.world.interface import World

REPORT_S = 300.0


class NodeRegistration:
    def __init__(self, client: Client, world: World, description: NodeDescription) -> None:
        self._client = client
        self._clock = world.clock
        self._nodes = resource("nodes")
        self.description = description
        self._reported: NodeDescription | None = None
        self._reported_s = 0.0
        self.uid = ""

    async def register(self) -> None:
        """Raises StatusError, OSError: try again."""
        name = self.description.name
        try:
            node = await self._client.get(self._nodes, name)
        except NotFound:
            try:
                node = await self._client.create(self._nodes, node_object(self.description))
            except AlreadyExists:
                node = await self._client.get(self._nodes, name)
        labels = node_labels(self.description)
        have = node["metadata"].get("labels") or {}
        if any(have.get(key) != value for key, value in labels.items()):
            node = await self._client.patch(self._nodes, name, {"metadata": {"labels": labels}})
        await self._report(node.get("status", {}))
        self.uid = node["metadata"]["uid"]

    async def refresh(self, description: NodeDescription | None = None, *, since_s: float = -math.inf) -> bool:
        """Writes the status if it says something new, is due, or was last written before `since_s` (monotonic: after a silence others have
        written that the node is lost); whether it did. A node that was deleted is registered again."""
        if description is not None:
            self.description = description
        due = self._reported_s < since_s or self._clock.monotonic() - self._reported_s >= REPORT_S
        if self._reported == self.description and not due:
            return False
        try:
            node = await self._client.get(self._nodes, self.description.name)
            await self._report(node.get("status", {}))
        except NotFound:
            await self.register()
        return True

    @property
    def owner(self) -> Object | None:
        """For the lease's owner reference."""
        return {"metadata": {"name": self.description.name, "uid": self.uid}} if self.uid else None

    async def _report(self, old: Object) -> None:
        """Strategic, so that conditions and addresses others wrote stay."""
        status = node_status(self.description, old, self._clock.timestamp())
        await self._client.patch(self._nodes, self.description.name, {"status": status}, type="strategic", subresource="status")
        self._reported, self._reported_s = self.description, self._clock.monotonic()
