"""The rules under real traffic: in a network namespace of the test's own, with a fabric, pods and servers in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft") or not shutil.which("ip"), reason="needs root, nft and ip"),
]
SCENARIO = Path(__file__).with_name("traffic_scenario.py")
OUTER = f"podium-test-{os.getpid()}"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Runs the scenario in a namespace that stands for the machine, and gives what each client saw."""
    subprocess.run(["ip", "netns", "add", OUTER], check=True)
    try:
        command = ["ip", "netns", "exec", OUTER, sys.executable, str(SCENARIO), str(tmp_path_factory.mktemp("fabric"))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        yield dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    finally:
        subprocess.run(["ip", "netns", "del", OUTER], check=False)


FACTS = [
    ("pod_to_service", "a b", "both endpoints of a Service answer a pod"),
    ("host_to_service", "a b", "and a program of this machine"),
    ("pod_source", "kept", "the server sees the calling pod's own address"),
    ("pod_to_itself", "a", "a pod reaches itself through a Service"),
    ("no_endpoints", "refused", "a Service without endpoints refuses at once"),
    ("host_no_endpoints", "refused", "and refuses this machine"),
    ("undefined_port", "refused", "a port the Service does not have is refused"),
    ("node_port_gateway", "a b", "a node port answers on the node's address"),
    ("sticky", "one", "a sticky Service keeps a client at one endpoint"),
    ("pod_to_outside", "world 192.0.2.2", "a pod reaches the world outside with the machine's address"),
    ("forwarding", "0", "forwarding of the way out is as it was before"),
    ("after_scale_down", "b", "an endpoint that left gets no more connections"),
    ("after_delete", "refused", "a deleted Service is refused"),
    ("udp_dns", "pong", "the DNS address leads to the server at the gateway"),
    ("teardown", "clean", "teardown leaves nothing"),
]


@pytest.mark.parametrize(("key", "expected", "fact"), FACTS, ids=[f[0] for f in FACTS])
def test_traffic(report: dict[str, str], key: str, expected: str, fact: str) -> None:
    assert report.get(key) == expected, fact
