import asyncio

from podium.client import events
from podium.client.events import EventRecorder
from podium.objects.resources import resource
from podium.objects.status import Forbidden, ServiceUnavailable
from podium.world import virtual
from podium.world.supervisor import Supervisor
from tests.fakes.fake_client import FakeClient

EVENTS = resource("events")
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop", "uid": "u1", "resourceVersion": "7"}}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u2"}}


def recorded(scenario, **options):
    async def main(world):
        client = FakeClient(world)
        recorder = EventRecorder(client, world, "tester", "n1", **options)
        supervisor = Supervisor("test")
        supervisor.start("events", recorder.run())
        await scenario(client, recorder)
        await supervisor.stop()

    virtual.run(main)


def test_event_says_who_what_and_when():
    async def scenario(client, recorder):
        recorder.event(POD, "Normal", "Started", "Container started", field_path="spec.containers{web}")
        recorder.event(NODE, "Warning", "Full", "no room", host="n9")
        await recorder.flushed()
        first, second = sorted(client.all(EVENTS), key=lambda e: e["reason"], reverse=True)
        assert first["involvedObject"] == {
            "kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "u1", "apiVersion": "v1", "resourceVersion": "7",
            "fieldPath": "spec.containers{web}",
        }  # fmt: skip
        assert first["metadata"]["namespace"] == "shop"
        assert first["metadata"]["name"].startswith("web-1.")
        assert first["source"] == {"component": "tester", "host": "n1"}
        assert (first["count"], first["firstTimestamp"], first["type"]) == (1, "2026-01-01T00:00:00Z", "Normal")
        assert second["metadata"]["namespace"] == "default"
        assert second["source"]["host"] == "n9"

    recorded(scenario)


def test_repeated_event_counts_instead_of_multiplying():
    async def scenario(client, recorder):
        for _ in range(3):
            recorder.event(POD, "Warning", "BackOff", "restarting")
            await recorder.flushed()
            await asyncio.sleep(10)
        (event,) = client.all(EVENTS)
        assert event["count"] == 3
        assert event["firstTimestamp"] == "2026-01-01T00:00:00Z"
        assert event["lastTimestamp"] == "2026-01-01T00:00:20Z"

    recorded(scenario)


def test_eleventh_similar_event_is_combined():
    async def scenario(client, recorder):
        for number in range(14):
            recorder.event(POD, "Normal", "Created", f"pod {number}")
        await recorder.flushed()
        texts = [e["message"] for e in client.all(EVENTS)]
        assert len(texts) == 11
        combined = [e for e in client.all(EVENTS) if e["message"].startswith("(combined from similar events): ")]
        assert [(e["count"], e["message"]) for e in combined] == [(4, "(combined from similar events): pod 13")]
        recorder.event(POD, "Normal", "Created", "pod 14")
        await recorder.flushed()
        assert "(combined from similar events): pod 14" in [e["message"] for e in client.all(EVENTS)]

    recorded(scenario)


def test_object_has_a_budget_that_refills():
    async def scenario(client, recorder):
        for number in range(1000):
            recorder.event(POD, "Normal", f"Reason{number}", "x")
        await recorder.flushed()
        assert len(client.all(EVENTS)) == events.OBJECT_BURST
        await asyncio.sleep(events.OBJECT_REFILL_S + 1)
        recorder.event(POD, "Normal", "Later", "x")
        recorder.event(POD, "Normal", "TooEarly", "x")
        await recorder.flushed()
        assert len(client.all(EVENTS)) == events.OBJECT_BURST + 1

    recorded(scenario)


def test_writes_keep_to_the_rate():
    async def scenario(client, recorder):
        for number in range(events.WRITES_BURST + 50):
            recorder.event({**POD, "metadata": {**POD["metadata"], "name": f"p{number}"}}, "Normal", "A", "x")
        await asyncio.sleep(2.5)
        assert events.WRITES_BURST + 24 <= len(client.all(EVENTS)) <= events.WRITES_BURST + 26

    recorded(scenario, write_rate_per_s=10)


def test_unreachable_server_delays_and_a_refusal_drops():
    async def scenario(client, recorder):
        client.refuse("create", ServiceUnavailable("x"), times=3)
        recorder.event(POD, "Normal", "A", "x")
        await recorder.flushed()
        client.refuse("create", Forbidden("terminating"))
        recorder.event(POD, "Normal", "B", "x")
        recorder.event(POD, "Normal", "C", "x")
        await recorder.flushed()
        assert sorted(e["reason"] for e in client.all(EVENTS)) == ["A", "C"]

    recorded(scenario)


def test_notes_without_a_writer_stay_bounded():
    async def main(world):
        recorder = EventRecorder(FakeClient(world), world, "tester")
        for number in range(events.QUEUE_EVENTS_MAX + 10):
            recorder.event({**POD, "metadata": {"name": f"p{number}", "uid": str(number)}}, "Normal", "A", "x")
        assert recorder.dropped == 10

    virtual.run(main)
