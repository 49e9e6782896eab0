"""Live objects follow the store, in order, whatever happens while they load."""

from podium.api.encoding import encode
from podium.api.live_objects import LiveObjects
from podium.objects.resources import resource
from podium.store.memory import MemoryStore

CONFIGMAPS = resource("configmaps")


def value(name: str, **data: str) -> dict:
    return {"metadata": {"name": name, "namespace": "n"}, "data": data}


async def put(store: MemoryStore, name: str, **data: str) -> None:
    new = value(name, **data)
    await store.put(CONFIGMAPS.key("n", name), encode(new), expected=None, value=new)


def compile_data(value: dict) -> str:
    return value["data"]["v"] if value["data"]["v"] != "bad" else str(int("bad"))


async def test_they_are_what_the_store_holds() -> None:
    store = MemoryStore()
    await put(store, "b", v="1")
    live = LiveObjects(store, CONFIGMAPS, compile_data)
    await live.start()
    await put(store, "c", v="3")
    await put(store, "a", v="2")
    assert list(live.within("n").items()) == [("a", "2"), ("b", "1"), ("c", "3")] and live.all() == ["2", "1", "3"]
    generation = live.generation
    await store.delete(CONFIGMAPS.key("n", "b"), expected=None)
    assert live.get("b", "n") is None and live.get("a", "n") == "2" and live.generation > generation
    assert live.within("other") == {}


async def test_one_that_does_not_compile_is_left_out_until_it_does() -> None:
    store = MemoryStore()
    live = LiveObjects(store, CONFIGMAPS, compile_data)
    await live.start()
    await put(store, "a", v="1")
    await put(store, "a", v="bad")
    assert live.get("a", "n") is None and live.all() == []
    await put(store, "a", v="2")
    assert live.all() == ["2"]
