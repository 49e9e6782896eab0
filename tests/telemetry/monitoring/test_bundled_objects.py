"""What Podium brings is made, brought up to date, and not fought over."""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from podium.objects.resources import resource
from podium.telemetry.monitoring import bundled_objects
from podium.telemetry.monitoring.bundled_objects import CREATED_BY, DEFINITIONS, DIGEST, MANAGER, bring_definitions, bring_object, digest
from podium.telemetry.monitoring.role import own_objects
from podium.telemetry.prometheus_operator.definitions import definitions
from podium.telemetry.prometheus_operator.reconcile import RESOURCES
from tests.controllers import api_cluster

Object = dict[str, Any]
NAMES = [definition["metadata"]["name"] for definition in definitions()]
CONFIGS = "alertmanagerconfigs.monitoring.coreos.com"
PROMETHEUS = own_objects("30s", "15d")["prometheuses"]
KIND = RESOURCES["prometheuses"]
SOON_S = 1.0


def conversion(port: int) -> Object:
    config = {"url": f"https://127.0.0.1:{port}/convert", "caBundle": "UEVN"}
    return {"strategy": "Webhook", "webhook": {"clientConfig": config, "conversionReviewVersions": ["v1"]}}


def changed(**fields: Any) -> Object:
    return {**PROMETHEUS, "spec": {**PROMETHEUS["spec"], **fields}}


class Bench:
    """`user` is somebody at a terminal, `before` is a version of Podium that created what it brings."""

    def __init__(self, cluster: Any) -> None:
        self.podium = cluster.client
        self.user = cluster.plane.client(user_agent="kubectl/1.35")
        self.before = cluster.plane.client(user_agent=f"{CREATED_BY}/telemetry")

    async def definition(self, name: str = CONFIGS) -> Object:
        found: Object = await self.podium.get(DEFINITIONS, name)
        return found

    async def prometheus(self) -> Object:
        found: Object = await self.podium.get(KIND, "podium", "monitoring")
        return found

    async def spec(self) -> Object:
        found: Object = (await self.prometheus())["spec"]
        return found

    async def bring(self, value: Object) -> None:
        await bring_object(self.podium, KIND, value)


def run(scenario: Callable[[Bench], Awaitable[None]], *, made: bool = True) -> None:
    async def main(cluster: Any) -> None:
        bench = Bench(cluster)
        if made:
            await bring_definitions(bench.podium, None)
            await asyncio.sleep(SOON_S)
            await bench.podium.create(resource("namespaces"), {"metadata": {"name": "monitoring"}})
        await scenario(bench)

    api_cluster.run(main)


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a version of Podium runs that brings a column more."""
    brought = definitions

    def more(given: Object | None = None) -> list[Object]:
        found = copy.deepcopy(brought(given))
        for definition in found:
            for version in definition["spec"]["versions"]:
                version["additionalPrinterColumns"] = [{"name": "New", "type": "string", "jsonPath": ".spec.new"}]
        return found

    monkeypatch.setattr(bundled_objects, "definitions", more)


def columns(definition: Object) -> list[str]:
    return [c["name"] for c in definition["spec"]["versions"][0]["additionalPrinterColumns"]]


def test_what_is_there_as_this_version_brings_it_is_not_written() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.bring(PROMETHEUS)
        before = [await bench.definition(name) for name in NAMES] + [await bench.prometheus()]
        await bring_definitions(bench.podium, None)
        await bench.bring(PROMETHEUS)
        after = [await bench.definition(name) for name in NAMES] + [await bench.prometheus()]
        assert [o["metadata"]["resourceVersion"] for o in after] == [o["metadata"]["resourceVersion"] for o in before]
        assert {e["manager"] for e in (await bench.prometheus())["metadata"]["managedFields"]} == {MANAGER}

    run(scenario)


@pytest.mark.usefixtures("newer")
def test_definitions_of_an_older_version_are_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bench: Bench) -> None:
        for definition in definitions():
            await bench.before.create(DEFINITIONS, definition)
        await bring_definitions(bench.podium, None)
        for name in NAMES:
            found = await bench.definition(name)
            assert columns(found) == ["New"]
            assert found["metadata"]["annotations"][DIGEST]

    run(scenario, made=False)


@pytest.mark.usefixtures("newer")
def test_a_definition_that_somebody_else_has_set_is_theirs() -> None:
    async def scenario(bench: Bench) -> None:
        for definition in definitions():
            await bench.podium.apply(DEFINITIONS, definition, MANAGER)
        theirs = copy.deepcopy(next(d for d in definitions() if d["metadata"]["name"] == CONFIGS))
        theirs["spec"]["versions"][0]["additionalPrinterColumns"] = [{"name": "Theirs", "type": "string", "jsonPath": ".spec.x"}]
        await bench.user.apply(DEFINITIONS, theirs, "kubectl", force=True)
        await bring_definitions(bench.podium, None)
        assert columns(await bench.definition()) == ["Theirs"]
        assert columns(await bench.definition(NAMES[1])) == ["New"], "the others are Podium's"

    run(scenario, made=False)


def test_the_address_of_the_conversion_follows_each_start() -> None:
    async def scenario(bench: Bench) -> None:
        for port in (1001, 1002):
            await bring_definitions(bench.podium, conversion(port))
            spec = (await bench.definition())["spec"]
            assert [(v["name"], v["served"], v["storage"]) for v in spec["versions"]] == [
                ("v1alpha1", True, True),
                ("v1beta1", True, False),
            ]
            assert spec["conversion"] == conversion(port)
        for name in NAMES:
            if name != CONFIGS:
                assert (await bench.definition(name))["spec"]["conversion"] == {"strategy": "None"}

    run(scenario)


def test_a_newer_version_changes_what_the_user_has_not() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.bring(changed(retention="10d"))
        await bench.user.patch(KIND, "podium", {"spec": {"scrapeInterval": "5s", "externalLabels": {"a": "b"}}}, "monitoring")
        await bench.bring(changed(scrapeInterval="1m", evaluationInterval="2m"))
        spec = await bench.spec()
        assert (spec["scrapeInterval"], spec["evaluationInterval"], spec["retention"]) == ("5s", "2m", "15d")
        assert spec["externalLabels"] == {"a": "b"}
        assert (await bench.prometheus())["metadata"]["annotations"][DIGEST] == digest(
            changed(scrapeInterval="1m", evaluationInterval="2m")
        )

    run(scenario)


def test_what_is_no_longer_brought_goes() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.bring(changed(podTargetLabels=["a"]))
        await bench.bring(PROMETHEUS)
        assert "podTargetLabels" not in await bench.spec()

    run(scenario)


def test_what_a_user_takes_away_stays_away_until_something_new_is_brought() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.bring(PROMETHEUS)
        await bench.user.patch(KIND, "podium", {"spec": {"probeSelector": None}}, "monitoring")
        await bench.bring(PROMETHEUS)
        assert "probeSelector" not in await bench.spec()
        await bench.bring(changed(scrapeInterval="1m"))
        assert (await bench.spec())["probeSelector"] == {}

    run(scenario)


def test_what_an_older_version_created_was_podium_too() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.before.create(KIND, changed(scrapeInterval="2m", evaluationInterval="2m"))
        await bench.user.patch(KIND, "podium", {"spec": {"evaluationInterval": "7s"}}, "monitoring")
        await bench.bring(PROMETHEUS)
        spec = await bench.spec()
        assert (spec["scrapeInterval"], spec["evaluationInterval"]) == ("30s", "7s")

    run(scenario)


def test_an_annotation_that_somebody_has_changed_is_written_again() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.bring(PROMETHEUS)
        await bench.user.patch(KIND, "podium", {"metadata": {"annotations": {DIGEST: "mine"}}}, "monitoring")
        await bench.bring(PROMETHEUS)
        assert (await bench.prometheus())["metadata"]["annotations"][DIGEST] == digest(PROMETHEUS)

    run(scenario)
