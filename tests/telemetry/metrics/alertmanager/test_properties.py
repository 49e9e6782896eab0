"""Grouping and deduplication on anything: random alerts, routes and failures, under a virtual clock."""

import asyncio
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.telemetry.metrics.alertmanager.alerts import fingerprint
from podium.telemetry.metrics.alertmanager.configuration import load
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, HttpReply
from podium.telemetry.metrics.alertmanager.notification_log import Entry, why_notify
from podium.telemetry.metrics.alertmanager.routes import build
from podium.world.virtual import START
from tests.telemetry.metrics.alertmanager.scene import CONFIG, Scene, play

NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from(["1", "2"])
LABELS = st.dictionaries(NAMES, VALUES, min_size=1)


def _routes(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    matchers = st.lists(st.builds(lambda n, s, v: f"{n}{s}{v}", NAMES, st.sampled_from(["=", "!=", "=~", "!~"]), VALUES), max_size=2)
    fields: dict[str, st.SearchStrategy[Any]] = {
        "receiver": st.sampled_from(["x", "y"]), "matchers": matchers, "continue": st.booleans(),
        "group_by": st.lists(NAMES, unique=True, max_size=2) | st.just(["..."]),
    }  # fmt: skip
    if depth:
        fields["routes"] = st.lists(_routes(depth - 1), max_size=3)
    return st.fixed_dictionaries({}, optional=fields)


def _tree(root: Mapping[str, Any]) -> str:
    whole = {**root, "receiver": "x"}
    for name in ("matchers", "continue"):
        whole.pop(name, None)
    return orjson.dumps({"route": whole, "receivers": [{"name": "x"}, {"name": "y"}]}).decode()


@settings(max_examples=150, deadline=None)
@given(_routes(2), LABELS)
def test_every_alert_has_a_route_and_groups_are_made_of_its_labels(tree: dict[str, Any], labels: dict[str, str]) -> None:
    root = build(load(_tree(tree)).route)
    found = root.matching(labels)
    assert found
    for route in found:
        group = route.group_labels(labels)
        assert group.items() <= labels.items()
        assert group == labels if route.groups_by_all else set(group) == set(labels) & route.group_by
        assert not any(child.matching(labels) for child in route.routes)
    identities = [route.identity for route in root.walk()]
    assert len(identities) == len(set(identities))


SETS = st.frozensets(st.sampled_from("abcd"))


@given(SETS, SETS, SETS, SETS, st.booleans())
def test_what_was_just_told_is_not_told_again(
    firing: frozenset[str], resolved: frozenset[str], f: frozenset[str], r: frozenset[str], sends: bool
) -> None:
    def why(entry: Entry | None, now_firing: frozenset[str], now_resolved: frozenset[str]) -> str:
        return why_notify(entry, now_firing, now_resolved, sends_resolved=sends, repeat_s=100, now=START)

    entry = Entry("g", "r", firing, resolved, START, START)
    assert why(entry, firing, resolved) == ""
    assert why(None, frozenset(), resolved) == ""
    if not f <= firing:
        assert why(entry, f, r)  # somebody fires of whom nobody was told
    if firing and not f:
        assert why(entry, f, r) == "all alerts resolved"


EVENTS = st.lists(
    st.tuples(st.sampled_from(["fire", "resolve", "wait", "silence", "reload"]), st.sampled_from("ABC"), st.sampled_from("12")), max_size=25
)


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.integers(0, 5), st.integers(0, 1_000))
def test_receivers_end_up_knowing_what_fires(events: list[tuple[str, str, str]], failures: int, seed: int) -> None:
    """Whatever happened: in the end the last that each group's receiver heard is what is true, and never was the same told twice in a row
    within the repeat interval."""

    async def story(scene: Scene) -> None:
        left = failures

        def answer(message: HttpMessage) -> HttpReply:
            nonlocal left
            left -= 1
            return HttpReply(500 if left >= 0 else 200, {}, b"")

        scene.receivers.answers["hook.test"] = answer
        firing: set[tuple[str, str]] = set()
        for kind, name, i in events:
            match kind:
                case "fire":
                    await scene.fire(alertname=name, i=i, for_s=100_000)
                    firing.add((name, i))
                case "resolve" if (name, i) in firing:
                    await scene.resolve(alertname=name, i=i)
                    firing.discard((name, i))
                case "wait":
                    await scene.wait(47 * (1 + "ABC".index(name)))
                case "silence":
                    scene.silence(f"alertname={name}", for_s=60)
                case "reload":
                    await scene.manager.reload(load(CONFIG))
        await scene.wait(3_000)
        heard: dict[str, dict[str, str]] = {}
        told: dict[str, list[bytes]] = {}
        for number, (_, message) in enumerate(scene.receivers.messages):
            body = orjson.loads(message.body)
            if number >= failures:
                heard[body["groupKey"]] = {a["fingerprint"]: a["status"] for a in body["alerts"]}
                told.setdefault(body["groupKey"], []).append(orjson.dumps(sorted(heard[body["groupKey"]].items())))
        known = {name for alerts in heard.values() for name, status in alerts.items() if status == "firing"}
        true = {fingerprint({"alertname": name, "i": i}) for name, i in firing}
        # as upstream: of an alert that ends while it is silenced nobody hears that it has
        assert known >= true if any(kind == "silence" for kind, _, _ in events) else known == true
        for messages in told.values():
            assert all(one != other for one, other in pairwise(messages))

    play(CONFIG, story, seed=seed)


def test_a_thousand_groups_are_told_in_order_and_once() -> None:
    async def story(scene: Scene) -> None:
        for number in range(1_000):
            await scene.fire(alertname=f"A{number:04}", for_s=100_000)
        await asyncio.sleep(700)
        assert [line.split()[-1] for line in scene.told] == [f"A{number:04}" for number in range(1_000)]

    play(CONFIG, story)
