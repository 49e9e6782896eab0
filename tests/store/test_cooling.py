"""Versions say the same whatever is kept of them."""

import asyncio

import orjson
import pytest

from podium.store import cooling
from podium.store.block import Block
from podium.store.interface import ABSENT
from podium.store.memory import MemoryStore
from podium.store.record import Record, encode_stamped
from tests.store.samples import encode, said

POD = "/core/pods/default/"
LONG = "x" * 1200
"""So that parts are shared."""


def value_of(note):
    return {"metadata": {"name": "x", "labels": {"a": "b"}}, "note": note, "spec": {"text": LONG}}


async def put(store, key, note, expected=None):
    value = value_of(note)
    return await store.put(key, orjson.dumps(value), expected=expected, value=value)


async def cool(store):
    """Enough writes that what was there is old."""
    await asyncio.gather(*(store.put("/core/leases/other", encode(str(n)), expected=None) for n in range(cooling.RECENT_MAX + 1)))


@pytest.mark.parametrize("value", [value_of("a"), {"note": 1.0, "metadata": {"z": 1, "name": "ü"}, "more": [True, None, 10**15]}])
def test_json_is_made_of_the_value_byte_for_byte(value):
    text = orjson.dumps({"metadata": {"resourceVersion": "7", **value["metadata"]}, **{k: v for k, v in value.items() if k != "metadata"}})
    assert encode_stamped({**value, "metadata": {**value["metadata"], "resourceVersion": "7"}}) == text


async def test_a_value_that_nobody_holds_goes_and_comes_back(store):
    await put(store, POD + "a", "1")
    await cool(store)
    record = await store.get(POD + "a")
    assert record._value is None and record.value["note"] == "1" and record.value["metadata"]["resourceVersion"] == "2"


async def test_of_a_value_that_somebody_holds_the_json_goes_and_comes_back(store):
    record = await put(store, POD + "a", "1")
    text, held = record.encoded, record.value
    await cool(store)
    assert "encoded" not in kept_of(record) and record.value is held
    assert record.encoded == text and record.size == len(text)
    assert "encoded" in kept_of(record)  # it was read, and may be again
    store.rest()
    assert kept_of(record) == {"_value"} and record.encoded == text


async def test_a_value_that_is_let_go_later_leaves_the_json_when_the_store_rests(store):
    record = await put(store, POD + "a", "1")
    text, held = record.encoded, record.value
    await cool(store)
    del held
    store.rest()
    assert kept_of(record) == {"encoded"} and record.encoded == text


async def test_json_that_could_not_be_made_again_stays(store):
    text = b'{"metadata":{"name":"x"},"n":1e2}'
    record = await store.put(POD + "a", text, expected=ABSENT, value=orjson.loads(text))
    held = record.value
    await cool(store)
    assert b'"n":1e2' in record.encoded and held["n"] == 100.0


async def test_history_is_the_same_from_blocks(store):
    for number in range(200):
        await put(store, POD + f"p{number % 20}", f"{number} {'y' * (number * 7 % 900)}")
    await store.delete(POD + "p3", expected=None)
    before = said(store.history(POD, 1)), [event.record.encoded for event in store.history(POD, 1)]
    await cool(store)
    events = store.history(POD, 1)
    assert sum(event.previous is not None and kept_of(event.previous) == {"_block"} for event in events) > 100
    assert (said(events), [event.record.encoded for event in store.history(POD, 1)]) == before
    at_100 = (await store.range(POD, revision=100)).records
    assert [record.value["note"].split()[0] for record in at_100] == [str(n) for n in sorted(range(79, 99), key=lambda n: f"p{n % 20}")]


async def test_a_version_that_comes_from_its_value_alone_goes_into_a_block(store):
    record = await put(store, POD + "a", "1")
    text, held = record.encoded, record.value
    await cool(store)
    for number in range(2 * cooling.BLOCK_VERSIONS):
        await put(store, POD + "a", str(number))
    await cool(store)
    assert kept_of(record) == {"_block"} and record.encoded == text and record.value == held


async def test_the_bytes_of_the_history_are_what_its_versions_count_whatever_form_they_have():
    store = MemoryStore()
    for number in range(300):
        await put(store, POD + f"p{number % 5}", str(number))
        await store.delete(POD + f"p{number % 5}", expected=None)
    await cool(store)
    await store.compact(store.revision)
    assert store._versions._ring_bytes == 0


def test_a_block_gives_each_text_and_knows_no_other():
    block = Block([9, 4, 7], [b"one", b"", b"three"])
    other = Block([4], [b"else"])
    assert [block.text(4), other.text(4), block.text(9), block.text(7)] == [b"", b"else", b"one", b"three"]
    with pytest.raises(ValueError):
        block.text(5)


def kept_of(record: Record) -> set[str]:
    kept = {name for name in ("_value", "_block") if getattr(record, name) is not None}
    try:
        object.__getattribute__(record, "encoded")
    except AttributeError:
        return kept
    return kept | {"encoded"}
