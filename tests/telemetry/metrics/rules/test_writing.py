"""Samples of rules wait to be written together; nothing that is read is missing, and what is refused is its rule's."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from podium.telemetry.metrics.errors import LimitExceeded
from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.promql.engine import Engine
from podium.telemetry.metrics.rules import writing
from podium.telemetry.metrics.rules.documents import read
from podium.telemetry.metrics.rules.evaluation import GroupState, Server, evaluate
from podium.telemetry.metrics.rules.rule import Rule
from podium.telemetry.metrics.rules.writing import reads
from podium.telemetry.metrics.samples import Sample, is_stale
from podium.telemetry.metrics.tsdb.options import Options
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world.real import RealWorld

MANY = 20
STEP_MS = 10_000


class Counted(Tsdb):
    """A store that says how it was written to."""

    layouts = columns = loose = 0

    def layout(self, series: Sequence[Labels]) -> Any:
        self.layouts += 1
        return super().layout(series)

    def append(self, *given: Any) -> Any:
        self.columns += 1
        return super().append(*given)

    def append_samples(self, *given: Any, **more: Any) -> Any:
        self.loose += 1
        return super().append_samples(*given, **more)


class Scene:
    def __init__(self, rules: str, **options: int) -> None:
        world = RealWorld()
        self.store = Counted.open(None, world, Options(**options), threads=False)  # type: ignore[arg-type]
        (group,) = read(f"groups:\n- name: g\n  rules:\n{rules}", "f.yml")
        self.state = GroupState.of(group, restored=True)
        self.server = Server(Engine(self.store, world), self.store, world, lambda rule, due: None)
        self.now_ms = 0

    def give(self, count: int, value: float = 1.0) -> None:
        self.store.append_samples([Sample(labels_of({"__name__": "m", "i": str(i)}), self.now_ms, value) for i in range(count)])
        self.store.loose = 0

    def play(self) -> None:
        asyncio.run(evaluate(self.state, self.server, self.now_ms))
        self.now_ms += STEP_MS

    def last(self, name: str) -> dict[str, float | str]:
        """By label i what the round before wrote."""
        at_ms = self.now_ms - STEP_MS
        selection = self.store.select(read_selector(name), at_ms, at_ms)
        rows = [dict(labels).get("i", "") for labels in selection.labels.rows()]
        found = {rows[row]: part.values[at] for part in selection.columns for at, row in enumerate(part.rows.tolist())}
        return {i: "ended" if is_stale(v).item() else v[0].item() for i, v in sorted(found.items())}


def read_selector(name: str) -> Any:
    from podium.telemetry.metrics.promql.parser import parse_selector

    return parse_selector(name)


def test_what_rules_give_is_written_together_and_the_layout_kept() -> None:
    scene = Scene("  - {record: 'a:m', expr: m}\n  - {record: 'b:m', expr: m * 2}\n")
    for _ in range(3):
        scene.give(MANY)
        scene.play()
    store = scene.store
    assert (store.layouts, store.columns, store.loose) == (1, 3, 0)
    assert scene.last("a:m") == {str(i): 1.0 for i in sorted(range(MANY), key=str)}
    assert scene.last("b:m") == {str(i): 2.0 for i in sorted(range(MANY), key=str)}
    assert scene.state.samples == 2 * MANY


def test_series_that_end_are_marked_and_come_again() -> None:
    scene = Scene("  - {record: 'a:m', expr: m > 1}\n")
    for value, count in ((2.0, MANY), (2.0, MANY), (0.0, 0), (2.0, MANY)):
        scene.give(MANY, value)
        scene.play()
        ended = value == 0.0
        assert scene.last("a:m") == {str(i): "ended" if ended else 2.0 for i in sorted(range(MANY), key=str)}
        assert scene.state.samples == count
    assert scene.store.columns == 4 and scene.store.layouts == 1


@pytest.mark.parametrize(
    "later",
    ["expr: 'a:m'", "expr: '{__name__=~\"a:.*\"}'", 'expr: \'sum without () (last_over_time({i!="x",__name__=~"a:m"}[1m]))\''],
)
def test_a_rule_sees_what_those_before_it_gave(later: str) -> None:
    scene = Scene(f"  - {{record: 'a:m', expr: m}}\n  - {{record: 'other', expr: m}}\n  - {{record: 'later', {later}}}\n")
    for value in (1.0, 5.0):
        scene.give(MANY, value)
        scene.play()
        assert scene.last("later") == {str(i): value for i in sorted(range(MANY), key=str)}


def test_templates_that_ask_see_what_was_given_before() -> None:
    text = '{{ range query \\"count(a:m)\\" }}{{ .Value }}{{ end }}'
    scene = Scene(f"  - {{record: 'a:m', expr: m}}\n  - {{alert: A, expr: 'vector(1)', annotations: {{said: \"{text}\"}}}}\n")
    scene.give(MANY)
    scene.play()
    alerts = scene.state.rules[1].alerts
    assert alerts is not None and [a.annotations["said"] for a in alerts.active.values()] == [str(MANY)]


def test_samples_that_are_refused_are_their_rules_failure_alone() -> None:
    scene = Scene("".join(f"  - {{record: '{name}:m', expr: m}}\n" for name in "abc"))
    scene.give(MANY)
    scene.store.append_samples([Sample(labels_of({"__name__": "b:m", "i": "3"}), 0, 7.0)])
    scene.play()
    assert [rule.health for rule in scene.state.rules] == ["ok", "err", "ok"]
    assert "duplicate=1" in scene.state.rules[1].error and scene.state.failures == 1
    assert scene.last("c:m") == {str(i): 1.0 for i in sorted(range(MANY), key=str)}
    assert scene.last("b:m")["3"] == 7.0 and scene.last("b:m")["4"] == 1.0


def test_rules_whose_series_have_room_are_written_and_the_others_say_so() -> None:
    scene = Scene("".join(f"  - {{record: '{name}:m', expr: m}}\n" for name in "ab"), series_max=MANY + MANY + 5)
    scene.give(MANY)
    scene.play()
    assert [rule.health for rule in scene.state.rules] == ["ok", "err"]
    assert "limit" in scene.state.rules[1].error and len(scene.last("a:m")) == MANY


def test_a_rule_of_very_many_series_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "WAITING_MAX", 30)
    scene = Scene("".join(f"  - {{record: '{name}:m', expr: m}}\n" for name in "abc"))
    for _ in range(2):
        scene.give(MANY)
        scene.play()
    assert (scene.store.columns, scene.store.layouts) == (4, 2)
    assert all(len(scene.last(f"{name}:m")) == MANY for name in "abc")


def test_what_a_rule_reads_is_known_by_name_or_not_at_all() -> None:
    def of(text: str) -> Rule:
        (group,) = read(f"groups:\n- name: g\n  rules:\n  - {text}\n", "f.yml")
        return group.rules[0]

    assert reads(of("{record: r, expr: 'a + on() rate(b[5m]) > bool max_over_time(sum(c{x=\"1\"})[5m:1m])'}")) == {"a", "b", "c"}
    assert reads(of("{record: r, expr: 'vector(1)'}")) == frozenset()
    assert reads(of("{record: r, expr: 'a + {job=\"x\"}'}")) is None
    assert reads(of("{record: r, expr: '{__name__=~\"a|b\"}'}")) is None
    assert reads(of("{alert: r, expr: a, annotations: {x: '{{ $value }}'}}")) == {"a"}
    assert reads(of("{alert: r, expr: a, annotations: {x: '{{ query \"b\" }}'}}")) is None


def test_what_no_column_can_be_made_of_is_appended_one_by_one() -> None:
    scene = Scene("  - {record: 'a:m', expr: m}\n")
    scene.give(MANY)
    scene.store.layout = lambda series: (_ for _ in ()).throw(LimitExceeded("series_max", "full"))  # type: ignore[method-assign]
    scene.play()
    assert np.allclose(list(scene.last("a:m").values()), 1.0) and scene.store.loose == 1
