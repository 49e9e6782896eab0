"""ReplicationControllers: scale, adoption, release, failures; as upstream's tests do it."""

from typing import Any

import pytest

from tests.conformance.api import MERGE, Api
from tests.conformance.cluster import run
from tests.conformance.objects import POD_SPEC
from tests.conformance.test_garbage_collection import controller

shows = pytest.mark.conformance
PODS, CONTROLLERS = "/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/replicationcontrollers"
LABELS = {"name": "web"}


def running(count: int) -> Any:
    return lambda c: c["status"].get("availableReplicas", 0) == count and c["status"].get("replicas", 0) == count


@shows("[sig-apps] ReplicationController should get and update a ReplicationController scale")
async def test_the_scale_of_a_controller(api: Api) -> None:
    await api.post(CONTROLLERS, controller("web", 1, LABELS))
    scale = await api.get(f"{CONTROLLERS}/web/scale")
    assert scale["kind"] == "Scale" and scale["spec"]["replicas"] == 1 and scale["status"]["selector"] == "name=web"
    scale["spec"]["replicas"] = 2
    assert (await api.put(f"{CONTROLLERS}/web/scale", scale))["spec"]["replicas"] == 2
    assert (await api.get(f"{CONTROLLERS}/web"))["spec"]["replicas"] == 2


@shows("[sig-apps] ReplicationController should release no longer matching pods")
@shows("[sig-apps] ReplicationController should adopt matching pods on creation")
def test_pods_are_adopted_and_released_by_their_labels() -> None:
    async def scenario(api: Api) -> None:
        await api.post(PODS, {"metadata": {"name": "orphan", "labels": LABELS}, "spec": POD_SPEC})
        owner = await api.post(CONTROLLERS, controller("web", 1, LABELS))
        uid = owner["metadata"]["uid"]
        adopted = await api.settled(f"{PODS}/orphan", lambda p: p["metadata"].get("ownerReferences"))
        assert [(r["uid"], r["controller"]) for r in adopted["metadata"]["ownerReferences"]] == [(uid, True)]
        assert await api.names(PODS) == ["orphan"]
        await api.patch(f"{PODS}/orphan", {"metadata": {"labels": {"name": "not-matching"}}})
        await api.settled(f"{PODS}/orphan", lambda p: not p["metadata"].get("ownerReferences"))
        await api.settled(PODS, lambda found: len(found["items"]) == 2)

    run(scenario)


@shows("[sig-apps] ReplicationController should test the lifecycle of a ReplicationController")
def test_the_life_of_a_controller() -> None:
    async def scenario(api: Api) -> None:
        async with api.watch(CONTROLLERS) as watch:
            await api.post(CONTROLLERS, {**controller("web", 1, LABELS), "metadata": {"name": "web", "labels": {"test": "rc"}}})
            await watch.next("ADDED")
            await watch.until(lambda _, c: running(1)(c))
            await api.patch(f"{CONTROLLERS}/web", {"metadata": {"labels": {"patched": "yes"}}})
            await watch.until(lambda _, c: c["metadata"]["labels"].get("patched") == "yes")
            patched = await api.patch(f"{CONTROLLERS}/web/status", {"status": {"readyReplicas": 0, "availableReplicas": 0}})
            assert patched["status"].get("readyReplicas", 0) == 0
            assert (await api.get(f"{CONTROLLERS}/web/status"))["kind"] == "ReplicationController"
            await api.patch(f"{CONTROLLERS}/web/scale", {"spec": {"replicas": 2}})
            await watch.until(lambda _, c: running(2)(c))
            value = await api.get(f"{CONTROLLERS}/web")
            value["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 5
            await api.call("PUT", f"{CONTROLLERS}/web", value)
            assert await api.names("/api/v1/replicationcontrollers?labelSelector=test%3Drc") == ["web"]
            await api.delete(f"{CONTROLLERS}?labelSelector=test%3Drc")
            await watch.until(lambda kind, _: kind == "DELETED")
        await api.settled(PODS, lambda found: found["items"] == [])

    run(scenario, nodes=1)


def test_a_failure_shows_in_the_conditions_and_goes_when_it_is_over() -> None:
    async def scenario(api: Api) -> None:
        value = controller("web", 2, LABELS)
        value["spec"]["template"] = {**value["spec"]["template"], "spec": {**POD_SPEC, "serviceAccountName": "late"}}
        await api.post(CONTROLLERS, value)
        failed = await api.settled(f"{CONTROLLERS}/web", lambda c: c["status"].get("conditions"))
        condition = failed["status"]["conditions"][0]
        assert (condition["type"], condition["status"], condition["reason"]) == ("ReplicaFailure", "True", "FailedCreate")
        await api.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "late"}})
        await api.settled(f"{CONTROLLERS}/web", lambda c: not c["status"].get("conditions"))

    run(scenario)


async def test_a_template_that_does_not_match_is_refused(api: Api) -> None:
    value = controller("web", 1, LABELS)
    value["spec"]["selector"] = {"name": "other"}
    refusal = await api.refused(422, "POST", CONTROLLERS, value)
    assert "spec.template.metadata.labels" in refusal["message"]
    await api.refused(404, "PATCH", f"{CONTROLLERS}/web/scale", {"spec": {"replicas": 2}}, content_type=MERGE)
