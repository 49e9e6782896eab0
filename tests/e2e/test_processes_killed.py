"""kill -9 of any process of a cluster at random moments, under 2,000 concurrent writers: supervisor, control plane, node agent, simulated
nodes, containerd, a pod's shim.

What was acknowledged (201) is there afterwards. A watcher that always resumes from the last revision it saw hears of every object exactly
once: no gap, no repetition, no "expired". Deployments that are scaled in between converge, on pods of this machine and on simulated nodes.
Every role runs once, no pod's process is left over, and `podium down` leaves nothing.

A failure prints its seed. SEED repeats it, KILLS sets how many (4; `make chaos`: 20), RUNTIME what pods run as (process; cri).
"""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from podium.cli import processes
from podium.cli.cluster import Cluster, require
from podium.cli.processes import Process
from podium.client.https import Endpoint, HttpsClient
from podium.node.runtime import remains
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists, Expired, ServiceUnavailable, StatusError
from podium.objects.values import Object
from tests.e2e import leftovers

KILLS = int(os.environ.get("KILLS", "4"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
RUNTIME = os.environ.get("RUNTIME", "process")
WRITERS = 2_000
SIMULATED_NODES = 5
CONVERGENCE_S = 90.0
CONFIG_MAPS, PODS, DEPLOYMENTS = resource("configmaps"), resource("pods"), resource("deployments", "apps")
RETRIABLE = (ConnectionError, TimeoutError, ServiceUnavailable, EOFError)
ON_NODES = {
    "simulated": ({"podium.dev/simulated": "true"}, 20),
    "real": ({"kubernetes.io/hostname": "podium"}, 3),
}
"""Deployments: the node selector, and the most replicas."""


@dataclass
class Findings:
    """`acknowledged` maps a config map's name to its revision; `seen` is what the watcher heard, in order."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)  # a try of theirs may have succeeded unheard
    seen: list[tuple[int, str]] = field(default_factory=list)
    resumed: int = 0
    killed: Counter[str] = field(default_factory=Counter)


async def podium(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "podium", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    return said


@asynccontextmanager
async def started(data_dir: Path) -> AsyncIterator[Cluster]:
    """A cluster, taken down afterwards; nothing of it may be left then."""
    await podium("up", "--detach", "--data-dir", str(data_dir), "--runtime", RUNTIME, "--simulated-nodes", str(SIMULATED_NODES))
    cluster = require(data_dir)
    try:
        yield cluster
    finally:
        await podium("down", "--data-dir", str(data_dir))
    assert leftovers.of(cluster) == []
    assert not Path(os.environ["KUBECONFIG"]).exists()


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


def deployment(name: str, replicas: int) -> Object:
    container = {"name": "main", "image": "podium.dev/pause:1", "imagePullPolicy": "Never"}
    if RUNTIME == "process" and name == "real":
        container["command"] = ["sleep", "100000"]
    pod = {"nodeSelector": ON_NODES[name][0], "terminationGracePeriodSeconds": 1, "containers": [container]}
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


async def until_done(request: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await request()
            return
        except AlreadyExists:
            return
        except RETRIABLE:
            await asyncio.sleep(0.05)


async def scale(client: HttpsClient, name: str, replicas: int) -> None:
    await until_done(partial(client.patch, DEPLOYMENTS, name, {"spec": {"replicas": replicas}}, "default"))


def shims(cluster: Cluster) -> list[int]:
    return remains.process_shims(cluster.processes_dir) if RUNTIME == "process" else remains.containerd_shims(cluster.runtime_socket)


def victims(cluster: Cluster) -> list[Process]:
    """The cluster's processes, and one shim."""
    found = [Process("shim", pid, ticks, (), 0.0) for pid in shims(cluster) if (ticks := processes.start_ticks(pid)) is not None]
    return processes.living(cluster) + found[:1]


async def kill_some(cluster: Cluster, draw: random.Random, findings: Findings) -> None:
    """One process, or now and then two at the same moment."""
    count = draw.choice((1, 1, 2))
    while len(living := victims(cluster)) <= count:
        await asyncio.sleep(0.05)
    for victim in draw.sample(living, count):
        with processes.pidfd_of(victim) as descriptor:
            if descriptor is not None:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                findings.killed[victim.name] += 1


async def chaos(cluster: Cluster, client: HttpsClient, draw: random.Random, findings: Findings) -> dict[str, int]:
    """Kills and scales; returns the replicas that were asked for last."""
    wanted = {name: most for name, (_, most) in ON_NODES.items()}
    for name, replicas in wanted.items():
        value = deployment(name, replicas)
        await until_done(partial(client.create, DEPLOYMENTS, value))
    scalings: list[asyncio.Task[None]] = []
    while findings.killed.total() < KILLS:
        await asyncio.sleep(draw.uniform(0.1, 1.5))
        name = draw.choice(sorted(ON_NODES))
        wanted[name] = draw.randint(1, ON_NODES[name][1])
        await asyncio.gather(*scalings)
        scalings = [asyncio.ensure_future(scale(client, name, wanted[name]))]
        await kill_some(cluster, draw, findings)
    await asyncio.gather(*scalings)
    return wanted


async def unconverged(cluster: Cluster, client: HttpsClient, wanted: dict[str, int]) -> list[str]:
    """What is not yet as it must become; empty at the end."""
    try:
        pods = (await client.list(PODS, "default")).items
        found = []
        for name, replicas in sorted(wanted.items()):
            value = await client.get(DEPLOYMENTS, name, "default")
            status, mine = value.get("status", {}), [pod for pod in pods if pod["metadata"]["labels"]["app"] == name]
            ready = [
                pod for pod in mine if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
            ]
            counts = (status.get("replicas", 0), status.get("readyReplicas", 0), len(mine), len(ready))
            if counts != (replicas,) * 4 or status.get("observedGeneration") != value["metadata"]["generation"]:
                pods_shown = [(p["metadata"]["name"], p["metadata"].get("deletionTimestamp"), p["spec"].get("nodeName")) for p in mine]
                found.append(f"{name}: {replicas} wanted, {counts} in status, ready in status, pods, ready pods; {pods_shown}")
    except RETRIABLE as error:
        return [f"the API does not answer: {error}"]
    expected = Counter([*processes.wanted(cluster), processes.SUPERVISOR])
    if leftovers.roles(cluster) != expected:
        found.append(f"processes: {dict(leftovers.roles(cluster))}, expected {dict(expected)}")
    if len(shims(cluster)) != wanted["real"]:
        found.append(f"{len(shims(cluster))} shims for {wanted['real']} pods")
    return found


async def converge(cluster: Cluster, client: HttpsClient, wanted: dict[str, int]) -> float:
    """Seconds until all is as it must become, and stays so."""
    clock = asyncio.get_running_loop().time
    began, last = clock(), clock()
    problems = ["never asked"]
    while clock() - last < 2.0:
        problems = await unconverged(cluster, client, wanted)
        if problems:
            last = clock()
        assert clock() - began < CONVERGENCE_S, problems
        await asyncio.sleep(0.1)
    return last - began


def check_writes(there: dict[str, int], findings: Findings) -> None:
    lost = {name: revision for name, revision in findings.acknowledged.items() if there.get(name) != revision}
    assert not lost, f"acknowledged and lost: {sorted(lost.items(), key=lambda item: item[1])[:5]}"
    assert set(there) <= set(findings.acknowledged) | findings.doubtful
    assert [pair for pair in findings.seen if pair[1].startswith("c0")] == sorted((revision, name) for name, revision in there.items())
    assert len(findings.acknowledged) > 100 * KILLS


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(180 + 10 * KILLS)
async def test_writes_watches_and_deployments_survive_kill_9_of_any_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"SEED={SEED} KILLS={KILLS} RUNTIME={RUNTIME}")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    draw, findings = random.Random(SEED), Findings()
    async with started(tmp_path / "data") as cluster:
        pki = cluster.pki_dir
        endpoint = Endpoint(cluster.api_url, pki / "ca.crt", pki / "admin.crt", pki / "admin.key")
        writer, watcher, prober = clients = [HttpsClient(endpoint) for _ in range(3)]
        names = [f"c{n:06d}" for n in range(100_000)]
        revision = (await prober.list(CONFIG_MAPS, "default")).revision
        watching = asyncio.ensure_future(watch(watcher, revision, findings))
        writing = [asyncio.ensure_future(write(writer, names, findings)) for _ in range(WRITERS)]
        try:
            wanted = await chaos(cluster, prober, draw, findings)
            names.clear()
            await asyncio.wait_for(asyncio.gather(*writing), CONVERGENCE_S)
            took_s = await converge(cluster, prober, wanted)
            listed = (await prober.list(CONFIG_MAPS, "default")).items
            there = {
                o["metadata"]["name"]: int(o["metadata"]["resourceVersion"]) for o in listed if o["metadata"]["name"] != "kube-root-ca.crt"
            }
            async with asyncio.timeout(20):
                while not watching.done() and len([1 for _, name in findings.seen if name in there]) < len(there):
                    await asyncio.sleep(0.05)
            assert not watching.done()
            check_writes(there, findings)
            print(
                f"killed {dict(sorted(findings.killed.items()))}; {len(findings.acknowledged)} writes acknowledged, {len(findings.doubtful)} "
                f"in doubt, none lost; {findings.resumed} resumptions of the watch; converged to {wanted} after {took_s:.1f} s"
            )
        finally:
            for task in (watching, *writing):
                task.cancel()
            await asyncio.gather(watching, *writing, return_exceptions=True)
            for client in clients:
                await client.aclose()
