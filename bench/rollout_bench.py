"""A Deployment of 3 on real pods: seconds from the end of `kubectl apply` until all are ready, median of several."""

import argparse
import json
import statistics
import time

from clusters import Running, cluster, report

PATIENCE_S = 60.0

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{{name: app, image: "{image}", command: {command}}}]
"""


def _once(running: Running, name: str, image: str, command: list[str]) -> float:
    running.kubectl("apply", "-f", "-", stdin=MANIFEST.format(name=name, image=image, command=json.dumps(command)))
    began = time.perf_counter()
    while json.loads(running.kubectl("get", "deployment", name, "-o", "json")).get("status", {}).get("readyReplicas", 0) < 3:
        if time.perf_counter() - began > PATIENCE_S:
            raise SystemExit(running.kubectl("get", "pods,events"))
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    running.kubectl("delete", "deployment", name, "--cascade=foreground", "--wait=true")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", default="process", choices=("process", "cri"))
    parser.add_argument("--image", default="any", help="with cri: an image that was loaded or can be pulled, and has `sleep`")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    command = ["sleep", "1000000"]
    with cluster("--runtime", arguments.runtime) as running:
        while "Ready" not in running.kubectl("get", "nodes", "--no-headers").replace("NotReady", ""):
            time.sleep(0.1)
        seconds = [_once(running, f"three-{i}", arguments.image, command) for i in range(arguments.runs)]
    report("rollout of 3", runtime=arguments.runtime, median_s=round(statistics.median(seconds), 2), max_s=round(max(seconds), 2))


if __name__ == "__main__":
    main()
