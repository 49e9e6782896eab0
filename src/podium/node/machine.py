"""What this machine has: capacity and nodeInfo of a real node."""

import os
import platform
import shutil
from contextlib import suppress
from pathlib import Path

from podium.node.node_object import node_info
from podium.node.runtime.interface import RuntimeInfo
from podium.objects.quantities import milli, whole

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


def capacity(directory: Path, pods_max: int) -> dict[str, str]:
    """Quantities; `directory` decides which disk is meant."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    disk = shutil.disk_usage(directory if directory.exists() else Path("/"))
    return {
        "cpu": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1),
        "memory": f"{memory_bytes // 1024}Ki",
        "ephemeral-storage": f"{disk.total // 1024}Ki",
        "pods": str(pods_max),
    }


def allocatable(capacity: dict[str, str], reserved: dict[str, str]) -> dict[str, str]:
    left = dict(capacity)
    for name, amount in reserved.items():
        if name == "cpu":
            left[name] = f"{max(0, milli(capacity[name]) - milli(amount))}m"
        elif name in capacity:
            left[name] = str(max(0, whole(capacity[name]) - whole(amount)))
    return left


def info(runtime: RuntimeInfo) -> dict[str, str]:
    return node_info(
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        operatingSystem=platform.system().lower(),
        kernelVersion=platform.release(),
        osImage=_os_image(),
        machineID=_read("/etc/machine-id"),
        systemUUID=_read("/sys/class/dmi/id/product_uuid") or _read("/etc/machine-id"),
        bootID=_read("/proc/sys/kernel/random/boot_id"),
        containerRuntimeVersion=f"{runtime.name}://{runtime.version}",
    )


def _os_image() -> str:
    with suppress(OSError):
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return platform.system()


def _read(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text().strip()
    return ""
