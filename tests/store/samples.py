"""Small objects for store tests."""

from typing import Any

import orjson

from podium.store.record import Event


def encode(note: str, **metadata: str) -> bytes:
    """Unstamped, as a writer hands it over."""
    return orjson.dumps({"metadata": {"name": "x", **metadata}, "note": note})


def said(events: list[Event]) -> list[tuple[str, str, int, str]]:
    """Events as (kind, key, revision, note)."""
    return [(kind_of(event), event.record.key, event.revision, event.record.value["note"]) for event in events]


def kind_of(event: Event) -> str:
    return "delete" if event.deleted else ("create" if event.previous is None else "update")


def notes(records: list[Any]) -> list[str]:
    return [record.value["note"] for record in records]
