"""File systems: filesystem, btrfs, nfs, xfs, zfs.

What a mount holds is asked of the kernel (statvfs), which may take for ever when it is on a network: such mounts are asked in a thread of
their own, and one that did not answer within STUCK_S is shown with node_filesystem_device_error until it does; it is waited for only once.

Source: proc(5), statvfs(3), Documentation/ABI/testing/sysfs-fs-xfs, sysfs-fs-btrfs; node exporter's collectors of these names.
"""

import asyncio
import os
import re
from dataclasses import dataclass

from podium.instrument.exposition import Page, Pairs
from podium.telemetry.exporters.node.sources import Absent, Roots, entries, integer, optional, required, rows
from podium.world.supervisor import Supervisor

IGNORED_MOUNTS = re.compile(r"/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/.*)")
IGNORED_TYPES = frozenset({
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "fusectl", "hugetlbfs", "iso9660",
    "mqueue", "nsfs", "overlay", "proc", "procfs", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "erofs", "sysfs", "tracefs",
})  # fmt: skip
REMOTE_TYPES = re.compile(r"nfs.*|cifs|smb.*|fuse\..*|ceph|glusterfs|9p|afs|lustre|virtiofs")
STUCK_S = 5.0
MOUNTS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Mount:
    device: str
    path: str
    type: str
    read_only: bool

    @property
    def labels(self) -> Pairs:
        return (("device", self.device), ("fstype", self.type), ("mountpoint", self.path))


class FilesystemCollector:
    """`prepare` asks the mounts that may not answer; without it they are left out."""

    def __init__(self, stuck_s: float = STUCK_S) -> None:
        self._stuck_s = stuck_s
        self._remote: dict[Mount, os.statvfs_result | None] = {}
        self._asking: dict[str, asyncio.Task[os.statvfs_result | None]] = {}
        self._supervisor = Supervisor("filesystems")

    async def prepare(self, roots: Roots) -> None:
        remote = [mount for mount in mounts(roots) if REMOTE_TYPES.fullmatch(mount.type)]
        asked = []
        for mount in remote:
            if mount.path not in self._asking:
                task = self._asking[mount.path] = self._supervisor.start(mount.path, asyncio.to_thread(_ask, roots, mount))
                asked.append(task)
        if asked:
            await asyncio.wait(asked, timeout=self._stuck_s)
        self._remote = {}
        for mount in remote:
            task = self._asking[mount.path]
            self._remote[mount] = task.result() if task.done() else None
        for path in [path for path, task in self._asking.items() if task.done()]:
            del self._asking[path]

    def __call__(self, roots: Roots, page: Page) -> None:
        for mount in mounts(roots):
            if REMOTE_TYPES.fullmatch(mount.type):
                if mount in self._remote:
                    _show(mount, self._remote[mount], page)
            else:
                _show(mount, _ask(roots, mount), page)


def _ask(roots: Roots, mount: Mount) -> os.statvfs_result | None:
    try:
        return os.statvfs(roots.root.rstrip("/") + mount.path)
    except OSError:
        return None


def _show(mount: Mount, found: os.statvfs_result | None, page: Page) -> None:
    labels = mount.labels
    page.gauge("node_filesystem_device_error", "Whether a file system could not be asked.", found is None, labels)
    page.gauge("node_filesystem_readonly", "Whether a file system is mounted for reading only.", mount.read_only, labels)
    if found is None:
        return
    unit = found.f_frsize
    for name, text, value in (
        ("size_bytes", "Size of a file system.", found.f_blocks * unit),
        ("free_bytes", "Bytes of a file system that are free.", found.f_bfree * unit),
        ("avail_bytes", "Bytes of a file system that are free for ordinary users.", found.f_bavail * unit),
        ("files", "Files that a file system can hold.", found.f_files),
        ("files_free", "Files that a file system can still take.", found.f_ffree),
    ):
        page.gauge(f"node_filesystem_{name}", text, value, labels)


def mounts(roots: Roots) -> list[Mount]:
    """Every mount of interest, once for each device and place: the last one, as it hides the others. Raises Absent."""
    try:
        lines = list(rows(f"{roots.proc}/1/mounts"))
    except (Absent, PermissionError):
        lines = list(rows(f"{roots.proc}/mounts"))
    found: dict[tuple[str, str], Mount] = {}
    root = roots.root.rstrip("/")
    for words in lines[:MOUNTS_MAX]:
        device, path, kind, options = (_unescaped(word) for word in words[:4])
        if root:
            if path != root and not path.startswith(root + "/"):
                continue
            path = path[len(root) :] or "/"
        if kind not in IGNORED_TYPES and not IGNORED_MOUNTS.fullmatch(path):
            found[device, path] = Mount(device, path, kind, "ro" in options.split(","))
    return list(found.values())


def _unescaped(word: str) -> str:
    return re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), word) if "\\" in word else word


_XFS = {
    "extent_alloc": (
        "extent_allocation_extents_allocated", "extent_allocation_blocks_allocated", "extent_allocation_extents_freed",
        "extent_allocation_blocks_freed",
    ),
    "abt": (
        "allocation_btree_lookups", "allocation_btree_compares", "allocation_btree_records_inserted", "allocation_btree_records_deleted",
    ),
    "blk_map": (
        "block_mapping_reads", "block_mapping_writes", "block_mapping_unmaps", "block_mapping_extent_list_insertions",
        "block_mapping_extent_list_deletions", "block_mapping_extent_list_lookups", "block_mapping_extent_list_compares",
    ),
    "bmbt": (
        "block_map_btree_lookups", "block_map_btree_compares", "block_map_btree_records_inserted", "block_map_btree_records_deleted",
    ),
    "dir": ("directory_operation_lookup", "directory_operation_create", "directory_operation_remove", "directory_operation_getdents"),
    "ig": (
        "inode_operation_attempts", "inode_operation_found", "inode_operation_recycled", "inode_operation_missed",
        "inode_operation_duplicates", "inode_operation_reclaims", "inode_operation_attribute_changes",
    ),
    "rw": ("write_calls", "read_calls"),
    "vnodes": (
        "vnode_active", "vnode_allocate", "vnode_get", "vnode_hold", "vnode_release", "vnode_reclaim", "vnode_remove",
    ),
}  # fmt: skip


def xfs(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/fs/xfs"
    found = False
    for device in entries(folder):
        text = optional(f"{folder}/{device}/stats/stats")
        if text is None or device == "stats":
            continue
        found = True
        for words in (line.split() for line in text.splitlines()):
            for name, word in zip(_XFS.get(words[0], ()), words[1:], strict=False):
                page.counter(f"node_xfs_{name}_total", f"{name.replace('_', ' ')} of an XFS file system.", int(word), (("device", device),))
    if not found:
        raise Absent("xfs")


_BTRFS_COMMITS = {
    "commits": ("node_btrfs_commits_total", "counter", "Commits.", 1),
    "last_commit_ms": ("node_btrfs_last_commit_seconds", "gauge", "How long the last commit took.", 1000),
    "max_commit_ms": ("node_btrfs_max_commit_seconds", "gauge", "How long the longest commit took.", 1000),
    "total_commit_ms": ("node_btrfs_commit_seconds_total", "counter", "How long all commits took.", 1000),
}
_BTRFS_COPIES = {"raid1c3": 3, "raid1c4": 4, "raid1": 2, "raid10": 2, "dup": 2}


def btrfs(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/fs/btrfs"
    found = False
    for uuid in entries(folder):
        path = f"{folder}/{uuid}"
        if not os.path.isdir(f"{path}/allocation"):
            continue
        found = True
        labels = (("uuid", uuid),)
        page.gauge("node_btrfs_info", "A Btrfs file system; always 1.", 1, (*labels, ("label", optional(f"{path}/label") or "")))
        reserve = integer(f"{path}/allocation/global_rsv_size")
        if reserve is not None:
            page.gauge("node_btrfs_global_rsv_size_bytes", "Size of the global reserve.", reserve, labels)
        for words in (line.split() for line in (optional(f"{path}/commit_stats") or "").splitlines()):
            if words[0] in _BTRFS_COMMITS:
                name, kind, text, divisor = _BTRFS_COMMITS[words[0]]
                page.family(name, kind, text).samples["", labels] = int(words[1]) / divisor
        devices = entries(f"{path}/devices") if os.path.isdir(f"{path}/devices") else []
        for device in devices:
            sectors = integer(f"{path}/devices/{device}/size")
            text = "Size of a device of a Btrfs file system."
            page.gauge("node_btrfs_device_size_bytes", text, (sectors or 0) * 512, (*labels, ("device", device)))
        for group in ("data", "metadata", "system"):
            _btrfs_group(f"{path}/allocation/{group}", (*labels, ("block_group_type", group)), len(devices), page)
    if not found:
        raise Absent("btrfs")


def _btrfs_group(path: str, labels: Pairs, devices: int, page: Page) -> None:
    reserved = integer(f"{path}/bytes_reserved")
    if reserved is not None:
        page.gauge("node_btrfs_reserved_bytes", "Bytes reserved for a kind of data.", reserved, labels)
    for mode in entries(path) if os.path.isdir(path) else ():
        used, total = integer(f"{path}/{mode}/used_bytes"), integer(f"{path}/{mode}/total_bytes")
        if used is None or total is None:
            continue
        layout = (*labels, ("mode", mode))
        page.gauge("node_btrfs_used_bytes", "Bytes used by a kind of data.", used, layout)
        page.gauge("node_btrfs_size_bytes", "Bytes allocated for a kind of data.", total, layout)
        parity = {"raid5": 1, "raid6": 2}.get(mode, 0)
        ratio = devices / (devices - parity) if 0 < parity < devices else _BTRFS_COPIES.get(mode, 1)
        page.gauge("node_btrfs_allocation_ratio", "Bytes on devices for each byte of data.", ratio, layout)


_ZFS = (
    ("abdstats", "zfs_abd"), ("arcstats", "zfs_arc"), ("dbufstats", "zfs_dbuf"), ("dmu_tx", "zfs_dmu_tx"), ("dnodestats", "zfs_dnode"),
    ("fm", "zfs_fm"), ("vdev_cache_stats", "zfs_vdev_cache"), ("vdev_mirror_stats", "zfs_vdev_mirror"), ("xuio_stats", "zfs_xuio"),
    ("zfetchstats", "zfs_zfetch"), ("zil", "zfs_zil"),
)  # fmt: skip
_ZFS_STATES = ("online", "degraded", "faulted", "offline", "removed", "unavail", "suspended")


def zfs(roots: Roots, page: Page) -> None:
    folder = f"{roots.proc}/spl/kstat/zfs"
    names = entries(folder)
    for file, subsystem in _ZFS:
        if (text := optional(f"{folder}/{file}")) is not None:
            _kstat(text, subsystem, "", (), page)
    for pool in names:
        path = f"{folder}/{pool}"
        if not os.path.isdir(path):
            continue
        labels = (("zpool", pool),)
        state = (optional(f"{path}/state") or "").lower()
        for other in _ZFS_STATES if state else ():
            page.gauge("node_zfs_zpool_state", "The state of a pool.", other == state, (("state", other), *labels))
        lines = (optional(f"{path}/io") or "").splitlines()
        if len(lines) >= 3:
            for field, word in zip(lines[1].split(), lines[2].split(), strict=False):
                page.untyped(f"node_zfs_zpool_{field}", f"{field} of a pool.", int(word), labels)
        for file in entries(path):
            if file.startswith("objset-"):
                text = required(f"{path}/{file}")
                dataset = next((line.split(None, 2)[2] for line in text.splitlines() if line.startswith("dataset_name")), "")
                _kstat(text, "zfs_zpool_dataset", "", (("dataset", dataset), *labels), page)


def _kstat(text: str, subsystem: str, prefix: str, labels: Pairs, page: Page) -> None:
    """Lines of name, type, value; types 3 and 4 are numbers."""
    for words in (line.split() for line in text.splitlines()[2:]):
        if len(words) == 3 and words[1] in ("3", "4"):
            name = re.sub(r"\W", "_", words[0])
            page.untyped(f"node_{subsystem}_{prefix}{name}", f"{words[0]} of {subsystem}.", int(words[2]), labels)
