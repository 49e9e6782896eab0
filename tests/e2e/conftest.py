"""Clusters for the tests that drive Podium with stock kubectl: one per runtime and session, started and ended as a user would.

A test gets a `Kubectl`: one of the kubectl programs that are to be had, a namespace of its own as the default one, a working directory.
At the end of the session each cluster is taken down, and nothing of it may be left: no process, no mount, no network namespace or device,
no control group, no kernel rules.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from podium.cli.cluster import Cluster, load
from podium.node import images
from tests.e2e import leftovers

ROOT = Path(__file__).parents[2]
PODIUM = Path(sys.executable).with_name("podium")
SIMULATED_NODES = 3
NODES_READY_S = 30.0
CONTAINER_IMAGE = "podium.test/python:1"


def programs() -> dict[str, Path]:
    """Every kubectl there is, by minor version: the one on PATH (or tools/setup_system.py's), and the newest Debian has."""
    candidates = [shutil.which("kubectl") or ROOT / ".tools" / "kubectl", ROOT / ".tools" / "kubectl-newest"]
    found: dict[str, Path] = {}
    for candidate in map(Path, candidates):
        if candidate.exists():
            said = subprocess.run([candidate, "version", "--client"], capture_output=True, text=True, check=False).stdout
            if version := re.search(r"Client Version: v(\d+\.\d+)", said):
                found.setdefault(version.group(1), candidate)
    return found


KUBECTL_PROGRAMS = programs()
without_kubectl = pytest.mark.skipif(not KUBECTL_PROGRAMS, reason="no kubectl here: python3 tools/setup_system.py --tests fetches it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `kubectl_version` runs once with each kubectl; where its module says `ABOUT_KUBECTL = False`, with the newest."""
    if "kubectl_version" in metafunc.fixturenames:
        versions = sorted(KUBECTL_PROGRAMS, key=lambda v: [int(n) for n in v.split(".")]) or ["none"]
        metafunc.parametrize("kubectl_version", versions if getattr(metafunc.module, "ABOUT_KUBECTL", True) else versions[-1:])


@dataclass(frozen=True)
class LiveCluster:
    """`directory` holds the data directory `data` and the kubeconfig."""

    runtime: str
    directory: Path
    cluster: Cluster

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    def kubectl(self, version: str, namespace: str, directory: Path) -> "Kubectl":
        """Makes the namespace. `directory` becomes the working directory; a program directory and a kubeconfig beside it."""
        beside = directory.with_name(directory.name + "-client")
        (beside / "bin").mkdir(parents=True)
        directory.mkdir(exist_ok=True)
        (beside / "bin" / "kubectl").symlink_to(KUBECTL_PROGRAMS[version])
        kubeconfig = beside / "kubeconfig"
        kubeconfig.write_text(re.sub(r"(?m)^(\s*)user: (.*)$", rf"\1user: \2\n\1namespace: {namespace}", self.kubeconfig.read_text()))
        environment = {
            "PATH": f"{beside / 'bin'}:{os.environ['PATH']}", "HOME": str(beside), "KUBECONFIG": str(kubeconfig), "NS": namespace,
            "GOGC": "off", "GOMEMLIMIT": "256MiB",  # kubectl lives too shortly to collect garbage: a fifth of its time
            "LC_ALL": "C.UTF-8", "TERM": "xterm", "MANIFESTS": str(Path(__file__).parent / "manifests"), "PYTHON": sys.executable,
        }  # fmt: skip
        kubectl = Kubectl(namespace, environment, directory)
        kubectl("create", "namespace", namespace)
        return kubectl


@dataclass(frozen=True)
class Kubectl:
    """Calls kubectl in `namespace`; an exit code other than the one expected fails the test."""

    namespace: str
    environment: dict[str, str]
    directory: Path

    def __call__(self, *arguments: str, stdin: str = "", code: int = 0, timeout: float = 60) -> str:
        """What it printed, standard output and error together."""
        done = subprocess.run(
            ["kubectl", *arguments], env=self.environment, cwd=self.directory, input=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"kubectl {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout

    def start(self, *arguments: str, **how: object) -> "subprocess.Popen[bytes]":
        """A kubectl that stays; the caller ends it."""
        return subprocess.Popen(["kubectl", *arguments], env=self.environment, cwd=self.directory, **how)  # type: ignore[call-overload]


def start_cluster(runtime: str, directory: Path, *options: str) -> LiveCluster:
    data, environment = directory / "data", {**os.environ, "KUBECONFIG": str(directory / "kubeconfig")}
    metrics = [] if "--metrics" in options else ["--no-metrics"]  # a process less for each cluster, and nothing in it but the test's own
    command = [PODIUM, "up", "--detach", "--data-dir", data, "--runtime", runtime, *metrics, *options]
    started = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert started.returncode == 0, started.stdout + started.stderr
    cluster = load(data)
    assert cluster is not None
    return LiveCluster(runtime, directory, cluster)


def await_nodes(live: LiveCluster, count: int) -> None:
    """A pod that comes before them has an event that says so."""
    command = [next(iter(KUBECTL_PROGRAMS.values())), "get", "nodes", "--no-headers"]
    environment = {**os.environ, "KUBECONFIG": str(live.kubeconfig)}
    deadline = time.monotonic() + NODES_READY_S
    while time.monotonic() < deadline:
        shown = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False).stdout
        if sum(line.split()[1] == "Ready" for line in shown.splitlines()) == count:
            return
        time.sleep(0.1)
    raise AssertionError(f"not {count} nodes were ready within {NODES_READY_S} s:\n{shown}")


def load_image(live: LiveCluster) -> None:
    """An image with this machine's Python and a shell, for the tests with containers."""
    archive = live.directory / "image.tar"
    archive.write_bytes(images.python_image(CONTAINER_IMAGE, {}))
    loaded = subprocess.run(
        [PODIUM, "image", "load", archive, "--data-dir", live.cluster.data_dir], capture_output=True, text=True, check=False
    )
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr


def end_cluster(live: LiveCluster) -> None:
    environment = {**os.environ, "KUBECONFIG": str(live.kubeconfig)}
    ended = subprocess.run(
        [PODIUM, "down", "--data-dir", live.cluster.data_dir], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert not (left := leftovers.of(live.cluster)), f"left of the cluster: {left}"


@pytest.fixture(scope="session")
def live_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LiveCluster]]:
    """Starts the cluster of a runtime when it is first asked for, and waits for its nodes; `name` is for one that is not shared by all."""
    running: dict[tuple[str, str], LiveCluster] = {}

    def get(runtime: str, name: str = "") -> LiveCluster:
        if (runtime, name) not in running:
            nodes = SIMULATED_NODES if runtime == "simulated" else 1
            options = ("--simulated-nodes", str(nodes)) if runtime == "simulated" else ()
            live = running[runtime, name] = start_cluster(runtime, tmp_path_factory.mktemp(runtime), *options)
            if KUBECTL_PROGRAMS:
                await_nodes(live, nodes)
            if runtime == "cri":
                load_image(live)
        return running[runtime, name]

    yield get
    problems = []
    for live in running.values():
        try:
            end_cluster(live)
        except AssertionError as error:
            problems.append(str(error))
    assert not problems, "\n".join(problems)


@pytest.fixture
def kubectl(
    live_cluster: Callable[[str], LiveCluster], kubectl_version: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Kubectl]:
    """A kubectl in a namespace of its own on the runtime that the test's module or mark names (`runtime("process")`)."""
    mark = request.node.get_closest_marker("runtime")
    rows = "-".join(part for part in request.node.callspec.id.split("-") if part != kubectl_version)
    words = re.sub(r"[^a-z0-9]+", "-", f"{request.node.originalname.removeprefix('test_')[:36]}-{rows}".lower())[:52].strip("-")
    made = live_cluster(mark.args[0] if mark else "simulated").kubectl(
        kubectl_version, f"{words}-{kubectl_version.replace('.', '-')}", tmp_path / "work"
    )
    yield made
    made("delete", "namespace", made.namespace, "--wait=false")
