"""What the verbs share: the store, the world, the catalogue, and one strategy per resource."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from podium.api.authorization import Authorizer
from podium.api.custom.views import View, Views
from podium.api.encoding import encode
from podium.api.pod_security_config import NO_SETTINGS, PodSecurity
from podium.api.request import Request
from podium.objects.resources import Catalog, Resource
from podium.objects.status import NotFound, not_found
from podium.store.interface import Store
from podium.store.record import Record
from podium.world.interface import World

if TYPE_CHECKING:
    from podium.api.admission.state import AdmissionState

Object = dict[str, Any]

_WITHOUT_GENERATION = {
    "namespaces", "nodes", "services", "persistentvolumes", "persistentvolumeclaims", "events", "leases",
    "certificatesigningrequests", "resourcequotas",
}  # fmt: skip


class Strategy:
    """What is particular to one kind on its way in: the hooks of the write path, in the order they run. The default suits most kinds.

    `prepare_*` and `warnings` are pure changes to `new`; `reserve` may take something shared (an address, a port) and returns how to give it
    back when the write fails; `released` runs after an object has gone.
    """

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.has_status = resource.subresource("status") is not None
        self.counts_generation = self.has_status and resource.plural not in _WITHOUT_GENERATION

    def prepare_create(self, core: "Core", new: Object) -> None:
        if self.has_status:
            new["status"] = {}  # always there, as Go's structs are: typed clients read through it
        if self.counts_generation:
            new["metadata"]["generation"] = 1

    def prepare_update(self, core: "Core", new: Object, old: Object) -> None:
        if self.has_status:
            _restore(new, old, "status")
        if self.counts_generation:
            changed = any(new.get(k) != old.get(k) for k in (*new, *old) if k not in ("metadata", "status"))
            generation = old["metadata"].get("generation", 0)
            new["metadata"]["generation"] = generation + 1 if changed else generation

    def prepare_status(self, core: "Core", new: Object, old: Object) -> None:
        """A write to the status subresource: only status and annotations are the caller's."""
        for field_name in [k for k in new if k not in ("metadata", "status", "apiVersion", "kind")] + [k for k in old if k not in new]:
            if field_name != "status":
                _restore(new, old, field_name)
        metadata = dict(old["metadata"])
        for field_name in ("annotations", "labels") if self.resource.plural in ("pods", "nodes") else ("annotations",):
            _restore(metadata, new["metadata"], field_name)
        new["metadata"] = metadata

    def prepare_delete(self, core: "Core", new: Object) -> None:
        """The first delete of an object, before it is known who holds it back."""

    def prepare_part(self, core: "Core", new: Object, old: Object, part: str) -> None:
        """A write to another subresource that is a part of the object: what it may not change is as it was."""
        raise AssertionError(f"this kind has no {part}")

    def reserve(self, core: "Core", new: Object, old: Object | None) -> "Reservation | None":
        return None

    def released(self, core: "Core", old: Object) -> None:
        return None

    def delete_grace_s(self, core: "Core", old: Object, asked_s: int | None) -> int:
        """Seconds between the request and the end; 0 deletes at once. Only pods have one."""
        return 0


class CustomStrategy(Strategy):
    """Custom resources: every change but those of metadata (and of the status behind a door of its own) counts as a generation."""

    def prepare_create(self, core: "Core", new: Object) -> None:
        if self.has_status:
            new.pop("status", None)
        new["metadata"]["generation"] = 1

    def prepare_update(self, core: "Core", new: Object, old: Object) -> None:
        if self.has_status:
            _restore(new, old, "status")
        changed = any(new.get(k) != old.get(k) for k in (*new, *old) if k != "metadata")
        generation = old["metadata"].get("generation", 0)
        new["metadata"]["generation"] = generation + 1 if changed else generation

    def prepare_status(self, core: "Core", new: Object, old: Object) -> None:
        for field_name in [*new, *(k for k in old if k not in new)]:
            if field_name not in ("status", "metadata"):
                _restore(new, old, field_name)
        new["metadata"] = dict(old["metadata"])


def _restore(new: Object, old: Object, field_name: str) -> None:
    if field_name in old:
        new[field_name] = old[field_name]
    else:
        new.pop(field_name, None)


class Reservation(Protocol):
    """Something shared that a write took: `undo` gives it back when the write fails, `keep` settles it when the write is done."""

    def undo(self) -> None: ...
    def keep(self) -> None: ...


@dataclass(slots=True)
class Core:
    store: Store
    world: World
    catalog: Catalog
    strategies: dict[tuple[str, str], Strategy] = field(default_factory=dict)
    disabled_plugins: frozenset[str] = frozenset()
    """Admission plugins that are not asked, by upstream's names."""
    pod_security: PodSecurity = NO_SETTINGS
    admission: "AdmissionState" = field(init=False)
    authorizer: Authorizer = field(default_factory=Authorizer)
    views: Views = field(default_factory=Views)

    def strategy(self, resource: Resource) -> Strategy:
        if resource.custom is not None:
            return CustomStrategy(resource)
        key = (resource.group, resource.plural)
        strategy = self.strategies.get(key)
        if strategy is None:
            strategy = self.strategies[key] = Strategy(resource)
        return strategy

    def stored_as(self, resource: Resource) -> Resource:
        """The resource in whose form the objects are stored: itself, but for those that are served in two forms."""
        if not resource.storage_api_version:
            return resource
        stored = self.catalog.by_kind(resource.storage_api_version, resource.kind)
        assert stored is not None
        return stored

    async def find(self, request: Request) -> Record | None:
        """The record that the request names, in the version it asks for."""
        resource = request.resource
        record = await self.store.get(resource.key(request.namespace, request.name))
        return record if record is None or resource.custom is None else await self.views.seen(resource.custom, record)

    async def seen(self, resource: Resource, records: list[Record]) -> list[Record]:
        """Stored records in the resource's version."""
        return records if resource.custom is None else await self.views.all_seen(resource.custom, records)

    async def fetch(self, request: Request) -> Record:
        """The same. Raises NotFound."""
        record = await self.find(request)
        if record is None:
            raise self.absent(request)
        return record

    async def put(self, resource: Resource, key: str, new: Object, *, expected: int) -> Record:
        """Stores `new`, which is given away, in the version that objects are stored in; the record as the resource's version shows it.
        Raises RevisionMismatch, TooLarge."""
        kind = resource.custom
        if kind is None:
            return await self.store.put(key, encode(new), expected=expected, value=new)
        stored = await self.views.to_storage(kind, new)
        record = await self.store.put(key, encode(stored), expected=expected, value=stored)
        return await self.views.seen(kind, record)

    async def is_stored(self, resource: Resource, new: Object, record: Record) -> bool:
        """Whether a write of `new` over `record` (as `find` gave it) would change nothing, not even the version it is stored in."""
        kind = resource.custom
        if kind is None or new != record.value:
            return new == record.value
        stored = record.stored.value if isinstance(record, View) else record.value
        return await self.views.to_storage(kind, new) == stored

    @staticmethod
    def absent(request: Request) -> NotFound:
        return not_found(request.resource.group, request.resource.plural, request.name)
