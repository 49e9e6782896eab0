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

import orjson
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


def test_flags_that_choose_have_an_effect(assets: Path, tmp_path: Path, started: list["subprocess.Popen[bytes]"]) -> None:
    authority, port = Authority.load_or_create(tmp_path), free_port()
    certificate, key = authority.issue("kube-apiserver", hosts=["127.0.0.1"])
    (tmp_path / "apiserver.crt").write_bytes(certificate)
    (tmp_path / "apiserver.key").write_bytes(key)
    (tmp_path / "tokens.csv").write_text('chosen,jane,u1,"system:masters,devs"\n')
    issuer = f"https://127.0.0.1:{port}/"
    command = [
        assets / "kube-apiserver", f"--secure-port={port}", f"--cert-dir={tmp_path}", f"--token-auth-file={tmp_path / 'tokens.csv'}",
        f"--service-account-issuer={issuer}", "--runtime-config=autoscaling/v1=false", "--feature-gates=ServerSideApply=true",
        "--enable-admission-plugins=NodeRestriction", "--advertise-address=10.1.2.3",
    ]  # fmt: skip
    started.append(subprocess.Popen(command))
    wait_for(f"https://127.0.0.1:{port}/healthz")
    asyncio.run(ask(Endpoint(f"https://127.0.0.1:{port}", authority.ca_path, token="chosen"), issuer))


async def ask(endpoint: Endpoint, issuer: str) -> None:
    client = HttpsClient(endpoint)
    who = await client.create(resource("selfsubjectreviews", "authentication.k8s.io"), {})
    assert (who["status"]["userInfo"]["username"], who["status"]["userInfo"]["uid"]) == ("jane", "u1")
    assert orjson.loads((await client.raw("GET", "/.well-known/openid-configuration")).body)["issuer"] == issuer
    assert (await client.raw("GET", "/apis/autoscaling/v1")).status == 404
    assert (await client.raw("GET", "/apis/autoscaling/v2")).status == 200
    await client.create(resource("serviceaccounts"), {"metadata": {"name": "sa", "namespace": "default"}})
    made = await client.create(resource("serviceaccounts"), {"spec": {}}, "default", subresource="token", name="sa")
    assert made["spec"]["audiences"] == [issuer]
    review = {"spec": {"token": made["status"]["token"]}}
    answer = await client.create(resource("tokenreviews", "authentication.k8s.io"), review)
    assert answer["status"]["user"]["username"] == "system:serviceaccount:default:sa"
    slices = (await client.list(resource("endpointslices", "discovery.k8s.io"), "default")).items
    assert [e["addresses"] for s in slices for e in s["endpoints"]] == [["10.1.2.3"]]
    await client.aclose()


def test_a_file_of_tokens_that_is_none_is_refused(assets: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens.csv").write_text("lonely\n")
    command = [assets / "kube-apiserver", f"--token-auth-file={tmp_path / 'tokens.csv'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "line 1: a line must have at least token, user name and user uid" in done.stderr


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
