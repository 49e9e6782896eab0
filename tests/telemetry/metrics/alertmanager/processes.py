"""Real Alertmanager processes for tests: started, spoken to, killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

PATIENCE_S = 30.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Process:
    """One replica in a folder of its own."""

    folder: Path
    config: str
    port: int = field(default_factory=free_port)
    arguments: tuple[str, ...] = ()
    child: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "am.yml").write_text(self.config)
        command = [
            sys.executable, "-m", "podium", "metrics", "alertmanager", "--config", str(self.folder / "am.yml"),
            "--listen", f"127.0.0.1:{self.port}", "--data-dir", str(self.folder / "data"), *self.arguments,
        ]  # fmt: skip
        with open(self.folder / "log", "ab") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: self.get("/-/ready") == b"OK", f"{self.url} does not come up")

    def kill(self) -> None:
        assert self.child is not None
        os.kill(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def stop(self) -> None:
        if self.child is not None and self.child.poll() is None:
            self.child.terminate()
            try:
                assert self.child.wait(PATIENCE_S) == 0
            finally:
                if self.child.poll() is None:
                    self.kill()

    def get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            return None

    def post(self, path: str, value: Any) -> Any:
        request = urllib.request.Request(
            self.url + path, json.dumps(value).encode(), {"content-type": "application/json"}, method="POST"
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=10) as answer:
            body = answer.read()
        return json.loads(body) if body else None


def wait_for(condition: Any, complaint: str, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.05)


class Hook:
    """A webhook receiver in a thread. `bodies` are what it was sent, in order."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def groups(self) -> list[str]:
        """`A firing`, in order."""
        return [f"{body['groupLabels'].get('alertname', '')} {body['status']}" for body in self.bodies]
