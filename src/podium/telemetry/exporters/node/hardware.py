"""Sensors and errors of the hardware: edac, hwmon, powersupplyclass, rapl, thermal_zone.

Source: Documentation/hwmon/sysfs-interface, driver-api/edac, power/power_supply_class, power/powercap of the kernel; node exporter's collectors of
these names.
"""

import os
import re

from podium.instrument.exposition import Page, Pairs
from podium.telemetry.exporters.node.sources import Absent, Roots, entries, integer, optional


def memory_errors(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/devices/system/edac/mc"
    for name in entries(folder):
        match = re.fullmatch(r"mc(\d+)", name)
        if match is None:
            continue
        labels = (("controller", match[1]),)
        _errors(f"{folder}/{name}", "", "node_edac", labels, page)
        text = "Errors of memory of which the row is not known."
        for kind, word in (("ce", "correctable"), ("ue", "uncorrectable")):
            count = integer(f"{folder}/{name}/{kind}_noinfo_count")
            if count is not None:
                page.counter(f"node_edac_csrow_{word}_errors_total", text, count, (*labels, ("csrow", "unknown")))
        for row in entries(f"{folder}/{name}"):
            if re.fullmatch(r"csrow\d+", row):
                _errors(f"{folder}/{name}/{row}", "csrow_", "node_edac", (*labels, ("csrow", row[5:])), page)


def _errors(path: str, prefix: str, namespace: str, labels: Pairs, page: Page) -> None:
    for kind, word in (("ce", "correctable"), ("ue", "uncorrectable")):
        count = integer(f"{path}/{kind}_count")
        if count is not None:
            page.counter(f"{namespace}_{prefix}{word}_errors_total", f"Errors of memory that were {word}.", count, labels)


_SENSOR = re.compile(r"(?P<type>[^0-9]+)(?P<number>[0-9]*)?(_(?P<property>.+))?")
_SENSOR_TYPES = frozenset({
    "vrm", "beep_enable", "update_interval", "in", "cpu", "fan", "pwm", "temp", "curr", "power", "energy", "humidity", "intrusion", "freq",
})  # fmt: skip
_UNITS = {"in": ("volts", 1000), "cpu": ("volts", 1000), "temp": ("celsius", 1000), "curr": ("amps", 1000)}
_UNITS_MORE = {"energy": ("joule_total", 1e6), "power": ("watt", 1e6), "humidity": ("percent", 1e6)}
_POWER_SECONDS = ("average_interval", "average_interval_max", "average_interval_min")


def sensors(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/class/hwmon"
    for name in entries(folder):
        path = f"{folder}/{name}"
        chip = _chip(path)
        chip_name = _clean(optional(f"{path}/name") or "")
        if chip_name:
            page.gauge("node_hwmon_chip_names", "The names of chips; always 1.", 1, (("chip", chip), ("chip_name", chip_name)))
        found = _sensor_values(path)
        if os.path.isdir(f"{path}/device"):
            found = {**_sensor_values(f"{path}/device"), **found}
        for sensor in sorted(found):
            _sensor(chip, sensor, found[sensor], page)


def _chip(path: str) -> str:
    """The device's bus and name; a chip without a device is known by its own name."""
    try:
        device = os.path.realpath(f"{path}/device", strict=True)
    except OSError:
        return _clean(optional(f"{path}/name") or os.path.basename(os.path.realpath(path)))
    bus = _clean(os.path.basename(os.path.dirname(device)))
    own = _clean(os.path.basename(device))
    return f"{bus}_{own}" if bus and own else own


def _clean(text: str) -> str:
    return re.sub(r"[^a-z0-9:_]", "_", text.strip().lower()).strip("_")


def _sensor_values(path: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for file in entries(path):
        match = _SENSOR.fullmatch(file)
        if match and match["type"] in _SENSOR_TYPES and (value := optional(f"{path}/{file}")) is not None:
            found.setdefault(match["type"] + (match["number"] or ""), {})[match["property"] or ""] = value
    return found


def _sensor(chip: str, sensor: str, properties: dict[str, str], page: Page) -> None:
    labels = (("chip", chip), ("sensor", sensor))
    kind = sensor.rstrip("0123456789")
    if (label := properties.pop("label", None)) is not None:
        page.gauge("node_hwmon_sensor_label", "The labels of sensors; always 1.", 1, (("chip", chip), ("label", label), ("sensor", sensor)))
    if kind == "beep_enable":
        page.gauge("node_hwmon_beep_enabled", "Whether a chip beeps.", properties.get("") == "1", labels)
        return
    if kind in ("vrm", "update_interval"):
        _value(f"node_hwmon_{'voltage_regulator_version' if kind == 'vrm' else 'update_interval_seconds'}", properties.get(""), labels,
               1000 if kind == "update_interval" else 1, page)  # fmt: skip
        return
    for element, value in sorted(properties.items()):
        name, divisor = _sensor_name(kind, element)
        _value(f"node_hwmon_{name}", value, labels, divisor, page)


def _sensor_name(kind: str, element: str) -> tuple[str, float]:
    """The metric's name without its prefix, and what the raw value is divided by."""
    name = f"{kind}_{element}" if element not in ("", "input") else kind
    if element == "beep":
        return f"{kind}_beep_enabled", 1
    if element in ("alarm", "fault"):
        return name, 1
    if kind == "fan":
        return (f"{name}_rpm", 1) if element in ("", "input", "min", "max", "target") else (name, 1)
    if kind == "power" and element == "accuracy":
        return name, 1e6
    if kind == "power" and element in _POWER_SECONDS:
        return f"{name}_seconds", 1000
    if kind == "temp" and element == "type":
        return name, 1
    unit = _UNITS.get(kind) or _UNITS_MORE.get(kind)
    if unit is not None:
        return f"{name}_{unit[0]}", unit[1]
    return (f"{name}_freq_mhz", 1e6) if kind == "freq" else (name, 1)


def _value(name: str, text: str | None, labels: Pairs, divisor: float, page: Page) -> None:
    try:
        value = float(text or "") / divisor
    except ValueError:
        return
    kind = "counter" if name.endswith("_total") else "gauge"
    page.family(name, kind, "A reading of the hardware's sensors.").samples["", labels] = value


_SUPPLY_PLAIN = {
    name: name for name in ("authentic", "calibrate", "capacity", "capacity_alert_max", "capacity_alert_min", "online", "present")
} | {"cycle_count": "cyclecount", "time_to_empty_now": "time_to_empty_seconds", "time_to_full_now": "time_to_full_seconds"}
_SUPPLY_MICRO = {
    "current_now": "current_ampere", "energy_now": "energy_watthour", "voltage_now": "voltage_volt", "charge_now": "charge_ampere",
    "power_now": "power_watt",
} | {
    name: name
    for name in (
        "current_boot", "current_max", "energy_empty", "energy_empty_design", "energy_full", "energy_full_design", "voltage_boot", "voltage_max",
        "voltage_max_design", "voltage_min", "voltage_min_design", "voltage_ocv", "charge_control_limit", "charge_control_limit_max",
        "charge_counter", "charge_empty", "charge_empty_design", "charge_full", "charge_full_design", "charge_term_current",
        "constant_charge_current", "constant_charge_current_max", "constant_charge_voltage", "constant_charge_voltage_max",
        "precharge_current", "input_current_limit",
    )
}  # fmt: skip
_SUPPLY_TENTHS = {
    name: f"{name}_celsius"
    for name in ("temp", "temp_alert_max", "temp_alert_min", "temp_ambient", "temp_ambient_max", "temp_ambient_min", "temp_max", "temp_min")
}
_SUPPLY_TEXTS = (
    "capacity_level", "charge_type", "health", "manufacturer", "model_name", "serial_number", "status", "technology", "type", "usb_type",
    "scope",
)  # fmt: skip


def power_supplies(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/class/power_supply"
    for supply in entries(folder):
        labels = (("power_supply", supply),)
        for names, divisor in ((_SUPPLY_PLAIN, 1.0), (_SUPPLY_MICRO, 1e6), (_SUPPLY_TENTHS, 10.0)):
            for file, name in names.items():
                value = integer(f"{folder}/{supply}/{file}")
                if value is not None:
                    page.gauge(f"node_power_supply_{name}", f"{file} of a power supply.", value / divisor, labels)
        told = tuple((name, text) for name in _SUPPLY_TEXTS if (text := optional(f"{folder}/{supply}/{name}")))
        page.gauge("node_power_supply_info", "What a power supply says of itself; always 1.", 1, (*labels, *told))


def energy(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/class/powercap"
    found = False
    for zone in entries(folder):
        name, microjoules = optional(f"{folder}/{zone}/name"), integer(f"{folder}/{zone}/energy_uj")
        if name is None or ":" not in zone:
            continue
        found = True
        if microjoules is None:
            raise PermissionError(f"{folder}/{zone}/energy_uj cannot be read")
        match = re.fullmatch(r"(.*?)(?:-(\d+))?", name)
        assert match is not None
        metric = re.sub(r"\W", "_", match[1])
        index = match[2] or (zone.rsplit(":", 1)[-1] if zone.rsplit(":", 1)[-1].isdigit() else "0")
        labels = (("index", index), ("path", f"{folder}/{zone}"))
        page.counter(f"node_rapl_{metric}_joules_total", "Energy that a part of the machine has used.", microjoules / 1e6, labels)
    if not found:
        raise Absent("rapl")


def temperatures(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/class/thermal"
    for name in entries(folder):
        kind = optional(f"{folder}/{name}/type") or ""
        if match := re.fullmatch(r"thermal_zone(\d+)", name):
            value = integer(f"{folder}/{name}/temp")
            if value is not None:
                labels = (("type", kind), ("zone", match[1]))
                page.gauge("node_thermal_zone_temp", "Temperature of a zone, in degrees Celsius.", value / 1000, labels)
        elif match := re.fullmatch(r"cooling_device(\d+)", name):
            for file, text in (("cur_state", "How hard a device cools."), ("max_state", "How hard a device can cool.")):
                value = integer(f"{folder}/{name}/{file}")
                if value is not None:
                    page.gauge(f"node_cooling_device_{file}", text, value, (("name", match[1]), ("type", kind)))
