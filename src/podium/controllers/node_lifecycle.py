"""Node lifecycle: notices nodes that fall silent, and taints nodes by their conditions.

    heartbeat (Lease renewed, status reported) --> Health.seen
    40 s without one  --> conditions Unknown, pods on it not ready
    conditions        --> NoSchedule taints, at once
    Ready not True    --> NoExecute taint, at most 0.1 nodes per second and zone; pods then leave (taint_eviction.py, run from here)
    Ready True again  --> all these taints are removed

Cost: a renewed Lease costs one dictionary look-up; a node without news costs nothing. Each node has one entry in a heap of times at which
it would be silent; only those that are due are looked at.

Silence is measured in time during which we listened: while this process was starved or suspended, nobody's heartbeat could be heard, so
such a gap counts as LISTENING_S_MAX at most.

Protection: when every zone is fully disrupted, the likelier cause is on our side: evictions stop and NoExecute taints are taken back. When
that ends, every node gets a full grace period.

Source: kubernetes pkg/controller/nodelifecycle/node_lifecycle_controller.go.
"""

import asyncio
import heapq

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.leases import NODE_LEASE_NAMESPACE
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.controllers.node_health import (
    EXCLUDED,
    GRACE_S,
    STARTUP_GRACE_S,
    Health,
    Zone,
    condition_of,
    needs_execute_taint,
    plan_taints,
    ready_status,
    summary_of,
    unknown_conditions,
    with_execute_taint,
    without_execute_taints,
    zone_of,
    zone_rate,
    zone_state,
)
from podium.controllers.pods_on_nodes import BY_NODE, by_node
from podium.controllers.taint_eviction import TaintEvictionController
from podium.controllers.timestamps import seconds
from podium.instrument.log import logger
from podium.objects.resources import resource
from podium.objects.status import NotFound, StatusError
from podium.objects.values import Object, key_of, name_of, namespace_of
from podium.world.interface import World
from podium.world.supervisor import Supervisor

log = logger("controllers.node_lifecycle")

PERIOD_S = 5.0
"""How often silence and zones are looked at."""

TAINTING_PERIOD_S = 1.0
"""The same while nodes wait for a NoExecute taint."""

LISTENING_S_MAX = 2 * PERIOD_S
"""The most that passes on the clock of silence between two ticks."""

WORKERS = 8


class NodeLifecycleController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._client = client
        self._events = events
        self._clock = world.clock
        self._nodes_resource = resource("nodes")
        self._pods_resource = resource("pods")
        self._nodes = mirrors.of(self._nodes_resource)
        self._leases = mirrors.of(resource("leases", "coordination.k8s.io"))
        self._pods = mirrors.of(self._pods_resource)
        self._pods.add_index(BY_NODE, by_node)
        self._eviction = TaintEvictionController(client, mirrors, events, world)
        self._queue = WorkQueue(world)
        self._health: dict[str, Health] = {}
        self._expiries: list[tuple[float, str]] = []
        self._listened_s = 0.0
        self._ticked_at = world.clock.monotonic()
        self._zones: dict[str, Zone] = {}
        self._pods_to_mark: dict[str, None] = {}
        self._news = asyncio.Event()
        """A node waits for a taint that may be due."""
        self._halted = False
        """Every zone is fully disrupted."""

    async def run(self) -> None:
        for mirror in (self._nodes, self._leases, self._pods):
            await mirror.synced()
        cancellations = [
            self._leases.subscribe(self._on_lease),
            self._nodes.subscribe(self._on_node),
            self._pods.subscribe(self._on_pod),
        ]
        supervisor = Supervisor("node-lifecycle")
        try:
            supervisor.start("reconcile", ControlLoop("node-lifecycle", self._queue, self.reconcile, WORKERS).run())
            supervisor.start("taint-eviction", self._eviction.run())
            supervisor.start("tick", self._tick_forever())
            await supervisor.failed()
        finally:
            for cancel in cancellations:
                cancel()
            await supervisor.stop()

    # Observing

    def _on_lease(self, change: Change) -> None:
        lease = change.new
        if lease is None or namespace_of(lease) != NODE_LEASE_NAMESPACE:
            return
        health = self._health.get(name_of(lease))
        renewed = (lease.get("spec") or {}).get("renewTime") or ""
        if health is not None and renewed > health.renewed:
            health.renewed = renewed
            self._alive(name_of(lease), health)

    def _on_node(self, change: Change) -> None:
        name = name_of(change.object)
        if change.new is None:
            self._forget(name, change.object)
            return
        node = change.new
        health = self._health.get(name)
        if health is None:
            health = self._meet(name, node)
        condition = condition_of(node, "Ready")
        heartbeat = (condition or {}).get("lastHeartbeatTime") or ""
        if condition is not None and (heartbeat != health.heartbeat or health.grace_s != GRACE_S):
            health.heartbeat, health.grace_s = heartbeat, GRACE_S
            if condition.get("reason") not in ("NodeStatusUnknown", "NodeStatusNeverUpdated"):
                self._alive(name, health)
        summary = summary_of(node)
        if summary != health.summary:
            health.summary = summary
            self._recount(node, health)
            self._queue.add(name)

    def _meet(self, name: str, node: Object) -> Health:
        """A node that is new to us. One that never reported is measured from its creation, others from now."""
        now = self._listened()
        condition = condition_of(node, "Ready")
        seen = now
        if condition is None:
            seen -= max(0.0, self._clock.now().timestamp() - seconds(node["metadata"].get("creationTimestamp")))
        grace_s = STARTUP_GRACE_S if condition is None else GRACE_S
        health = Health(seen, grace_s, "", "", "", zone_of(node), False)
        self._health[name] = health
        lease = self._leases.get(NODE_LEASE_NAMESPACE, name)
        if lease is not None:
            health.renewed = (lease.get("spec") or {}).get("renewTime") or ""
            health.seen = now
        self._schedule(name, health)
        self._events.event(node, "Normal", "RegisteredNode", f"Node {name} event: Registered Node {name} in Controller")
        return health

    def _forget(self, name: str, node: Object) -> None:
        health = self._health.pop(name, None)
        self._pods_to_mark.pop(name, None)
        if health is None:
            return
        zone = self._zones.get(health.zone)
        if zone is not None:
            if health.counted:
                zone.count(health.ready == "True", -1)
            zone.waiting.pop(name, None)
        self._events.event(node, "Normal", "RemovingNode", f"Node {name} event: Removing Node {name} from Controller")

    def _recount(self, node: Object, health: Health) -> None:
        """Keeps the zones' counts of ready and other nodes."""
        if health.counted:
            self._zone(health.zone).count(health.ready == "True", -1)
        zone = zone_of(node)
        if zone != health.zone:
            self._zone(health.zone).waiting.pop(name_of(node), None)
        health.zone, health.ready = zone, ready_status(node)
        health.counted = EXCLUDED not in (node["metadata"].get("labels") or {})
        if health.counted:
            self._zone(zone).count(health.ready == "True", 1)

    def _zone(self, name: str) -> Zone:
        return self._zones.setdefault(name, Zone())

    def _alive(self, name: str, health: Health) -> None:
        health.seen = self._listened()
        if health.check_at is None or health.check_at > health.expires:
            self._schedule(name, health)

    def _schedule(self, name: str, health: Health) -> None:
        health.check_at = health.expires
        heapq.heappush(self._expiries, (health.expires, name))

    def _on_pod(self, change: Change) -> None:
        """A pod that was bound to a node that is silent."""
        pod = change.new
        if pod is None or (change.old is not None and change.old["spec"].get("nodeName")):
            return
        node = pod["spec"].get("nodeName")
        if node and (health := self._health.get(node)) is not None and health.ready == "Unknown" and condition_of(pod, "Ready"):
            self._pods_to_mark[node] = None
            self._queue.add(node)

    # Time

    async def _tick_forever(self) -> None:
        checked = -PERIOD_S
        while True:
            now = self._clock.monotonic()
            if now - checked >= PERIOD_S - TAINTING_PERIOD_S / 2:
                checked = now
                self._find_silent()
                self._update_zones(now)
            waiting = False
            for name in sorted(self._zones):
                zone = self._zones[name]
                await self._taint_due(zone)
                waiting = waiting or (bool(zone.waiting) and zone.rate_per_s > 0)
            self._news.clear()
            try:
                async with asyncio.timeout(TAINTING_PERIOD_S if waiting else PERIOD_S):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _listened(self) -> float:
        """The clock of silence, in seconds."""
        return self._listened_s + min(LISTENING_S_MAX, self._clock.monotonic() - self._ticked_at)

    def _find_silent(self) -> None:
        now = self._listened_s = self._listened()
        self._ticked_at = self._clock.monotonic()
        while self._expiries and self._expiries[0][0] < now:
            at, name = heapq.heappop(self._expiries)
            health = self._health.get(name)
            if health is None or health.check_at != at:
                continue
            health.check_at = None
            if health.expires >= now:
                self._schedule(name, health)
            else:
                self._queue.add(name)

    def _update_zones(self, now: float) -> None:
        counted = {name: zone for name, zone in self._zones.items() if zone.ready or zone.not_ready}
        states = {name: zone_state(zone.ready, zone.not_ready) for name, zone in counted.items()}
        halted = bool(states) and all(state == "full" for state in states.values())
        if halted and not self._halted:
            log.warning("all nodes are silent: no evictions until one is back")
            self._queue_all()
        elif self._halted and not halted:
            log.info("some nodes are back: evictions go on")
            for name in sorted(self._health):
                self._alive(name, self._health[name])
            self._queue_all()
        self._halted = halted
        for name, zone in counted.items():
            zone.state = states[name]
            zone.set_rate(0.0 if halted else zone_rate(zone.state, zone.ready + zone.not_ready), now)

    def _queue_all(self) -> None:
        for name in sorted(self._health):
            self._queue.add(name)

    async def _taint_due(self, zone: Zone) -> None:
        name = zone.take(self._clock.monotonic())
        node = self._nodes.get("", name) if name else None
        if node is None or not needs_execute_taint(node):
            return
        try:
            await self._set_taints(node, with_execute_taint(node, self._clock.timestamp()))
        except (StatusError, OSError) as error:
            log.debug("taint again", node=name, error=str(error))
            self._queue.add(name_of(node))

    # Deciding and applying

    async def reconcile(self, name: str) -> None:
        node, health = self._nodes.get("", name), self._health.get(name)
        if node is None or health is None:
            return
        if health.expires < self._listened() and (ready_status(node) != "Unknown" or condition_of(node, "Ready") is None):
            await self._mark_unknown(name, node)
            return  # the mirror brings it back here
        taints = plan_taints(node, self._clock.timestamp())
        if taints is not None:
            node = await self._set_taints(node, taints)
        zone = self._zone(health.zone)
        if self._halted:
            zone.waiting.pop(name, None)
            back = without_execute_taints(node)
            if back is not None:
                await self._set_taints(node, back)
        elif needs_execute_taint(node):
            if name not in zone.waiting:
                zone.waiting[name] = None
                self._news.set()
        else:
            zone.waiting.pop(name, None)
        if name in self._pods_to_mark:
            await self._mark_pods(name)

    async def _mark_unknown(self, name: str, node: Object) -> None:
        was_ready = ready_status(node) == "True"
        patch = {
            "metadata": {"uid": node["metadata"]["uid"], "resourceVersion": node["metadata"]["resourceVersion"]},
            "status": {"conditions": unknown_conditions(node, self._clock.timestamp())},
        }
        await self._client.patch(self._nodes_resource, name, patch, subresource="status")
        log.info("node is silent", node=name)
        if was_ready:
            self._events.event(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")
            self._pods_to_mark[name] = None

    async def _mark_pods(self, name: str) -> None:
        """Their Ready condition becomes False: services stop sending to them."""
        if self._health[name].ready != "True":
            for pod in self._pods.by_index(BY_NODE, name):
                condition = condition_of(pod, "Ready")
                if condition is None or condition.get("status") != "True":
                    continue
                self._events.event(pod, "Warning", "NodeNotReady", "Node is not ready")
                change = {**condition, "status": "False", "lastTransitionTime": self._clock.timestamp()}
                patch = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {"conditions": [change]}}
                try:
                    await self._client.patch(
                        self._pods_resource, name_of(pod), patch, namespace_of(pod), type="strategic", subresource="status"
                    )
                except NotFound:
                    continue
                log.debug("pod is not ready with its node", pod=key_of(pod), node=name)
        self._pods_to_mark.pop(name, None)

    async def _set_taints(self, node: Object, taints: list[Object]) -> Object:
        metadata = node["metadata"]
        patch = {"metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}, "spec": {"taints": taints or None}}
        return await self._client.patch(self._nodes_resource, metadata["name"], patch)
