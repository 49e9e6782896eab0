"""What OTLP's metrics, attributes and units are called here, by the strategy that the configuration says.

    http.server.duration, unit ms, a histogram    http_server_duration_milliseconds     (UnderscoreEscapingWithSuffixes)
                                                  http_server_duration                  (UnderscoreEscapingWithoutSuffixes)
                                                  http.server.duration_milliseconds     (NoUTF8EscapingWithSuffixes)
                                                  http.server.duration                  (NoTranslation)

Source: OpenTelemetry's "Prometheus and OpenMetrics Compatibility"; github.com/prometheus/otlptranslator for what it leaves open.
"""

import re
from dataclasses import dataclass

from podium.telemetry.metrics.remote.errors import MessageRefused

UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds",
    "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes", "TiBy": "tibibytes", "KBy": "kilobytes", "MBy": "megabytes",
    "GBy": "gigabytes", "TBy": "terabytes", "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
PER_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_NOT_IN_METRICS = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_UNSUFFIXED = re.compile(r"[^a-zA-Z0-9:_]+")
_NOT_IN_UNITS = re.compile(r"[^a-zA-Z0-9:]")
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9]")
_MORE_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9]+")


@dataclass(frozen=True, slots=True)
class Naming:
    """`escaped`: names are made of letters, digits and underscores. `suffixed`: with units and types at their ends."""

    escaped: bool = True
    suffixed: bool = True
    key_before_underscore: bool = False
    every_underscore: bool = False

    def metric(self, name: str, unit: str, kind: str) -> str:
        """`kind`: gauge, counter (monotonic) or any other. Raises MessageRefused for what leaves no name."""
        if not self.escaped:
            return _as_it_is(name, unit, kind) if self.suffixed else name
        made = _suffixed(name, unit, kind) if self.suffixed else _digit_apart("_".join(_words(_NOT_IN_UNSUFFIXED, name)))
        if not made:
            raise MessageRefused(f'normalization for metric "{name}" resulted in empty name')
        if made != name and not made.strip("_"):
            raise MessageRefused(f'normalization for metric "{name}" resulted in invalid name "{made}"')
        return made

    def label(self, name: str) -> str:
        """Raises MessageRefused for what leaves no name."""
        if not name:
            raise MessageRefused("label name is empty")
        if not self.escaped:
            if not name.strip("_"):
                raise MessageRefused(f'label name "{name}" contains only underscores')
            return name
        made = self._label_escaped(name)
        if made[0].isdigit():
            made = f"key_{made}"
        elif self.key_before_underscore and made.startswith("_") and not made.startswith("__"):
            made = f"key{made}"
        if not made.strip("_"):
            raise MessageRefused(f'normalization for label name "{name}" resulted in invalid name "{made}"')
        return made

    def _label_escaped(self, name: str) -> str:
        if self.every_underscore:
            return _NOT_IN_LABELS.sub("_", name)
        if len(name) >= 4 and name.startswith("__") and name.endswith("__"):
            return f"__{_MORE_NOT_IN_LABELS.sub('_', name[2:-2])}__"
        return _MORE_NOT_IN_LABELS.sub("_", name)


def unit_name(unit: str) -> str:
    """`bytes_per_second` of `By/s`."""
    main, per = (_cleaned(part) for part in _units(unit))
    return "_".join(part for part in (main, per) if part).removeprefix("_").removesuffix("_")


def _words(separators: "re.Pattern[str]", text: str) -> list[str]:
    return [word for word in separators.split(text) if word]


def _digit_apart(name: str) -> str:
    return f"_{name}" if name[:1].isdigit() else name


def _units(unit: str) -> tuple[str, str]:
    """(`bytes`, `per_second`) of `By/s`; annotations in braces are no units."""
    main, _, per = unit.partition("/")
    main, per = main.strip(), per.strip()
    found_main = "" if set("{}") & set(main) else UNITS.get(main, main)
    found_per = "" if set("{}") & set(per) else PER_UNITS.get(per, per)
    return found_main, f"per_{found_per}" if found_per else ""


def _cleaned(unit: str) -> str:
    return re.sub("_+", "_", _NOT_IN_UNITS.sub("_", unit)).removeprefix("_")


def _suffixed(name: str, unit: str, kind: str) -> str:
    words = _words(_NOT_IN_METRICS, name)
    main, per = (_cleaned(part) for part in _units(unit))
    per = "" if per == "per_" else per.removesuffix("_")
    if main in words:
        main = ""
    if per in words:
        per = ""
    if per:
        main = main.removesuffix("_")
    words += [part for part in (main, per) if part]
    if kind == "counter":
        words = [*(word for word in words if word != "total"), "total"]
    if unit == "1" and kind == "gauge":
        words = [*(word for word in words if word != "ratio"), "ratio"]
    return _digit_apart("_".join(words))


def _as_it_is(name: str, unit: str, kind: str) -> str:
    """With the suffixes that it does not have yet, each once."""
    ends: list[str] = []
    main, per = _units(unit)
    for wanted, suffix in ((unit == "1" and kind == "gauge", "ratio"), (kind == "counter", "total"), (bool(per), per)):
        if wanted:
            ends.insert(0, suffix)
            if name.endswith(suffix) and len(name) > len(suffix) + 1:
                name = name[: -len(suffix) - 1]
    if main and not name.endswith(main):
        name = f"{name}_{main}"
    return "_".join([name, *ends])
