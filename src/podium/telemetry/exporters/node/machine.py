"""The machine as a whole: dmi, entropy, filefd, os, selinux, time, timex, uname.

Source: proc(5), os-release(5), adjtimex(2), Documentation/ABI/testing/sysfs-firmware-dmi-tables; node exporter's collectors of these names.
"""

import ctypes
import os
import shlex
from datetime import UTC, datetime

from podium.instrument.exposition import Page
from podium.telemetry.exporters.node.sources import Absent, Roots, entries, integer, optional, required
from podium.world.interface import Clock

_DMI = (
    "bios_date", "bios_release", "bios_vendor", "bios_version", "board_asset_tag", "board_name", "board_serial", "board_vendor",
    "board_version", "chassis_asset_tag", "chassis_serial", "chassis_vendor", "chassis_version", "product_family", "product_name",
    "product_serial", "product_sku", "product_uuid", "product_version", "sys_vendor",
)  # fmt: skip


def firmware(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/class/dmi/id"
    entries(folder)
    values = ((name if name != "sys_vendor" else "system_vendor", optional(f"{folder}/{name}")) for name in _DMI)
    labels = tuple((name, value) for name, value in values if value is not None)
    page.gauge("node_dmi_info", "What the firmware says of the machine; always 1.", 1, labels)


def entropy(roots: Roots, page: Page) -> None:
    available = integer(f"{roots.proc}/sys/kernel/random/entropy_avail")
    size = integer(f"{roots.proc}/sys/kernel/random/poolsize")
    if available is None:
        raise Absent("entropy")
    page.gauge("node_entropy_available_bits", "Bits of entropy that are available.", available)
    if size is not None:
        page.gauge("node_entropy_pool_size_bits", "Bits that the pool of entropy can hold.", size)


def files(roots: Roots, page: Page) -> None:
    allocated, _, most = required(f"{roots.proc}/sys/fs/file-nr").split()
    page.gauge("node_filefd_allocated", "File descriptors in use.", int(allocated))
    page.gauge("node_filefd_maximum", "File descriptors that can be in use.", int(most))


_OS = (
    "build_id", "id", "id_like", "image_id", "image_version", "name", "pretty_name", "variant", "variant_id", "version",
    "version_codename", "version_id",
)  # fmt: skip


def operating_system(roots: Roots, page: Page) -> None:
    root = roots.root.rstrip("/")
    text = optional(f"{root}/etc/os-release")
    release = _assignments(text if text is not None else required(f"{root}/usr/lib/os-release"))
    labels = tuple((name, release.get(name.upper(), "")) for name in _OS)
    page.gauge("node_os_info", "Name and versions of the operating system; always 1.", 1, labels)
    numbers = release.get("VERSION_ID", "").split(".")[:2]
    try:
        version = float(".".join(numbers))
    except ValueError:
        version = None
    if version is not None:
        who = tuple((name, release.get(name.upper(), "")) for name in ("id", "id_like", "name"))
        page.gauge("node_os_version", "The operating system's version, major.minor.", version, who)
    if end := release.get("SUPPORT_END"):
        try:
            when = datetime.strptime(end, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return
        page.gauge("node_os_support_end_timestamp_seconds", "When support of the operating system ends, in seconds since the epoch.", when)


def _assignments(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            try:
                found[name] = "".join(shlex.split(value))[:1024] if value[:1] in "'\"" else value
            except ValueError:  # quotes that do not end
                found[name] = value
    return found


def selinux(roots: Roots, page: Page) -> None:
    enforcing = integer(f"{roots.sys}/fs/selinux/enforce")
    page.gauge("node_selinux_enabled", "Whether SELinux is on.", enforcing is not None)
    if enforcing is None:
        return
    page.gauge("node_selinux_current_mode", "SELinux' mode: 1 enforcing, 0 permissive, -1 off.", enforcing)
    configured = _assignments(optional(f"{roots.root.rstrip('/')}/etc/selinux/config") or "").get("SELINUX", "")
    mode = {"enforcing": 1, "permissive": 0}.get(configured, -1)
    page.gauge("node_selinux_config_mode", "SELinux' mode after the next boot: 1 enforcing, 0 permissive, -1 off.", mode)


class TimeCollector:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, roots: Roots, page: Page) -> None:
        now = self._clock.now()
        local = now.astimezone()
        offset = local.utcoffset()
        page.gauge("node_time_seconds", "The machine's time, in seconds since the epoch.", now.timestamp())
        zone = (("time_zone", local.tzname() or ""),)
        text = "How far local time is from UTC, in seconds."
        page.gauge("node_time_zone_offset_seconds", text, offset.total_seconds() if offset else 0, zone)
        self._sources(roots, page)

    def _sources(self, roots: Roots, page: Page) -> None:
        folder = f"{roots.sys}/devices/system/clocksource"
        try:
            devices = [name for name in entries(folder) if name.startswith("clocksource")]
        except Absent:
            return
        for name in devices:
            device = ("device", name.removeprefix("clocksource"))
            for source in (optional(f"{folder}/{name}/available_clocksource") or "").split():
                text = "A source of time that the kernel could use; always 1."
                page.gauge("node_time_clocksource_available_info", text, 1, (("clocksource", source), device))
            if current := optional(f"{folder}/{name}/current_clocksource"):
                text = "The source of time that the kernel uses; always 1."
                page.gauge("node_time_clocksource_current_info", text, 1, (("clocksource", current), device))


class Timex(ctypes.Structure):
    """struct timex of a 64-bit Linux."""

    _fields_ = [
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("constant", ctypes.c_long), ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long), ("time_s", ctypes.c_long), ("time_fraction", ctypes.c_long), ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long), ("jitter", ctypes.c_long), ("shift", ctypes.c_int), ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long), ("calcnt", ctypes.c_long), ("errcnt", ctypes.c_long), ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int), ("reserved", ctypes.c_int * 11),
    ]  # fmt: skip


_STA_NANO, _TIME_ERROR = 0x2000, 5
_PPM_FRACTION = 1 << 16
_MICRO = 1e-6


def clock_discipline(roots: Roots, page: Page) -> None:
    values = Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(values))
    if state < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    show_timex(values, state, page)


def show_timex(values: Timex, state: int, page: Page) -> None:
    fraction = 1e-9 if values.status & _STA_NANO else _MICRO
    ppm = 1e6 * _PPM_FRACTION
    for name, text, value in (
        ("sync_status", "Whether the clock is synchronised.", state != _TIME_ERROR),
        ("offset_seconds", "Offset of the clock from its reference.", values.offset * fraction),
        ("frequency_adjustment_ratio", "By what factor the clock's frequency is adjusted.", 1 + values.freq / ppm),
        ("maxerror_seconds", "The most that the clock may be wrong by.", values.maxerror * _MICRO),
        ("estimated_error_seconds", "How much the clock is estimated to be wrong by.", values.esterror * _MICRO),
        ("status", "The bits of the clock's status.", values.status),
        ("loop_time_constant", "Time constant of the phase-locked loop.", values.constant),
        ("tick_seconds", "Time between ticks.", values.tick * _MICRO),
        ("pps_frequency_hertz", "Frequency of the pulse per second.", values.ppsfreq / _PPM_FRACTION),
        ("pps_jitter_seconds", "Jitter of the pulse per second.", values.jitter * fraction),
        ("pps_shift_seconds", "Length of the pulse per second's interval.", values.shift),
        ("pps_stability_hertz", "Stability of the pulse per second.", values.stabil / _PPM_FRACTION),
        ("tai_offset_seconds", "Offset of atomic time from UTC.", values.tai),
    ):
        page.gauge(f"node_timex_{name}", text, value)
    for name, text, value in (
        ("pps_jitter_total", "Pulses beyond the limit of jitter.", values.jitcnt),
        ("pps_calibration_total", "Calibrations by the pulse per second.", values.calcnt),
        ("pps_error_total", "Calibrations by the pulse per second that failed.", values.errcnt),
        ("pps_stability_exceeded_total", "Pulses beyond the limit of stability.", values.stbcnt),
    ):
        page.counter(f"node_timex_{name}", text, value)


def kernel(roots: Roots, page: Page) -> None:
    names = os.uname()
    domain = optional(f"{roots.proc}/sys/kernel/domainname") or "(none)"
    labels = (
        ("sysname", names.sysname), ("release", names.release), ("version", names.version), ("machine", names.machine),
        ("nodename", names.nodename), ("domainname", domain),
    )  # fmt: skip
    page.gauge("node_uname_info", "What the kernel says of itself; always 1.", 1, labels)
