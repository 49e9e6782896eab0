"""A Deployment scaled to 5,000 pods on 1,000 simulated nodes: seconds from `kubectl scale` until all are Running, CPU, and what is resident.

    python bench/scale_bench.py [--metrics] [--settle SECONDS] [--every SECONDS]

What is resident is said twice: when all are Running, and `--settle` seconds later (two minutes are four scrapes), with the CPU of that time; with
`--every` also in between, as a line each time.
"""

import argparse
import json
import time
from typing import Any

from clusters import Running, cluster, report

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: many, namespace: default}
spec:
  replicas: 0
  selector: {matchLabels: {app: many}}
  template:
    metadata: {labels: {app: many}}
    spec:
      containers: [{name: app, image: "app:1", command: ["app"], resources: {requests: {cpu: 10m, memory: 16Mi}}}]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--metrics", action="store_true", help="with the telemetry process, which keeps some 80 series a pod")
    parser.add_argument("--settle", type=int, default=0, help="seconds after which memory is measured once more")
    parser.add_argument("--every", type=int, default=0, help="seconds between lines that say what is resident meanwhile")
    arguments = parser.parse_args()
    metrics = "--metrics" if arguments.metrics else "--no-metrics"
    with cluster("--runtime", "simulated", "--simulated-nodes", str(arguments.nodes), metrics) as running:
        while running.kubectl("get", "nodes", "-o", "name").count("node/") < arguments.nodes:
            time.sleep(0.5)
        running.kubectl("apply", "-f", "-", stdin=MANIFEST)
        cpu_before, began = running.cpu_s(), time.perf_counter()
        running.kubectl("scale", "deployment/many", f"--replicas={arguments.pods}")
        while _ready(running.kubectl("get", "deployment/many", "-o", "json")) < arguments.pods:
            time.sleep(0.25)
        seconds, cpu = time.perf_counter() - began, running.cpu_s() - cpu_before
        resident = running.resident_mb()
        settled = _settled(running, arguments.settle, arguments.every) if arguments.settle else {}
        report(
            "scale", metrics=arguments.metrics, nodes=arguments.nodes, pods=arguments.pods, seconds=round(seconds, 2),
            cpu_ms_per_pod=round(cpu * 1e3 / arguments.pods, 2),
            resident_mb=resident, resident_mb_total=sum(resident.values()),
            resident_mb_total_peak=sum(running.resident_mb("VmHWM").values()), **settled,
        )  # fmt: skip


def _settled(running: Running, seconds: int, every: int) -> dict[str, Any]:
    before, passed = running.cpu_s(), 0
    for passed in range(every, seconds, every) if every else ():
        time.sleep(every)
        resident = running.resident_mb()
        report("scale_curve", seconds=passed, resident_mb=resident, resident_mb_total=sum(resident.values()))
    time.sleep(seconds - passed)
    resident = running.resident_mb()
    cores = (running.cpu_s() - before) / seconds
    return {"settled_mb": resident, "settled_mb_total": sum(resident.values()), "settled_cores": round(cores, 3)}


def _ready(text: str) -> int:
    return int(json.loads(text).get("status", {}).get("readyReplicas", 0))


if __name__ == "__main__":
    main()
