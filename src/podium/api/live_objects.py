"""Live objects: what is needed on every write, compiled once per change instead of once per request.

A `LiveObjects` follows one resource through the store's feed and keeps `compile(value)` of each object, so that a request looks things up
synchronously and never decodes or parses configuration. A write is seen here before it is acknowledged.

Invariants: after `start` the contents are exactly those of the store; what does not compile (a ValueError or a StatusError) is left out and
logged, so one bad object cannot stop the writes of others.
"""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from podium.instrument.log import logger
from podium.objects.resources import Resource
from podium.objects.status import StatusError
from podium.objects.values import Object
from podium.store.interface import Store
from podium.store.record import Event

T = TypeVar("T")
log = logger("api.live_objects")


class LiveObjects(Generic[T]):
    """By namespace ("" for cluster-scoped resources) and name, both in order. `generation` grows with each change."""

    def __init__(self, store: Store, resource: Resource, compile: Callable[[Object], T]) -> None:
        self._store = store
        self._resource = resource
        self._compile = compile
        self._by_namespace: dict[str, dict[str, T]] = {}
        self._unsorted: set[str] = set()
        self._touched: set[tuple[str, str]] | None = set()
        self.generation = 0

    async def start(self) -> None:
        self._store.feed(self._resource.prefix, self._changed)
        page = await self._store.range(self._resource.prefix)
        assert self._touched is not None
        for record in page.records:
            place = self._place(record.value)
            if place not in self._touched:
                self._set(*place, record.value)
        self._touched = None

    @property
    def empty(self) -> bool:
        return not self._by_namespace

    def within(self, namespace: str) -> Mapping[str, T]:
        """By name, in the order of the names. Not to be iterated across an await."""
        items = self._by_namespace.get(namespace)
        if items is None:
            return {}
        if namespace in self._unsorted:
            self._unsorted.discard(namespace)
            items = self._by_namespace[namespace] = dict(sorted(items.items()))
        return items

    def get(self, name: str, namespace: str = "") -> T | None:
        items = self._by_namespace.get(namespace)
        return items.get(name) if items is not None else None

    def all(self) -> list[T]:
        return [item for namespace in sorted(self._by_namespace) for item in self.within(namespace).values()]

    def _changed(self, events: list[Event]) -> None:
        for event in events:
            value = event.record.value
            place = self._place(value)
            if self._touched is not None:
                self._touched.add(place)
            self._set(*place, None if event.deleted else value)

    def _set(self, namespace: str, name: str, value: Object | None) -> None:
        items = self._by_namespace.setdefault(namespace, {})
        if name not in items:
            self._unsorted.add(namespace)
        if value is None:
            items.pop(name, None)
        else:
            self._add(items, name, value)
        if not items:
            del self._by_namespace[namespace]
            self._unsorted.discard(namespace)
        self.generation += 1

    def _add(self, items: dict[str, T], name: str, value: Object) -> None:
        try:
            items[name] = self._compile(value)
        except (ValueError, StatusError) as error:
            items.pop(name, None)
            log.error("an object is not acted on", resource=self._resource.plural, name=name, error=str(error))

    @staticmethod
    def _place(value: Object) -> tuple[str, str]:
        metadata = value["metadata"]
        return metadata.get("namespace", ""), metadata["name"]
