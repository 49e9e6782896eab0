"""A Deployment scaled to 5,000 pods on 1,000 simulated nodes: seconds from `kubectl scale` until all are Running, CPU, and what is resident."""

import argparse
import json
import time

from clusters import cluster, report

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
        report(
            "scale", metrics=arguments.metrics, nodes=arguments.nodes, pods=arguments.pods, seconds=round(seconds, 2),
            cpu_ms_per_pod=round(cpu * 1e3 / arguments.pods, 2),
            resident_mb=resident, resident_mb_total=sum(resident.values()),
            resident_mb_total_peak=sum(running.resident_mb("VmHWM").values()),
        )  # fmt: skip


def _ready(text: str) -> int:
    return int(json.loads(text).get("status", {}).get("readyReplicas", 0))


if __name__ == "__main__":
    main()
