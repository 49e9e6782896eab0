"""Namespaces that are being deleted: empties them, then lets them go.

A namespace stays, Terminating, as long as its spec.finalizers holds `kubernetes`. This controller deletes all that is in it, of every kind
that the server can list and delete: pods first, and the rest only when no pod is left, so that nothing a running pod needs
goes before it. What is still there, and why, is told in the namespace's conditions. When nothing is left the finalizer is removed, and the
server removes the namespace.

Source: k8s.io/kubernetes pkg/controller/namespace (deletion/namespaced_resources_deleter.go, status_condition_utils.go); KEP-5080.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from podium.client.control_loop import ControlLoop, Unfinished
from podium.client.events import EventRecorder
from podium.client.interface import Client, DeleteOptions, Object
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.client.parallel import in_parallel
from podium.client.work_queue import WorkQueue
from podium.objects.resources import Resource, resource
from podium.objects.status import MethodNotAllowed, NotFound, StatusError
from podium.objects.values import copy, is_deleting, name_of, namespace_of
from podium.world.interface import World

FINALIZER = "kubernetes"
PAGE_ITEMS = 500
"""Objects listed, and deleted at once, in one go."""

RECHECK_FIRST_S = 0.1
RECHECK_MAX_S = 5.0
"""Between passes over content that does not go, for a finalizer or a grace period, say."""

POD_GONE_S = 0.25
"""How long to gather the ends of pods before the next pass."""
WORKERS = 5

_FAILURES = ("NamespaceDeletionDiscoveryFailure", "NamespaceDeletionGroupVersionParsingFailure", "NamespaceDeletionContentFailure")
_CONDITIONS = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    "NamespaceDeletionContentFailure": ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}
"""Condition types, in upstream's order, with their reason and message when all is well (status False)."""


@dataclass(slots=True)
class Remains:
    """What a pass over the content found. `counts` by `plural.group` as upstream writes it; `errors` those of listing and deleting."""

    counts: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    discovery_errors: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.counts or self.discovery_errors or self.errors)


class NamespaceController:
    """`resources` are those the server serves; asked anew for each namespace. `unknown` says what of them cannot be told at the moment, and
    why: nobody knows what a namespace has there, so it stays."""

    def __init__(
        self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World, resources: Callable[[], Iterable[Resource]],
        unknown: Callable[[], Sequence[str]] = tuple,
    ) -> None:  # fmt: skip
        self._client = client
        self._clock = world.clock
        self._resources = resources
        self._unknown = unknown
        self._namespace = resource("namespaces")
        self._namespaces = mirrors.of(self._namespace)
        self._pods = mirrors.of(resource("pods"))
        self._queue = WorkQueue(world, retry_first_s=RECHECK_FIRST_S, retry_max_s=RECHECK_MAX_S)

    async def run(self) -> None:
        await self._namespaces.synced()
        await self._pods.synced()
        cancellations = [self._namespaces.subscribe(self._namespace_changed), self._pods.subscribe(self._pod_changed)]
        try:
            await ControlLoop("namespaces", self._queue, self.reconcile, WORKERS).run()
        finally:
            for cancel in cancellations:
                cancel()

    def _namespace_changed(self, change: Change) -> None:
        if is_deleting(change.object):
            self._queue.add(name_of(change.object))

    def _pod_changed(self, change: Change) -> None:
        """Pods end in their own time, and all else waits for them: do not make a namespace wait for the next recheck."""
        if change.type != "deleted":
            return
        name = namespace_of(change.object)
        namespace = self._namespaces.get("", name)
        if namespace is not None and is_deleting(namespace):
            self._queue.add_after(name, POD_GONE_S)

    async def reconcile(self, key: str) -> None:
        namespace = self._namespaces.get("", key)
        if namespace is None or not is_deleting(namespace) or FINALIZER not in ((namespace.get("spec") or {}).get("finalizers") or ()):
            return
        remains = await self._empty(key)
        if remains.empty:
            await self._finalize(namespace)
            return
        await self._write_status(namespace, plan_status(namespace, remains, self._clock.timestamp()))
        raise Unfinished(f"namespace {key} still has content")

    async def _empty(self, namespace: str) -> Remains:
        """One pass: pods, then, when none is left, everything else."""
        remains = Remains()
        if unknown := self._unknown():
            remains.discovery_errors.append("unable to retrieve the complete list of server APIs: " + ", ".join(unknown))
        kinds = deletable(self._resources())
        for pods in (True, False):
            for kind in kinds:
                if (kind.plural == "pods" and not kind.group) == pods:
                    await self._empty_kind(namespace, kind, remains)
            if remains.counts or remains.errors:
                break
        return remains

    async def _empty_kind(self, namespace: str, kind: Resource, remains: Remains) -> None:
        """Deletes page by page, then counts what is still there."""
        left: list[Object] = []
        try:
            found = False
            async for items in self._pages(kind, namespace):
                found = True
                deleted = await in_parallel(self._delete(kind, namespace, value) for value in items if not is_deleting(value))
                remains.errors += [str(error) for error in deleted if isinstance(error, Exception)]
            if found:
                left = [value async for items in self._pages(kind, namespace) for value in items]
        except (NotFound, MethodNotAllowed):  # not served after all
            return
        except StatusError as error:
            remains.discovery_errors.append(f"{kind.plural}.{kind.group}: {error}")
            return
        if left:
            remains.counts[f"{kind.plural}.{kind.group}"] += len(left)
            remains.finalizers.update(f for value in left for f in value["metadata"].get("finalizers") or ())

    async def _pages(self, kind: Resource, namespace: str) -> AsyncIterator[list[Object]]:
        page = await self._client.list(kind, namespace, limit=PAGE_ITEMS)
        while page.items:
            yield page.items
            if not page.continue_token:
                return
            page = await self._client.list(kind, namespace, limit=PAGE_ITEMS, continue_token=page.continue_token)

    async def _delete(self, kind: Resource, namespace: str, value: Object) -> None:
        try:
            await self._client.delete(kind, name_of(value), namespace, DeleteOptions(propagation="Background"))
        except NotFound:
            return

    async def _write_status(self, namespace: Object, status: Object) -> None:
        if status != namespace.get("status"):
            await self._client.update(self._namespace, {**namespace, "status": status}, subresource="status")

    async def _finalize(self, namespace: Object) -> None:
        value = copy(namespace)
        value["spec"]["finalizers"] = [f for f in value["spec"]["finalizers"] if f != FINALIZER]
        try:
            await self._client.update(self._namespace, value, subresource="finalize")
        except NotFound:
            return


def deletable(resources: Iterable[Resource]) -> list[Resource]:
    """The namespaced kinds that can be listed and deleted, each in one version, in the server's order."""
    found: dict[tuple[str, str], Resource] = {}
    for kind in resources:
        if kind.namespaced and {"list", "delete"} <= set(kind.verbs):
            found.setdefault((kind.group, kind.plural), kind)
    return list(found.values())


def plan_status(namespace: Object, remains: Remains, now: str) -> Object:
    """The namespace's status with what remains told in its conditions."""
    problems = _problems(remains)
    old: Sequence[Object] = (namespace.get("status") or {}).get("conditions") or ()
    others = [c for c in old if c["type"] not in _CONDITIONS]
    conditions = []
    for type, (reason, message) in _CONDITIONS.items():
        status = "False"
        if type in problems:
            status, (reason, message) = "True", problems[type]
        current = next((c for c in old if c["type"] == type), None)
        if current is None or (current["status"], current["reason"], current["message"]) != (status, reason, message):
            since = current["lastTransitionTime"] if current is not None and current["status"] == status else now
            current = {"type": type, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
        conditions.append(current)
    return {**(namespace.get("status") or {}), "phase": "Terminating", "conditions": others + conditions}


def _problems(remains: Remains) -> dict[str, tuple[str, str]]:
    problems = {}
    if remains.discovery_errors:
        text = "Discovery failed for some groups, {} failing: {}"
        problems[_FAILURES[0]] = ("DiscoveryFailed", text.format(len(remains.discovery_errors), "; ".join(remains.discovery_errors)))
    if remains.errors:
        text = "Failed to delete all resource types, {} remaining: {}"
        problems[_FAILURES[2]] = ("ContentDeletionFailed", text.format(len(remains.errors), "; ".join(remains.errors)))
    if remains.counts:
        parts = (f"{kind} has {remains.counts[kind]} resource instances" for kind in sorted(remains.counts))
        problems["NamespaceContentRemaining"] = ("SomeResourcesRemain", "Some resources are remaining: " + ", ".join(parts))
    if remains.finalizers:
        counted = (f"{name} in {remains.finalizers[name]} resource instances" for name in sorted(remains.finalizers))
        text = "Some content in the namespace has finalizers remaining: " + ", ".join(counted)
        problems["NamespaceFinalizersRemaining"] = ("SomeFinalizersRemain", text)
    return problems
