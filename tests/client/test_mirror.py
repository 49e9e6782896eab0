import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.client import mirror as mirror_module
from podium.client.mirror import Change, Mirror
from podium.client.mirrors import Mirrors
from podium.objects.resources import resource
from podium.objects.status import ServiceUnavailable, TooManyRequests
from podium.objects.values import key_of
from podium.world import virtual
from podium.world.supervisor import Supervisor
from tests.fakes.fake_client import FakeClient

CONFIGMAPS = resource("configmaps")


def configmap(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def mirrored(scenario):
    """Runs `scenario(client, mirror, changes)` with the mirror running, plain and packed; `changes` collects (type, name)."""
    for packed in (False, True):
        _mirrored(scenario, packed)


def _mirrored(scenario, packed):
    async def main(world):
        client = FakeClient(world)
        mirror = Mirror(client, CONFIGMAPS, world, packed=packed)
        changes = []
        supervisor = Supervisor("test")
        supervisor.start("mirror", mirror.run())
        mirror.subscribe(lambda c: changes.append((c.type, c.object["metadata"]["name"])))
        try:
            return await scenario(client, mirror, changes)
        finally:
            await supervisor.stop()

    return virtual.run(main, seed=1)


def test_existing_objects_come_first_then_changes():
    async def scenario(client, mirror, changes):
        client.put(configmap("b"))
        client.put(configmap("a"))
        await mirror.synced()
        client.put(configmap("c"))
        client.put(configmap("a", x="1"))
        client.remove(CONFIGMAPS, "b", "default")
        await asyncio.sleep(1)
        assert changes == [("added", "a"), ("added", "b"), ("added", "c"), ("modified", "a"), ("deleted", "b")]
        assert [o["metadata"]["name"] for o in mirror.all()] == ["a", "c"]
        assert mirror.get("default", "a")["data"] == {"x": "1"}
        assert mirror.get("default", "b") is None
        late: list[Change] = []
        mirror.subscribe(late.append)
        assert [(c.type, key_of(c.object)) for c in late] == [("added", "default/a"), ("added", "default/c")]

    mirrored(scenario)


def test_disconnected_mirror_resumes_without_listing_again():
    async def scenario(client, mirror, changes):
        await mirror.synced()
        await asyncio.sleep(1)
        client.disconnect()
        client.put(configmap("a"))
        await asyncio.sleep(20)
        assert changes == [("added", "a")]
        assert client.calls["list", "configmaps"] == 1

    mirrored(scenario)


def test_expired_mirror_emits_the_difference_of_the_new_list():
    async def scenario(client, mirror, changes):
        for name in ("changed", "gone", "recreated", "same"):
            client.put(configmap(name))
        await mirror.synced()
        await asyncio.sleep(1)
        changes.clear()
        client.disconnect()
        client.refuse("watch", ServiceUnavailable("starting"))
        await asyncio.sleep(0)
        client.put(configmap("changed", x="1"))
        client.remove(CONFIGMAPS, "gone", "default")
        client.remove(CONFIGMAPS, "recreated", "default")
        client.put(configmap("recreated"))
        client.put(configmap("new"))
        client.compact()
        await asyncio.sleep(20)
        assert changes == [("deleted", "gone"), ("modified", "changed"), ("added", "new"), ("deleted", "recreated"), ("added", "recreated")]

    mirrored(scenario)


@pytest.mark.parametrize("error", [ConnectionResetError(), ServiceUnavailable("x"), TooManyRequests("x"), ValueError("garbled")])
@pytest.mark.parametrize("verb", ["list", "watch"])
def test_refused_mirror_tries_again_with_growing_pauses(error, verb):
    async def scenario(client, mirror, changes):
        client.refuse(verb, error, times=6)
        await asyncio.sleep(60)
        assert mirror.is_synced
        assert 7 <= client.calls[verb, "configmaps"] <= 8
        client.put(configmap("a"))
        await asyncio.sleep(1)
        assert changes == [("added", "a")]

    mirrored(scenario)


def test_a_list_of_many_pages_is_one_list(monkeypatch):
    monkeypatch.setattr(mirror_module, "LIST_PAGE_ITEMS", 3)
    monkeypatch.setattr(mirror_module, "LIST_PAGE_ITEMS_PACKED", 2)

    async def scenario(client, mirror, changes):
        for name in "gfedcba":
            client.put(configmap(name, n=name))
        await mirror.synced()
        assert changes == [("added", name) for name in "abcdefg"]
        assert [o["data"]["n"] for o in mirror.all()] == list("abcdefg")
        assert client.calls["list", "configmaps"] in (3, 4)

    mirrored(scenario)


def test_index_follows_the_objects():
    def colour(value):
        return [value["data"]["colour"]] if "colour" in value["data"] else []

    async def scenario(client, mirror, changes):
        client.put(configmap("a", colour="red"))
        await mirror.synced()
        mirror.add_index("colour", colour)
        mirror.add_index("colour", colour)
        client.put(configmap("b", colour="red"))
        client.put(configmap("c"))
        await asyncio.sleep(1)
        assert [o["metadata"]["name"] for o in mirror.by_index("colour", "red")] == ["a", "b"]
        client.put(configmap("a", colour="blue"))
        client.remove(CONFIGMAPS, "b", "default")
        await asyncio.sleep(1)
        assert mirror.by_index("colour", "red") == []
        assert [o["metadata"]["name"] for o in mirror.by_index("colour", "blue")] == ["a"]

    mirrored(scenario)


def test_failing_subscriber_does_not_stop_the_others():
    async def scenario(client, mirror, changes):
        def broken(change):
            raise RuntimeError("broken")

        mirror.subscribe(broken)
        seen = []
        mirror.subscribe(lambda c: seen.append(c.type))
        client.put(configmap("a"))
        await asyncio.sleep(1)
        client.put(configmap("a", x="1"))
        await asyncio.sleep(1)
        assert seen == ["added", "modified"]

    mirrored(scenario)


def test_selected_objects_come_and_go_with_their_labels():
    async def main(world):
        client = FakeClient(world)
        supervisor = Supervisor("test")
        mirror = Mirrors(client, world, supervisor).of(CONFIGMAPS, labels="app=x")
        changes = []
        mirror.subscribe(lambda c: changes.append(c.type))
        await mirror.synced()
        value = configmap("a")
        client.put(value)
        value["metadata"]["labels"] = {"app": "x"}
        client.put(value)
        value["metadata"]["labels"] = {"app": "y"}
        client.put(value)
        await asyncio.sleep(1)
        assert changes == ["added", "deleted"]
        await supervisor.stop()

    virtual.run(main)


def test_mirrors_are_shared_by_resource():
    async def main(world):
        client = FakeClient(world)
        supervisor = Supervisor("test")
        mirrors = Mirrors(client, world, supervisor)
        assert mirrors.of(CONFIGMAPS) is mirrors.of(CONFIGMAPS)
        mirrors.of(resource("pods"))
        await mirrors.synced()
        assert client.calls["list", "configmaps"] == client.calls["list", "pods"] == 1
        await supervisor.stop()

    virtual.run(main)


STEPS = st.lists(
    st.sampled_from(["put 1", "put 2", "put 3", "remove 1", "remove 2", "remove 3", "disconnect", "compact", "refuse", "wait"]), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_replayed_changes_always_equal_the_server(steps):
    """Whatever is interrupted: no duplicate, no loss, and the same objects in the end."""

    async def scenario(client, mirror, changes):
        held = {}

        def replay(change):
            key = key_of(change.object)
            assert (change.type == "added") == (key not in held)
            if change.type == "deleted":
                del held[key]
            else:
                assert held.get(key) != change.new["metadata"]["resourceVersion"]
                held[key] = change.new["metadata"]["resourceVersion"]

        broken = []
        mirror.subscribe(lambda c: broken.append(c) if _raises(replay, c) else None)
        for number, step in enumerate(steps):
            word, _, name = step.partition(" ")
            if word == "put":
                client.put(configmap(name, n=str(number)))
            elif word == "remove":
                if client.all(CONFIGMAPS) and any(o["metadata"]["name"] == name for o in client.all(CONFIGMAPS)):
                    client.remove(CONFIGMAPS, name, "default")
            elif word == "disconnect":
                client.disconnect()
            elif word == "compact":
                client.compact()
            elif word == "refuse":
                client.disconnect()
                client.refuse("watch", ConnectionResetError(), times=2)
            else:
                await asyncio.sleep(0.5)
        await asyncio.sleep(1000)  # every refusal may cost the longest pause
        assert not broken
        assert held == {key_of(o): o["metadata"]["resourceVersion"] for o in client.all(CONFIGMAPS)}
        assert [key_of(o) for o in mirror.all()] == sorted(held)

    mirrored(scenario)


def _raises(function, *arguments):
    try:
        function(*arguments)
    except (AssertionError, KeyError):
        return True
    return False
