"""Fairness: which level and flow a request belongs to, who gets a seat, who waits, who is told to come back later."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from podium.api.flow_control import GROUP, Class, FlowControl, deal
from podium.api.request import Request, User
from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane
from podium.objects.resources import resource
from podium.objects.status import Invalid, TooManyRequests
from tests.api.test_server import Live, live  # noqa: F401  # a fixture

SCHEMAS, LEVELS = resource("flowschemas", GROUP), resource("prioritylevelconfigurations", GROUP)
PODS, LEASES = resource("pods"), resource("leases", "coordination.k8s.io")
SUITE = "[sig-api-machinery] API priority and fairness should support "


def schema(name: str, level: str, user: str, precedence: int = 50, **spec: Any) -> dict[str, Any]:
    rule = {
        "subjects": [{"kind": "User", "user": {"name": user}}],
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}],
    }
    spec = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": [rule], **spec}
    return {"apiVersion": f"{GROUP}/v1", "kind": "FlowSchema", "metadata": {"name": name}, "spec": spec}


def level(name: str, shares: int, **response: Any) -> dict[str, Any]:
    limited = {"nominalConcurrencyShares": shares, "limitResponse": response or {"type": "Reject"}}
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "PriorityLevelConfiguration", "metadata": {"name": name},
        "spec": {"type": "Limited", "limited": limited},
    }  # fmt: skip


def asked(user: str, *groups: str, verb: str = "get", kind: Any = PODS, namespace: str = "default") -> Request:
    return Request(verb, kind, User(user, (*groups, "system:authenticated")), namespace)


def found(flows: FlowControl, request: Request) -> tuple[str, str]:
    class_ = flows.classify(request)
    assert class_ is not None
    return class_.lane.level.name, class_.flow


@pytest.fixture
async def flows(plane: ControlPlane) -> AsyncIterator[FlowControl]:
    assert plane.server.flows is not None
    yield plane.server.flows


async def test_everyone_has_a_level_from_the_start(flows: FlowControl) -> None:
    assert found(flows, asked("admin", "system:masters")) == ("exempt", "exempt/")
    assert found(flows, asked("jane")) == ("global-default", "global-default/jane")
    account = asked("system:serviceaccount:shop:web", "system:serviceaccounts")
    assert found(flows, account) == ("workload-low", "service-accounts/system:serviceaccount:shop:web")
    controller = "system:serviceaccount:kube-system:job-controller"
    assert found(flows, asked(controller)) == ("workload-high", "kube-system-service-accounts/default")
    assert found(flows, asked(controller, verb="update", kind=LEASES))[0] == "leader-election"
    assert found(flows, asked("system:node:n1", "system:nodes", kind=LEASES))[0] == "node-high"
    assert found(flows, asked("system:node:n1", "system:nodes"))[0] == "system"


async def _greedy(client: InProcessClient, name: str = "greedy", **response: Any) -> None:
    await client.create(LEVELS, level(name, 1, **response))
    await client.create(SCHEMAS, schema(name, name, name))


def seats(plane: ControlPlane, number: int, **more: Any) -> FlowControl:
    return FlowControl(plane.server.core.store, seats=number, **more)


async def _taken(flows: FlowControl, user: str, count: int) -> Class:
    class_ = flows.classify(asked(user))
    assert class_ is not None
    for _ in range(count):
        await flows.acquire(class_)
    return class_


async def test_a_level_that_rejects_is_full_at_its_limit(plane: ControlPlane, client: InProcessClient) -> None:
    await client.create(LEVELS, level("greedy", 1))
    await client.create(SCHEMAS, schema("greedy", "greedy", "greedy"))
    for name in ("system", "node-high", "workload-high", "workload-low", "global-default"):
        await client.patch(LEVELS, name, {"spec": {"limited": {"lendablePercent": 0}}})
    flows = seats(plane, 246)  # one for each share
    await flows.start()
    class_ = await _taken(flows, "greedy", 1)
    with pytest.raises(TooManyRequests, match="too many requests, please try again later") as refusal:
        await flows.acquire(class_)
    assert refusal.value.retry_after_s == 1
    await _taken(flows, "jane", 20)
    flows.release(class_)
    await flows.acquire(class_)


async def test_a_full_level_borrows_what_others_lend(plane: ControlPlane, client: InProcessClient) -> None:
    await _greedy(client)
    flows = seats(plane, 246)
    await flows.start()
    borrowed = 30 * 33 // 100 + 40 * 25 // 100 + 40 * 50 // 100 + 100 * 90 // 100 + 20 * 50 // 100
    class_ = await _taken(flows, "greedy", 1 + borrowed)
    with pytest.raises(TooManyRequests):
        await flows.acquire(class_)


async def test_those_who_wait_get_seats_in_turn_and_cancelled_ones_do_not(plane: ControlPlane, client: InProcessClient) -> None:
    queuing = {"queues": 8, "handSize": 1, "queueLengthLimit": 2}
    await client.create(LEVELS, level("q", 1, type="Queue", queuing=queuing))
    await client.create(SCHEMAS, schema("q", "q", "*", distinguisherMethod={"type": "ByUser"}))
    for name in ("system", "node-high", "workload-high", "workload-low", "global-default"):
        await client.patch(LEVELS, name, {"spec": {"limited": {"lendablePercent": 0}}})
    flows = seats(plane, 246, wait_s_max=5.0)
    await flows.start()
    users = [f"u{i}" for i in range(20)]
    first, other = users[0], next(u for u in users if deal(f"q/{u}", 8, 1) != deal("q/u0", 8, 1))
    running = await _taken(flows, first, 1)
    served: list[str] = []

    async def ask(user: str) -> None:
        class_ = flows.classify(asked(user))
        assert class_ is not None
        await flows.acquire(class_)
        served.append(user)

    tasks = [asyncio.ensure_future(ask(first)), asyncio.ensure_future(ask(first)), asyncio.ensure_future(ask(other))]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests):  # the greedy user's queue is full; the other's is not
        await ask(first)
    tasks[0].cancel()
    await asyncio.sleep(0)
    flows.release(running)
    await asyncio.sleep(0.01)
    flows.release(running)
    await asyncio.sleep(0.01)
    assert sorted(served) == sorted([first, other])
    assert running.lane.running == 1 and not running.lane.queues


async def test_waiting_ends(plane: ControlPlane, client: InProcessClient) -> None:
    await client.create(LEVELS, level("q", 1, type="Queue", queuing={"queues": 1, "handSize": 1, "queueLengthLimit": 5}))
    await client.create(SCHEMAS, schema("q", "q", "slow"))
    for name in ("system", "node-high", "workload-high", "workload-low", "global-default"):
        await client.patch(LEVELS, name, {"spec": {"limited": {"lendablePercent": 0}}})
    flows = seats(plane, 246, wait_s_max=0.02)
    await flows.start()
    class_ = await _taken(flows, "slow", 1)
    with pytest.raises(TooManyRequests):
        await flows.acquire(class_)
    assert not class_.lane.queues and class_.lane.running == 1


def test_hands_are_different_queues_and_always_the_same() -> None:
    hands = {deal(f"flow/{i}", 128, 6) for i in range(50)}
    assert all(len(set(hand)) == 6 and all(0 <= q < 128 for q in hand) for hand in hands) and len(hands) == 50
    assert deal("a", 4, 4) == deal("a", 4, 4) and sorted(deal("a", 4, 4)) == [0, 1, 2, 3]


async def test_answers_name_the_schema_and_the_level(live: Live) -> None:  # noqa: F811  # the fixture
    answer = await live.ask("GET", "/api/v1/namespaces/default/pods")
    schemas = {s["metadata"]["uid"]: s["metadata"]["name"] for s in (await live.admin.list(SCHEMAS)).items}
    assert schemas[answer.headers["x-kubernetes-pf-flowschema-uid"]] == "exempt"
    refused = await live.ask("GET", "/api/v1/namespaces/default/pods/absent")
    assert refused.status == 404 and refused.headers["x-kubernetes-pf-prioritylevel-uid"]


async def test_an_overloaded_level_answers_429_over_https(live: Live) -> None:  # noqa: F811  # the fixture
    client = live.plane.client()
    await client.create(LEVELS, level("none", 0))
    await client.create(SCHEMAS, schema("none", "none", "jane"))
    for name in ("system", "node-high", "workload-high", "workload-low", "global-default"):
        await client.patch(LEVELS, name, {"spec": {"limited": {"lendablePercent": 0}}})
    answer = await live.ask("GET", "/api/v1/namespaces/default/pods", impersonate_user="jane")
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert (await live.ask("GET", "/api/v1/namespaces/default/pods")).status == 200


@pytest.mark.conformance(SUITE + "FlowSchema API operations [Conformance]")
@pytest.mark.conformance(SUITE + "PriorityLevelConfiguration API operations [Conformance]")
async def test_they_are_objects_like_others(client: InProcessClient) -> None:
    for kind, value in ((LEVELS, level("x", 5)), (SCHEMAS, schema("x", "x", "u"))):
        await client.create(kind, value)
        assert (await client.patch(kind, "x", {"metadata": {"annotations": {"patched": "true"}}}))["metadata"]["annotations"]
        status = {"conditions": [{"type": "Dangling", "status": "True", "reason": "Test"}]}
        assert (await client.patch(kind, "x", {"status": status}, subresource="status"))["status"] == status
        await client.delete(kind, "x")


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (SCHEMAS, schema("a", "x", "u", 1), "only the schema named 'exempt' may have matchingPrecedence 1"),
        (SCHEMAS, schema("a", "x", "u", 10_001), "must be a value between 1 and 10000"),
        (SCHEMAS, schema("a", "", "u"), "must reference a priority level"),
        (LEVELS, level("a", -1), "must be a non-negative integer"),
        (
            LEVELS,
            level("a", 1, type="Queue", queuing={"queues": 2, "handSize": 3, "queueLengthLimit": 1}),
            "should not be greater than queues",
        ),
        (LEVELS, level("a", 1, type="Queue"), "must not be empty if limited.limitResponse.type is Queue"),
    ],
)
async def test_what_makes_no_sense_is_refused(client: InProcessClient, kind: Any, value: Any, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        await client.create(kind, value)
