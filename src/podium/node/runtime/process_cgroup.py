"""Control groups of a process container: limits, the out-of-memory count, and killing everything that is left.

Both hierarchies are served: v2 (one tree) and v1 (a tree per controller; memory, cpu, cpuacct and pids are used). A container's groups are plain
directory paths, made by the agent and kept in the container's record, so that a later agent can end what a killed shim left behind.
Only `os` is imported: the shim uses this file too.

v1 groups are made below the agent's own, so the limits set on it hold for its pods. v2 groups are made below the root of the mounted tree,
because a v2 group with processes in it cannot have children with controllers.

Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of Linux.
"""

import os

ROOT = "/sys/fs/cgroup"
V1_CONTROLLERS = ("memory", "cpu", "cpuacct", "pids")
CPU_PERIOD_US = 100_000


def parents(name: str) -> list[str]:
    """Makes the group `name` that holds a cluster's containers; gives its directories, none where groups cannot be made."""
    try:
        found = _parents_v2(name) if os.path.exists(f"{ROOT}/cgroup.controllers") else _parents_v1(name)
        for path in found:
            os.makedirs(path, exist_ok=True)
            if is_v2(path):
                _write(f"{path}/cgroup.subtree_control", "+memory +cpu +pids")
    except OSError:
        return []
    return found


def _parents_v2(name: str) -> list[str]:
    _write(f"{ROOT}/cgroup.subtree_control", "+memory +cpu +pids")
    return [f"{ROOT}/{name}"]


def _parents_v1(name: str) -> list[str]:
    own = {}
    with open("/proc/self/cgroup") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            for controller in controllers.split(","):
                own[controller] = path.rstrip("/")
    trees = ((f"{ROOT}/{controller}", own.get(controller, "")) for controller in V1_CONTROLLERS)
    return [f"{root}{path if os.path.isdir(root + path) else ''}/{name}" for root, path in trees if os.path.isdir(root)]


def places(name: str) -> list[str]:
    """Where a group of that name is, in whichever hierarchies; also one that a runtime made for itself."""
    found = [f"{tree}/{name}" for tree in trees()] + (_parents_v1(name) if os.path.isdir(ROOT) else [])
    return [path for path in dict.fromkeys(found) if os.path.isdir(path)]


def trees() -> list[str]:
    """Where a runtime makes groups for itself: the root of every hierarchy."""
    return [ROOT, *(f"{ROOT}/{tree}" for tree in sorted(os.listdir(ROOT)))] if os.path.isdir(ROOT) else []


def group_name(directory: str) -> str:
    """Of the group that holds the containers of the process runtime of that directory."""
    import hashlib

    return "podium-" + hashlib.blake2b(os.path.abspath(directory).encode(), digest_size=6).hexdigest()


def is_v2(path: str) -> bool:
    return os.path.exists(f"{path}/cgroup.controllers")


def create(parent_paths: list[str], name: str, memory_bytes: int, cpu_limit_m: int, cpu_request_m: int) -> list[str]:
    """Raises OSError when a limit that was asked for cannot be set; nothing is left then."""
    paths = [f"{parent}/{name}" for parent in parent_paths]
    try:
        for path in paths:
            os.makedirs(path, exist_ok=True)
        set_limits(paths, memory_bytes, cpu_limit_m, cpu_request_m)
    except OSError:
        remove(paths)
        raise
    return paths


def set_limits(paths: list[str], memory_bytes: int, cpu_limit_m: int, cpu_request_m: int) -> None:
    """Raises OSError when one cannot be set; those before it are."""
    for path in paths:
        for file, value in _limits(path, memory_bytes, cpu_limit_m, cpu_request_m):
            _write(f"{path}/{file}", value)


def _limits(path: str, memory_bytes: int, cpu_limit_m: int, cpu_request_m: int) -> list[tuple[str, str]]:
    quota = max(1000, cpu_limit_m * CPU_PERIOD_US // 1000)
    shares = max(2, cpu_request_m * 1024 // 1000)
    if is_v2(path):
        limits = [("cpu.weight", str(1 + (shares - 2) * 9999 // 262142))] if cpu_request_m else []
        limits += [("memory.max", str(memory_bytes)), *_swap_limits(path)] if memory_bytes else []
        return limits + ([("cpu.max", f"{quota} {CPU_PERIOD_US}")] if cpu_limit_m else [])
    controller = path[len(ROOT) + 1 :].split("/", 1)[0]
    if controller == "memory" and memory_bytes:
        return [("memory.limit_in_bytes", str(memory_bytes))]
    if controller == "cpu":
        limits = [("cpu.shares", str(shares))] if cpu_request_m else []
        return limits + ([("cpu.cfs_period_us", str(CPU_PERIOD_US)), ("cpu.cfs_quota_us", str(quota))] if cpu_limit_m else [])
    return []


def _swap_limits(path: str) -> list[tuple[str, str]]:
    """No swap beside the memory limit, and out of memory ends the whole container, as the kubelet has it; kernels without either are fine."""
    return [(name, value) for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")) if os.path.exists(f"{path}/{name}")]


def join(paths: list[str]) -> None:
    """Moves the calling process. Must come before its root directory changes."""
    for path in paths:
        _write(f"{path}/cgroup.procs", "0")


def members(paths: list[str]) -> list[int]:
    if not paths:
        return []
    try:
        with open(f"{paths[0]}/cgroup.procs") as file:
            return [int(line) for line in file]
    except FileNotFoundError:
        return []


def kill(paths: list[str]) -> bool:
    """Sends KILL to every member; true when there was none left."""
    left = members(paths)
    for pid in left:
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue
    return not left


def out_of_memory_kills(paths: list[str]) -> int:
    for path in paths:
        for name in ("memory.events", "memory.oom_control"):
            try:
                with open(f"{path}/{name}") as file:
                    for line in file:
                        if line.startswith("oom_kill "):
                            return int(line.split()[1])
            except OSError:
                continue
    return 0


def remove(paths: list[str]) -> bool:
    """False when a member is still dying: call again."""
    gone = True
    for path in paths:
        try:
            os.rmdir(path)
        except FileNotFoundError:
            continue
        except OSError:
            gone = False
    return gone


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
