"""Watches: every change once, in order, as the selector sees it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from podium.client.in_process import InProcessClient
from podium.client.interface import WatchEvent
from podium.control_plane import ControlPlane
from podium.objects.resources import resource
from podium.objects.status import Expired
from tests.api.objects import configmap

CONFIGMAPS = resource("configmaps")


async def _take(events: AsyncIterator[WatchEvent], count: int) -> list[tuple[str, str]]:
    async with asyncio.timeout(5):
        return [(e.type, e.object["metadata"]["name"]) for e in [await anext(events) for _ in range(count)]]


async def test_a_watch_resumes_without_gaps_from_any_revision(client: InProcessClient) -> None:
    revisions = [(await client.create(CONFIGMAPS, configmap(f"c{i}")))["metadata"]["resourceVersion"] for i in range(6)]
    for seen in range(6):
        events = client.watch(CONFIGMAPS, "default", revision=revisions[seen])
        await client.patch(CONFIGMAPS, "c0", {"data": {"seen": str(seen)}}, "default")
        got = await _take(events, 6 - seen + seen)
        assert got[: 5 - seen] == [("ADDED", f"c{i}") for i in range(seen + 1, 6)]
        assert got[5 - seen] == ("MODIFIED", "c0")
        await events.aclose()  # type: ignore[attr-defined]


async def test_an_object_enters_and_leaves_a_selector(client: InProcessClient) -> None:
    created = await client.create(CONFIGMAPS, configmap("a"))
    events = client.watch(CONFIGMAPS, "default", revision=created["metadata"]["resourceVersion"], labels="on=yes")
    for patch in (
        {"labels": {"on": "yes"}},
        {"annotations": {"x": "y"}},
        {"labels": {"on": "no"}},
        {"annotations": {"x": "z"}},
        {"labels": {"on": "yes"}},
    ):
        await client.patch(CONFIGMAPS, "a", {"metadata": patch}, "default")
    await client.delete(CONFIGMAPS, "a", "default")
    assert [t for t, _ in await _take(events, 5)] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]


async def test_without_a_revision_the_state_comes_first(client: InProcessClient) -> None:
    await client.create(CONFIGMAPS, configmap("a"))
    events = client.watch(CONFIGMAPS, "default", revision="")
    assert await _take(events, 1) == [("ADDED", "a")]
    await client.create(CONFIGMAPS, configmap("b"))
    assert await _take(events, 1) == [("ADDED", "b")]


async def test_a_compacted_revision_is_expired(client: InProcessClient, plane: ControlPlane) -> None:
    old = (await client.create(CONFIGMAPS, configmap("a")))["metadata"]["resourceVersion"]
    for i in range(3):
        await client.create(CONFIGMAPS, configmap(f"b{i}"))
    await plane.server.core.store.compact(plane.server.core.store.revision)
    with pytest.raises(Expired, match="too old resource version"):
        await anext(client.watch(CONFIGMAPS, "default", revision=old))


async def test_a_watch_ends_after_its_timeout(client: InProcessClient) -> None:
    created = await client.create(CONFIGMAPS, configmap("a"))
    watch = client.watch(CONFIGMAPS, "default", revision=created["metadata"]["resourceVersion"])
    hub_events = client._server.hubs.of(CONFIGMAPS)
    first = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    assert hub_events.watcher_count == 1
    hub_events.close()
    with pytest.raises(StopAsyncIteration):
        await first


async def test_watchers_of_one_view_share_their_bytes(client: InProcessClient, plane: ControlPlane) -> None:
    from podium.api.watching import Batch

    record = await plane.server.core.store.get(resource("namespaces").key(None, "default"))
    assert record is not None
    batch = Batch([("ADDED", record)])
    renders = []
    first, second = (batch.rendered("plain", lambda c: renders.append(c) or b"bytes") for _ in range(2))  # type: ignore[func-returns-value]
    assert first is second and len(renders) == 1
