"""Silences: how they are made, changed, ended, merged and forgotten."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.telemetry.metrics.alertmanager import silences as module
from podium.telemetry.metrics.alertmanager.errors import BadSilence, SilenceNotFound, TooMany
from podium.telemetry.metrics.alertmanager.matchers import parse_matchers
from podium.telemetry.metrics.alertmanager.silences import Silence, Silences
from podium.telemetry.metrics.alertmanager.storage import MemoryStorage
from podium.world import virtual
from podium.world.virtual import VirtualWorld

Story = Callable[[VirtualWorld, Silences], object]


def play(story: Story, storage: MemoryStorage | None = None) -> None:
    async def main(world: VirtualWorld) -> None:
        result = story(world, Silences(world, storage or MemoryStorage()))
        if hasattr(result, "__await__"):
            await result

    virtual.run(main)


def made(world: VirtualWorld, text: str = "a=b", start_s: float = 0, for_s: float = 100, identity: str = "") -> Silence:
    now = world.clock.now()
    start = now + timedelta(seconds=start_s)
    return Silence(identity, parse_matchers(text), start, start + timedelta(seconds=for_s), now, "me", "why")


def test_an_active_silence_keeps_its_id_when_only_its_end_changes() -> None:
    def story(world: VirtualWorld, silences: Silences) -> None:
        first = silences.put(made(world))
        assert silences.put(replace(silences.get(first), ends_at=world.clock.now() + timedelta(hours=1), comment="longer")) == first
        assert (silences.get(first).comment, silences.counts()) == ("longer", {"active": 1, "pending": 0, "expired": 0})

    play(story)


def test_other_matchers_make_a_new_silence_and_expire_the_old_one() -> None:
    async def story(world: VirtualWorld, silences: Silences) -> None:
        first = silences.put(made(world))
        await asyncio.sleep(1)
        second = silences.put(replace(silences.get(first), matchers=parse_matchers("a=c")))
        await asyncio.sleep(1)
        assert first != second and silences.counts() == {"active": 1, "pending": 0, "expired": 1}

    play(story)


def test_a_pending_silence_that_is_expired_never_becomes_active() -> None:
    async def story(world: VirtualWorld, silences: Silences) -> None:
        identity = silences.put(made(world, start_s=50))
        assert silences.silenced_by("f", {"a": "b"}) == []
        silences.expire(identity)
        await asyncio.sleep(60)
        assert silences.silenced_by("f", {"a": "b"}) == [] and silences.get(identity).state(world.clock.now()) == "expired"

    play(story)


def test_silences_become_active_and_end_by_themselves() -> None:
    async def story(world: VirtualWorld, silences: Silences) -> None:
        identity = silences.put(made(world, start_s=50))
        seen = []
        for _ in range(4):
            seen.append(silences.silenced_by("f", {"a": "b"}))
            await asyncio.sleep(50.5)
        assert seen == [[], [identity], [identity], []]

    play(story)


def test_an_expired_silence_is_forgotten_after_its_retention_and_stays_so() -> None:
    storage = MemoryStorage()

    async def story(world: VirtualWorld, silences: Silences) -> None:
        silences.put(made(world))
        await asyncio.sleep(100 + module.RETENTION_S - 1)
        assert silences.forget_expired() == 0
        await asyncio.sleep(2)
        assert silences.forget_expired() == 1 and Silences(world, storage).all() == []

    play(story, storage)


REFUSED = [
    ("", "invalid silence: matcher set 0 is empty"),
    ("a=", "invalid silence: matcher set 0: at least one matcher must not match the empty string"),
    ('a=~".*"', "invalid silence: matcher set 0: at least one matcher must not match the empty string"),
    ("a=~.*,b=", "invalid silence: matcher set 0: at least one matcher must not match the empty string"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_silence_of_everything_is_refused(text: str, message: str) -> None:
    def story(world: VirtualWorld, silences: Silences) -> None:
        with pytest.raises(BadSilence) as raised:
            silences.put(made(world, text))
        assert str(raised.value) == message

    play(story)


def test_limits_and_unknown_ids_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCES_MAX", 2)

    def story(world: VirtualWorld, silences: Silences) -> None:
        silences.put(made(world))
        silences.put(made(world))
        with pytest.raises(TooMany):
            silences.put(made(world))
        with pytest.raises(SilenceNotFound):
            silences.put(made(world, identity="no"))
        with pytest.raises(SilenceNotFound):
            silences.expire("no")
        with pytest.raises(BadSilence):
            silences.put(replace(made(world), comment="x" * (module.TEXT_CHARS_MAX + 1)))

    play(story)


GARBAGE: list[dict[str, object]] = [
    {}, {"id": 1}, {"id": "x", "startsAt": "never", "endsAt": "", "updatedAt": ""},
    {"id": "x", "startsAt": "2026-01-01T00:00:00", "endsAt": "2099-01-01T00:00:00", "updatedAt": "2026-01-01T00:00:00", "matchers": [],
     "createdBy": "", "comment": ""},
    {"id": "x", "startsAt": None, "endsAt": [], "updatedAt": {}, "matchers": 7},
]  # fmt: skip


def test_garbage_from_a_peer_is_left_out() -> None:
    def story(world: VirtualWorld, silences: Silences) -> None:
        assert silences.merge(GARBAGE) == 0 and silences.all() == []

    play(story)


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(6)), st.permutations(range(6)))
def test_replicas_agree_whatever_the_order_of_records(one: list[int], other: list[int]) -> None:
    async def main(world: VirtualWorld) -> None:
        records = []
        source = Silences(world, MemoryStorage(), on_change=lambda key, record: records.append(record))
        identity = source.put(made(world))
        await asyncio.sleep(1)
        source.put(replace(source.get(identity), comment="2"))
        second = source.put(made(world, "c=d"))
        await asyncio.sleep(1)
        source.put(replace(source.get(identity), comment="3"))
        source.expire(second)
        source.put(made(world, "e=f", start_s=30))
        assert len(records) == 6
        outcomes = []
        for order in (one, other):
            replica = Silences(world, MemoryStorage())
            for index in order:
                replica.merge([records[index]])
            outcomes.append(sorted(map(str, replica.records().values())))
        assert outcomes[0] == outcomes[1] == sorted(map(str, source.records().values()))

    virtual.run(main)


CHANGES = st.lists(
    st.tuples(st.sampled_from(["put", "change", "expire", "wait", "ask"]), st.integers(0, 3), st.integers(0, 2)), max_size=30
)


@settings(max_examples=100, deadline=None)
@given(CHANGES)
def test_what_is_remembered_is_what_looking_again_would_find(changes: list[tuple[str, int, int]]) -> None:
    labels = [{"a": str(n), "b": "x"} for n in range(3)]

    async def main(world: VirtualWorld) -> None:
        silences = Silences(world, MemoryStorage())
        for kind, which, value in changes:
            known = silences.all()
            match kind:
                case "put":
                    silences.put(made(world, f"a={value}" if which % 2 else f'a=~"{value}|9",b=x', start_s=10 * which, for_s=25))
                case "change" if known:
                    silences.put(replace(known[which % len(known)], ends_at=world.clock.now() + timedelta(seconds=30 + value)))
                case "expire" if known:
                    silences.expire(known[which % len(known)].id)
                case "wait":
                    await asyncio.sleep(7 * which + 1)
            for number, one in enumerate(labels):
                now = world.clock.now()
                fresh = sorted(s.id for s in silences.all() if s.state(now) == "active" and module.match_all(s.matchers, one))
                assert silences.silenced_by(str(number), one) == fresh

    virtual.run(main)
