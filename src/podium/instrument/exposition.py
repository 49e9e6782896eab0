"""What a scrape is answered with: families of samples as text, in the format and encoding that the scraper asked for.

A `Family` is one metric name with its kind, its meaning and its samples; a `Page` collects the families of one answer, for those who read their
numbers anew each time (exporters); a `Registry` (metrics.py) makes families of what it counted.

Invariants: families are sorted by name and samples stay in the order of their arrival; a label set occurs once in a family (the last value
counts); names are of the classic character set. What OpenMetrics demands beyond the text format is done here alone: a counter's family
is named without `_total`, a counter without that suffix is `unknown`, bounds are written as floats, `_created` and exemplars are shown.

Source: Prometheus text format 0.0.4, OpenMetrics 1.0.0; negotiation as prometheus/common expfmt.
"""

import math
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from podium.world.http_messages import Response

Pairs = tuple[tuple[str, str], ...]
"""Label names with their values, in the order in which they are written."""

COMPRESS_BYTES_MIN = 1024
COMPRESS_LEVEL = 1
"""Text like this shrinks to a tenth even so; a higher level costs more than the bytes it saves."""

EXEMPLAR_CHARS_MAX = 128
"""Of an exemplar's labels, names and values together: the limit of OpenMetrics. A longer one is left out."""


class Format(Enum):
    """The value is the content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    OPENMETRICS_0 = "application/openmetrics-text; version=0.0.1; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Exemplar:
    """`timestamp_s` is seconds since the epoch, 0 when unknown."""

    labels: Pairs
    value: float
    timestamp_s: float = 0.0


@dataclass(slots=True)
class Family:
    """`kind` is counter, gauge, histogram, summary or untyped. A sample's suffix (`_bucket`, `_sum`, `_count`) is empty for most.
    `created_s` has the creation times of counters' and histograms' label sets, seconds since the epoch."""

    name: str
    kind: str
    text: str
    samples: dict[tuple[str, Pairs], float] = field(default_factory=dict)
    exemplars: dict[tuple[str, Pairs], Exemplar] = field(default_factory=dict)
    created_s: dict[Pairs, float] = field(default_factory=dict)
    timestamps_ms: dict[tuple[str, Pairs], int] = field(default_factory=dict)


class Page:
    """The families of one answer. Adding to a name that is there keeps its first kind and meaning."""

    __slots__ = ("families",)

    def __init__(self) -> None:
        self.families: dict[str, Family] = {}

    def family(self, name: str, kind: str, text: str) -> Family:
        found = self.families.get(name)
        if found is None:
            found = self.families[name] = Family(name, kind, text)
        return found

    def gauge(self, name: str, text: str, value: float, labels: Pairs = ()) -> None:
        self.family(name, "gauge", text).samples["", labels] = value

    def counter(self, name: str, text: str, value: float, labels: Pairs = ()) -> None:
        self.family(name, "counter", text).samples["", labels] = value

    def untyped(self, name: str, text: str, value: float, labels: Pairs = ()) -> None:
        self.family(name, "untyped", text).samples["", labels] = value

    def add(self, families: Iterable[Family]) -> None:
        """Takes whole families; one whose name is there already is dropped."""
        for family in families:
            self.families.setdefault(family.name, family)


class LineFamily:
    """The samples of one family of `Lines`, in columns: a label set's text is one object in all families that have it."""

    __slots__ = ("_labels", "_values", "kind", "name", "text")

    def __init__(self, name: str, kind: str, text: str) -> None:
        assert kind == "gauge" or (kind == "counter" and name.endswith("_total")), f"{name} is a {kind}"
        self.name, self.kind, self.text = name, kind, text
        self._labels: list[str] = []
        self._values = array("d")

    def add(self, labels: str, value: float) -> None:
        """`labels` is what stands between the braces; empty for none."""
        self._labels.append(labels)
        self._values.append(value)

    def render(self, format: Format) -> bytes:
        """Nothing for a family without samples."""
        if not self._labels:
            return b""
        name, lines = self.name, [head_lines(self.name, self.kind, self.text, format)]
        for labels, value in zip(self._labels, self._values, strict=True):
            lines.append(f"{name}{{{labels}}} {number(value)}" if labels else f"{name} {number(value)}")
        lines.append("")
        return "\n".join(lines).encode()


class Lines:
    """Families for answers of very many samples: who adds writes the labels' text once for all samples that share it (`label_text`). Gauges,
    and counters that end in `_total`; a label set occurs once is the caller's to keep. At no time is there more text than one family's,
    and the answer."""

    __slots__ = ("_families",)

    def __init__(self) -> None:
        self._families: dict[str, LineFamily] = {}

    def family(self, name: str, kind: str, text: str) -> LineFamily:
        found = self._families.get(name)
        if found is None:
            found = self._families[name] = LineFamily(name, kind, text)
        return found

    def add(self, name: str, kind: str, text: str, labels: str, value: float) -> None:
        self.family(name, kind, text).add(labels, value)

    def respond(self, headers: Mapping[str, str]) -> Response:
        format = negotiate(headers.get("accept", ""))
        return answer(self._parts(format), format, headers)

    def render(self, format: Format = Format.TEXT) -> bytes:
        return b"".join(self._parts(format))

    def _parts(self, format: Format) -> Iterator[bytes]:
        for _, family in sorted(self._families.items()):
            yield family.render(format)
        if format is not Format.TEXT:
            yield b"# EOF\n"


def head_lines(name: str, kind: str, text: str, format: Format) -> str:
    """The HELP and TYPE lines of a gauge or counter, without the last line's end."""
    shown = name.removesuffix("_total") if format is not Format.TEXT and kind == "counter" else name
    return f"# HELP {shown} {text}\n# TYPE {shown} {kind}"


def label_text(labels: Pairs) -> str:
    """Labels as they stand between the braces."""
    return ",".join([f'{name}="{escaped(value)}"' for name, value in labels])


def render(families: Iterable[Family], format: Format = Format.TEXT) -> bytes:
    """The families in that format, sorted by name. A family without samples is left out."""
    lines: list[str] = []
    openmetrics = format is not Format.TEXT
    write = _openmetrics_lines if openmetrics else _text_lines
    for family in sorted((f for f in families if f.samples), key=lambda f: f.name):
        write(family, lines)
    if openmetrics:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode() if lines else b""


def respond(families: Iterable[Family], headers: Mapping[str, str]) -> Response:
    """The answer to a scrape with these request headers (names in lower case)."""
    format = negotiate(headers.get("accept", ""))
    return answer(render(families, format), format, headers)


def answer(body: bytes | Iterable[bytes], format: Format, headers: Mapping[str, str]) -> Response:
    """`body`, or its parts, is a whole exposition in `format`; it is compressed for those who take that, part by part."""
    kind = (b"content-type", format.value.encode())
    if not accepts_gzip(headers.get("accept-encoding", "")):
        return Response(200, body if isinstance(body, bytes) else b"".join(body), (kind,))
    packer = zlib.compressobj(COMPRESS_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    start, packed, size = b"", list[bytes](), 0
    for part in (body,) if isinstance(body, bytes) else body:
        start = start + part if size < COMPRESS_BYTES_MIN else b""
        size += len(part)
        packed.append(packer.compress(part))
    if size < COMPRESS_BYTES_MIN:
        return Response(200, start, (kind,))
    packed.append(packer.flush())
    return Response(200, b"".join(packed), (kind, (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")))


@lru_cache(maxsize=256)
def accepts_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.split(","):
        name, _, parameters = part.strip().lower().partition(";")
        if name.strip() in ("gzip", "*"):
            return _quality(parameters.split(";")) > 0
    return False


@lru_cache(maxsize=256)
def negotiate(accept: str) -> Format:
    """The acceptable format of the highest quality, the earlier of equals; text when none is."""
    best, best_quality = Format.TEXT, 0.0
    for part in accept.split(","):
        name, *parameters = [p.strip().lower() for p in part.split(";")]
        format = _format_of(name, {key.strip(): value.strip() for key, _, value in (p.partition("=") for p in parameters)})
        quality = _quality(parameters)
        if format is not None and quality > best_quality:
            best, best_quality = format, quality
    return best


def _format_of(media_type: str, parameters: dict[str, str]) -> Format | None:
    version = parameters.get("version", "")
    if media_type == "application/openmetrics-text":
        return {"": Format.OPENMETRICS_0, "0.0.1": Format.OPENMETRICS_0, "1.0.0": Format.OPENMETRICS}.get(version)
    if media_type in ("text/plain", "text/*", "*/*") and version in ("", "0.0.4"):
        return Format.TEXT
    return None


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def number(value: float) -> str:
    """As short as it can be without loss; infinities and NaN in the format's spelling."""
    try:
        whole = int(value)
    except (OverflowError, ValueError):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    if not whole and math.copysign(1.0, value) < 0:
        return repr(float(value))  # -0.0 is not 0
    return str(whole) if whole == value and -1e15 < value < 1e15 else repr(float(value))


def escaped(text: str) -> str:
    """A label's value as it stands between the quotes."""
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return text


def braced(labels: Pairs) -> str:
    return "{" + label_text(labels) + "}" if labels else ""


def _text_lines(family: Family, lines: list[str]) -> None:
    name = family.name
    lines.append(f"# HELP {name} {family.text.replace(chr(92), chr(92) * 2).replace(chr(10), chr(92) + 'n')}")
    lines.append(f"# TYPE {name} {family.kind}")
    stamps = family.timestamps_ms
    for key, value in family.samples.items():
        suffix, labels = key
        line = f"{name}{suffix}{braced(labels)} {number(value)}"
        lines.append(f"{line} {stamps[key]}" if key in stamps else line)


def _openmetrics_lines(family: Family, lines: list[str]) -> None:
    name, kind = family.name, family.kind
    if kind == "counter":
        name, kind = (name[:-6], kind) if name.endswith("_total") else (name, "unknown")
    elif kind == "untyped":
        kind = "unknown"
    lines.append(f"# HELP {name} {escaped(family.text)}")
    lines.append(f"# TYPE {name} {kind}")
    ending = "_total" if kind == "counter" else ""
    created = dict(family.created_s) if kind in ("counter", "histogram", "summary") else {}
    ended: Pairs | None = None
    for key, value in family.samples.items():
        suffix, labels = key
        plain = tuple(p for p in labels if p[0] not in ("le", "quantile")) if created and suffix in ("_bucket", "") else labels
        if ended is not None and plain != ended:
            _created_line(name, ended, created, lines)
        ended = plain
        if kind in ("histogram", "summary"):
            labels = tuple((n, _float_text(v)) if n in ("le", "quantile") else (n, v) for n, v in labels)
        line = f"{name}{suffix or ending}{braced(labels)} {number(value)}"
        if key in family.timestamps_ms:
            line += f" {number(family.timestamps_ms[key] / 1000)}"
        lines.append(line + _exemplar_text(family.exemplars.get(key)))
    if ended is not None:
        _created_line(name, ended, created, lines)


def _created_line(name: str, labels: Pairs, created: dict[Pairs, float], lines: list[str]) -> None:
    if (when := created.pop(labels, None)) is not None:
        lines.append(f"{name}_created{braced(labels)} {number(when)}")


def _exemplar_text(exemplar: Exemplar | None) -> str:
    if exemplar is None or sum(len(n) + len(v) for n, v in exemplar.labels) > EXEMPLAR_CHARS_MAX:
        return ""
    stamp = f" {number(exemplar.timestamp_s)}" if exemplar.timestamp_s else ""
    return f" # {braced(exemplar.labels) or '{}'} {number(exemplar.value)}{stamp}"


def _float_text(text: str) -> str:
    """A bound as OpenMetrics writes it: with a point or an exponent."""
    return text if any(c in text for c in ".eIN") else text + ".0"
