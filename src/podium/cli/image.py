"""`podium image load FILE`: an image archive into the cluster's own containerd."""

import shutil
import subprocess
from argparse import Namespace
from pathlib import Path

from podium.cli.cluster import require, resolve_data_dir
from podium.cli.refusal import Refusal

CRI_NAMESPACE = "k8s.io"


def load(arguments: Namespace) -> int:
    cluster = require(resolve_data_dir(arguments.data_dir))
    archive = Path(arguments.file)
    if not archive.is_file():
        raise Refusal(f"{archive} is not a file: give an archive written by `docker save` or an OCI archive")
    if cluster.runtime != "cri":
        raise Refusal(f"the cluster in {cluster.data_dir} runs {cluster.runtime} pods, which need no images: nothing was loaded")
    from podium.cli import containerd

    if not containerd.answers(cluster):
        raise Refusal(
            f"containerd does not answer at {cluster.runtime_socket}: start the cluster with `podium up --data-dir {cluster.data_dir}`"
        )
    ctr = shutil.which("ctr")
    if ctr is None:
        raise Refusal("ctr is not installed: install containerd (tools/setup_system.py)")
    command = [ctr, "--address", str(cluster.runtime_socket), "--namespace", CRI_NAMESPACE, "images", "import", str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Refusal(f"{archive} could not be loaded ({last}): give an archive written by `docker save` or an OCI archive")
    print(done.stdout.strip() or f"loaded {archive}")
    return 0
