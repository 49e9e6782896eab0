"""CronJobs on the virtual clock: schedules, suspension, what to do while the last one still runs."""

import asyncio
from typing import Any

import pytest

from tests.conformance.api import Api
from tests.conformance.cluster import run
from tests.conformance.objects import POD_SPEC

shows = pytest.mark.conformance
CRON_JOBS, JOBS = "/apis/batch/v1/namespaces/default/cronjobs", "/apis/batch/v1/namespaces/default/jobs"


def cron_job(runs_s: int, **spec: Any) -> dict[str, Any]:
    annotations = {"podium.dev/simulated-run-duration": f"{runs_s}s"}
    template = {"metadata": {"annotations": annotations}, "spec": {**POD_SPEC, "restartPolicy": "OnFailure"}}
    return {"metadata": {"name": "a"}, "spec": {"schedule": "*/1 * * * *", "jobTemplate": {"spec": {"template": template}}, **spec}}


def active(count: int) -> Any:
    return lambda c: len(c["status"].get("active", ())) == count


@shows("[sig-apps] CronJob should schedule multiple jobs concurrently")
def test_jobs_run_side_by_side() -> None:
    async def scenario(api: Api) -> None:
        await api.post(CRON_JOBS, cron_job(300))
        found = await api.settled(f"{CRON_JOBS}/a", active(2), 300)
        jobs = await api.names(JOBS)
        assert jobs == sorted(r["name"] for r in found["status"]["active"]) and found["status"]["lastScheduleTime"]

    run(scenario, nodes=1)


@shows("[sig-apps] CronJob should not schedule jobs when suspended [Slow]")
def test_nothing_starts_while_suspended() -> None:
    async def scenario(api: Api) -> None:
        await api.post(CRON_JOBS, cron_job(1, suspend=True))
        await asyncio.sleep(300)
        assert await api.names(JOBS) == []
        await api.patch(f"{CRON_JOBS}/a", {"spec": {"suspend": False}})
        await api.settled(JOBS, lambda f: len(f["items"]) == 1)

    run(scenario)


@shows("[sig-apps] CronJob should not schedule new jobs when ForbidConcurrent [Slow]")
def test_the_next_one_waits_for_the_last() -> None:
    async def scenario(api: Api) -> None:
        await api.post(CRON_JOBS, cron_job(300, concurrencyPolicy="Forbid"))
        await api.settled(f"{CRON_JOBS}/a", active(1), 120)
        await asyncio.sleep(150)
        assert len(await api.names(JOBS)) == 1

    run(scenario, nodes=1)


@shows("[sig-apps] CronJob should replace jobs when ReplaceConcurrent")
def test_the_next_one_takes_the_place_of_the_last() -> None:
    async def scenario(api: Api) -> None:
        await api.post(CRON_JOBS, cron_job(300, concurrencyPolicy="Replace"))
        await api.settled(f"{CRON_JOBS}/a", active(1), 120)
        first = await api.names(JOBS)
        await api.settled(JOBS, lambda f: [j["metadata"]["name"] for j in f["items"]] not in ([], first), 120)
        second = await api.get(f"{CRON_JOBS}/a")
        assert len(second["status"]["active"]) == 1 and len(await api.names(JOBS)) == 1

    run(scenario, nodes=1)


def test_history_is_kept_short() -> None:
    async def scenario(api: Api) -> None:
        await api.post(CRON_JOBS, cron_job(1, successfulJobsHistoryLimit=2))
        await asyncio.sleep(600)
        jobs = await api.names(JOBS)
        assert len(jobs) == 2
        status = (await api.get(f"{CRON_JOBS}/a"))["status"]
        assert status["lastSuccessfulTime"] > status["lastScheduleTime"] and not status.get("active")
        events = (await api.get("/api/v1/namespaces/default/events"))["items"]
        assert {"SuccessfulCreate", "SuccessfulDelete"} <= {e["reason"] for e in events if e["involvedObject"]["kind"] == "CronJob"}

    run(scenario, nodes=1)
