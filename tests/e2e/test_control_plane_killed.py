"""kill -9 of the control plane at random moments, under concurrent writes through HTTPS.

What was acknowledged (201) is there afterwards, and a watcher that always resumes from the last revision it saw hears of every object exactly
once: no gap, no repetition, no "expired". And the Deployment that was applied in between converges to its ReplicaSet and pods.

A failure prints its seed. PODIUM_TEST_ROUNDS sets how many kills (3), PODIUM_TEST_SEED the moments.
"""

import asyncio
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from podium.api.authority import Authority
from podium.cli.cluster import Cluster, load_or_create
from podium.client.https import Endpoint, HttpsClient
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists, Conflict, Expired, ServiceUnavailable, StatusError
from podium.objects.values import Object

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("PODIUM_TEST_ROUNDS", "3"))
SEED = int(os.environ.get("PODIUM_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
WRITERS = 2_000
REPLICAS = 5
RUN = (
    "import sys; from pathlib import Path; from podium.cli.cluster import require; from podium import control_plane; "
    "control_plane.run(require(Path(sys.argv[1])))"
)
CONFIG_MAPS, PODS, DEPLOYMENTS = resource("configmaps"), resource("pods"), resource("deployments", "apps")
RETRIABLE = (ConnectionError, TimeoutError, ServiceUnavailable, EOFError)


@dataclass
class Findings:
    """`acknowledged` maps a config map's name to its revision; `seen` is what the watcher heard, in order."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)  # a try of theirs may have succeeded unheard
    seen: list[tuple[int, str]] = field(default_factory=list)
    resumed: int = 0


async def start(cluster: Cluster, client: HttpsClient) -> asyncio.subprocess.Process:
    """Returns when /readyz answers."""
    log = await asyncio.to_thread(open, cluster.log_dir / "control-plane.txt", "ab")
    with log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RUN, str(cluster.data_dir), cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
    while True:
        assert process.returncode is None, (cluster.log_dir / "control-plane.txt").read_text()[-2000:]
        try:
            if (await client.raw("GET", "/readyz")).status == 200:
                return process
        except RETRIABLE:
            pass
        await asyncio.sleep(0.02)


async def write(client: HttpsClient, names: list[str], findings: Findings) -> None:
    """Creates config maps until there is none left to create, each until it is there."""
    while names:
        name = names.pop()
        while True:
            try:
                made = await client.create(CONFIG_MAPS, {"metadata": {"name": name}, "data": {"a": name}}, "default")
                findings.acknowledged[name] = int(made["metadata"]["resourceVersion"])
                break
            except AlreadyExists:
                assert name in findings.doubtful
                break
            except RETRIABLE:
                findings.doubtful.add(name)
                await asyncio.sleep(0.05)


async def watch(client: HttpsClient, revision: str, findings: Findings) -> None:
    """Follows config maps for ever, each time from where it was."""
    while True:
        try:
            async for event in client.watch(CONFIG_MAPS, "default", revision=revision):
                metadata = event.object["metadata"]
                revision = metadata["resourceVersion"]
                if event.type == "ADDED":
                    findings.seen.append((int(revision), metadata["name"]))
        except Expired:
            raise
        except (*RETRIABLE, StatusError):
            await asyncio.sleep(0.02)
        findings.resumed += 1


def deployment() -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}
    spec = {"replicas": REPLICAS, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": spec}


async def apply_deployment(client: HttpsClient) -> None:
    while True:
        try:
            await client.create(DEPLOYMENTS, deployment())
            return
        except (AlreadyExists, Conflict):
            return
        except RETRIABLE:
            await asyncio.sleep(0.05)


async def pods_made(client: HttpsClient) -> None:
    while len((await client.list(PODS, "default")).items) != REPLICAS:
        await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.e2e
async def test_acknowledged_writes_and_watches_survive_kill_9_of_the_control_plane(tmp_path):
    print(f"seed {SEED}")
    draw, findings = random.Random(SEED), Findings()
    cluster = load_or_create(tmp_path / "data", "simulated", 0)
    certificate, key = Authority.load_or_create(cluster.pki_dir).issue_files("admin", "kubernetes-admin", ["system:masters"])
    endpoint = Endpoint(cluster.api_url, cluster.pki_dir / "ca.crt", certificate, key)
    writer, watcher, prober = (HttpsClient(endpoint) for _ in range(3))
    names = [f"c{n:06d}" for n in range(100_000)]
    tasks: list[asyncio.Task[None]] = []
    process = await start(cluster, prober)
    try:
        revision = (await prober.list(CONFIG_MAPS, "default")).revision
        watching = asyncio.ensure_future(watch(watcher, revision, findings))
        tasks = [watching, *(asyncio.ensure_future(write(writer, names, findings)) for _ in range(WRITERS))]
        for turn in range(ROUNDS):
            if turn == 1:
                tasks.append(asyncio.ensure_future(apply_deployment(prober)))
            await asyncio.sleep(draw.uniform(0.1, 1.0))
            process.kill()
            await process.wait()
            process = await start(cluster, prober)
        names.clear()
        await asyncio.wait_for(asyncio.gather(*tasks[1:]), 60)
        await asyncio.wait_for(pods_made(prober), 30)

        there = {o["metadata"]["name"]: int(o["metadata"]["resourceVersion"]) for o in (await prober.list(CONFIG_MAPS, "default")).items}
        mine = {name: revision for name, revision in there.items() if name.startswith("c0")}
        lost = {name: revision for name, revision in findings.acknowledged.items() if mine.get(name) != revision}
        assert not lost, f"acknowledged and lost: {sorted(lost.items(), key=lambda item: item[1])[:5]}"
        assert set(mine) <= set(findings.acknowledged) | findings.doubtful
        async with asyncio.timeout(20):
            while len([1 for _, name in findings.seen if name.startswith("c0")]) < len(mine) and not watching.done():
                await asyncio.sleep(0.05)
        assert not watching.done()
        seen = [(revision, name) for revision, name in findings.seen if name.startswith("c0")]
        assert seen == sorted((revision, name) for name, revision in mine.items())
        assert len(findings.acknowledged) > 100 * ROUNDS and findings.resumed >= ROUNDS
        print(f"{len(findings.acknowledged)} acknowledged, {len(findings.doubtful)} in doubt, {findings.resumed} resumptions")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in (writer, watcher, prober):
            await client.aclose()
        if process.returncode is None:
            process.kill()
            await process.wait()
