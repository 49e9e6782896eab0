"""kube-state-metrics: every stable metric of upstream's, from made-up objects (objects.yaml) and from a cluster that changes."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.instrument.exposition import Format
from podium.objects.resources import resource
from podium.objects.values import Object, copy
from podium.telemetry.exporters.errors import BadConfiguration
from podium.telemetry.exporters.kube_state.exporter import KubeState, parse_allow_list
from podium.telemetry.exporters.kube_state.rendering import prometheus_labels
from podium.telemetry.exporters.kube_state.resources import SHOWN
from podium.telemetry.exporters.kube_state.shown import Store
from podium.world.supervisor import Supervisor
from podium.world.virtual import VirtualWorld, run
from tests.fakes.fake_client import FakeClient
from tests.telemetry.exporters.linting import lint

HERE = Path(__file__).parent
ALL = {"*": ("*",)}


def objects() -> list[tuple[str, Object]]:
    found = []
    for value in yaml.safe_load((HERE / "objects.yaml").read_text()):
        metadata = value["metadata"]
        metadata.setdefault("labels", {})["app.kubernetes.io/name"] = "shop"
        metadata |= {"annotations": {"team": "a"}, "creationTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "7"}
        metadata["uid"] = f"u-{metadata['name']}"
        found.append((value.pop("plural"), value))
    return found


def exposed(values: list[tuple[str, Object]], **allowed: Any) -> str:
    parts: list[bytes | bytearray] = []
    for shown in SHOWN:
        store = Store(shown, allowed.get("labels", ALL), allowed.get("annotations", ALL))
        for plural, value in values:
            if plural == shown.resource.plural:
                store.changed(Change("added", value, None))
        store.write(parts, allowed.get("format", Format.TEXT))
    return b"".join(parts).decode()


def stable() -> dict[str, set[str]]:
    wanted: dict[str, set[str]] = {}
    prefix, base = "", []
    for line in (HERE / "stable.txt").read_text().splitlines()[1:]:
        words = line.split()
        if not line.startswith(" "):
            prefix, base = words[0], words[1:]
        else:
            wanted[f"kube_{prefix}" + ("" if words[0] == "=" else f"_{words[0]}")] = {*base, *words[1:]}
    return wanted


def shapes(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(kube_\w+)\{(.*)\} ", text, re.MULTILINE):
        names = re.findall(r'(\w+)="', labels)
        found.setdefault(name, set()).update(re.sub(r"^(label|annotation)_.*", r"\1_*", name) for name in names)
    return found


def test_every_stable_metric_of_upstream_has_its_labels() -> None:
    found, wanted = shapes(exposed(objects())), stable()
    assert len(wanted) > 150
    assert {name: found.get(name) for name in wanted} == wanted


def test_values_are_upstream_s() -> None:
    lines = set(exposed(objects()).splitlines())
    missing = [line for line in (HERE / "expected.txt").read_text().splitlines() if line not in lines]
    assert not missing, "\n".join(missing)


def test_every_family_that_is_documented_is_made_and_the_other_way_round() -> None:
    for shown in SHOWN:
        made = {n for plural, value in objects() if plural == shown.resource.plural for n in shown.lines(value, ("*",), ("*",))}
        assert made == set(shown.families), shown.resource.plural


def test_no_line_is_written_twice() -> None:
    lines = [line.rpartition(" ")[0] for line in exposed(objects()).splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines))


def test_promtool_finds_nothing_but_upstream_s_own_names() -> None:
    allowed = re.compile(r"kube_\w+ .*(_info|counter|_total|non-histogram|abbreviated|use base unit|metric name should not include type).*")
    assert [line for line in lint(exposed(objects()).encode()) if not allowed.fullmatch(line)] == []


def test_labels_and_annotations_are_shown_only_when_allowed() -> None:
    text = exposed(objects(), labels={"pods": ("nothing",)}, annotations={})
    assert 'kube_pod_labels{namespace="ns",pod="p",uid="u-p"} 1' in text
    assert "kube_deployment_labels" not in text and "annotations{" not in text


def test_labels_that_fall_together_are_told_apart() -> None:
    labels = {"a.b": "1", "a-b": "2", "fooBar": "3", "HTTPServer": "4", "a b": "5"}
    assert prometheus_labels("label", labels) == [
        ("label_http_server", "4"), ("label_a_b_conflict1", "5"), ("label_a_b_conflict2", "2"), ("label_a_b_conflict3", "1"),
        ("label_foo_bar", "3"),
    ]  # fmt: skip


def test_nothing_of_a_secret_s_data_is_shown() -> None:
    text = exposed(objects())
    assert "hidden" not in text and "c2VjcmV0" not in text and "secret\n" not in text


def test_an_object_of_no_known_shape_harms_no_other() -> None:
    broken = {"metadata": {"name": "broken", "namespace": "ns", "creationTimestamp": "yesterday"}, "spec": [], "status": "odd"}
    good = [(plural, value) for plural, value in objects()]
    for shown in SHOWN:
        good.insert(0, (shown.resource.plural, copy(broken)))
    assert shapes(exposed(good)) == shapes(exposed(objects()))


def test_openmetrics_names_counters_as_it_wants_them() -> None:
    text = exposed(objects(), format=Format.OPENMETRICS)
    assert "# TYPE kube_pod_container_status_restarts counter\n" in text
    assert "kube_pod_container_status_restarts_total{" in text


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("", {}),
        ("pods=[app,team] , nodes=[*]", {"pods": ("app", "team"), "nodes": ("*",)}),
        ("*=[*]", {"*": ("*",)}),
        ("pods=[]", {"pods": ()}),
    ],
)
def test_allow_lists_are_read(text: str, allowed: dict[str, tuple[str, ...]]) -> None:
    assert parse_allow_list(text) == allowed


@pytest.mark.parametrize("text", ["pods", "pods=app", "pods=[a", "=[a]", "pods=[a]nodes=[b]"])
def test_a_broken_allow_list_is_refused(text: str) -> None:
    with pytest.raises(BadConfiguration):
        parse_allow_list(text)


def test_an_unknown_resource_is_refused() -> None:
    world = VirtualWorld(1)
    with pytest.raises(BadConfiguration, match="spaceships"):
        KubeState(Mirrors(FakeClient(world), world, Supervisor("test")), resources=["pods", "spaceships"])


def test_a_scrape_follows_the_cluster() -> None:
    async def main(world: VirtualWorld) -> list[str]:
        client, owner = FakeClient(world), Supervisor("test")
        metadata = {"name": "p", "namespace": "default"}
        pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": []}, "status": {"phase": "Pending"}}
        client.put(pod)
        state = KubeState(Mirrors(client, world, owner), resources=["pods"])
        state.start()
        await state.synced()
        seen = [state.exposition().decode()]
        client.put({**pod, "status": {"phase": "Running"}})
        await asyncio.sleep(1)
        seen.append(state.exposition().decode())
        client.remove(resource("pods"), "p", "default")
        await asyncio.sleep(1)
        seen.append(state.exposition(Format.OPENMETRICS).decode())
        await owner.stop()
        return seen

    pending, running, gone = run(main, 1)
    assert re.search(r'kube_pod_status_phase\{.*phase="Pending"\} 1', pending)
    assert re.search(r'kube_pod_status_phase\{.*phase="Running"\} 1', running)
    assert re.search(r'kube_pod_status_phase\{.*phase="Pending"\} 0', running)
    assert gone == "# EOF\n"


def test_a_scrape_of_5000_pods_costs_what_its_bytes_cost() -> None:
    shown = next(s for s in SHOWN if s.resource.plural == "pods")
    store, template = Store(shown, {}, {}), next(value for plural, value in objects() if plural == "pods")
    values = []
    for number in range(5000):
        value = {**template, "metadata": {**template["metadata"], "name": f"p{number}", "uid": f"u{number}"}}
        values.append(Change("added", value, None))
    began = time.process_time()
    for change in values:
        store.changed(change)
    rendered = time.process_time() - began
    costs = []
    for _ in range(3):
        began = time.process_time()
        parts: list[bytes | bytearray] = []
        store.write(parts, Format.TEXT)
        size = len(b"".join(parts))
        costs.append(time.process_time() - began)
    assert size > 30_000_000
    assert min(costs) < 0.25, costs
    assert rendered < 5.0, rendered
