"""What metrics cost under the virtual clock, as JSON: `python bench/virtual_metrics_bench.py [--nodes 100] [--pods 1000] [--minutes 60]`.

The same cluster passes the same time, each in a process of its own: without metrics; measured every 60 s and every 30 s, all nodes one target; and
every 30 s, each node a target. CPU time of the process, from the moment that the pods run. `reference_cpu_s` is that of a fixed loop in the same
process, beside it: on a busy machine everything takes more CPU time, and figures of different times compare by their ratio to it.
"""

import argparse
import json
import logging
import subprocess
import sys
import time
from typing import Any

from podium import testing

KINDS: dict[str, bool | testing.MetricsOptions] = {
    "without": False,
    "60s": testing.MetricsOptions(interval="60s", per_node=False),
    "30s": testing.MetricsOptions(interval="30s", per_node=False),
    "30s_per_node": testing.MetricsOptions(interval="30s", per_node=True),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--kind", choices=KINDS, help="this one only, in this process")
    given = parser.parse_args()
    if given.kind:
        print(json.dumps(measured(given.kind, given.nodes, given.pods, given.minutes * 60)))
        return
    found: dict[str, Any] = {"nodes": given.nodes, "pods": given.pods, "virtual_minutes": given.minutes}
    for kind in KINDS:
        output = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--kind", kind], capture_output=True, text=True, check=True
        ).stdout
        found |= {f"{kind}_{name}": value for name, value in json.loads(output).items()}
    print(json.dumps(found, indent=2))


def measured(kind: str, nodes: int, pods: int, length_s: float) -> dict[str, float]:
    async def scenario(cluster: testing.Cluster) -> dict[str, float]:
        await cluster.create(deployment(pods))
        await cluster.running(pods, timeout_s=3600)
        began_s = time.process_time()
        await cluster.pass_time(length_s)
        spent_s = time.process_time() - began_s
        if kind == "without":
            return {"cpu_s": round(spent_s, 2), "reference_cpu_s": reference()}
        server = cluster.metrics.server
        samples = server.store.head.samples
        series = int(await cluster.metrics.value('count({__name__!=""})'))
        return {"cpu_s": round(spent_s, 2), "reference_cpu_s": reference(), "samples": samples, "series": series}

    logging.disable()
    return testing.run(scenario, nodes=nodes, metrics=KINDS[kind], seed=1)


def reference() -> float:
    table: dict[int, int] = {}
    began_s = time.process_time()
    for number in range(5_000_000):
        table[number & 65535] = number
    return round(time.process_time() - began_s, 3)


def deployment(pods: int) -> dict[str, Any]:
    container = {"name": "web", "image": "shop/web:1", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}}
    spec = {
        "replicas": pods, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
    }  # fmt: skip
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


if __name__ == "__main__":
    main()
