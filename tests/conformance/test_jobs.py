"""Jobs on simulated nodes: completion, indexes, failures, policies, suspension; as upstream's tests do it."""

from typing import Any

import pytest

from podium.controllers import job_indexes
from tests.conformance.api import Api
from tests.conformance.cluster import run
from tests.conformance.objects import POD_SPEC

shows = pytest.mark.conformance
JOBS, PODS = "/apis/batch/v1/namespaces/default/jobs", "/api/v1/namespaces/default/pods"
QUICK = {"podium.dev/simulated-run-duration": "1s"}
FAILS = {**QUICK, "podium.dev/simulated-exit-code": "42"}


def job(name: str = "a", annotations: dict[str, str] | None = None, restart: str = "Never", **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"annotations": annotations or {}}, "spec": {**POD_SPEC, "restartPolicy": restart}}
    return {"metadata": {"name": name}, "spec": {"template": template, **spec}}


def true(value: Any, kind: str) -> Any:
    return next((c for c in value["status"].get("conditions", ()) if c["type"] == kind and c["status"] == "True"), None)


def has(kind: str) -> Any:
    return lambda value: value is not None and true(value, kind) is not None


async def ended(api: Api, kind: str, name: str = "a", within_s: float = 600) -> dict[str, Any]:
    value: dict[str, Any] = await api.settled(f"{JOBS}/{name}", has(kind), within_s)
    assert "active" not in value["status"] and not value["status"]["uncountedTerminatedPods"]
    assert not any(p["metadata"].get("finalizers") for p in (await api.get(PODS))["items"])
    return value["status"]


def test_a_job_runs_until_enough_have_succeeded() -> None:
    async def scenario(api: Api) -> None:
        made = await api.post(JOBS, job(annotations=QUICK, restart="OnFailure", parallelism=2, completions=4))
        uid = made["metadata"]["uid"]
        assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        status = await ended(api, "Complete")
        assert status["succeeded"] == 4 and status["completionTime"] >= status["startTime"] and status["ready"] == 0
        assert [c["type"] for c in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
        pods = (await api.get(PODS))["items"]
        assert len(pods) == 4 and all(p["metadata"]["labels"]["job-name"] == "a" for p in pods)

    run(scenario, nodes=2)


@shows("[sig-apps] Job should create pods for an Indexed job with completion indexes and specified hostname")
def test_every_index_has_a_pod_with_its_name() -> None:
    async def scenario(api: Api) -> None:
        await api.post(JOBS, job(annotations=QUICK, parallelism=2, completions=4, completionMode="Indexed"))
        status = await ended(api, "Complete")
        assert status["completedIndexes"] == "0-3" and status["succeeded"] == 4
        pods = (await api.get(PODS))["items"]
        assert sorted(p["metadata"]["annotations"][job_indexes.INDEX] for p in pods) == list("0123")
        assert sorted(p["spec"]["hostname"] for p in pods) == [f"a-{n}" for n in range(4)]
        assert pods[0]["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"

    run(scenario, nodes=2)


def test_a_job_gives_up_after_its_limit_with_growing_pauses() -> None:
    async def scenario(api: Api) -> None:
        await api.post(JOBS, job(annotations=FAILS, backoffLimit=2))
        status = await ended(api, "Failed")
        assert status["failed"] == 3 and true({"status": status}, "Failed")["reason"] == "BackoffLimitExceeded"
        starts = sorted(p["status"]["startTime"] for p in (await api.get(PODS))["items"])
        seconds = [int(s[14:16]) * 60 + int(s[17:19]) for s in starts]
        assert 10 <= seconds[1] - seconds[0] <= 16 and 20 <= seconds[2] - seconds[1] <= 26

    run(scenario, nodes=1)


FAILURE_POLICY = {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]}


@shows("[sig-apps] Job should allow to use the pod failure policy on exit code to fail the job early")
def test_an_exit_code_ends_the_job() -> None:
    async def scenario(api: Api) -> None:
        await api.post(JOBS, job(annotations=FAILS, backoffLimit=5, podFailurePolicy=FAILURE_POLICY))
        status = await ended(api, "Failed")
        condition = true({"status": status}, "Failed")
        assert (
            condition["reason"] == "PodFailurePolicy"
            and "failed with exit code 42 matching FailJob rule at index 0" in condition["message"]
        )
        assert status["failed"] == 1

    run(scenario, nodes=1)


@shows("[sig-apps] Job should allow to use a pod failure policy to ignore failure matching on DisruptionTarget condition")
def test_a_disrupted_pod_is_replaced_without_counting() -> None:
    async def scenario(api: Api) -> None:
        policy = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}
        slow = {"podium.dev/simulated-run-duration": "60s", "podium.dev/simulated-stop-delay": "20s"}
        value = job(annotations=slow, backoffLimit=0, podFailurePolicy=policy)
        value["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
        await api.post(JOBS, value)
        found = await api.settled(PODS, lambda f: f["items"] and f["items"][0]["status"]["phase"] == "Running")
        name = found["items"][0]["metadata"]["name"]
        async with api.watch(PODS, fields=f"metadata.name={name}") as watch:
            await api.post(f"{PODS}/{name}/eviction", {"metadata": {"name": name}})
            gone = await watch.until(lambda kind, _: kind == "DELETED")
            reasons = {c["type"]: c.get("reason") for c in gone["status"]["conditions"]}
            assert gone["status"]["phase"] == "Failed" and reasons["DisruptionTarget"] == "EvictionByEvictionAPI"
        status = await ended(api, "Complete")
        assert status["succeeded"] == 1 and not status.get("failed")

    run(scenario, nodes=1)


def test_one_failing_index_does_not_stop_the_others() -> None:
    async def scenario(api: Api) -> None:
        spec = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1}
        await api.post(JOBS, job(annotations={"podium.dev/simulated-run-duration": "20s"}, **spec))
        await fail_index(api, 1)
        await fail_index(api, 1, before=1)
        status = await ended(api, "Failed")
        assert status["failedIndexes"] == "1" and status["completedIndexes"] == "0,2" and status["failed"] == 2
        assert true({"status": status}, "Failed")["reason"] == "FailedIndexes"

    run(scenario, nodes=1)


async def fail_index(api: Api, index: int, before: int = 0, *, reason: str = "") -> None:
    """Makes the running pod of an index fail, as its node would tell it."""

    def wanted(found: Any) -> list[Any]:
        return [
            p for p in found["items"]
            if p["metadata"]["annotations"][job_indexes.INDEX] == str(index) and p["status"]["phase"] == "Running"
            and p["metadata"]["annotations"].get(job_indexes.FAILURES, "0") == str(before)
        ]  # fmt: skip

    pod = wanted(await api.settled(PODS, wanted, 300))[0]
    conditions = [c for c in pod["status"]["conditions"] if c["type"] != "Ready"] + ([{"type": reason, "status": "True"}] if reason else [])
    ended_at = {"exitCode": 1, "finishedAt": pod["status"]["startTime"], "startedAt": pod["status"]["startTime"]}
    statuses = [{**c, "ready": False, "state": {"terminated": ended_at}} for c in pod["status"]["containerStatuses"]]
    status = {**pod["status"], "phase": "Failed", "conditions": conditions, "containerStatuses": statuses}
    await api.patch(f"{PODS}/{pod['metadata']['name']}/status", {"status": status})


@shows("[sig-apps] Job should terminate job execution when the number of failed indexes exceeds maxFailedIndexes")
def test_too_many_failed_indexes_end_the_job() -> None:
    async def scenario(api: Api) -> None:
        spec = {"completions": 5, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 0, "maxFailedIndexes": 1}
        await api.post(JOBS, job(annotations=FAILS, **spec))
        status = await ended(api, "Failed")
        assert true({"status": status}, "Failed")["reason"] == "MaxFailedIndexesExceeded" and status["failedIndexes"] == "0,1"

    run(scenario, nodes=1)


def test_an_index_fails_by_policy() -> None:
    async def scenario(api: Api) -> None:
        rules = [{"action": "FailIndex", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
        spec = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 3}
        await api.post(JOBS, job(annotations={"podium.dev/simulated-run-duration": "20s"}, podFailurePolicy={"rules": rules}, **spec))
        await fail_index(api, 0, reason="DisruptionTarget")
        status = await ended(api, "Failed")
        assert status["failedIndexes"] == "0" and status["completedIndexes"] == "1" and status["failed"] == 1

    run(scenario, nodes=1)


SUCCESS = [
    pytest.param({"rules": [{"succeededIndexes": "0-1"}]}, {0, 1}, id="all"),
    pytest.param({"rules": [{"succeededIndexes": "0"}]}, {0}, id="succeededIndexes"),
    pytest.param({"rules": [{"succeededCount": 1}]}, {1}, id="succeededCount"),
]


@pytest.mark.parametrize(("policy", "succeed"), SUCCESS)
def test_a_job_succeeds_by_policy(policy: dict[str, Any], succeed: set[int]) -> None:
    async def scenario(api: Api) -> None:
        await api.post(JOBS, job(completions=2, parallelism=2, completionMode="Indexed", successPolicy=policy))
        pods = (await api.settled(PODS, lambda f: len(f["items"]) == 2))["items"]
        for pod in pods:
            if job_indexes.index_of(pod) in succeed:
                await api.patch(f"{PODS}/{pod['metadata']['name']}/status", {"status": {"phase": "Succeeded"}})
        status = await ended(api, "Complete")
        assert true({"status": status}, "SuccessCriteriaMet")["reason"] in ("SuccessPolicy", "CompletionsReached")
        assert job_indexes.parse(status["completedIndexes"], 2) == succeed
        assert len(await api.names(PODS)) == len(succeed)

    run(scenario)


@shows("[sig-apps] Job should adopt matching orphans and release non-matching pods")
def test_pods_are_adopted_and_released() -> None:
    async def scenario(api: Api) -> None:
        await api.post(JOBS, job(parallelism=2, completions=2))
        pods = await api.settled(PODS, lambda f: len(f["items"]) == 2)
        at = f"{PODS}/{pods['items'][0]['metadata']['name']}"
        await api.patch(at, {"metadata": {"ownerReferences": None}})
        await api.settled(at, lambda p: p["metadata"].get("ownerReferences"))
        await api.patch(at, {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": None, "job-name": None}}})
        released = await api.settled(at, lambda p: not p["metadata"].get("ownerReferences") and not p["metadata"].get("finalizers"))
        assert released["metadata"]["name"] == pods["items"][0]["metadata"]["name"]
        await api.settled(PODS, lambda f: len(f["items"]) == 3)

    run(scenario)


@shows("[sig-apps] Job should delete a job")
@shows("[sig-apps] Job should manage the lifecycle of a job")
def test_a_suspended_job_waits_and_goes_with_its_pods() -> None:
    async def scenario(api: Api) -> None:
        await api.post(JOBS, {**job(suspend=True, parallelism=2), "metadata": {"name": "a", "labels": {"e2e": "a"}}})
        await api.settled(f"{JOBS}/a", has("Suspended"))
        assert await api.names(PODS) == [] and "startTime" not in (await api.get(f"{JOBS}/a"))["status"]
        patched = await api.patch(f"{JOBS}/a", {"spec": {"suspend": False}, "metadata": {"labels": {"patched": "yes"}}})
        assert patched["metadata"]["labels"]["patched"] == "yes"
        resumed = await api.settled(f"{JOBS}/a", lambda j: j["status"].get("active") == 2)
        assert resumed["status"]["startTime"] and true(resumed, "Suspended") is None
        await api.patch(f"{JOBS}/a", {"spec": {"suspend": True}})
        await api.settled(PODS, lambda f: not f["items"])
        value = await api.settled(f"{JOBS}/a", has("Suspended"))
        value["metadata"]["annotations"] = {"updated": "true"}
        await api.put(f"{JOBS}/a", {**value, "spec": {**value["spec"], "suspend": False}})
        await api.settled(f"{JOBS}/a", lambda j: j["status"].get("active") == 2)
        assert (await api.get(f"{JOBS}/a"))["metadata"]["annotations"]["updated"] == "true"
        assert await api.names("/apis/batch/v1/jobs?labelSelector=e2e%3Da") == ["a"]
        await api.call("DELETE", f"{JOBS}?labelSelector=e2e%3Da&propagationPolicy=Foreground")
        await api.settled(f"{JOBS}/a", lambda j: j is None)
        assert await api.names(PODS) == []

    run(scenario)


@shows("[sig-apps] Job should apply changes to a job status")
def test_the_status_of_a_job() -> None:
    async def scenario(api: Api) -> None:
        await api.post(JOBS, job(suspend=True))
        await api.settled(f"{JOBS}/a", has("Suspended"))
        condition = {"type": "Custom", "status": "True", "reason": "E2E", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        held = (await api.get(f"{JOBS}/a/status"))["status"]["conditions"]
        patched = await api.patch(
            f"{JOBS}/a/status", {"metadata": {"annotations": {"p": "q"}}, "status": {"conditions": [*held, condition]}}
        )
        assert patched["metadata"]["annotations"] == {"p": "q"} and condition in patched["status"]["conditions"]
        value = await api.get(f"{JOBS}/a")
        updated = await api.put(f"{JOBS}/a/status", {**value, "status": {**value["status"], "startTime": "2026-01-01T00:00:00Z"}})
        assert updated["status"]["startTime"] == "2026-01-01T00:00:00Z"

    run(scenario)


@pytest.mark.parametrize(
    ("spec", "reason"), [({"activeDeadlineSeconds": 5}, "DeadlineExceeded"), ({"backoffLimit": 0}, "BackoffLimitExceeded")]
)
def test_what_else_fails_a_job(spec: dict[str, Any], reason: str) -> None:
    async def scenario(api: Api) -> None:
        await api.post(JOBS, job(annotations=FAILS if "backoffLimit" in spec else None, **spec))
        status = await ended(api, "Failed")
        assert true({"status": status}, "Failed")["reason"] == reason

    run(scenario, nodes=1)


def test_a_finished_job_goes_after_its_time() -> None:
    async def scenario(api: Api) -> None:
        await api.post(JOBS, job(annotations=QUICK, ttlSecondsAfterFinished=30))
        await ended(api, "Complete")
        await api.settled(f"{JOBS}/a", lambda j: j is None)
        assert await api.names(PODS) == []

    run(scenario, nodes=1)


@pytest.mark.parametrize(
    ("indexes", "text"), [((), ""), ((1,), "1"), ((1, 2), "1,2"), ((1, 2, 3, 7), "1-3,7"), ((0, 2, 4, 5, 6), "0,2,4-6")]
)
def test_indexes_as_text(indexes: tuple[int, ...], text: str) -> None:
    assert job_indexes.text_of(indexes) == text and job_indexes.parse(text, 10) == set(indexes)
