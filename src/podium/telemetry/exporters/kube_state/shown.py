"""The lines of the objects of one resource, kept small: packed text, and the numbers beside it for those who want no text.

An object's lines stand by family, in the order of the families' names; objects are alike, so each text is compressed against the first one. Lines
are told apart by a key of what stands before the number, so that it is cheap to see whether an object still has the same series.
"""

import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from podium.client.mirror import Change
from podium.instrument.exposition import Format, head_lines
from podium.instrument.log import logger
from podium.objects.values import key_of
from podium.telemetry.exporters.kube_state.resources import Shown

LEVEL = 1
LIKE_BYTES_MAX = 1 << 15
"""Of the text that the others are compressed against: how far back zlib looks."""
_RAW = -zlib.MAX_WBITS

log = logger("exporters.kube_state")

Allowed = Mapping[str, tuple[str, ...]]
"""By resource (its plural, or `*` for every one): the keys that are shown, or ("*",) for all."""


@dataclass(frozen=True, slots=True)
class ShownObject:
    """`families` has a bit for each family of the resource that the object has lines of; between families there is an empty line."""

    families: int
    packed: bytes
    like: bytes
    size: int  # of the text without empty lines, in bytes
    keys: bytes  # int64, of each line
    values: bytes  # float64, of each line
    places: bytes  # of each line: the number of its family

    @property
    def rows(self) -> int:
        return len(self.keys) // 8

    def text(self) -> bytes:
        return zlib.decompressobj(_RAW, self.like).decompress(self.packed)

    def heads(self) -> list[str]:
        """What stands before the number, of each line."""
        return [line.rpartition(" ")[0] for line in self.text().decode().split("\n") if line]


class Store:
    """By object's key, in the order of arrival. `generation` moves when there are other series than before."""

    def __init__(self, shown: Shown, labels: Allowed, annotations: Allowed) -> None:
        self.shown = shown
        self.objects: dict[str, ShownObject] = {}
        self.generation = 0
        plural = shown.resource.plural
        self._labels = labels.get(plural) or labels.get("*") or ()
        self._annotations = annotations.get(plural) or annotations.get("*") or ()
        self.families = sorted(shown.families)
        assert len(self.families) < 256, "the number of a family is a byte"
        self._like = b""
        kinds = {name: kind_of(name) for name in self.families}
        self._heads = {
            format: [f"{head_lines(name, kinds[name], shown.families[name], format)}\n".encode() for name in self.families]
            for format in Format
        }

    def changed(self, change: Change) -> None:
        key = key_of(change.object)
        before = self.objects.get(key)
        found: dict[str, str] = {}
        if change.new is not None:
            try:
                found = self.shown.lines(change.new, self._labels, self._annotations)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                log.warning("an object cannot be shown", resource=self.shown.resource.plural, object=key, error=error)
        now = self._shown(found)
        if now is not None:
            self.objects[key] = now
        else:
            self.objects.pop(key, None)
        if (before.keys if before is not None else b"") != (now.keys if now is not None else b""):
            self.generation += 1

    def _shown(self, found: Mapping[str, str]) -> ShownObject | None:
        there = [number for number, name in enumerate(self.families) if name in found]
        if not there:
            return None
        texts = [found[self.families[number]] for number in there]
        lines = [text.count("\n") for text in texts]
        parts = [line.rpartition(" ") for text in texts for line in text.split("\n") if line]
        text = "\n".join(texts).encode()
        if not self._like:
            self._like = text[:LIKE_BYTES_MAX]
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _RAW, zdict=self._like)
        packed = packer.compress(text) + packer.flush()
        keys = array("q", [hash(head) for head, _, _ in parts])
        values = array("d", [float(value) for _, _, value in parts])
        families = sum(1 << number for number in there)
        places = b"".join([bytes((number,)) * count for number, count in zip(there, lines, strict=True)])
        return ShownObject(families, packed, self._like, len(text) - len(texts) + 1, keys.tobytes(), values.tobytes(), places)

    def shown_families(self) -> Iterator[tuple[int, str]]:
        """(number, name) of those that an object has lines of."""
        there = 0
        for one in self.objects.values():
            there |= one.families
        return ((number, name) for number, name in enumerate(self.families) if there >> number & 1)

    def write(self, parts: list[bytes | bytearray], format: Format) -> None:
        """Adds the page's lines of this resource: family by family, the objects in order."""
        by_family = [bytearray() for _ in self.families]  # a few large blocks rather than hundreds of thousands of lines
        for one in self.objects.values():
            texts = iter(one.text().removesuffix(b"\n").split(b"\n\n"))
            for number, lines in enumerate(by_family):
                if one.families >> number & 1:
                    lines += next(texts)
                    lines += b"\n"
        for head, lines in zip(self._heads[format], by_family, strict=True):
            if lines:
                parts.append(head)
                parts.append(lines)

    def text_bytes(self) -> int:
        """Of the page's lines of this resource, in the text format."""
        heads = self._heads[Format.TEXT]
        return sum(one.size for one in self.objects.values()) + sum(len(heads[number]) for number, _ in self.shown_families())


def kind_of(family: str) -> str:
    return "counter" if family.endswith("_total") else "gauge"
