"""Reads Prometheus' text format into families, for what others hand over: files of the textfile collector, pushes.

Strict where the reference parser is: a sample belongs to the family before it, kinds and meanings come before samples and once, a label set
occurs once. Lines without a TYPE are untyped. Bounds: SAMPLES_MAX in one text, LABELS_MAX in one sample.

Source: Prometheus text format 0.0.4; prometheus/common expfmt/text_parse.go.
"""

import re

from podium.instrument.exposition import Family, Pairs
from podium.telemetry.exporters.errors import BadExposition

SAMPLES_MAX = 200_000
LABELS_MAX = 64
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
KINDS = ("counter", "gauge", "histogram", "summary", "untyped")

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]*(?:\{(.*)\})?[ \t]*(\S+)(?:[ \t]+(-?\d+))?[ \t]*")
_PAIR = re.compile(r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "\\": "\\", '"': '"'}
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
_NUMBERS = {"+inf": float("inf"), "inf": float("inf"), "-inf": float("-inf"), "nan": float("nan"), "+nan": float("nan")}


def parse_text(text: str) -> dict[str, Family]:
    """The families by name. Raises BadExposition with the number of the line."""
    parser = _Parser()
    for number, line in enumerate(text.split("\n"), 1):
        try:
            parser.line(line.rstrip("\r").strip(" \t"))
        except BadExposition as error:
            raise BadExposition(f"text format parsing error in line {number}: {error}") from None
    return {name: family for name, family in parser.families.items() if family.samples}


class _Parser:
    def __init__(self) -> None:
        self.families: dict[str, Family] = {}
        self._typed: set[str] = set()
        self._helped: set[str] = set()
        self._count = 0

    def line(self, line: str) -> None:
        if not line:
            return
        if line.startswith("#"):
            self._comment(line)
            return
        match = _SAMPLE.fullmatch(line)
        if match is None:
            raise BadExposition(f"{line[:80]!r} is no sample")
        self._count += 1
        if self._count > SAMPLES_MAX:
            raise BadExposition(f"more than {SAMPLES_MAX} samples")
        name, inside, value, stamp = match.groups()
        family, suffix = self._family(name)
        labels = _labels(inside or "")
        key = (suffix, labels)
        if key in family.samples:
            raise BadExposition(f"a second sample of {name} with the same labels")
        family.samples[key] = _number(value)
        if stamp is not None:
            family.timestamps_ms[key] = int(stamp)

    def _comment(self, line: str) -> None:
        words = line.split(None, 3)
        if len(words) < 3 or words[0] != "#" or words[1] not in ("HELP", "TYPE"):
            return
        name = words[2]
        if not NAME.fullmatch(name):
            raise BadExposition(f"invalid metric name {name[:80]!r}")
        family = self.families.setdefault(name, Family(name, "untyped", ""))
        rest = words[3] if len(words) > 3 else ""
        if words[1] == "HELP":
            if name in self._helped:
                raise BadExposition(f"second HELP line for metric name {name!r}")
            self._helped.add(name)
            family.text = _ESCAPE.sub(lambda m: {"n": "\n", "\\": "\\"}.get(m[1], m[0]), rest)
        else:
            if name in self._typed or family.samples:
                raise BadExposition(f"second TYPE line for metric name {name!r}, or TYPE reported after samples")
            if rest.lower() not in KINDS:
                raise BadExposition(f"unknown metric type {rest[:80]!r}")
            self._typed.add(name)
            family.kind = rest.lower()

    def _family(self, name: str) -> tuple[Family, str]:
        for kind, suffixes in _SUFFIXES.items():
            for suffix in suffixes:
                if name.endswith(suffix):
                    family = self.families.get(name[: -len(suffix)])
                    if family is not None and family.kind == kind:
                        return family, suffix
        return self.families.setdefault(name, Family(name, "untyped", "")), ""


def _labels(text: str) -> Pairs:
    pairs: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _PAIR.match(text, position)
        if match is None:
            if not text[position:].strip():
                break
            raise BadExposition(f"labels cannot be read from {text[position : position + 40]!r} on")
        name, value = match.groups()
        if name in pairs:
            raise BadExposition(f"duplicate label name {name!r}")
        if "\\" in value:
            value = _ESCAPE.sub(_unescape, value)
        pairs[name] = value
        position = match.end()
        if position < len(text) and text[position] != ",":
            raise BadExposition(f"expected a comma or the end of labels, found {text[position]!r}")
        position += 1
    if len(pairs) > LABELS_MAX:
        raise BadExposition(f"more than {LABELS_MAX} labels")
    return tuple(sorted(pairs.items()))


def _unescape(match: re.Match[str]) -> str:
    if match[1] not in _ESCAPES:
        raise BadExposition(f"invalid escape sequence \\{match[1]}")
    return _ESCAPES[match[1]]


def _number(text: str) -> float:
    special = _NUMBERS.get(text.lower())
    if special is not None:
        return special
    try:
        if "_" in text:
            raise ValueError
        return float.fromhex(text) if "x" in text.lower() else float(text)
    except (ValueError, OverflowError):
        raise BadExposition(f"expected float as value, got {text[:80]!r}") from None
