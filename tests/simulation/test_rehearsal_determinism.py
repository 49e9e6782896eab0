"""The control plane under the virtual clock: an hour of a cluster in seconds, and the same hour each time for the same seed.

API server, memory store, all controllers and the scheduler of the live product run with 50 simulated nodes. A Deployment is applied, rolled to
another image, and the rest of the hour passes. The event log is every change in the store: when, what, and the bytes of the object.
"""

import asyncio
import hashlib
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from podium.client.interface import Client
from podium.control_plane import build, start_controllers
from podium.node.role import FleetConfig, run_fleet
from podium.objects.resources import resource
from podium.objects.values import Object
from podium.store.compaction import compact_regularly
from podium.store.memory import MemoryStore
from podium.store.record import Event
from podium.world import virtual
from podium.world.supervisor import Supervisor
from podium.world.virtual import VirtualWorld

ROOT = Path(__file__).parents[2]
NODES = 50
REPLICAS = 40
HOUR_S = 3600.0
CPU_S_MAX = 5.0
DEPLOYMENTS = resource("deployments", "apps")
PODS = resource("pods")


def deployment() -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "shop/web:1", "resources": {"requests": {"cpu": "250m"}}}]},
            },
        },
    }


async def rolled_out(client: Client, image: str) -> None:
    """Waits, in cluster time, until every pod of the Deployment runs `image` and is ready, as `kubectl rollout status` does."""
    async with asyncio.timeout(300):
        while True:
            value = await client.get(DEPLOYMENTS, "web", "default")
            status = value.get("status", {})
            counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
            if counts == {REPLICAS} and status.get("observedGeneration") == value["metadata"]["generation"]:
                return
            await asyncio.sleep(1)


async def pass_time(world: VirtualWorld, length_s: float) -> tuple[list[str], str]:
    """The event log, and the unseed."""
    store, log = MemoryStore(), []

    def note(events: list[Event]) -> None:
        for event in events:
            digest = hashlib.sha256(event.record.encoded).hexdigest()[:12]
            log.append(f"{world.clock.monotonic():.6f} {event!r} {digest}")

    store.feed("/", note)
    plane = await build(store, world, service_cidr="10.96.0.0/16", signing_key=b"")
    plane.tasks.start("compaction", compact_regularly(store))
    start_controllers(plane, ca_pem="")
    nodes = Supervisor("nodes")
    client = plane.client()
    fleet = await run_fleet(FleetConfig(NODES), client, world, nodes)
    await client.create(DEPLOYMENTS, deployment())
    await rolled_out(client, "shop/web:1")
    changed = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "shop/web:2"}]}}}}
    await client.patch(DEPLOYMENTS, "web", changed, "default", type="strategic")
    await rolled_out(client, "shop/web:2")
    await asyncio.sleep(length_s - world.clock.monotonic())

    pods = (await client.list(PODS, "default")).items
    assert [p["spec"]["containers"][0]["image"] for p in pods] == ["shop/web:2"] * REPLICAS
    assert {p["spec"]["nodeName"] for p in pods} <= set(fleet.nodes)
    await nodes.stop()
    await plane.stop()
    return log, world.unseed()


def rehearse(seed: int, length_s: float = HOUR_S) -> tuple[list[str], str]:
    logging.disable()
    try:
        return virtual.run(lambda world: pass_time(world, length_s), seed)
    finally:
        logging.disable(logging.NOTSET)


def first_difference(left: list[str], right: list[str]) -> str:
    for n, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return f"event {n}:\n  {a}\n  {b}"
    return f"{len(left)} events against {len(right)}"


@pytest.mark.slow
def test_an_hour_of_fifty_nodes_takes_seconds_and_is_the_same_each_time():
    began = time.process_time()
    log, unseed = rehearse(1)
    spent_s = time.process_time() - began
    print(f"{len(log)} events, {spent_s:.2f} s of CPU, unseed {unseed}")
    again, unseed_again = rehearse(1)
    assert log == again, first_difference(log, again)
    assert unseed == unseed_again
    assert spent_s < CPU_S_MAX


@pytest.mark.slow
async def test_a_rehearsal_is_the_same_under_any_hash_seed_and_another_with_another_seed():
    async def run(seed: int, hash_seed: str) -> bytes:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.simulation.test_rehearsal_determinism",
            str(seed),
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
        )
        output, _ = await process.communicate()
        return output

    first, hashed_otherwise, other = await run(1, "0"), await run(1, "4711"), await run(2, "0")
    assert first == hashed_otherwise, first_difference(first.decode().split("\n"), hashed_otherwise.decode().split("\n"))
    assert len(first) > 10_000 and first != other


if __name__ == "__main__":
    for part in rehearse(int(sys.argv[1]), length_s=400):
        print(part if isinstance(part, str) else "\n".join(part))
