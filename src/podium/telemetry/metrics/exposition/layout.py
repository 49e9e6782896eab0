"""The layout of a text page: the heads of its lines, kept so that the next page costs little more than parsing its numbers.

Theory: a page is its lines. A layout has for each line its head: of a sample line all before the value, of any other line all of it and its line
feed. A page of the same layout is these heads with other values between them (layout_match.py). A page is read some lines at a time (heads.py).
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress

import numpy as np

from podium.telemetry.metrics.exposition.errors import PageError
from podium.telemetry.metrics.exposition.grammar import (
    NUMERIC_LABELS,
    MetadataLine,
    Pair,
    TextFormat,
    head_length,
    labels_of_head,
    metadata_of,
)
from podium.telemetry.metrics.exposition.heads import Heads, Keys, keys_of
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.storage import Metadata

_UNKNOWN = Metadata("unknown")


class TextLayout:
    """Immutable. Of each line its head, of each row its line and a key of its head."""

    def __init__(
        self, form: TextFormat, heads: Heads, is_sample: bytes, keys: Keys, metadata: Mapping[str, Metadata], kinds: list[tuple[int, str]]
    ) -> None:
        """`is_sample[i]` is 1 where line i + 1 is a sample, 0 otherwise. `keys` (rows,) of their heads. `kinds`: (first row, type of the
        family from there on), ascending."""
        self.form = form
        self.metadata = metadata
        self.heads = heads
        self.is_sample = is_sample
        self.head_keys = keys
        self._kinds = kinds
        self._lines = array("I", compress(range(len(is_sample)), is_sample))  # of each row, from 0
        self.size = len(self._lines)

    def line(self, row: int) -> int:
        return self._lines[row] + 1

    def row_keys(self) -> Keys:
        """Those of the heads, changed by the type of the family where that says how labels are written."""
        keys = self.head_keys.copy()
        for number, (first, kind) in enumerate(self._kinds):
            end = self._kinds[number + 1][0] if number + 1 < len(self._kinds) else self.size
            if kind in NUMERIC_LABELS:
                keys[first:end] ^= hash(kind)
        return keys

    def labels_at(self, rows: Sequence[int], interned: dict[Pair, Pair] | None = None) -> list[Labels]:
        found: list[Labels] = []
        shared = interned if interned is not None else {}
        starts = [first for first, _ in self._kinds]
        lines = self._lines
        for row, head in zip(rows, self.heads.at([lines[row] for row in rows]), strict=True):
            at = bisect_right(starts, row)
            try:
                found.append(labels_of_head(head.decode(), self._kinds[at - 1][1] if at else "unknown", shared))
            except ValueError as error:
                raise PageError(str(error), self.line(row)) from error
        return found


class LayoutReader:
    """Makes the layout of a page, some lines at a time. Lines are valid UTF-8.

    What stands before the last space of a line and was a head of the layout before is one again: most lines are not looked at further.
    """

    def __init__(self, form: TextFormat, previous: TextLayout | None = None) -> None:
        self._form = form
        self._known = np.sort(previous.head_keys) if previous is not None and previous.form is form else np.empty(0, np.int64)
        self._kinds: list[tuple[int, str]] = []
        self._heads = Heads()
        self._keys: list[Keys] = []
        self._flags = bytearray()
        self._metadata: dict[str, Metadata] = {}
        self._rows = 0
        self._ended = False
        self._lines = array("I")  # of rows, from 1

    def tails(self, lines: Sequence[bytes]) -> list[bytes]:
        """Of the sample lines among the next ones. Raises PageError."""
        starts = [line[: line.rfind(b" ") + 1] for line in lines]
        heads: list[bytes] = []
        samples: list[bytes] = []
        tails: list[bytes] = []
        openmetrics = self._form is TextFormat.OPENMETRICS
        for number, line, head, known in zip(
            range(len(self._flags) + 1, len(self._flags) + len(lines) + 1), lines, starts, self._are_known(starts), strict=True
        ):
            if self._ended:
                raise PageError("unexpected data after # EOF", number)
            if not known and _is_comment(line, openmetrics):
                heads.append(line + b"\n")
                self._flags.append(0)
                self._comment(line, number, len(tails))
                continue
            if not known:
                head = line[: head_length(line, self._form, number)]
            heads.append(head)
            samples.append(head)
            tails.append(line[len(head) :])
            self._flags.append(1)
            self._lines.append(number)
        self._heads.add(heads)
        self._keys.append(keys_of(samples))
        self._rows += len(tails)
        return tails

    def _are_known(self, heads: list[bytes]) -> Iterator[bool]:
        if not len(self._known):
            return iter([False] * len(heads))
        keys = keys_of(heads)
        at = np.minimum(np.searchsorted(self._known, keys), len(self._known) - 1)
        return iter((self._known[at] == keys).tolist())

    def _comment(self, line: bytes, number: int, rows: int) -> None:
        """`rows`: since the last call of `tails`."""
        if self._form is TextFormat.OPENMETRICS and line == b"# EOF":
            self._ended = True
        elif (said := _metadata(line, self._form, number)) is not None:
            before = self._metadata.get(said.family, _UNKNOWN)
            if said.keyword == "TYPE":
                self._kinds.append((self._rows + rows, said.text))
            self._metadata[said.family] = Metadata(
                said.text if said.keyword == "TYPE" else before.type,
                said.text if said.keyword == "HELP" else before.help,
                said.text if said.keyword == "UNIT" else before.unit,
            )

    def line(self, row: int) -> int:
        return self._lines[row]

    def layout(self) -> TextLayout:
        """After the last line. Raises PageError."""
        if self._form is TextFormat.OPENMETRICS and not self._ended:
            raise PageError("data does not end with # EOF", len(self._flags))
        self._heads.end()
        keys = np.concatenate(self._keys) if self._keys else np.empty(0, np.int64)
        return TextLayout(self._form, self._heads, bytes(self._flags), keys, self._metadata, self._kinds)


def _is_comment(line: bytes, openmetrics: bool) -> bool:
    if openmetrics:
        return line[:1] == b"#"
    return (line if line[:1] not in b" \t" else line.lstrip(b" \t"))[:1] in b"#"


def _metadata(line: bytes, form: TextFormat, number: int) -> MetadataLine | None:
    return metadata_of(line, form, number) if line.lstrip(b" \t") and line != b"# EOF" else None
