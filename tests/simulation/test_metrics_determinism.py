"""The same seed gives the same samples, to the byte of an export, whatever the hash seed; another seed gives others."""

import asyncio
import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from podium import testing
from tests.simulation.test_metrics import deployment

ROOT = Path(__file__).parents[2]
LONG_S, SHORT_S = 800.0, 300.0
pytestmark = pytest.mark.slow


def measured(seed: int, directory: Path, length_s: float) -> dict[str, str]:
    """Digests of everything that a cluster with a rollout and a lost zone leaves behind."""

    async def scenario(cluster: testing.Cluster) -> dict[str, str]:
        await cluster.create(deployment(8))
        await cluster.running(8)
        deployments = cluster.resource_of(deployment(8))
        changed = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "shop/web:2"}]}}}}
        await cluster.client.patch(deployments, "web", changed, "default", type="strategic")
        await cluster.pass_time(120)
        cluster.lose_zone("simulated-b")
        await cluster.pass_time(length_s - cluster.now_s)
        told = "\n".join(f"{n.at_s} {n.to} {n.body!r}" for n in cluster.metrics.notifications())
        cluster.metrics.export_openmetrics(directory / "samples.txt")
        await cluster.metrics.export_blocks(directory / "data")
        found = {"notifications": told.encode(), "samples": (directory / "samples.txt").read_bytes()}
        for path in sorted((directory / "data").rglob("*")):
            if path.is_file():
                found[str(path.relative_to(directory))] = path.read_bytes()
        found["unseed"] = cluster.world.unseed().encode()
        return {name: hashlib.sha256(data).hexdigest()[:16] + f" {len(data)}" for name, data in found.items()}

    logging.disable()
    try:
        return testing.run(scenario, nodes=6, metrics=True, seed=seed)
    finally:
        logging.disable(logging.NOTSET)


def first_difference(left: Path, right: Path) -> str:
    pairs: Any = zip(left.read_text().split("\n"), right.read_text().split("\n"), strict=False)
    return next((f"{a}\n{b}" for a, b in pairs if a != b), "one is longer")


def test_two_runs_of_a_seed_leave_the_same_bytes(tmp_path: Path) -> None:
    first, again = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    again.mkdir()
    left, right = measured(1, first, LONG_S), measured(1, again, LONG_S)
    assert left["samples"] == right["samples"], first_difference(first / "samples.txt", again / "samples.txt")
    assert left == right
    assert any(name.endswith("/chunks") for name in left)
    assert (first / "samples.txt").stat().st_size > 1_000_000


async def test_hash_seeds_change_nothing_and_seeds_do(tmp_path: Path) -> None:
    async def run(seed: int, hash_seed: str) -> bytes:
        folder = tmp_path / f"{seed}-{hash_seed}"
        folder.mkdir()
        command = (sys.executable, "-m", "tests.simulation.test_metrics_determinism", str(seed), str(folder))
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
        output, _ = await process.communicate()
        assert process.returncode == 0
        return output

    first, hashed_otherwise, other = await run(1, "0"), await run(1, "4711"), await run(2, "0")
    assert first == hashed_otherwise, first_difference(tmp_path / "1-0" / "samples.txt", tmp_path / "1-4711" / "samples.txt")
    assert first.count(b"\n") > 4 and first != other


if __name__ == "__main__":
    for name, digest in measured(int(sys.argv[1]), Path(sys.argv[2]), SHORT_S).items():
        print(name, digest)
