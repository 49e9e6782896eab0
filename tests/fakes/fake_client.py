"""A client without a server: the semantics that controllers rely on, in memory.

Kept as upstream: one revision counter; conflicts on a stale resourceVersion, and preconditions of a delete; `status` written only through
its subresource; generation counting changes of spec; generateName; finalizers and graceful deletion of bound pods delaying removal;
namespaces that refuse new objects while terminating and need `finalize`; watches that resume from a revision, with Expired below the
compaction.
Left out: defaults, validation, admission, garbage collection.

For tests: `put` writes any state as it is; `refuse` makes the next calls of a verb fail; `disconnect` ends all watches;
`compact` forgets history; `calls` counts requests by (verb, plural), `log` lists writes in order.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from podium.client.interface import DEFAULT_DELETE, DeleteOptions, ListPage, Object, PatchType, WatchEvent
from podium.objects import selectors, status
from podium.objects.resources import Resource, builtin
from podium.objects.values import copy, key_of
from podium.world.interface import World


class FakeClient:
    def __init__(self, world: World, *, lag_s: float = 0.0) -> None:
        """`lag_s` delays what watches deliver, to test mirrors that are behind; `lags_s` by plural name overrides it."""
        self._world = world
        self._lag_s = lag_s
        self.lags_s: dict[str, float] = {}
        self._objects: dict[str, Object] = {}  # by store key
        self._history: list[tuple[int, str, str, Object, Object | None]] = []  # revision, key, type, object, previous
        self._watchers: list[_Watcher] = []
        self._refusals: dict[str, list[Exception]] = {}
        self._oldest = 1
        self.revision = 1
        self.calls: Counter[tuple[str, str]] = Counter()
        self.log: list[tuple[str, str, Object]] = []

    # For tests

    def put(self, value: Object) -> Object:
        """Writes the object as it is, creating or replacing; completes uid, creationTimestamp, generation."""
        resource = builtin().by_kind(value["apiVersion"], value["kind"])
        assert resource is not None, value["kind"]
        value = copy(value)
        metadata = value["metadata"]
        if resource.namespaced:
            metadata.setdefault("namespace", "default")
        key = resource.key(metadata.get("namespace"), metadata["name"])
        old = self._objects.get(key)
        self._complete(value, old)
        return self._store(key, value)

    def remove(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        self._drop(resource.key(namespace, name))

    def all(self, resource: Resource, namespace: str | None = None) -> list[Object]:
        """Every object, by key."""
        prefix = resource.key(namespace, "") if namespace else resource.prefix
        return [self._objects[key] for key in sorted(self._objects) if key.startswith(prefix)]

    def peek(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        return self._objects.get(resource.key(namespace, name))

    def refuse(self, verb: str, error: Exception, times: int = 1) -> None:
        """The next `times` calls of the verb (`create`, `watch`...; `create pods` for one resource) raise the error."""
        self._refusals.setdefault(verb, []).extend([error] * times)

    def refusals_end(self) -> None:
        """What was still to be refused is not."""
        self._refusals.clear()

    def disconnect(self) -> None:
        """Ends every watch."""
        for watcher in self._watchers:
            watcher.end()

    def compact(self) -> None:
        """Watches from before now are answered with Expired."""
        self._oldest = self.revision
        self._history.clear()

    # client.interface.Client

    async def get(self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str = "") -> Object:
        await self._call("get", resource)
        return self._get(resource, name, namespace)

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        continue_token: str = "",
        revision: str = "",
    ) -> ListPage:
        await self._call("list", resource)
        matches = _matcher(labels, fields)
        found = [value for value in self.all(resource, namespace) if matches(value) and key_of(value) > continue_token]
        page = found[: limit or None]
        token = key_of(page[-1]) if len(page) < len(found) else ""
        return ListPage(page, str(self.revision), token, len(found) - len(page))

    async def create(
        self, resource: Resource, value: Object, namespace: str | None = None, *, subresource: str = "", name: str = ""
    ) -> Object:
        await self._call("create", resource)
        if subresource:
            return self._create_subresource(resource, value, namespace, subresource, name)
        value = copy(value)
        value["apiVersion"], value["kind"] = resource.api_version, resource.kind
        metadata = value["metadata"]
        if resource.namespaced:
            metadata["namespace"] = namespace = namespace or metadata.get("namespace") or "default"
            parent = self._objects.get(f"/core/namespaces/{namespace}")
            if parent is not None and "deletionTimestamp" in parent["metadata"]:
                details = {"causes": [{"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated"}]}
                raise status.Forbidden(
                    f"unable to create new content in namespace {namespace} because it is being terminated", details=details
                )
        while not metadata.get("name") or ("generateName" in metadata and resource.key(namespace, metadata["name"]) in self._objects):
            metadata["name"] = metadata["generateName"] + self._world.token(5)
        key = resource.key(namespace, metadata["name"])
        if key in self._objects:
            raise status.already_exists(resource.group, resource.plural, metadata["name"])
        if resource.subresource("status"):
            value.pop("status", None)
        if resource.plural == "namespaces":
            value.setdefault("spec", {})["finalizers"] = ["kubernetes"]
            value["status"] = {"phase": "Active"}
        self._complete(value, None)
        self.log.append(("create", key, value))
        return self._store(key, value)

    async def update(self, resource: Resource, value: Object, *, subresource: str = "") -> Object:
        await self._call("update", resource)
        metadata = value["metadata"]
        old = self._get(resource, metadata["name"], metadata.get("namespace"))
        expected = metadata.get("resourceVersion")
        if expected and expected != old["metadata"]["resourceVersion"]:
            raise status.conflict(resource.group, resource.plural, metadata["name"])
        return self._write(resource, old, copy(value), subresource)

    async def patch(
        self, resource: Resource, name: str, patch: Any, namespace: str | None = None, *, type: PatchType = "merge", subresource: str = ""
    ) -> Object:
        await self._call("patch", resource)
        old = self._get(resource, name, namespace)
        if type == "merge":
            new = _merge(copy(old), copy(patch))
        else:
            from podium.objects import patches

            new = (
                patches.apply_json(old, patch)
                if type == "json"
                else patches.apply_strategic(old, patch, resource.api_version, resource.kind)
            )
        expected = new["metadata"].get("resourceVersion")
        if expected != old["metadata"]["resourceVersion"]:
            raise status.conflict(resource.group, resource.plural, name)
        return self._write(resource, old, copy(new), subresource)

    async def apply(self, resource: Resource, value: Object, manager: str, *, force: bool = False) -> Object:
        """Without ownership: creates, or merges."""
        metadata = value["metadata"]
        try:
            return await self.patch(resource, metadata["name"], value, metadata.get("namespace"))
        except status.NotFound:
            return await self.create(resource, value)

    async def delete(self, resource: Resource, name: str, namespace: str | None = None, options: DeleteOptions = DEFAULT_DELETE) -> Object:
        await self._call("delete", resource)
        old = self._get(resource, name, namespace)
        metadata = old["metadata"]
        if options.uid and options.uid != metadata["uid"]:
            raise status.conflict(resource.group, resource.plural, name, "the UID in the precondition does not match")
        if options.revision and options.revision != metadata["resourceVersion"]:
            raise status.conflict(resource.group, resource.plural, name, "the ResourceVersion in the precondition does not match")
        key = resource.key(namespace, name)
        self.log.append(("delete", key, old))
        grace_s = self._grace_s(resource, old, options)
        if not (metadata.get("finalizers") or grace_s or resource.plural == "namespaces"):
            return self._drop(key)
        if "deletionTimestamp" in metadata:
            return old
        new = copy(old)
        new["metadata"]["deletionTimestamp"] = self._world.clock.timestamp()
        new["metadata"]["deletionGracePeriodSeconds"] = grace_s
        if resource.plural == "namespaces":
            new["status"] = {**new.get("status", {}), "phase": "Terminating"}
        return self._store(key, new)

    async def watch(
        self, resource: Resource, namespace: str | None = None, *, revision: str, labels: str = "", fields: str = "", timeout_s: int = 0
    ) -> AsyncIterator[WatchEvent]:
        await self._call("watch", resource)
        if int(revision or 0) < self._oldest:
            raise status.Expired(f"too old resource version: {revision} ({self._oldest})")
        if int(revision or 0) > self.revision:
            raise status.Timeout("Too large resource version")
        prefix = resource.key(namespace, "") if namespace else resource.prefix
        watcher = _Watcher(prefix, _matcher(labels, fields), int(revision or 0))
        for at, key, type, value, previous in self._history:
            watcher.offer(at, key, type, value, previous)
        self._watchers.append(watcher)
        watcher.queue.put_nowait(WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(self.revision)}}))
        try:
            while (event := await watcher.queue.get()) is not None:
                yield event
        finally:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

    async def aclose(self) -> None:
        self.disconnect()

    # Inside

    async def _call(self, verb: str, resource: Resource) -> None:
        self.calls[verb, resource.plural] += 1
        await asyncio.sleep(0)
        refusals = self._refusals.get(f"{verb} {resource.plural}") or self._refusals.get(verb)
        if refusals:
            raise refusals.pop(0)

    def _get(self, resource: Resource, name: str, namespace: str | None) -> Object:
        value = self._objects.get(resource.key(namespace, name))
        if value is None:
            raise status.not_found(resource.group, resource.plural, name)
        return value

    def _complete(self, value: Object, old: Object | None) -> None:
        metadata = value["metadata"]
        if old is None:
            metadata.setdefault("uid", self._world.uid())
            metadata.setdefault("creationTimestamp", self._world.clock.timestamp())
            if "spec" in value:
                metadata.setdefault("generation", 1)
            return
        metadata["uid"], metadata["creationTimestamp"] = old["metadata"]["uid"], old["metadata"]["creationTimestamp"]
        if value.get("spec") != old.get("spec"):
            metadata["generation"] = old["metadata"].get("generation", 0) + 1

    def _write(self, resource: Resource, old: Object, new: Object, subresource: str) -> Object:
        if subresource == "status":
            new = {**old, "metadata": dict(old["metadata"]), "status": new.get("status", {})}
        elif subresource == "finalize":
            new = {**old, "metadata": dict(old["metadata"]), "spec": new.get("spec", {})}
        elif resource.subresource("status"):
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        metadata = new["metadata"]
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            if field in old["metadata"]:
                metadata[field] = old["metadata"][field]
        self._complete(new, old)
        key = resource.key(metadata.get("namespace"), metadata["name"])
        metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
        if new == old:
            return old
        self.log.append(("update" + (f"/{subresource}" if subresource else ""), key, new))
        finished = "deletionTimestamp" in metadata and not metadata.get("finalizers") and not metadata.get("deletionGracePeriodSeconds")
        if finished and not (resource.plural == "namespaces" and new.get("spec", {}).get("finalizers")):
            self._objects[key] = new
            return self._drop(key)
        return self._store(key, new)

    def _create_subresource(self, resource: Resource, value: Object, namespace: str | None, subresource: str, name: str) -> Object:
        old = self._get(resource, name, namespace)
        assert subresource == "binding", subresource
        new = copy(old)
        new["spec"]["nodeName"] = value["target"]["name"]
        self._complete(new, old)
        return self._store(resource.key(namespace, name), new)

    @staticmethod
    def _grace_s(resource: Resource, old: Object, options: DeleteOptions) -> int:
        if resource.plural != "pods" or not old["spec"].get("nodeName"):
            return 0
        if options.grace_period_s is not None:
            return options.grace_period_s
        return old["spec"].get("terminationGracePeriodSeconds", 30)

    def _store(self, key: str, value: Object) -> Object:
        old = self._objects.get(key)
        self.revision += 1
        value["metadata"]["resourceVersion"] = str(self.revision)
        self._objects[key] = value
        self._publish(key, "MODIFIED" if old is not None else "ADDED", value, old)
        return value

    def _drop(self, key: str) -> Object:
        old = self._objects.pop(key)
        self.revision += 1
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.revision)}}
        self._publish(key, "DELETED", last, old)
        return last

    def _publish(self, key: str, type: str, value: Object, previous: Object | None) -> None:
        self._history.append((self.revision, key, type, value, previous))
        lag_s = self.lags_s.get(key.split("/")[2], self._lag_s)
        if lag_s:
            asyncio.get_running_loop().call_later(lag_s, self._deliver, key, type, value, previous, self.revision)
        else:
            self._deliver(key, type, value, previous, self.revision)

    def _deliver(self, key: str, type: str, value: Object, previous: Object | None, at: int) -> None:
        for watcher in self._watchers:
            watcher.offer(at, key, type, value, previous)


class _Watcher:
    def __init__(self, prefix: str, matches: Any, after: int) -> None:
        self._prefix = prefix
        self._matches = matches
        self._after = after
        self.queue: asyncio.Queue[WatchEvent | None] = asyncio.Queue()

    def offer(self, at: int, key: str, type: str, value: Object, previous: Object | None) -> None:
        """As upstream: an object that begins or ceases to match the selectors is added or deleted. What was offered before is passed over: a
        late event may already have been part of the history."""
        if at <= self._after or not key.startswith(self._prefix):
            return
        self._after = at
        was = previous is not None and self._matches(previous)
        now = type != "DELETED" and self._matches(value)
        if now:
            self.queue.put_nowait(WatchEvent("MODIFIED" if was else "ADDED", value))
        elif was:
            self.queue.put_nowait(WatchEvent("DELETED", value))

    def end(self) -> None:
        self.queue.put_nowait(None)


def _matcher(labels: str, fields: str) -> Any:
    selector = selectors.parse_labels(labels)
    wanted = [term.split("=", 1) for term in fields.replace("==", "=").split(",") if term]

    def matches(value: Object) -> bool:
        if not selector.matches(value["metadata"].get("labels")):
            return False
        return all(_field(value, path) == text if not path.endswith("!") else _field(value, path[:-1]) != text for path, text in wanted)

    return matches


def _field(value: Any, path: str) -> str:
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    target = target if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = _merge(target.get(key), value)
    return target
