"""What a user of stock kubectl sees, area by area: the transcripts of transcripts/RUNTIME/AREA.txt, with every kubectl there is.

All transcripts that were selected are played side by side, each in a namespace of its own; a test waits for its own. What concerns things
outside namespaces is kept apart by name ($NS is unique), and what changes nodes by a cluster.
"""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import KUBECTL_PROGRAMS, LiveCluster
from tests.e2e.transcript import play

TRANSCRIPTS = Path(__file__).parent / "transcripts"
AT_ONCE = 4
APART = {"simulated/cluster"}
"""They change nodes, on which the others look: one after another, in a cluster of their own."""
CONTAINERS = os.geteuid() == 0 and all(map(shutil.which, ("containerd", "runc", "ctr")))
NAMES = sorted(str(path.relative_to(TRANSCRIPTS).with_suffix("")) for path in TRANSCRIPTS.glob("*/*.txt"))
WITH_CONTAINERS = [pytest.mark.containers, pytest.mark.root, pytest.mark.skipif(not CONTAINERS, reason="needs root, containerd, runc, ctr")]
AS_ROOT = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


def marks(name: str) -> list[pytest.MarkDecorator]:
    """`name` is RUNTIME/AREA."""
    return WITH_CONTAINERS if name.startswith("cri/") else AS_ROOT if name.endswith("/as_root") else []


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not KUBECTL_PROGRAMS, reason="no kubectl here: python3 tools/setup_system.py --tests fetches it"),
]


def play_in_namespace(live: LiveCluster, name: str, version: str, directory: Path) -> str:
    area = name.partition("/")[2].replace("_", "-")
    kubectl = live.kubectl(version, f"{area}-{version.replace('.', '-')}", directory)
    try:
        return play(TRANSCRIPTS / f"{name}.txt", kubectl.environment, directory)
    finally:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


@pytest.fixture(scope="module")
def plays(
    request: pytest.FixtureRequest, live_cluster: Callable[..., LiveCluster], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], "Future[str]"]:
    """Starts every selected transcript; (name, version) -> what was not as expected."""
    wanted = [item.callspec.params for item in request.session.items if getattr(item, "originalname", "") == "test_transcript"]
    together, apart = ThreadPoolExecutor(AT_ONCE), ThreadPoolExecutor(1)
    futures = {}
    for parameters in wanted:
        name, version = parameters["name"], parameters["kubectl_version"]
        if (name.startswith("cri/") and not CONTAINERS) or (name.endswith("/as_root") and os.geteuid() != 0):
            continue
        live = live_cluster(name.partition("/")[0], "nodes" if name in APART else "")
        directory = tmp_path_factory.mktemp(f"{name.replace('/', '-')}-{version}") / "work"
        futures[name, version] = (apart if name in APART else together).submit(play_in_namespace, live, name, version, directory)
    return futures


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in NAMES])
def test_transcript(name: str, kubectl_version: str, plays: dict[tuple[str, str], "Future[str]"]) -> None:
    if problem := plays[name, kubectl_version].result():
        pytest.fail(problem, pytrace=False)
