"""Volume protection: a claim that pods use, and a volume that a claim is bound to, are not deleted under them.

Both carry a finalizer from their creation (admission sets it). Once one is being deleted and nobody uses it any more, the finalizer goes.
Source: k8s.io/kubernetes pkg/controller/volume/{pvcprotection,pvprotection}.
"""

from podium.client.control_loop import ControlLoop
from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.mirror import Change, Mirror
from podium.client.mirrors import Mirrors
from podium.client.work_queue import WorkQueue
from podium.objects.resources import Resource, resource
from podium.objects.values import Object, is_deleting, key_of, namespace_of
from podium.world.interface import World

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"


class _Protection:
    """Removes `finalizer` from what is being deleted and `in_use` denies."""

    def __init__(self, name: str, kind: Resource, finalizer: str, client: Client, mirrors: Mirrors, world: World) -> None:
        self._client = client
        self.kind, self.finalizer = kind, finalizer
        self.mirror: Mirror = mirrors.of(kind)
        self.queue = WorkQueue(world)
        self._loop = ControlLoop(name, self.queue, self.reconcile)

    def in_use(self, value: Object) -> bool:
        raise NotImplementedError

    async def start(self) -> None:
        self.mirror.subscribe(self._changed)
        await self.mirror.synced()

    async def run(self) -> None:
        await self.start()
        await self._loop.run()

    def _changed(self, change: Change) -> None:
        if change.new is not None and is_deleting(change.new):
            self.queue.add(key_of(change.new))

    async def reconcile(self, key: str) -> None:
        value = self.mirror.by_key(key)
        if value is None or not is_deleting(value) or self.in_use(value):
            return
        finalizers = value["metadata"].get("finalizers") or []
        if self.finalizer in finalizers:
            kept = [f for f in finalizers if f != self.finalizer]
            await self._client.update(self.kind, {**value, "metadata": {**value["metadata"], "finalizers": kept}})


class ClaimProtection(_Protection):
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        super().__init__("pvc-protection", resource("persistentvolumeclaims"), CLAIM_FINALIZER, client, mirrors, world)
        self._pods = mirrors.of(resource("pods"))
        self._pods.add_index("claims", claims_of)

    async def start(self) -> None:
        self._pods.subscribe(self._pod_changed)
        await self._pods.synced()
        await super().start()

    def in_use(self, value: Object) -> bool:
        """Pods that have ended hold nothing; those that wait for a node might still be started with it."""
        return any(
            (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed") for pod in self._pods.by_index("claims", key_of(value))
        )

    def _pod_changed(self, change: Change) -> None:
        for key in claims_of(change.object):
            self.queue.add(key)


class VolumeProtection(_Protection):
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        super().__init__("pv-protection", resource("persistentvolumes"), VOLUME_FINALIZER, client, mirrors, world)

    def in_use(self, value: Object) -> bool:
        return (value.get("status") or {}).get("phase") == "Bound"


def claims_of(pod: Object) -> list[str]:
    """The claims a pod's volumes name, and those made for its ephemeral volumes, as `namespace/name`."""
    namespace, name = namespace_of(pod), pod["metadata"]["name"]
    keys = []
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if claim := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
            keys.append(f"{namespace}/{claim}")
        elif "ephemeral" in volume:
            keys.append(f"{namespace}/{name}-{volume['name']}")
    return keys
