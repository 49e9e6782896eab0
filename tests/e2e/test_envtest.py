"""Podium in the place of envtest's kube-apiserver and etcd: started with the flags that envtest passes, and under a Go operator's own suite."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium.api.authority import Authority
from podium.client.https import Endpoint, HttpsClient
from podium.objects.resources import resource

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("assets")
    subprocess.run([sys.executable, "-m", "podium", "envtest", str(directory)], check=True, stdout=subprocess.DEVNULL)
    return directory


@pytest.fixture
def started() -> Iterator[list["subprocess.Popen[bytes]"]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in reversed(processes):
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def healthy(url: str) -> bool:
    context = ssl._create_unverified_context() if url.startswith("https") else None
    try:
        return bool(urllib.request.urlopen(url, context=context, timeout=2).status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def wait_for(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not healthy(url):
        assert time.monotonic() < deadline, f"{url} does not answer"
        time.sleep(0.02)


def test_an_api_server_with_envtests_flags_serves_its_users(assets: Path, tmp_path: Path, started: list["subprocess.Popen[bytes]"]) -> None:
    authority = Authority.load_or_create(tmp_path)
    certificate, key = authority.issue("kube-apiserver", hosts=["127.0.0.1", "localhost"])
    (tmp_path / "apiserver.crt").write_bytes(certificate)
    (tmp_path / "apiserver.key").write_bytes(key)
    etcd_port, port = free_port(), free_port()
    etcd = [
        assets / "etcd",
        f"--listen-client-urls=http://127.0.0.1:{etcd_port}",
        f"--data-dir={tmp_path / 'etcd'}",
        "--unsafe-no-fsync=true",
    ]
    started.append(subprocess.Popen(etcd, stderr=subprocess.DEVNULL))
    wait_for(f"http://127.0.0.1:{etcd_port}/health")
    flags = {
        "allow-privileged": "true", "authorization-mode": "RBAC", "bind-address": "127.0.0.1", "cert-dir": tmp_path,
        "client-ca-file": authority.ca_path, "disable-admission-plugins": "ServiceAccount", "etcd-servers": f"http://127.0.0.1:{etcd_port}",
        "secure-port": port, "service-account-issuer": f"https://127.0.0.1:{port}/", "service-account-key-file": tmp_path / "sa.pub",
        "service-account-signing-key-file": tmp_path / "sa.key", "service-cluster-ip-range": "10.0.0.0/24",
    }  # fmt: skip
    started.append(subprocess.Popen([assets / "kube-apiserver", *(f"--{k}={v}" for k, v in flags.items())]))
    wait_for(f"https://127.0.0.1:{port}/healthz")
    endpoint = Endpoint(f"https://127.0.0.1:{port}", authority.ca_path, *authority.issue_files("admin", "admin", ["system:masters"]))
    asyncio.run(use(endpoint))


async def use(endpoint: Endpoint) -> None:
    client = HttpsClient(endpoint)
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    created = await client.create(resource("pods"), pod)
    assert created["status"]["phase"] == "Pending"
    assert (await client.get(resource("services"), "kubernetes", "default"))["spec"]["clusterIP"] == "10.0.0.1"
    await client.aclose()


@pytest.mark.parametrize("program", ["kube-apiserver", "etcd"])
def test_an_unknown_flag_is_an_error(assets: Path, program: str) -> None:
    done = subprocess.run([assets / program, "--no-such-flag=1"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: unknown flag: --no-such-flag\n")


def test_an_authorization_without_rbac_is_refused(assets: Path) -> None:
    done = subprocess.run([assets / "kube-apiserver", "--authorization-mode=AlwaysAllow"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Podium authorizes by Node and RBAC" in done.stderr


def test_help_lists_the_flags_that_envtest_looks_for(assets: Path) -> None:
    text = subprocess.run([assets / "kube-apiserver", "--help"], capture_output=True, text=True, check=True).stdout
    assert "--secure-port" in text and "--insecure-port" not in text


@pytest.mark.golang
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("go") is None, reason="no Go here: an operator's suite cannot be built")
def test_a_go_operators_suite_passes(assets: Path) -> None:
    """controller-runtime and client-go with their default content negotiation (protobuf first)."""
    suite = Path(__file__).parent / "operator"
    environment = {**os.environ, "KUBEBUILDER_ASSETS": str(assets)}
    done = subprocess.run(
        ["go", "test", "-count=1", "-v", "./..."], cwd=suite, env=environment, capture_output=True, text=True, check=False
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
