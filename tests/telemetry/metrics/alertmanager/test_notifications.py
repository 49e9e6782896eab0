"""Who is told what, when: stories under a virtual clock."""

import asyncio
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from podium.telemetry.metrics.alertmanager.alertmanager import PostedAlert
from podium.telemetry.metrics.alertmanager.alerts import label_order
from podium.telemetry.metrics.alertmanager.configuration import load
from podium.telemetry.metrics.alertmanager.errors import BadAlert, ConfigurationError
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, HttpReply
from podium.telemetry.metrics.alertmanager.storage import MemoryStorage
from podium.world.supervisor import Supervisor
from tests.telemetry.metrics.alertmanager.scene import CONFIG, Scene, play

HOUR = 3600.0


def test_alerts_of_a_group_are_told_together_after_group_wait() -> None:
    async def story(scene: Scene) -> None:
        await scene.fire(alertname="A", i="1")
        await scene.wait(10)
        await scene.fire(alertname="A", i="2")
        await scene.fire(alertname="B")
        await scene.wait(31)
        assert scene.told == ["30 hook firing A{i=1} A{i=2}", "40 hook firing B"]

    play(CONFIG, story)


def test_nothing_new_is_not_told_again_before_the_repeat_interval() -> None:
    async def story(scene: Scene) -> None:
        await scene.keep_firing(9 * HOUR, alertname="A")
        # flushes are 5 minutes apart: the first one after 4 hours have passed tells again
        assert scene.told == ["30 hook firing A", "14730 hook firing A", "29430 hook firing A"]

    play(CONFIG, story)


def test_a_new_alert_of_a_known_group_is_told_at_the_next_group_interval() -> None:
    async def story(scene: Scene) -> None:
        await scene.fire(alertname="A", i="1", for_s=HOUR)
        await scene.wait(100)
        await scene.fire(alertname="A", i="2", for_s=HOUR)
        await scene.wait(300)
        assert scene.told == ["30 hook firing A{i=1}", "330 hook firing A{i=1} A{i=2}"]

    play(CONFIG, story)


def test_a_resolved_alert_is_told_once_and_its_group_ends() -> None:
    async def story(scene: Scene) -> None:
        await scene.fire(alertname="A", for_s=HOUR)
        await scene.wait(100)
        await scene.resolve(alertname="A")
        await scene.wait(HOUR)
        assert scene.told == ["30 hook firing A", "330 hook resolved A"]
        assert scene.manager.groups() == []

    play(CONFIG, story)


def test_an_alert_that_nobody_repeats_resolves_after_resolve_timeout() -> None:
    async def story(scene: Scene) -> None:
        await scene.fire(alertname="A")
        await scene.wait(HOUR)
        assert scene.told == ["30 hook firing A", "330 hook resolved A"]

    play(CONFIG, story)


def test_an_alert_that_comes_and_goes_within_group_wait_is_not_told() -> None:
    async def story(scene: Scene) -> None:
        await scene.fire(alertname="A", for_s=HOUR)
        await scene.wait(10)
        await scene.resolve(alertname="A")
        await scene.wait(HOUR)
        assert scene.told == []

    play(CONFIG, story)


def test_an_alert_that_fires_again_after_it_was_resolved_is_told_again() -> None:
    async def story(scene: Scene) -> None:
        await scene.fire(alertname="A", for_s=HOUR)
        await scene.wait(100)
        await scene.resolve(alertname="A")
        await scene.wait(300)
        await scene.fire(alertname="A", for_s=HOUR)
        await scene.wait(300)
        assert scene.told == ["30 hook firing A", "330 hook resolved A", "430 hook firing A"]

    play(CONFIG, story)


def test_resolved_alerts_are_not_told_without_send_resolved() -> None:
    async def story(scene: Scene) -> None:
        await scene.fire(alertname="A", i="1", for_s=HOUR)
        await scene.fire(alertname="A", i="2", for_s=HOUR)
        await scene.wait(100)
        await scene.resolve(alertname="A", i="1")
        await scene.wait(400)
        await scene.resolve(alertname="A", i="2")
        await scene.wait(HOUR)
        assert scene.told == ["30 hook firing A{i=1} A{i=2}"]

    play(CONFIG.replace("hook.test/'", "hook.test/', send_resolved: false"), story)


def test_an_old_alert_does_not_wait_for_its_group() -> None:
    async def story(scene: Scene) -> None:
        start = scene.world.clock.now()
        await scene.wait(100)
        await scene.manager.put_alerts([PostedAlert({"alertname": "A"}, {}, start)])
        await scene.wait(1)
        assert scene.told == ["100 hook firing A"]

    play(CONFIG, story)


ROUTES = """
route:
  receiver: hook
  group_by: ['...']
  group_wait: 10s
  routes:
  - matchers: [team="a"]
    receiver: a
    continue: true
    group_by: []
  - matchers: [team=~"a|b", severity!="info"]
    receiver: b
    group_wait: 20s
receivers:
- name: hook
  webhook_configs: [{url: 'http://hook.test/'}]
- name: a
  webhook_configs: [{url: 'http://a.test/'}]
- name: b
  webhook_configs: [{url: 'http://b.test/'}]
"""


def test_routes_inherit_continue_and_group() -> None:
    """An empty group_by is inherited, too, as upstream's is."""

    async def story(scene: Scene) -> None:
        for labels in ({"team": "a"}, {"team": "a", "severity": "info"}, {"team": "b"}, {"team": "c"}):
            await scene.fire(alertname="A", **labels)
        await scene.wait(60)
        assert sorted(scene.told) == [
            "10 a firing A{severity=info,team=a}",
            "10 a firing A{team=a}",
            "10 hook firing A{team=c}",
            "20 b firing A{team=a}",
            "20 b firing A{team=b}",
        ]

    play(ROUTES, story)


INHIBITION = CONFIG.replace(
    "route:", "inhibit_rules:\n- source_matchers: [severity=critical]\n  target_matchers: [severity=warning]\n  equal: [cluster]\nroute:", 1
)


def test_a_firing_source_inhibits_its_targets_until_it_resolves() -> None:
    async def story(scene: Scene) -> None:
        await scene.fire(alertname="S", severity="critical", cluster="x", for_s=200)
        await scene.fire(alertname="T", severity="warning", cluster="x", for_s=HOUR)
        await scene.fire(alertname="T", severity="warning", cluster="y", for_s=HOUR)
        await scene.wait(31)
        assert scene.told == ["30 hook firing S{cluster=x,severity=critical}", "30 hook firing T{cluster=y,severity=warning}"]
        await scene.wait(300)
        assert scene.told[2:] == [
            "330 hook resolved S{cluster=x,severity=critical}",
            "330 hook firing T{cluster=x,severity=warning} T{cluster=y,severity=warning}",
        ]

    play(INHIBITION, story)


def test_an_alert_on_both_sides_of_a_rule_does_not_inhibit_itself() -> None:
    async def story(scene: Scene) -> None:
        await scene.fire(alertname="A", severity="x", i="1")
        await scene.fire(alertname="A", severity="x", i="2")
        await scene.wait(31)
        assert scene.told == ["30 hook firing A{i=1,severity=x} A{i=2,severity=x}"]

    play(INHIBITION.replace("severity=critical", "severity=~x").replace("severity=warning", "severity=~x"), story)


def test_a_silence_mutes_until_it_ends_or_is_expired() -> None:
    async def story(scene: Scene) -> None:
        identity = scene.silence("alertname=A", for_s=10 * HOUR)
        scene.silence('alertname=~"B.*"', for_s=100)
        for name in ("A", "B1", "C"):
            await scene.fire(alertname=name, for_s=10 * HOUR)
        await scene.wait(31)
        assert scene.told == ["30 hook firing C"]
        await scene.wait(300)
        assert scene.told[1:] == ["330 hook firing B1"]
        scene.manager.silences.expire(identity)
        await scene.wait(300)
        assert scene.told[2:] == ["630 hook firing A"]

    play(CONFIG, story)


TIMES = """
route:
  receiver: hook
  group_wait: 0s
  group_interval: 1h
  routes:
  - {matchers: [a="muted"], mute_time_intervals: [night]}
  - {matchers: [a="active"], active_time_intervals: [night]}
time_intervals:
- name: night
  time_intervals: [{times: [{start_time: '00:00', end_time: '06:00'}]}]
receivers:
- name: hook
  webhook_configs: [{url: 'http://hook.test/'}]
"""


def test_routes_are_muted_within_and_active_within_their_times() -> None:
    async def story(scene: Scene) -> None:  # the world's clock starts at midnight
        await scene.fire(a="muted", for_s=100 * HOUR)
        await scene.fire(a="active", for_s=100 * HOUR)
        await scene.wait(10)
        assert scene.told == ["0 hook firing {a=active}"]
        assert [group.muted_by for group in scene.manager.groups()] == [("night",), ()]
        await scene.wait(6 * HOUR)
        assert scene.told[1:] == ["14400 hook firing {a=active}", "21600 hook firing {a=muted}"][1:]

    play(TIMES.replace("group_interval: 1h", "group_interval: 1h\n  repeat_interval: 100h"), story)


def test_a_receiver_that_fails_is_tried_again_with_growing_pauses() -> None:
    async def story(scene: Scene) -> None:
        replies = [500, 503, 500, 200]
        scene.receivers.answers["hook.test"] = lambda message: HttpReply(replies.pop(0), {}, b"")
        await scene.fire(alertname="A", for_s=HOUR)
        await scene.wait(60)
        times = [at_s for at_s, _ in scene.receivers.messages]
        pauses = [after - before for before, after in pairwise(times)]
        assert len(times) == 4 and times[0] == 30
        assert all(0.5 * 1.5**n <= 2 * pause <= 1.5 * 1.5**n for n, pause in enumerate(pauses)), pauses
        assert scene.manager.measurements.requests_failed.labels("webhook").value == 3
        assert scene.manager.measurements.notifications.labels("webhook").value == 1

    play(CONFIG, story)


def test_a_refusal_is_not_tried_again_before_the_next_interval() -> None:
    async def story(scene: Scene) -> None:
        scene.receivers.answers["hook.test"] = lambda message: HttpReply(400, {}, b"no")
        await scene.fire(alertname="A", for_s=HOUR)
        await scene.wait(331)
        assert [at_s for at_s, _ in scene.receivers.messages] == [30, 330]
        assert scene.manager.measurements.failed.labels("webhook", "clientError").value == 2

    play(CONFIG, story)


TWO = """
route:
  receiver: both
  group_wait: 10s
  group_interval: 1m
  routes: [{matchers: [team=other], receiver: other}]
receivers:
- name: both
  webhook_configs: [{url: 'http://hangs.test/'}, {url: 'http://works.test/'}]
- name: other
  webhook_configs: [{url: 'http://other.test/'}]
"""


def test_a_receiver_that_hangs_harms_no_other() -> None:
    async def story(scene: Scene) -> None:
        async def hang(message: HttpMessage) -> HttpReply:
            await asyncio.sleep(1e9)
            raise AssertionError

        scene.receivers.answers["hangs.test"] = hang
        await scene.fire(alertname="A", for_s=HOUR)
        await scene.fire(alertname="B", team="other", for_s=HOUR)
        await scene.wait(11)
        hosts = sorted(message.url for _, message in scene.receivers.messages)
        assert hosts == ["http://hangs.test/", "http://other.test/", "http://works.test/"]
        await scene.wait(200)  # each flush gives up at its deadline, the next one tries again
        hung = [at_s for at_s, message in scene.receivers.messages if "hangs" in message.url]
        assert hung == [10, 70, 130, 190]
        assert sum("works" in message.url for _, message in scene.receivers.messages) == 1
        assert scene.manager.measurements.failed.labels("webhook", "contextDeadlineExceeded").value == 3

    play(TWO, story)


def test_an_attempt_without_an_answer_is_given_up_and_made_again() -> None:
    async def story(scene: Scene) -> None:
        async def hang(message: HttpMessage) -> HttpReply:
            if len(scene.receivers.messages) == 1:
                await asyncio.sleep(1e9)
            return HttpReply(200, {}, b"")

        scene.receivers.answers["hook.test"] = hang
        await scene.fire(alertname="A", for_s=100 * HOUR)
        await scene.wait(1_000)
        first, second = [at_s for at_s, _ in scene.receivers.messages]
        assert first == 30 and 330 < second < 331

    play(CONFIG.replace("group_interval: 5m", "group_interval: 1d"), story)


def test_a_crash_in_an_integration_is_contained() -> None:
    async def story(scene: Scene) -> None:
        def crash(message: HttpMessage) -> HttpReply:
            raise ZeroDivisionError

        scene.receivers.answers["hangs.test"] = crash
        await scene.fire(alertname="A", for_s=HOUR)
        await scene.wait(100)
        assert sum("works" in message.url for _, message in scene.receivers.messages) == 1
        assert len(scene.manager.groups()) == 1

    play(TWO, story)


def test_a_reload_keeps_alerts_and_tells_nothing_twice() -> None:
    async def story(scene: Scene) -> None:
        await scene.fire(alertname="A", for_s=10 * HOUR)
        await scene.wait(31)
        await scene.manager.reload(load(CONFIG.replace("group_wait: 30s", "group_wait: 5s")))
        await scene.wait(600)
        assert scene.told == ["30 hook firing A"]
        await scene.fire(alertname="B", for_s=HOUR)
        await scene.wait(6)
        assert scene.told[1:] == ["636 hook firing B"]

    play(CONFIG, story)


def test_reloads_at_the_same_time_take_turns() -> None:
    async def story(scene: Scene) -> None:
        await scene.fire(alertname="A", for_s=10 * HOUR)
        others = [load(CONFIG.replace("30s", f"{n}s")) for n in (5, 6, 7)]
        await asyncio.gather(*(scene.manager.reload(other) for other in others), scene.fire(alertname="B", for_s=10 * HOUR))
        await scene.wait(600)
        assert scene.told == ["7 hook firing A", "7 hook firing B"]

    play(CONFIG, story)


def test_a_reload_whose_client_is_gone_is_finished() -> None:
    async def story(scene: Scene) -> None:
        tasks = Supervisor("test")
        for name in "ABC":
            await scene.fire(alertname=name, for_s=10 * HOUR)
        task = tasks.start("reload", scene.manager.reload(load(CONFIG.replace("30s", "5s"))))
        await asyncio.sleep(0)
        task.cancel()
        await scene.wait(100)
        assert task.cancelled() and [line.split()[-1] for line in scene.told] == ["A", "B", "C"]

    play(CONFIG, story)


def test_a_reload_that_fails_changes_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad.tmpl"
    bad.write_text("{{ define")

    async def story(scene: Scene) -> None:
        with pytest.raises(ConfigurationError, match=r"bad\.tmpl"):
            await scene.manager.reload(load(f"templates: ['{bad}']\n{CONFIG}"))
        assert scene.manager.measurements.reload_ok.value == 0
        await scene.fire(alertname="A")
        await scene.wait(31)
        assert scene.told == ["30 hook firing A"]

    play(CONFIG, story)


def test_a_restart_forgets_neither_silences_nor_what_was_told() -> None:
    storage = MemoryStorage()

    async def first(scene: Scene) -> None:
        scene.silence("alertname=S", for_s=10 * HOUR)
        await scene.fire(alertname="A", for_s=10 * HOUR)
        await scene.wait(31)

    async def second(scene: Scene) -> None:
        await scene.wait(40)
        await scene.fire(alertname="A", for_s=10 * HOUR)
        await scene.fire(alertname="S", for_s=10 * HOUR)
        await scene.wait(600)
        assert scene.told == []

    assert play(CONFIG, first, storage=storage).told == ["30 hook firing A"]
    play(CONFIG, second, storage=storage)


def test_bad_alerts_are_refused_and_the_others_taken() -> None:
    async def story(scene: Scene) -> None:
        with pytest.raises(BadAlert, match="at least one label pair required"):
            await scene.manager.put_alerts([PostedAlert({"a": ""}), PostedAlert({"alertname": "A"})])
        await scene.wait(31)
        assert scene.told == ["30 hook firing A"]

    play(CONFIG, story)


LABELS = CONFIG.replace(
    "  group_by:",
    """  labels:
    who: 'team {{ .CommonLabels.team }}'
    also: '{{ routeLabels "who" }}!'
    x: '{{ routeLabels "y" }}'
    y: '{{ routeLabels "x" }}'
  group_by:""",
)


def test_route_labels_are_rendered_and_may_use_one_another() -> None:
    async def story(scene: Scene) -> None:
        await scene.fire(alertname="A", team="a")
        await scene.wait(31)
        assert orjson.loads(scene.receivers.messages[0][1].body)["routeLabels"] == {"also": "team a!", "who": "team a"}

    play(LABELS, story)


def test_the_same_seed_gives_the_same_run() -> None:
    async def story(scene: Scene) -> None:
        replies = [500] * 5
        scene.receivers.answers["hook.test"] = lambda message: HttpReply(replies.pop() if replies else 200, {}, b"")
        await scene.fire(alertname="A")
        await scene.fire(alertname="B")
        await scene.wait(400)

    runs = [play(CONFIG, story, seed=seed) for seed in (1, 1, 2)]
    assert runs[0].told == runs[1].told != runs[2].told


def test_alerts_are_in_upstreams_order() -> None:
    sets = [
        {},
        {"z": "1"},
        {"b": "2"},
        {"a": "1"},
        {"a": "2"},
        {"b": "1", "c": "1"},
        {"a": "2", "c": "1"},
        {"a": "2", "b": "1"},
        {"a": "2", "b": "3"},
    ]
    shuffled = [sets[i] for i in (4, 8, 0, 6, 2, 1, 7, 3, 5)]
    assert sorted(shuffled, key=label_order) == sets
