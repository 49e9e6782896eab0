"""DaemonSets on simulated nodes: one pod on each that fits, updates, ways back."""

from typing import Any

import pytest

from tests.conformance.api import Api
from tests.conformance.cluster import run
from tests.conformance.objects import LABELS, POD_SPEC, SELECTOR

shows = pytest.mark.conformance
SETS, PODS, NODES = "/apis/apps/v1/namespaces/default/daemonsets", "/api/v1/namespaces/default/pods", "/api/v1/nodes"


def daemon_set(**pod_spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": LABELS}, "spec": {**POD_SPEC, **pod_spec}}
    return {"metadata": {"name": "ds", "labels": LABELS}, "spec": {"selector": SELECTOR, "template": template}}


def settled(count: int) -> Any:
    def reached(value: Any) -> bool:
        status = value["status"]
        counts = [status.get(k, 0) for k in ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled")]
        return counts == [count] * 4 and status["observedGeneration"] == value["metadata"]["generation"]

    return reached


async def where(api: Api) -> list[str]:
    return sorted(p["spec"]["nodeName"] for p in (await api.get(PODS))["items"])


@shows("[sig-apps] Daemon set [Serial] should run and stop simple daemon")
def test_every_node_has_one_and_gets_it_back() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SETS, daemon_set())
        await api.settled(f"{SETS}/ds", settled(3))
        assert await where(api) == [f"simulated-{n}" for n in range(3)]
        await api.delete(f"{PODS}/{(await api.names(PODS))[0]}", {"gracePeriodSeconds": 0})
        await api.settled(f"{SETS}/ds", lambda d: d["status"]["numberReady"] == 2)
        await api.settled(f"{SETS}/ds", settled(3))
        await api.post(NODES, {"metadata": {"name": "late"}})
        await api.settled(f"{SETS}/ds", lambda d: d["status"]["desiredNumberScheduled"] == 4 and d["status"]["currentNumberScheduled"] == 4)

    run(scenario, nodes=3)


@shows("[sig-apps] Daemon set [Serial] should run and stop complex daemon")
def test_a_selector_decides_by_label() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SETS, daemon_set(nodeSelector={"color": "blue"}))
        await api.settled(f"{SETS}/ds", lambda d: d["status"].get("desiredNumberScheduled") == 0)
        assert await api.names(PODS) == []
        await api.patch(f"{NODES}/simulated-1", {"metadata": {"labels": {"color": "blue"}}})
        await api.settled(f"{SETS}/ds", settled(1))
        assert await where(api) == ["simulated-1"]
        await api.patch(f"{NODES}/simulated-1", {"metadata": {"labels": {"color": "green"}}})
        await api.settled(PODS, lambda f: not f["items"])
        await api.patch(f"{SETS}/ds", {"spec": {"template": {"spec": {"nodeSelector": {"color": "green"}}}}})
        await api.settled(f"{SETS}/ds", settled(1))
        assert await where(api) == ["simulated-1"]

    run(scenario, nodes=2)


@shows("[sig-apps] Daemon set [Serial] should retry creating failed daemon pods")
def test_a_failed_daemon_is_made_again() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SETS, daemon_set())
        await api.settled(f"{SETS}/ds", settled(2))
        name = (await api.names(PODS))[0]
        await api.patch(f"{PODS}/{name}/status", {"status": {"phase": "Failed", "conditions": []}})
        await api.settled(f"{PODS}/{name}", lambda p: p is None)
        await api.settled(f"{SETS}/ds", settled(2))
        events = (await api.get("/api/v1/namespaces/default/events"))["items"]
        assert "FailedDaemonPod" in {e["reason"] for e in events}

    run(scenario, nodes=2)


@shows("[sig-apps] Daemon set [Serial] should update pod when spec was updated and update strategy is RollingUpdate")
def test_an_update_replaces_one_after_another() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SETS, daemon_set())
        await api.settled(f"{SETS}/ds", settled(3))
        async with api.watch(SETS) as watch:
            await api.patch(f"{SETS}/ds", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "new:1"}]}}}})
            least = 3
            while True:
                seen = (await watch.next())["object"]
                least = min(least, seen["status"]["numberReady"])
                if settled(3)(seen):
                    break
        assert least == 2
        assert {p["spec"]["containers"][0]["image"] for p in (await api.get(PODS))["items"]} == {"new:1"}
        revisions = (await api.get("/apis/apps/v1/namespaces/default/controllerrevisions"))["items"]
        assert sorted(r["revision"] for r in revisions) == [1, 2]

    run(scenario, nodes=3)


@shows("[sig-apps] Daemon set [Serial] should rollback without unnecessary restarts")
def test_going_back_leaves_alone_what_was_not_updated() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SETS, daemon_set())
        await api.settled(f"{SETS}/ds", settled(3))
        before = {p["metadata"]["uid"] for p in (await api.get(PODS))["items"]}
        gate = {"containers": [{"name": "main", "image": "never:ready"}], "readinessGates": [{"conditionType": "example.com/never"}]}
        await api.patch(f"{SETS}/ds", {"spec": {"template": {"spec": gate}}})
        await api.settled(f"{SETS}/ds", lambda d: d["status"].get("updatedNumberScheduled") == 1 and d["status"]["numberReady"] == 2)
        back = {"containers": POD_SPEC["containers"], "readinessGates": None}
        await api.patch(f"{SETS}/ds", {"spec": {"template": {"spec": back}}})
        await api.settled(f"{SETS}/ds", settled(3))
        after = {p["metadata"]["uid"] for p in (await api.get(PODS))["items"]}
        assert len(before & after) == 2

    run(scenario, nodes=3)


@shows("[sig-apps] Daemon set [Serial] should list and delete a collection of DaemonSets")
@shows("[sig-apps] Daemon set [Serial] should verify changes to a daemon set status")
def test_a_set_is_told_listed_and_deleted() -> None:
    async def scenario(api: Api) -> None:
        await api.post(SETS, daemon_set())
        await api.settled(f"{SETS}/ds", settled(1))
        condition = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "m"}
        value = await api.get(f"{SETS}/ds/status")
        updated = await api.put(f"{SETS}/ds/status", {**value, "status": {**value["status"], "conditions": [condition]}})
        assert updated["status"]["conditions"] == [condition]
        patched = await api.patch(f"{SETS}/ds/status", {"status": {"conditions": [{**condition, "type": "StatusPatched"}]}})
        assert patched["status"]["conditions"][0]["type"] == "StatusPatched"
        assert await api.names("/apis/apps/v1/daemonsets?labelSelector=app%3Dweb") == ["ds"]
        await api.delete(f"{SETS}?labelSelector=app%3Dweb")
        await api.settled(PODS, lambda f: not f["items"])

    run(scenario, nodes=1)


def test_taints_keep_daemons_away_unless_tolerated() -> None:
    async def scenario(api: Api) -> None:
        taint = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
        node = await api.get(f"{NODES}/simulated-0")
        await api.patch(f"{NODES}/simulated-0", {"spec": {"taints": [*node["spec"].get("taints", ()), taint]}})
        await api.patch(f"{NODES}/simulated-1", {"spec": {"unschedulable": True}})
        await api.post(SETS, daemon_set())
        await api.settled(f"{SETS}/ds", settled(1))
        assert await where(api) == ["simulated-1"], "a cordoned node keeps its daemons"
        await api.patch(f"{SETS}/ds", {"spec": {"template": {"spec": {"tolerations": [{"key": "dedicated", "operator": "Exists"}]}}}})
        await api.settled(f"{SETS}/ds", settled(2))

    run(scenario, nodes=2)


REVISIONS = "/apis/apps/v1/namespaces/default/controllerrevisions"


@shows("[sig-apps] ControllerRevision [Serial] should manage the lifecycle of a ControllerRevision")
def test_the_revisions_of_a_daemon_set_are_objects_like_others() -> None:
    of_set = f"{REVISIONS}?labelSelector=app%3D{LABELS['app']}"

    async def scenario(api: Api) -> None:
        await api.post(SETS, daemon_set())
        await api.settled(f"{SETS}/ds", settled(1))
        (first,) = (await api.get(of_set))["items"]
        at = f"{REVISIONS}/{first['metadata']['name']}"
        assert first["revision"] == 1 and first["metadata"]["ownerReferences"][0]["name"] == "ds"
        assert (await api.patch(at, {"metadata": {"labels": {"patched": "yes"}}}))["metadata"]["labels"]["patched"] == "yes"
        own = {"metadata": {"name": "own", "labels": {**LABELS, "own": "yes"}}, "data": first["data"], "revision": 2}
        made = await api.post(REVISIONS, {**own, "metadata": {**own["metadata"], "ownerReferences": first["metadata"]["ownerReferences"]}})
        assert sorted(await api.names(of_set)) == sorted([first["metadata"]["name"], "own"])
        await api.delete(at)
        assert await api.names(of_set) == ["own"]
        made["metadata"]["labels"]["updated"] = "yes"
        made = await api.put(f"{REVISIONS}/own", made)
        assert made["metadata"]["labels"]["updated"] == "yes"
        refused = await api.refused(422, "PUT", f"{REVISIONS}/own", {**made, "data": {"spec": {}}})
        assert refused["details"]["causes"][0] == {
            "reason": "FieldValueInvalid", "field": "data", "message": 'Invalid value: {"spec":{}}: field is immutable',
        }  # fmt: skip
        await api.patch(f"{SETS}/ds", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}})
        await api.settled(of_set, lambda f: len(f["items"]) == 2)
        await api.settled(f"{SETS}/ds", settled(1))
        await api.delete(f"{of_set},updated%3Dyes")
        (left,) = (await api.get(of_set))["items"]
        assert left["revision"] == 3

    run(scenario, nodes=1)
