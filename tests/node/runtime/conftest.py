"""A process runtime in a directory of its own, which must leave the machine as it was."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from podium.node.runtime.interface import ContainerSpec, SandboxSpec
from podium.node.runtime.pod_network import LoopbackNetwork
from podium.node.runtime.process import ProcessRuntime
from podium.world.real import RealWorld


def process_runtime(directory: Path) -> ProcessRuntime:
    return ProcessRuntime(directory / "pods", LoopbackNetwork(directory / "addresses"), RealWorld())


def pod(directory: Path, name: str = "p", **more: object) -> SandboxSpec:
    return SandboxSpec("default", name, f"uid-{name}", 0, name, str(directory / "log"), **more)  # type: ignore[arg-type]


def container(directory: Path, script: str, **more: object) -> ContainerSpec:
    settings: dict[str, object] = {"command": ("sh", "-c", script), "args": (), "env": (), "working_dir": "", "mounts": (), "attempt": 0}
    settings |= {"name": "c", "image": "any", "log_path": str(directory / "log/c/0.log")} | more
    return ContainerSpec(**settings)  # type: ignore[arg-type]


def left_behind(directory: Path) -> list[str]:
    """Mounts, control groups and processes that a runtime in `directory` made and did not undo."""
    group = process_runtime(directory).cgroup_name
    found = [line for line in Path("/proc/mounts").read_text().splitlines() if str(directory) in line or "podium-test" in line]
    found += [path for path, _, _ in os.walk("/sys/fs/cgroup") if f"/{group}" in path]
    return found + [line for name in os.listdir("/proc") if name.isdigit() and str(directory) in (line := _command_line(name))]


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[ProcessRuntime]:
    made = process_runtime(tmp_path)
    yield made
    for sandbox in await made.list_sandboxes():
        await made.remove_sandbox(sandbox.id)
    await made.close()
    assert left_behind(tmp_path) == []


def _command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""
