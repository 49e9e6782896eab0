"""Leases (coordination.k8s.io): who leads, and that a node is alive.

Leadership: a candidate may take the lease when it is free, or when it has not seen it change for the duration the holder promised. Ages
are measured on the candidate's own monotonic clock from when it saw the last change, so clocks need not agree. A leader that could not
renew for RENEW_DEADLINE_S (shorter than the duration) stops leading before anybody else can start. Every write carries the revision it
was decided on, so two candidates cannot both win.

Source: client-go tools/leaderelection; component-helpers apimachinery/lease (node heartbeats).
"""

import asyncio
import math
from collections.abc import Awaitable, Callable

import orjson

from podium.client.backoff import Backoff
from podium.client.interface import Client, Object
from podium.instrument.log import logger
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists, NotFound, StatusError
from podium.objects.values import copy
from podium.world.interface import World
from podium.world.supervisor import Supervisor

log = logger("client.leases")

DURATION_S = 15
RENEW_DEADLINE_S = 10.0
RETRY_S = 2.0
JITTER = 1.2

NODE_LEASE_NAMESPACE = "kube-node-lease"
NODE_DURATION_S = 40
NODE_RENEW_S = 10.0
NODE_SILENCE_S = 30.0
"""A node that was not heard of for this long may have been marked as lost meanwhile (at NODE_DURATION_S), and has to report again."""


class LeaderElection:
    """One candidate for the lease `namespace/name`; `identity` tells candidates apart."""

    def __init__(self, client: Client, world: World, name: str, identity: str, *, namespace: str = "kube-system") -> None:
        self._client = client
        self._world = world
        self._leases = resource("leases", "coordination.k8s.io")
        self._name = name
        self._namespace = namespace
        self._identity = identity
        self._random = world.random(f"leader/{name}/{identity}")
        self._seen: tuple[str, float] = ("", 0.0)  # the lease's revision, and when we first saw it
        self.leading = False

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Waits for leadership, runs `lead()` while it lasts, and starts over when it is lost. Gives the lease back when cancelled."""
        while True:
            await self._acquire()
            log.info("leading", lease=self._name, identity=self._identity)
            self.leading = True
            supervisor = Supervisor(f"leader/{self._name}")
            try:
                supervisor.start("lead", _never_returns(lead))
                supervisor.start("renew", self._renew())
                await supervisor.failed()
            except LeadershipLost as error:
                log.warning("leadership lost", lease=self._name, error=str(error))
            finally:
                self.leading = False
                await supervisor.stop()
                await self._release()

    async def _acquire(self) -> None:
        while not await self._attempt():
            await asyncio.sleep(RETRY_S * (1 + (JITTER - 1) * self._random.random()))

    async def _renew(self) -> None:
        """Returns never; raises LeadershipLost when the lease could not be renewed in time."""
        clock = self._world.clock
        renewed = clock.monotonic()
        while True:
            await asyncio.sleep(RETRY_S)
            try:
                async with asyncio.timeout(max(0.0, renewed + RENEW_DEADLINE_S - clock.monotonic())):
                    if await self._attempt():
                        renewed = clock.monotonic()
                        continue
            except TimeoutError:
                pass
            if clock.monotonic() - renewed >= RENEW_DEADLINE_S:
                raise LeadershipLost(f"not renewed for {RENEW_DEADLINE_S:g} s")

    async def _attempt(self) -> bool:
        """Takes or renews the lease; whether we hold it now."""
        try:
            return await self._take()
        except (StatusError, OSError) as error:
            log.debug("lease not taken", lease=self._name, error=str(error))
            return False

    async def _take(self) -> bool:
        now = self._world.clock.micro_timestamp()
        try:
            lease = await self._client.get(self._leases, self._name, self._namespace)
        except NotFound:
            spec: Object = {"holderIdentity": self._identity, "leaseDurationSeconds": DURATION_S, "acquireTime": now, "renewTime": now}
            await self._client.create(self._leases, {**_head(self._name, self._namespace), "spec": {**spec, "leaseTransitions": 0}})
            return True
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder and holder != self._identity and not self._expired(lease):
            return False
        taken = copy(lease)
        taken["spec"] = {**spec, "holderIdentity": self._identity, "leaseDurationSeconds": DURATION_S, "renewTime": now}
        if holder != self._identity:
            taken["spec"]["acquireTime"] = now
            taken["spec"]["leaseTransitions"] = spec.get("leaseTransitions", 0) + 1
        await self._client.update(self._leases, taken)
        return True

    def _expired(self, lease: Object) -> bool:
        revision, now = lease["metadata"]["resourceVersion"], self._world.clock.monotonic()
        if revision != self._seen[0]:
            self._seen = (revision, now)
        return now - self._seen[1] >= (lease["spec"].get("leaseDurationSeconds") or DURATION_S)

    async def _release(self) -> None:
        """So that the next leader need not wait; best effort."""
        try:
            async with asyncio.timeout(RETRY_S):
                lease = await self._client.get(self._leases, self._name, self._namespace)
                if (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                    freed = copy(lease)
                    freed["spec"].update(holderIdentity="", leaseDurationSeconds=1, renewTime=self._world.clock.micro_timestamp())
                    await self._client.update(self._leases, freed)
        except (StatusError, OSError, TimeoutError) as error:
            log.debug("lease not released", lease=self._name, error=str(error))


class LeadershipLost(Exception):
    """Stop what only a leader may do."""


class NodeLease:
    """The heartbeat of one node: its Lease, named as the node, renewed every NODE_RENEW_S. `returned_s` is the time (monotonic) of the
    last renewal that ended a silence of NODE_SILENCE_S or more."""

    def __init__(self, client: Client, world: World, node: str) -> None:
        self._client = client
        self._world = world
        self._leases = resource("leases", "coordination.k8s.io")
        self._node = node
        self._lease = b""  # as it was written last; as JSON it takes a fifth
        self._random = world.random(f"node-lease/{node}")
        self._backoff = Backoff(self._random, first_s=0.2, max_s=7.0)
        self._renewed_s = math.inf
        self.returned_s = -math.inf

    async def run(self, node: Callable[[], Object | None] = lambda: None) -> None:
        """Renews forever. `node` gives the Node object once it is known: the lease then belongs to it and goes with it."""
        while True:
            try:
                await self.renew(node())
                self._backoff.reset()
                await asyncio.sleep(NODE_RENEW_S * (0.96 + 0.08 * self._random.random()))
            except (StatusError, OSError) as error:
                log.debug("heartbeat failed", node=self._node, error=str(error))
                await self._backoff.pause()

    async def renew(self, node: Object | None = None) -> None:
        """One heartbeat: one update, after a first get or create (or one that failed). Raises StatusError or OSError."""
        try:
            await self._renew(node)
        except (StatusError, OSError):
            self._lease = b""
            raise
        now_s = self._world.clock.monotonic()
        if now_s - self._renewed_s >= NODE_SILENCE_S:
            self.returned_s = now_s
        self._renewed_s = now_s

    async def _renew(self, node: Object | None) -> None:
        lease: Object = orjson.loads(self._lease) if self._lease else copy(await self._fetch(node))
        lease["spec"] = {
            "holderIdentity": self._node,
            "leaseDurationSeconds": NODE_DURATION_S,
            "renewTime": self._world.clock.micro_timestamp(),
        }
        self._own(lease, node)
        self._lease = orjson.dumps(await self._client.update(self._leases, lease))

    async def _fetch(self, node: Object | None) -> Object:
        try:
            return await self._client.get(self._leases, self._node, NODE_LEASE_NAMESPACE)
        except NotFound:
            lease = {
                **_head(self._node, NODE_LEASE_NAMESPACE),
                "spec": {"holderIdentity": self._node, "leaseDurationSeconds": NODE_DURATION_S},
            }
            self._own(lease, node)
            try:
                return await self._client.create(self._leases, lease)
            except AlreadyExists:
                return await self._client.get(self._leases, self._node, NODE_LEASE_NAMESPACE)

    def _own(self, lease: Object, node: Object | None) -> None:
        if node is not None and not lease["metadata"].get("ownerReferences"):
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._node, "uid": node["metadata"]["uid"]}
            lease["metadata"]["ownerReferences"] = [owner]


def _head(name: str, namespace: str) -> Object:
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "namespace": namespace}}


async def _never_returns(lead: Callable[[], Awaitable[None]]) -> None:
    await lead()
    raise LeadershipLost("the leader's work ended")
