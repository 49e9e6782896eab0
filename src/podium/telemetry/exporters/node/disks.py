"""Block devices: bcache, diskstats, mdadm, nvme.

Source: Documentation/admin-guide/iostats, bcache, md of the kernel; udev(7)'s database; node exporter's collectors of these names.
"""

import os
import re

from podium.instrument.exposition import Page, Pairs
from podium.telemetry.exporters.node.sources import Roots, entries, optional, required, rows

IGNORED_DEVICES = re.compile(r"(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+")
SECTOR_BYTES = 512

_COLUMNS = (
    ("reads_completed_total", "Reads completed.", 1.0),
    ("reads_merged_total", "Reads merged with others.", 1.0),
    ("read_bytes_total", "Bytes read.", SECTOR_BYTES),
    ("read_time_seconds_total", "Seconds spent by all reads.", 0.001),
    ("writes_completed_total", "Writes completed.", 1.0),
    ("writes_merged_total", "Writes merged with others.", 1.0),
    ("written_bytes_total", "Bytes written.", SECTOR_BYTES),
    ("write_time_seconds_total", "Seconds spent by all writes.", 0.001),
    ("io_now", "Operations in progress.", 1.0),
    ("io_time_seconds_total", "Seconds in which operations were in progress.", 0.001),
    ("io_time_weighted_seconds_total", "Seconds in which operations were in progress, times their number.", 0.001),
    ("discards_completed_total", "Discards completed.", 1.0),
    ("discards_merged_total", "Discards merged with others.", 1.0),
    ("discarded_sectors_total", "Sectors discarded.", 1.0),
    ("discard_time_seconds_total", "Seconds spent by all discards.", 0.001),
    ("flush_requests_total", "Flushes completed.", 1.0),
    ("flush_requests_time_seconds_total", "Seconds spent by all flushes.", 0.001),
)


def disk_statistics(roots: Roots, page: Page) -> None:
    for words in rows(f"{roots.proc}/diskstats"):
        device = words[2]
        if IGNORED_DEVICES.fullmatch(device):
            continue
        labels = (("device", device),)
        properties = _udev_properties(f"{roots.udev}/b{words[0]}:{words[1]}")
        _disk_info(roots, page, words, properties)
        for (name, text, factor), word in zip(_COLUMNS, words[3:], strict=False):
            kind = "gauge" if name == "io_now" else "counter"
            value = int(word) * factor if factor != 0.001 else int(word) / 1000
            page.family(f"node_disk_{name}", kind, text).samples["", labels] = value


def _udev_properties(path: str) -> dict[str, str]:
    lines = (optional(path) or "").splitlines()
    return {name: value for name, _, value in (line[2:].partition("=") for line in lines if line.startswith("E:"))}


def _disk_info(roots: Roots, page: Page, words: list[str], udev: dict[str, str]) -> None:
    device = words[2]
    serial = udev.get("SCSI_IDENT_SERIAL") or udev.get("ID_SERIAL_SHORT") or udev.get("ID_SERIAL", "")
    labels = (
        ("device", device), ("major", words[0]), ("minor", words[1]), ("path", udev.get("ID_PATH", "")), ("wwn", udev.get("ID_WWN", "")),
        ("model", udev.get("ID_MODEL", "")), ("serial", serial), ("revision", udev.get("ID_REVISION", "")),
        ("rotational", optional(f"{roots.sys}/block/{device}/queue/rotational") or ""),
    )  # fmt: skip
    page.gauge("node_disk_info", "What is known of a block device; always 1.", 1, labels)
    if kind := udev.get("ID_FS_TYPE"):
        file_system = (
            ("device", device), ("type", kind), ("usage", udev.get("ID_FS_USAGE", "")), ("uuid", udev.get("ID_FS_UUID", "")),
            ("version", udev.get("ID_FS_VERSION", "")),
        )  # fmt: skip
        page.gauge("node_disk_filesystem_info", "What is known of the file system on a block device; always 1.", 1, file_system)
    if name := udev.get("DM_NAME"):
        mapped = (
            ("device", device), ("name", name), ("uuid", udev.get("DM_UUID", "")), ("vg_name", udev.get("DM_VG_NAME", "")),
            ("lv_name", udev.get("DM_LV_NAME", "")), ("lv_layer", udev.get("DM_LV_LAYER", "")),
        )  # fmt: skip
        page.gauge("node_disk_device_mapper_info", "What is known of a mapped device; always 1.", 1, mapped)


_MD_STATES = ("active", "inactive", "recovering", "resync", "check")
_MD_BLOCKS = re.compile(r"(\d+) blocks")
_MD_DISKS = re.compile(r"\[(\d+)/(\d+)\]")
_MD_PROGRESS = re.compile(r"(recovery|resync|reshape|check) *= *[\d.]+% \((\d+)/\d+\)")
_MD_ACTIVITY = {"recovery": "recovering", "reshape": "recovering", "resync": "resync", "check": "check"}


def raid(roots: Roots, page: Page) -> None:
    text = required(f"{roots.proc}/mdstat")
    blocks = re.split(r"\n(?=md)", text)
    for block in blocks:
        head = block.splitlines()[0].split()
        if len(head) < 3 or not head[0].startswith("md") or head[1] != ":":
            continue
        _raid_device(head, block, page)


def _raid_device(head: list[str], block: str, page: Page) -> None:
    labels = (("device", head[0]),)
    progress = _MD_PROGRESS.search(block)
    state = _MD_ACTIVITY[progress[1]] if progress else "resync" if re.search(r"resync *= *(PENDING|DELAYED)", block) else head[2]
    members = [word for word in head[3:] if "[" in word]
    failed = sum(1 for word in members if "(F)" in word)
    spare = sum(1 for word in members if "(S)" in word)
    counts = _MD_DISKS.search(block)
    wanted = int(counts[1]) if counts else len(members)
    active = int(counts[2]) if counts else len(members) - failed - spare if state != "inactive" else 0
    size = _MD_BLOCKS.search(block)
    total = int(size[1]) if size else 0
    for other in _MD_STATES:
        page.gauge("node_md_state", "The state of a software RAID.", other == state, (*labels, ("state", other)))
    page.gauge("node_md_disks_required", "Disks that a software RAID is made of.", wanted, labels)
    for what, count in (("active", active), ("failed", failed), ("spare", spare)):
        page.gauge("node_md_disks", "Disks of a software RAID.", count, (*labels, ("state", what)))
    page.gauge("node_md_blocks", "Blocks of a software RAID.", total, labels)
    page.gauge("node_md_blocks_synced", "Blocks of a software RAID that are in sync.", int(progress[2]) if progress else total, labels)


_NVME = (("firmware_revision", "firmware_rev"), ("model", "model"), ("serial", "serial"), ("state", "state"), ("cntlid", "cntlid"))


def nvme(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/class/nvme"
    for device in entries(folder):
        told = [(name, optional(f"{folder}/{device}/{file}") or "") for name, file in _NVME]
        page.gauge("node_nvme_info", "What an NVMe device says of itself; always 1.", 1, (("device", device), *told))


_SIZES = {"": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_BCACHE = (
    ("average_key_size", "average_key_size_sectors", "Average size of the data of a key."),
    ("btree_cache_size", "btree_cache_size_bytes", "Memory that the cached tree takes."),
    ("cache_available_percent", "cache_available_percent", "Share of the cache without dirty data."),
    ("congested", "congested", "How congested the cache is."),
    ("root_usage_percent", "root_usage_percent", "Share of the tree's root that is in use."),
    ("tree_depth", "tree_depth", "Depth of the tree."),
    ("internal/active_journal_entries", "active_journal_entries", "Entries of the journal that are newer than the index."),
    ("internal/btree_nodes", "btree_nodes", "Nodes of the tree."),
)
_BCACHE_STATS = (
    ("bypassed", "bypassed_bytes_total", "Bytes that bypassed the cache."),
    ("cache_hits", "cache_hits_total", "Operations that found their data in the cache."),
    ("cache_misses", "cache_misses_total", "Operations that did not find their data in the cache."),
    ("cache_bypass_hits", "cache_bypass_hits_total", "Hits of operations that were to bypass the cache."),
    ("cache_bypass_misses", "cache_bypass_misses_total", "Misses of operations that were to bypass the cache."),
    ("cache_miss_collisions", "cache_miss_collisions_total", "Insertions after a miss that raced with a write."),
    ("cache_readaheads", "cache_readaheads_total", "Times that data was read ahead."),
)


def bcache(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/fs/bcache"
    for uuid in entries(folder):
        path = f"{folder}/{uuid}"
        if not os.path.isdir(path):
            continue
        labels = (("uuid", uuid),)
        for file, name, text in _BCACHE:
            _bcache_value(f"{path}/{file}", f"node_bcache_{name}", text, labels, page)
        _bcache_value(f"{path}/internal/cache_read_races", "node_bcache_cache_read_races_total", "Reads that raced.", labels, page)
        for member in entries(path):
            if re.fullmatch(r"bdev\d+", member):
                _backing_device(f"{path}/{member}", (*labels, ("backing_device", member)), page)
            elif re.fullmatch(r"cache\d+", member):
                _cache_device(f"{path}/{member}", (*labels, ("cache_device", member)), page)


def _backing_device(path: str, labels: Pairs, page: Page) -> None:
    _bcache_value(f"{path}/dirty_data", "node_bcache_dirty_data_bytes", "Bytes not written back yet.", labels, page)
    for file, name, text in _BCACHE_STATS:
        _bcache_value(f"{path}/stats_total/{file}", f"node_bcache_{name}", text, labels, page)


def _cache_device(path: str, labels: Pairs, page: Page) -> None:
    _bcache_value(f"{path}/io_errors", "node_bcache_io_errors", "Recent errors.", labels, page)
    _bcache_value(f"{path}/metadata_written", "node_bcache_metadata_written_bytes_total", "Metadata written.", labels, page)
    _bcache_value(f"{path}/written", "node_bcache_written_bytes_total", "Data written.", labels, page)
    for line in (optional(f"{path}/priority_stats") or "").splitlines():
        word, _, value = line.partition(":")
        if word in ("Unused", "Metadata"):
            name = f"node_bcache_priority_stats_{word.lower()}_percent"
            page.gauge(name, f"{word} share of the cache.", float(value.strip().rstrip("%")), labels)


def _bcache_value(path: str, name: str, text: str, labels: Pairs, page: Page) -> None:
    match = re.fullmatch(r"(-?[\d.]+)([kMGTP]?)", optional(path) or "")
    if match:
        kind = "counter" if name.endswith("_total") else "gauge"
        page.family(name, kind, text).samples["", labels] = float(match[1]) * _SIZES[match[2]]
