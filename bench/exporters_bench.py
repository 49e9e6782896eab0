"""What exporters cost, as JSON: `python bench/exporters_bench.py [--pods 5000]`. CPU time of this process; the best of some rounds.

* node: one scrape of this machine;
* kube_state: rendering a pod that changed, and one scrape of so many pods; bytes of the answer;
* cadvisor: one scrape of a node agent with so many pods, measuring left out.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from podium.client.mirror import Change
from podium.instrument.exposition import Format, Lines, render
from podium.node import container_metrics
from podium.node.container_metrics import Measured, MeasuredPod
from podium.node.runtime.interface import ContainerState, ContainerStatus
from podium.node.runtime.usage import ContainerUsage
from podium.telemetry.exporters.kube_state.exporter import Store
from podium.telemetry.exporters.kube_state.resources import SHOWN
from podium.telemetry.exporters.node.exporter import NodeExporter
from podium.world.real import RealWorld

ROUNDS = 5
STARTED = "2026-01-01T00:00:00Z"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pods", type=int, default=5000)
    pods = parser.parse_args().pods
    print(json.dumps({**asyncio.run(node()), **kube_state(pods), **cadvisor(pods)}, indent=2))


async def node() -> dict[str, float]:
    exporter = NodeExporter(RealWorld())
    costs = []
    for _ in range(ROUNDS):
        began = time.process_time()
        size = len(render((await exporter.collect()).families.values()))
        costs.append(time.process_time() - began)
    return {"node_scrape_cpu_ms": round(min(costs) * 1000, 2), "node_scrape_bytes": size}


def kube_state(pods: int) -> dict[str, float]:
    store = Store(next(shown for shown in SHOWN if shown.resource.plural == "pods"), {}, {})
    changes = [Change("added", pod(number), None) for number in range(pods)]
    rendering = cpu(lambda: [store.changed(change) for change in changes])
    size = 0

    def scrape() -> None:
        nonlocal size
        parts: list[bytes] = []
        store.write(parts, Format.TEXT)
        size = len(b"".join(parts))

    return {
        "kube_state_pods": pods,
        "kube_state_render_cpu_us_per_pod": round(rendering / pods * 1e6, 1),
        "kube_state_scrape_cpu_ms": round(min(cpu(scrape) for _ in range(ROUNDS)) * 1000, 2),
        "kube_state_scrape_bytes": size,
    }


def cadvisor(pods: int) -> dict[str, float]:
    usage = ContainerUsage(
        cpu_s=1.5, user_s=1.0, system_s=0.5, memory_bytes=1, working_set_bytes=1, rss_bytes=1, cache_bytes=1, processes=1
    )
    found = []
    for number in range(pods):
        value = pod(number)
        status = ContainerStatus(f"c{number}", "s", "u", "app", 0, ContainerState.RUNNING, "app:1", "", 1, 1)
        found.append(MeasuredPod("shop", value["metadata"]["name"], value["metadata"]["uid"], value, ((status, usage),), ()))
    measured, size = Measured(tuple(found)), 0

    def scrape() -> None:
        nonlocal size
        lines = Lines()
        container_metrics.cadvisor(measured, 0.0, lines)
        size = len(lines.render())

    return {"cadvisor_scrape_cpu_ms": round(min(cpu(scrape) for _ in range(ROUNDS)) * 1000, 2), "cadvisor_scrape_bytes": size}


def cpu(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def pod(number: int) -> dict[str, Any]:
    """An ordinary pod of a Deployment: one container that runs."""
    state = {"name": "app", "image": "app:1", "imageID": "sha256:1", "containerID": f"c://{number}", "ready": True, "restartCount": 0}
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": STARTED}
        for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    return {
        "metadata": {
            "name": f"shop-5d8f7c9b6-{number}", "namespace": "shop", "uid": f"0b7a3f8e-0000-4000-8000-{number:012}",
            "creationTimestamp": STARTED, "resourceVersion": str(number),
            "ownerReferences": [{"kind": "ReplicaSet", "name": "shop-5d8f7c9b6", "controller": True}],
        },
        "spec": {
            "nodeName": f"node-{number % 100}", "restartPolicy": "Always", "serviceAccountName": "default", "schedulerName": "default-scheduler",
            "containers": [{"name": "app", "image": "app:1", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}],
        },
        "status": {
            "phase": "Running", "qosClass": "Burstable", "hostIP": "192.0.2.1", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}],
            "startTime": STARTED, "conditions": conditions,
            "containerStatuses": [{**state, "state": {"running": {"startedAt": STARTED}}}],
        },
    }  # fmt: skip


if __name__ == "__main__":
    main()
