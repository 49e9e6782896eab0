"""`podium metrics exporter`: each of them as a process, asked over HTTP."""

import contextlib
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium.cli.arguments import run

START_S_MAX = 60


@contextlib.contextmanager
def exporter(*arguments: str) -> Iterator[str]:
    """Its address; fails unless it ends cleanly."""
    command = [sys.executable, "-m", "podium", "metrics", "exporter", arguments[0], "--listen", "127.0.0.1:0", *arguments[1:]]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        port = re.fullmatch(r"listening on port (\d+)\n", process.stderr.readline())
        assert port is not None
        yield f"http://127.0.0.1:{port[1]}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=START_S_MAX)
    assert process.returncode == 0


def get(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.slow
def test_the_node_exporter_answers(tmp_path: Path) -> None:
    (tmp_path / "a.prom").write_text("mine 1\n")
    with exporter("node", "--textfile-directory", str(tmp_path)) as url:
        status, text = get(f"{url}/metrics")
        assert status == 200 and "node_load1 " in text and "mine 1\n" in text
        some = get(f"{url}/metrics?collect[]=loadavg&collect[]=uname")[1]
        assert "node_uname_info" in some and "node_cpu" not in some
        assert "node_cpu" not in get(f"{url}/metrics?exclude[]=cpu")[1]
        assert get(f"{url}/metrics?collect[]=nonsense")[0] == 400
        assert get(f"{url}/metrics?collect[]=cpu&exclude[]=cpu")[0] == 400
        assert get(f"{url}/none")[0] == 404 and "Metrics" in get(f"{url}/")[1]


@pytest.mark.slow
def test_the_pushgateway_keeps_what_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "pushed"
    with exporter("pushgateway", "--persistence-file", str(path)) as url:
        assert get(f"{url}/metrics/job/a", "PUT", b"m 1\n")[0] == 200
    with exporter("pushgateway", "--persistence-file", str(path)) as url:
        assert 'm{instance="",job="a"} 1' in get(f"{url}/metrics")[1]


@pytest.mark.slow
def test_the_blackbox_exporter_probes_and_reloads(tmp_path: Path) -> None:
    config = tmp_path / "blackbox.yml"
    config.write_text("modules: {web: {prober: http, http: {preferred_ip_protocol: ip4}}}\n")
    with exporter("blackbox", "--config", str(config)) as url:
        assert "probe_success 1" in get(f"{url}/probe?module=web&target={url}/-/healthy")[1]
        config.write_text("nonsense")
        assert get(f"{url}/-/reload", "POST")[0] == 500


REFUSED = [
    (["node", "--listen", "nowhere"], 2, "is not HOST:PORT"),
    (["node", "--listen", "127.0.0.1:99999"], 2, "is not HOST:PORT"),
    (["blackbox", "--config", "/nowhere"], 1, "/nowhere"),
    (["kube-state", "--kubeconfig", "/nowhere"], 1, "/nowhere"),
    (["kube-state", "--data-dir", "/nowhere"], 1, "there is no cluster"),
]


@pytest.mark.parametrize(("arguments", "code", "why"), REFUSED)
def test_refusals_are_one_line(arguments: list[str], code: int, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    listen = [] if "--listen" in arguments else ["--listen", "127.0.0.1:0"]
    assert run(["metrics", "exporter", *arguments, *listen], {}) == code
    said = capsys.readouterr().err
    assert why in said and said.startswith("podium: ") and said.count("\n") == 1


def test_an_unknown_resource_or_allow_list_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config"
    config.write_text(
        "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
        f"clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:1', certificate-authority: {_ca(tmp_path)}}}}}]\n"
        "users: [{name: u, user: {token: t}}]\n"
    )
    base = ["metrics", "exporter", "kube-state", "--listen", "127.0.0.1:0", "--kubeconfig", str(config)]
    assert run([*base, "--resources", "spaceships"], {}) == 1
    assert "no such resource: spaceships" in capsys.readouterr().err
    assert run([*base, "--metric-labels-allowlist", "pods"], {}) == 1
    assert "an allow list is" in capsys.readouterr().err


def _ca(directory: Path) -> Path:
    from podium.api.authority import Authority

    return Authority.load_or_create(directory / "pki").ca_path
