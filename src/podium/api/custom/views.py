"""Views: stored custom objects as one version of their kind shows them, and the way back into the store.

Most objects are stored as they are shown, and are passed on untouched: those written since the definition last changed, by a kind that has
one version. Others are looked at, converted and completed once, and the result is kept for as long as the object does not change
(for conversion by webhook: never, since the webhook may change its mind).

Source: apiextensions-apiserver pkg/apiserver/customresource_handler.go (decoding from etcd), pkg/apiserver/conversion.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from podium.objects.custom.kind import CustomKind
from podium.objects.status import ServerError
from podium.store.record import Record, stamp

Object = dict[str, Any]
Convert = Callable[[CustomKind, list[Object], str], Awaitable[list[Object]]]
"""By webhook: (kind, objects, wanted apiVersion) -> the objects in that version, in the same order. Raises StatusError."""

KEPT_MAX = 20_000
"""How many views are kept; past it all are made anew."""


class View(Record):
    """A record as a version shows it, where that is not what is stored."""

    __slots__ = ("stored",)

    def __init__(self, stored: Record, value: Object) -> None:
        metadata = {k: v for k, v in value["metadata"].items() if k != "resourceVersion"}
        rest = {k: v for k, v in value.items() if k != "metadata"}
        encoded = stamp(orjson.dumps({"metadata": metadata, **rest}), stored.revision)
        value["metadata"] = {**metadata, "resourceVersion": str(stored.revision)}
        super().__init__(stored.key, encoded, stored.revision, stored.created, value)
        self.stored = stored


async def _no_webhook(kind: CustomKind, objects: list[Object], api_version: str) -> list[Object]:
    raise ServerError(f"conversion webhook for {objects[0]['apiVersion']}, Kind={kind.kind} failed: Podium calls no webhooks here")


class Views:
    def __init__(self, convert: Convert = _no_webhook) -> None:
        self._convert = convert
        self._kept: dict[tuple[str, CustomKind], Record] = {}

    async def seen(self, kind: CustomKind, record: Record) -> Record:
        """Raises StatusError when a webhook fails."""
        if kind.converts_by_webhook:
            return (await self.all_seen(kind, [record]))[0]
        return self.seen_now(kind, record)

    async def all_seen(self, kind: CustomKind, records: list[Record]) -> list[Record]:
        if not kind.converts_by_webhook:
            return [self.seen_now(kind, record) for record in records]
        foreign = [r for r in records if r.value["apiVersion"] != kind.api_version]
        if not foreign:
            return [self.seen_now(kind, record) for record in records]
        converted = iter(await self._convert(kind, [r.value for r in foreign], kind.api_version))
        found = []
        for record in records:
            if record.value["apiVersion"] == kind.api_version:
                found.append(self.seen_now(kind, record))
            else:
                found.append(View(record, kind.current(next(converted))))
        return found

    async def shown(self, kind: CustomKind, value: Object) -> Object:
        """One object of another version, converted by webhook. Raises StatusError."""
        return kind.current((await self._convert(kind, [value], kind.api_version))[0])

    def seen_now(self, kind: CustomKind, record: Record) -> Record:
        """By the conversion that changes nothing but the apiVersion."""
        if record.revision > kind.settled_revision:
            return record
        key = (record.key, kind)
        kept = self._kept.get(key)
        if kept is not None and kept.revision == record.revision:
            return kept
        value = kind.seen(record.value)
        view = record if value is record.value else View(record, value)
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[key] = view
        return view

    async def to_storage(self, kind: CustomKind, value: Object) -> Object:
        """`value` (not changed) in the version that objects are stored in. Raises StatusError when a webhook fails."""
        if kind.is_storage:
            return value
        wanted = f"{kind.group}/{kind.storage_version}"
        if kind.converts_by_webhook:
            return (await self._convert(kind, [value], wanted))[0]
        return {**value, "apiVersion": wanted}
