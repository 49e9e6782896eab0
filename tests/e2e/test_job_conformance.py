"""Jobs whose pods really run, fail and restart: shell commands as processes of this machine, as the certification suite's jobs do it."""

import json
import time
from typing import Any

import pytest

from tests.e2e.conftest import Kubectl, without_kubectl

ABOUT_KUBECTL = False
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.runtime("process"), pytest.mark.timeout(240), without_kubectl]
shows = pytest.mark.conformance
INDEX = "batch.kubernetes.io/job-completion-index"
ODD_FAILS = "exit $((JOB_COMPLETION_INDEX % 2))"
PATIENCE_S = 60.0


def job(script: str, restart: str = "Never", **spec: Any) -> str:
    container = {"name": "c", "image": "busybox", "command": ["sh", "-c", script], "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    pod = {
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    value = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": {"spec": pod}, **spec}}
    return json.dumps(value)


def indexed(completions: int, **more: Any) -> dict[str, Any]:
    return {"completionMode": "Indexed", "completions": completions, "parallelism": completions, **more}


def ended(kubectl: Kubectl, condition: str) -> dict[str, Any]:
    """The job's status once the condition is true, when nothing runs any more."""
    kubectl("wait", f"--for=condition={condition}", "job/j", "--timeout=60s", timeout=90)
    value: dict[str, Any] = json.loads(kubectl("get", "job", "j", "-o", "json"))["status"]
    assert not value.get("active")
    return value


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in status["conditions"] if c["type"] == kind)
    assert found["status"] == "True"
    return found


def pods(kubectl: Kubectl) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl("get", "pods", "-l", "job-name=j", "-o", "json"))["items"]
    return found


def by_index(kubectl: Kubectl) -> dict[int, list[str]]:
    """Index -> the phases of its pods."""
    found: dict[int, list[str]] = {}
    for pod in pods(kubectl):
        found.setdefault(int(pod["metadata"]["annotations"][INDEX]), []).append(pod["status"]["phase"])
    return found


@shows("[sig-apps] Job should run a job to completion when tasks sometimes fail and are locally restarted")
def test_tasks_that_fail_once_are_restarted_where_they_are(kubectl: Kubectl) -> None:
    script = "if [ -e /data/tried ]; then exit 0; else touch /data/tried; exit 1; fi"
    kubectl("create", "-f", "-", stdin=job(script, restart="OnFailure", completions=4, parallelism=2))
    status = ended(kubectl, "Complete")
    assert status["succeeded"] == 4 and not status.get("failed")
    found = pods(kubectl)
    assert len(found) == 4 and all(p["status"]["phase"] == "Succeeded" for p in found)
    assert all(p["status"]["containerStatuses"][0]["restartCount"] == 1 for p in found)


@shows("[sig-apps] Job should create pods for an Indexed job with completion indexes and specified hostname")
def test_an_indexed_pod_knows_its_index(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=job("echo index $JOB_COMPLETION_INDEX", **indexed(4)))
    status = ended(kubectl, "Complete")
    assert status["completedIndexes"] == "0-3" and status["succeeded"] == 4
    for pod in pods(kubectl):
        index = pod["metadata"]["annotations"][INDEX]
        assert pod["spec"]["hostname"] == f"j-{index}" and pod["metadata"]["labels"][INDEX] == index
        assert kubectl("logs", pod["metadata"]["name"]).strip() == f"index {index}"


@shows("[sig-apps] Job should allow to use the pod failure policy on exit code to fail the job early")
def test_an_exit_code_ends_the_job_early(kubectl: Kubectl) -> None:
    policy = {"rules": [{"action": "FailJob", "onExitCodes": {"containerName": "c", "operator": "In", "values": [1]}}]}
    script = "if [ $JOB_COMPLETION_INDEX = 0 ]; then exit 1; else sleep 100; fi"
    kubectl("create", "-f", "-", stdin=job(script, backoffLimit=6, podFailurePolicy=policy, **indexed(2)))
    status = ended(kubectl, "Failed")
    assert condition(status, "Failed")["reason"] == "PodFailurePolicy"
    assert by_index(kubectl)[0] == ["Failed"]


@shows("[sig-apps] Job should execute all indexes despite some failing when using backoffLimitPerIndex")
def test_every_index_runs_though_the_odd_ones_fail(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=job(ODD_FAILS, backoffLimitPerIndex=1, **indexed(4)))
    status = ended(kubectl, "Failed")
    assert condition(status, "Failed")["reason"] == "FailedIndexes"
    assert (status["failedIndexes"], status["completedIndexes"]) == ("1,3", "0,2")
    assert (status["failed"], status["succeeded"]) == (4, 2)


@shows("[sig-apps] Job should terminate job execution when the number of failed indexes exceeds maxFailedIndexes")
def test_the_job_ends_with_one_failed_index_too_many(kubectl: Kubectl) -> None:
    script = "if [ $JOB_COMPLETION_INDEX = 0 ]; then exit 1; else sleep 100; fi"
    kubectl("create", "-f", "-", stdin=job(script, backoffLimitPerIndex=0, maxFailedIndexes=0, **indexed(4)))
    status = ended(kubectl, "Failed")
    assert condition(status, "Failed")["reason"] == "MaxFailedIndexesExceeded" and status["failedIndexes"] == "0"
    assert not status.get("completedIndexes") and not status.get("succeeded")


@shows("[sig-apps] Job should mark indexes as failed when the FailIndex action is matched in podFailurePolicy")
def test_an_index_fails_at_once_by_policy(kubectl: Kubectl) -> None:
    policy = {"rules": [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [1]}}]}
    kubectl("create", "-f", "-", stdin=job(ODD_FAILS, backoffLimitPerIndex=1, podFailurePolicy=policy, **indexed(4)))
    status = ended(kubectl, "Failed")
    assert (status["failedIndexes"], status["completedIndexes"]) == ("1,3", "0,2")
    assert (status["failed"], status["succeeded"]) == (2, 2)


@shows("[sig-apps] Job with successPolicy should succeeded when all indexes succeeded")
def test_all_indexes_are_enough(kubectl: Kubectl) -> None:
    policy = {"rules": [{"succeededIndexes": "0-1"}]}
    kubectl("create", "-f", "-", stdin=job("exit 0", successPolicy=policy, **indexed(2)))
    status = ended(kubectl, "Complete")
    assert condition(status, "SuccessCriteriaMet")["reason"] == "SuccessPolicy" == condition(status, "Complete")["reason"]
    assert status["completedIndexes"] == "0,1"


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(
            {"succeededIndexes": "0"}, id="succeededIndexes",
            marks=shows("[sig-apps] Job with successPolicy succeededIndexes rule should succeeded even when some indexes remain pending"),
        ),
        pytest.param(
            {"succeededCount": 1}, id="succeededCount",
            marks=shows("[sig-apps] Job with successPolicy succeededCount rule should succeeded even when some indexes remain pending"),
        ),
    ],
)  # fmt: skip
def test_the_policy_is_met_while_another_index_still_runs(kubectl: Kubectl, rule: dict[str, Any]) -> None:
    script = "if [ $JOB_COMPLETION_INDEX = 0 ]; then exit 0; else sleep 1000; fi"
    kubectl("create", "-f", "-", stdin=job(script, successPolicy={"rules": [rule]}, **indexed(2)))
    status = ended(kubectl, "Complete")
    assert condition(status, "SuccessCriteriaMet")["reason"] == "SuccessPolicy" == condition(status, "Complete")["reason"]
    assert status["completedIndexes"] == "0" and not status.get("ready")


@shows("[sig-apps] Job should allow to use a pod failure policy to ignore failure matching on DisruptionTarget condition")
def test_an_evicted_pod_is_replaced_without_counting(kubectl: Kubectl) -> None:
    policy = {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
            {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0]}},
        ]
    }
    shared = kubectl.directory / "markers"
    script = "trap 'exit 1' TERM; m=/data/$JOB_COMPLETION_INDEX; if [ -e $m ]; then exit 0; fi; touch $m; while true; do sleep 0.1; done"
    value = json.loads(job(script, backoffLimit=0, podFailurePolicy=policy, **indexed(2)))
    value["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "hostPath": {"path": str(shared), "type": "DirectoryOrCreate"}}]
    kubectl("create", "-f", "-", stdin=json.dumps(value))
    deadline = time.monotonic() + PATIENCE_S
    while not shared.exists() or len(list(shared.iterdir())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for pod in pods(kubectl):
        name = pod["metadata"]["name"]
        eviction = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": kubectl.namespace}})
        kubectl("create", "--raw", f"/api/v1/namespaces/{kubectl.namespace}/pods/{name}/eviction", "-f", "-", stdin=eviction)
    status = ended(kubectl, "Complete")
    assert status["succeeded"] == 2 and not status.get("failed")
