"""Metrics servers as processes, Podium's and others', on ports of their own: started, asked over HTTP, ended by their ids."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.test_envtest import free_port

PATIENCE_S = 60.0
Found = list[tuple[dict[str, str], float]]


@dataclass
class Server:
    """`command` may name {folder}, {port} and {config}; `config` is JSON, which is YAML. `ready` is a path that answers 200 when it is up."""

    folder: Path
    command: tuple[str, ...]
    config: Any = None
    ready: str = "/-/ready"
    port: int = field(default_factory=free_port)
    child: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> "Server":
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "config.yml"
        config.write_text(json.dumps(self.config))
        names = {"folder": str(self.folder), "port": str(self.port), "config": str(config)}
        with open(self.folder / "log", "ab") as log:
            self.child = subprocess.Popen([part.format_map(names) for part in self.command], stdout=log, stderr=log, cwd=self.folder)
        self.eventually(lambda: self.get(self.ready) is not None, "is not ready")
        return self

    def eventually(self, holds: Callable[[], Any], complaint: str) -> Any:
        """What `holds` returns as soon as it is true."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            if found := holds():
                return found
            ended = self.child is None or self.child.poll() is not None
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{self.command[0]} {complaint}:\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.2)

    def get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return bytes(answer.read())
        except OSError:
            return None

    def query(self, text: str) -> Found:
        """An instant query's samples; none when it fails."""
        answer = self.get("/api/v1/query?" + urllib.parse.urlencode({"query": text}))
        return [(one["metric"], float(one["value"][1])) for one in json.loads(answer)["data"]["result"]] if answer else []

    def shows(self, text: str) -> Found:
        """The query's samples once there are some."""
        return list(self.eventually(lambda: self.query(text), f"has nothing for {text}"))

    def kill(self) -> None:
        assert self.child is not None
        os.kill(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def stop(self) -> None:
        if self.child is not None and self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(PATIENCE_S)
            finally:
                if self.child.poll() is None:
                    self.kill()


def podium(folder: Path, config: Any, *arguments: str, port: int = 0) -> Server:
    command = (
        sys.executable, "-m", "podium", "metrics", "serve", "--config", "{config}", "--listen", "127.0.0.1:{port}", "--data-dir", "{folder}/data",
        *arguments,
    )  # fmt: skip
    return Server(folder, command, config, port=port or free_port())


def prometheus(folder: Path, config: Any, *arguments: str) -> Server:
    """Debian's."""
    flags = ("--config.file={config}", "--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.path={folder}/data", "--log.level=warn")
    return Server(folder, ("prometheus", *flags, *arguments), config)


def alertmanager(folder: Path, config: Any) -> Server:
    """Debian's, without a cluster."""
    flags = ("--config.file={config}", "--web.listen-address=127.0.0.1:{port}", "--storage.path={folder}/data", "--cluster.listen-address=")
    return Server(folder, ("prometheus-alertmanager", *flags), config)


def victoria_metrics(folder: Path) -> Server:
    flags = ("-httpListenAddr=127.0.0.1:{port}", "-storageDataPath={folder}/data", "-search.latencyOffset=0s", "-loggerLevel=WARN")
    return Server(folder, ("victoria-metrics", *flags), ready="/health")


def targets(*addresses: str) -> list[Any]:
    return [{"targets": list(addresses)}]
