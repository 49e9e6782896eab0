"""What stays open: watches, logs that are followed, terminals, the proxy. Every test with every kubectl there is."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import Kubectl, without_kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.slow, without_kubectl]
PATIENCE_S = 20.0
WINDOW = (33, 99)
SIZE_COMES = b"while [ \"$(stty size)\" != '33 99' ]; do sleep 0.1; done; echo fits $((5 * 5))\n"
"""kubectl sends the size of its terminal beside the input, in no order."""
TALKER = os.path.join(os.path.dirname(__file__), "manifests", "talker.yaml")


def read_until(descriptor: int, done: Callable[[str], bool], seen: str = "") -> str:
    """What comes from the descriptor until `done(all of it)`; fails when it ends or takes too long before."""
    deadline = time.monotonic() + PATIENCE_S
    while not done(seen):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            pytest.fail(f"not within {PATIENCE_S:.0f} s; until then:\n{seen}")
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # EIO: a terminal without a process
            data = b""
        if not data:
            pytest.fail(f"ended with:\n{seen}")
        seen += data.decode()
    return seen


@contextmanager
def streaming(kubectl: Kubectl, *arguments: str) -> Iterator["tuple[subprocess.Popen[bytes], int]"]:
    """A kubectl that runs, and the descriptor of what it prints; it is ended afterwards."""
    process = kubectl.start(*arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    try:
        yield process, process.stdout.fileno()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)
        process.stdout.close()


def test_watch_shows_each_change_as_it_happens(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "before", "--from-literal=a=b")
    watch = (
        "get",
        "configmaps",
        "-l",
        "watched!=no",
        "--watch",
        "--output-watch-events",
        "-o",
        "custom-columns=T:.type,NAME:.object.metadata.name",
    )
    with streaming(kubectl, *watch) as (_, output):
        seen = read_until(output, lambda text: "before" in text)
        kubectl("create", "configmap", "during", "--from-literal=a=b")
        kubectl("label", "configmap", "during", "seen=yes")
        kubectl("label", "configmap", "before", "watched=no")  # leaves the selection
        kubectl("delete", "configmap", "during")
        seen = read_until(output, lambda text: text.count("DELETED") == 2, seen)
    events = [tuple(line.split()) for line in seen.splitlines()[1:] if "kube-root-ca" not in line]
    assert events == [("ADDED", "before"), ("ADDED", "during"), ("MODIFIED", "during"), ("DELETED", "before"), ("DELETED", "during")]


def test_watch_of_a_table_prints_a_row_for_each_change(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "web", "--image=nginx", "--replicas=1")
    kubectl("rollout", "status", "deployment/web")
    with streaming(kubectl, "get", "deployment", "web", "--watch") as (_, output):
        seen = read_until(output, lambda text: "1/1" in text)
        kubectl("scale", "deployment/web", "--replicas=2")
        rows = read_until(output, lambda text: "2/2" in text, seen).splitlines()
    assert rows[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert [row.split()[0] for row in rows[1:]] == ["web"] * (len(rows) - 1)


def test_watch_only_begins_with_what_comes(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "before", "--from-literal=a=b")
    with streaming(kubectl, "get", "configmaps", "--watch-only", "-o", "name") as (_, output):
        time.sleep(0.25)  # it says nothing when it begins to watch
        kubectl("create", "configmap", "during", "--from-literal=a=b")
        assert read_until(output, lambda text: "during\n" in text) == "configmap/during\n"


def test_proxy_passes_requests_on(kubectl: Kubectl) -> None:
    with streaming(kubectl, "proxy", "--port=0") as (_, output):
        text = read_until(output, lambda text: "\n" in text)
        address = text.strip().rpartition(" ")[2]
        with urllib.request.urlopen(f"http://{address}/api/v1/namespaces/{kubectl.namespace}", timeout=10) as answer:
            assert f'"name":"{kubectl.namespace}"' in answer.read().decode().replace('": "', '":"')


def test_rollout_status_follows_until_the_end(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "web", "--image=nginx", "--replicas=2")
    said = kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert said.splitlines()[-1] == 'deployment "web" successfully rolled out'


@pytest.mark.runtime("process")
def test_followed_logs_come_as_they_are_written_and_end_with_the_container(kubectl: Kubectl) -> None:
    script = "echo begun; while [ ! -e /tmp/go-$POD ]; do sleep 0.05; done; rm /tmp/go-$POD; echo ended"
    pod = f"{kubectl.namespace}-writer"
    command = script.replace("$POD", pod)
    kubectl("run", pod, "--image=busybox", "--restart=Never", "--command", "--", "sh", "-c", command)
    kubectl("wait", f"pod/{pod}", "--for=condition=Ready", "--timeout=30s")
    with streaming(kubectl, "logs", "--follow", pod) as (process, output):
        assert read_until(output, lambda text: "\n" in text) == "begun\n"
        kubectl("exec", pod, "--", "touch", f"/tmp/go-{pod}")
        assert read_until(output, lambda text: "ended" in text) == "ended\n"
        assert process.wait(PATIENCE_S) == 0


@contextmanager
def terminal(kubectl: Kubectl, *arguments: str) -> Iterator["tuple[subprocess.Popen[bytes], int]"]:
    """A kubectl on a terminal of WINDOW's size, and our end of it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", *WINDOW, 0, 0))
    process = kubectl.start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)


@pytest.mark.runtime("process")
def test_exec_with_a_terminal(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", TALKER)
    kubectl("wait", "pod/talker", "--for=condition=Ready", "--timeout=30s")
    with terminal(kubectl, "exec", "-it", "talker", "--", "sh") as (process, ours):
        os.write(ours, b"echo $((6 * 7)); test -t 0 && echo a terminal\n")
        read_until(ours, lambda text: "42\r\n" in text and "\na terminal" in text)
        os.write(ours, SIZE_COMES)
        read_until(ours, lambda text: "fits 25" in text)
        os.write(ours, b"sleep 100\n")
        time.sleep(0.2)
        os.write(ours, b"\x03")  # Ctrl-C ends the command, not the shell
        os.write(ours, b"echo still $((40 + 4))\n")
        read_until(ours, lambda text: "still 44" in text)
        os.write(ours, b"exit 5\n")
        read_until(ours, lambda text: "exit code 5" in text)
        assert process.wait(PATIENCE_S) == 5


@pytest.mark.runtime("process")
def test_run_with_a_terminal_attaches_and_leaves_no_pod(kubectl: Kubectl) -> None:
    shell = ("run", "shell", "-it", "--rm", "--image=busybox", "--restart=Never", "--command", "--", "sh")
    with terminal(kubectl, *shell) as (process, ours):
        read_until(ours, lambda text: "If you don't see a command prompt" in text)
        os.write(ours, SIZE_COMES)
        read_until(ours, lambda text: "fits 25" in text)
        os.write(ours, b"exit 6\n")
        read_until(ours, lambda text: "deleted" in text)
        assert process.wait(PATIENCE_S) == 6
    assert kubectl("get", "pods") == f"No resources found in {kubectl.namespace} namespace.\n"


@pytest.mark.runtime("process")
def test_attach_shows_what_a_container_says_from_then_on(kubectl: Kubectl) -> None:
    script = "echo before; n=0; while :; do n=$((n+1)); echo $n; sleep 0.1; done"
    kubectl("run", "counter", "--image=busybox", "--grace-period=1", "--command", "--", "sh", "-c", script)
    kubectl("wait", "pod/counter", "--for=condition=Ready", "--timeout=30s")
    with streaming(kubectl, "attach", "counter") as (_, output):
        seen = read_until(output, lambda text: text.count("\n") > 4)
    numbers = [int(line) for line in seen.splitlines()[:-1] if line.isdigit()]
    assert "before" not in seen and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    kubectl("delete", "pod", "counter", "--grace-period=1")
