"""What a container process does to itself between fork and exec: namespaces, a private copy of the host's files, credentials.

The order: network namespace, mount (and user) namespace, private root (process_root), capabilities, user.

An ordinary user gets the last three through a user namespace that maps one identity: the user's own, shown as runAsUser when that is given.

This file runs in the shim and in the exec helper: it imports `os`, and ctypes for the system calls that the standard library lacks.

Sources: user_namespaces(7), capabilities(7), setns(2), mount_setattr(2) (Linux 5.12); bubblewrap's and runc's order of steps.
"""

import ctypes
import os
import sys
from _signal import SIGKILL  # `signal` itself would import enum
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x04000000, 0x10000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_SLAVE = 2, 4, 4096, 16384, 1 << 19
MNT_DETACH = 2
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def prctl(option: int, value: int) -> int:
    return int(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def die_with(parent: int) -> None:
    """The caller is killed when that process, its parent, ends: also when it ended before the kernel was told."""
    prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), SIGKILL)


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, flags: int) -> None:
    _check(_libc.setns(descriptor, flags), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    encoded = [text.encode() or None for text in (source, target, kind)]
    _check(_libc.mount(*encoded, ctypes.c_ulong(flags), data.encode() or None), f"mount {source or kind} on {target}")


def unmount(place: str, flags: int = 0) -> None:
    _check(_libc.umount2(place.encode(), flags), f"umount {place}")


def pivot_root() -> None:
    """Makes the working directory the root, and stacks the old root over it."""
    _check(_libc.syscall(SYS_PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root")


def read_only(place: str, below: bool = True) -> None:
    """The mount there and, when `below`, all below it."""
    attributes = MOUNT_ATTR_RDONLY.to_bytes(8, sys.byteorder) + bytes(24)
    result = _libc.syscall(
        SYS_MOUNT_SETATTR, AT_FDCWD, place.encode(), AT_RECURSIVE if below else 0, attributes, ctypes.c_size_t(len(attributes))
    )
    _check(result, f"make {place} read-only")


def isolate(plan: dict[str, Any]) -> None:
    """Enters new namespaces as `plan` says: netns, user (inner uid and gid, for ordinary users), hostname, stage, mounts,
    read_only_root."""
    if plan["netns"]:
        descriptor = os.open(plan["netns"], os.O_RDONLY | os.O_CLOEXEC)
        setns(descriptor, CLONE_NEWNET)
        os.close(descriptor)
    if not plan["stage"]:
        return
    flags = CLONE_NEWNS | CLONE_NEWUTS
    if plan["user"] is None:
        unshare(flags)
    else:
        uid, gid = os.geteuid(), os.getegid()
        unshare(flags | CLONE_NEWUSER)
        inner_uid, inner_gid = plan["user"]
        _map_identity(inner_uid, inner_gid, uid, gid)
    hostname = plan["hostname"].encode()
    _check(_libc.sethostname(hostname, len(hostname)), "sethostname")
    mount("", "/", flags=MS_REC | MS_SLAVE)
    from podium.node.runtime.process_root import PrivateRoot

    PrivateRoot(plan["stage"]).build(plan["mounts"], plan["read_only_root"])


def _map_identity(inner_uid: int, inner_gid: int, uid: int, gid: int) -> None:
    lines = (("setgroups", "deny"), ("uid_map", f"{inner_uid} {uid} 1"), ("gid_map", f"{inner_gid} {gid} 1"))
    for name, text in lines:
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def assume_identity(identity: dict[str, Any]) -> None:
    """Drops capabilities from the bounding set, then takes on groups, group and user."""
    if identity["keep_capabilities"] is not None:
        keep = identity["keep_capabilities"]
        for number in range(64):
            if number not in keep and prctl(PR_CAPBSET_DROP, number) != 0:
                break
    if identity["groups"] is not None:
        os.setgroups(identity["groups"])
    if identity["gid"] is not None:
        os.setgid(identity["gid"])
    if identity["uid"] is not None:
        os.setuid(identity["uid"])
    if identity["no_new_privileges"]:
        prctl(PR_SET_NO_NEW_PRIVS, 1)


def find_program(name: str, path: str) -> str:
    """Raises FileNotFoundError, worded as container runtimes do; a directory of `path` that may not be read is passed over."""
    if "/" in name:
        return name
    for directory in path.split(":"):
        candidate = f"{directory or '.'}/{name}"
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    raise FileNotFoundError(2, "executable file not found in $PATH")


CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]
"""In the order of their numbers in linux/capability.h."""

DEFAULT_CAPABILITIES = frozenset(
    [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
)
"""What containerd gives a container that asks for nothing."""


def main(stage: str, user: str) -> None:
    """The probe: exits 0 when a private root can be had here, otherwise 1 and says why. `user` is empty for root, else the uid."""
    inner = (int(user), os.getegid()) if user else None
    plan: dict[str, Any] = {"netns": "", "stage": stage, "user": inner, "hostname": "probe", "mounts": [], "read_only_root": False}
    try:
        isolate(plan)
    except OSError as error:
        os.write(2, str(error).encode())
        os._exit(1)
