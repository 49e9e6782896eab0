"""A Deployment of 3 on real pods: seconds from the end of `kubectl apply` until all are ready, median of several."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import time

from clusters import PODIUM, Running, cluster, report

from podium.node.images import python_image

PATIENCE_S = 60.0
IMAGE = "bench:1"
"""With containers it is made of this machine's Python and shell; processes need none."""

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


def _measure(runtime: str, runs: int) -> None:
    command = ["sleep", "1000000"]
    with cluster("--runtime", runtime) as running:
        if runtime == "cri":
            archive = running.data_dir / "image.tar"
            archive.write_bytes(python_image(IMAGE, {}))
            subprocess.run([*PODIUM, "image", "load", archive, "--data-dir", running.data_dir], check=True, stdout=subprocess.DEVNULL)
        while "Ready" not in running.kubectl("get", "nodes", "--no-headers").replace("NotReady", ""):
            time.sleep(0.1)
        seconds = [_once(running, f"three-{i}", IMAGE, command) for i in range(runs)]
    report("rollout of 3", runtime=runtime, median_s=round(statistics.median(seconds), 2), max_s=round(max(seconds), 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", choices=("process", "cri"), help="otherwise both, containers where root has containerd")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    has_containers = os.geteuid() == 0 and shutil.which("containerd") is not None
    runtimes = [arguments.runtime] if arguments.runtime else ["process", *(["cri"] if has_containers else [])]
    for runtime in runtimes:
        _measure(runtime, arguments.runs)


if __name__ == "__main__":
    main()
