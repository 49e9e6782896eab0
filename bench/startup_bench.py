"""How long `podium up --detach` takes until /readyz answers ok, over 10 new clusters, and what is resident then."""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from clusters import Running, down, report, up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--runtime", default="simulated")
    arguments = parser.parse_args()
    seconds, resident = [], {}
    for _ in range(arguments.runs):
        directory = Path(tempfile.mkdtemp(prefix="podium-bench-"))
        running = Running(directory / "data", {**os.environ, "KUBECONFIG": str(directory / "kubeconfig")})
        try:
            began = time.perf_counter()
            up(running, "--runtime", arguments.runtime)
            seconds.append(time.perf_counter() - began)
            time.sleep(2)
            resident = running.resident_mb()
        finally:
            down(running)
            shutil.rmtree(directory, ignore_errors=True)
    report(
        "startup", runtime=arguments.runtime, runs=len(seconds), median_s=round(statistics.median(seconds), 3),
        min_s=round(min(seconds), 3), max_s=round(max(seconds), 3), resident_mb=resident,
    )  # fmt: skip


if __name__ == "__main__":
    main()
