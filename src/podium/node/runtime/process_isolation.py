"""What a container process does to itself between fork and exec: namespaces, a private copy of the host's files, credentials.

The private root. A process container has no image; it sees the host's files, yet must not change them, and must find its volumes at their
mountPaths, which the host does not have. So in a mount namespace of its own the process builds a root on a small tmpfs:
- every directory of / becomes an overlay whose upper layer is on that tmpfs: reads come from the host, writes stay in the container;
- a kernel file system (proc, sysfs, devtmpfs ...) is bound as it is;
- a directory with mounts below it cannot be an overlay for an ordinary user, so it is split: a tmpfs directory, and the same again
  for each entry;
- volumes are bound over it. A mount point that may not be created (an ordinary user in /etc) splits its parent the same way.
Then pivot_root, and the host's tree is let go of. All of it lives and dies with the process: the host's mount table never changes
(propagation is slave: unmounts of the host still arrive, nothing goes back), and there is nothing to clean up.

An ordinary user gets the same through a user namespace that maps one identity: the user's own, shown as runAsUser when that is given.

This file runs in the shim and in the exec helper: it imports `os`, and ctypes for four system calls the standard library lacks before 3.12.

Sources: mount_namespaces(7), user_namespaces(7), pivot_root(2), capabilities(7); bubblewrap's and runc's order of steps.
"""

import ctypes
import os
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x04000000, 0x10000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_NODIRATIME, MS_RELATIME = 1024, 2048, 1 << 21
MS_BIND, MS_REC, MS_SLAVE = 4096, 16384, 1 << 19
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}

SPLIT_DEPTH_MAX = 2
"""Directories with mounts below them are split down to /a/b; deeper ones are bound as they are."""

KERNEL_FILE_SYSTEMS = frozenset(
    [
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "nsfs",
        "proc",
        "pstore",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "sysfs",
        "tracefs",
    ]
)

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def prctl(option: int, value: int) -> int:
    return int(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, flags: int) -> None:
    _check(_libc.setns(descriptor, flags), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    encoded = [text.encode() or None for text in (source, target, kind)]
    _check(_libc.mount(*encoded, ctypes.c_ulong(flags), data.encode() or None), f"mount {source or kind} on {target}")


def _pivot(new_root: str) -> None:
    os.chdir(new_root)
    _check(_libc.syscall(SYS_PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", MNT_DETACH), "umount the old root")
    os.chdir("/")


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


class PrivateRoot:
    """`stage` is an empty directory on the host; the tmpfs mounted on it is seen in this mount namespace alone."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._layers = 0
        self._overlays: list[str] = []
        self._mounted = _mount_table(stage)

    def build(self, volumes: list[tuple[str, str, bool]], read_only: bool) -> None:
        mount("tmpfs", self._stage, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
        root = f"{self._stage}/root"
        os.mkdir(root)
        mount(root, root, flags=MS_BIND)
        self._split("/", root, 1)
        self._overlays.append(root)
        bound = [self._bind_volume(root, source, target, ro) for source, target, ro in sorted(volumes, key=lambda volume: volume[1])]
        if read_only:
            for path in self._overlays:
                if path not in bound:
                    _make_read_only(path)
        _pivot(root)

    def _split(self, source: str, target: str, depth: int) -> None:
        """Fills the tmpfs directory `target` with what `source` holds."""
        for entry in os.scandir(source):
            place = f"{target}/{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), place)
            elif entry.is_dir(follow_symlinks=False):
                os.mkdir(place)
                self._show_directory(entry.path, place, depth)
            elif not entry.path.startswith(self._stage):
                open(place, "wb").close()
                mount(entry.path, place, flags=MS_BIND)

    def _show_directory(self, source: str, place: str, depth: int) -> None:
        kind = self._mounted.get(source)
        below = any(path.startswith(source + "/") for path in self._mounted)
        if kind in KERNEL_FILE_SYSTEMS:
            mount(source, place, flags=MS_BIND | MS_REC)
        elif below and depth < SPLIT_DEPTH_MAX and os.access(source, os.R_OK | os.X_OK):
            mode = os.stat(source).st_mode & 0o7777
            os.chmod(place, mode)
            self._split(source, place, depth + 1)
        else:
            try:
                self._overlay(source, place)
            except OSError:
                mount(source, place, flags=MS_BIND | MS_REC)

    def _overlay(self, source: str, place: str) -> None:
        if any(sign in source for sign in ",:\\"):
            raise OSError(f"{source}: overlay options cannot name it")
        self._layers += 1
        upper, work = f"{self._stage}/u{self._layers}", f"{self._stage}/w{self._layers}"
        os.mkdir(upper)
        os.mkdir(work)
        known = os.stat(source)
        os.chmod(upper, known.st_mode & 0o7777)
        try:
            os.chown(upper, known.st_uid, known.st_gid)
        except OSError:
            # An owner that the user namespace does not map: the merged directory shows the lower one's anyway until it is changed.
            pass
        mount("overlay", place, "overlay", 0, f"lowerdir={source},upperdir={upper},workdir={work}")
        self._overlays.append(place)

    def _bind_volume(self, root: str, source: str, target: str, read_only: bool) -> str:
        place = root + os.path.realpath(target)
        try:
            self._create_mount_point(root, place, os.path.isdir(source))
            mount(source, place, flags=MS_BIND | MS_REC)
        except OSError as error:
            raise OSError(f"volume cannot be mounted at {target}: {error}") from error
        if read_only:
            _make_read_only(place)
        return place

    def _create_mount_point(self, root: str, place: str, directory: bool) -> None:
        if os.path.lexists(place):
            return
        parent = os.path.dirname(place)
        if parent != root:
            self._create_mount_point(root, parent, True)
        try:
            self._create(place, directory)
        except PermissionError:
            self._split_over(parent)
            self._create(place, directory)

    def _create(self, place: str, directory: bool) -> None:
        if directory:
            os.mkdir(place)
        else:
            open(place, "wb").close()

    def _split_over(self, parent: str) -> None:
        """Puts a tmpfs directory with the same entries over `parent`, in which an ordinary user can create more."""
        self._layers += 1
        fresh = f"{self._stage}/s{self._layers}"
        os.mkdir(fresh)
        for entry in os.scandir(parent):
            place = f"{fresh}/{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), place)
                continue
            self._create(place, entry.is_dir())
            mount(entry.path, place, flags=MS_BIND | MS_REC)
        mount(fresh, parent, flags=MS_BIND | MS_REC)


def _make_read_only(path: str) -> None:
    """An ordinary user must repeat the flags that the host's mount has."""
    now = os.statvfs(path).f_flag
    flags = now & (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)
    if now & 4096:  # ST_RELATIME has another bit than MS_RELATIME
        flags |= MS_RELATIME
    mount("", path, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


def _mount_table(without: str) -> dict[str, str]:
    """Mount point -> file system type, the topmost of each place."""
    table = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            place = fields.split(" ")[4]
            for code in ("\\040", "\\011", "\\012", "\\134"):
                place = place.replace(code, chr(int(code[1:], 8)))
            if place not in ("/", without):
                table[place] = rest.split(" ", 1)[0]
    return table


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
