"""A process runtime in a directory of its own, which must leave the machine as it was."""

import os
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest_asyncio

from podium.node.runtime.interface import ContainerSpec, SandboxSpec
from podium.node.runtime.pod_network import LoopbackNetwork
from podium.node.runtime.process import ProcessRuntime


class PlainWorld:
    """Only what the runtimes use."""

    clock = type("Clock", (), {"now": staticmethod(lambda: datetime.now(UTC))})()

    def uid(self) -> str:
        return str(uuid.uuid4())


def process_runtime(directory: Path) -> ProcessRuntime:
    return ProcessRuntime(directory / "pods", LoopbackNetwork(directory / "addresses"), PlainWorld())  # type: ignore[arg-type]


def pod(directory: Path, name: str = "p", **more: object) -> SandboxSpec:
    return SandboxSpec("default", name, f"uid-{name}", 0, name, str(directory / "log"), **more)  # type: ignore[arg-type]


def container(directory: Path, script: str, **more: object) -> ContainerSpec:
    settings: dict[str, object] = {"command": ("sh", "-c", script), "args": (), "env": (), "working_dir": "", "mounts": (), "attempt": 0}
    settings |= {"name": "c", "image": "any", "log_path": str(directory / "log/c/0.log")} | more
    return ContainerSpec(**settings)  # type: ignore[arg-type]


def machine() -> dict[str, object]:
    """What a runtime must not leave behind."""
    groups = sorted(
        os.path.join(path, name) for path, names, _ in os.walk("/sys/fs/cgroup") for name in names if name.startswith("podium-")
    )
    return {"mounts": Path("/proc/mounts").read_text(), "cgroups": groups}


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[ProcessRuntime]:
    before = machine()
    made = process_runtime(tmp_path)
    yield made
    for sandbox in await made.list_sandboxes():
        await made.remove_sandbox(sandbox.id)
    await made.close()
    assert machine() == before
    assert [name for name in os.listdir("/proc") if name.isdigit() and str(tmp_path) in _command_line(name)] == []


def _command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""
