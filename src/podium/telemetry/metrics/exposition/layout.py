"""The layout of a text page: the heads of its lines, kept so that the next page costs little more than parsing its numbers.

Theory: a page is its lines. A layout has for each line its head: of a sample line all before the value, of any other line all of it.
`strip` takes the heads off a new page's lines with one C loop (bytes.removeprefix). A line that does not start with its head stays whole, so it
comes out longer than it should; hence the heads all fitted if and only if the lengths add up to that of the page less that of the
heads, and no other line left anything. (An empty line in place of a comment makes the sum too small, a wrong sample line too
large; as nothing else can make it smaller and such lines add to one side only, both are found.)

100,000 lines of 100 bytes take about 25 ms, of which half is splitting the page into lines.
"""

from array import array
from bisect import bisect_right
from collections.abc import Generator, Hashable, Mapping, Sequence
from itertools import compress

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
from podium.telemetry.metrics.exposition.steps import STEP_ROWS
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.storage import Metadata

_UNKNOWN = Metadata("unknown")


class TextLayout:
    """Immutable. `heads[i]` belongs to line i + 1; `is_sample[i]` is 1 for a sample line, 0 otherwise."""

    def __init__(
        self, form: TextFormat, heads: list[bytes], is_sample: bytes, metadata: Mapping[str, Metadata], kinds: list[tuple[int, str]]
    ) -> None:
        """`kinds`: (first row, type of the family from there on), ascending."""
        self.form = form
        self.metadata = metadata
        self._kinds = kinds
        self.heads = heads
        self._is_sample = is_sample
        self._is_other = bytes(1 - flag for flag in is_sample) if 0 in is_sample else b""
        self._heads_bytes = sum(map(len, heads))
        self._lines = array("I", compress(range(len(heads)), is_sample))  # of each row, from 0
        self.size = len(self._lines)

    def strip(self, lines: list[bytes], lines_bytes: int) -> list[bytes] | None:
        """The tails of the sample lines when the page has this layout, None otherwise. `lines_bytes` is the length of all lines."""
        if len(lines) != len(self.heads):
            return None
        tails = list(map(bytes.removeprefix, lines, self.heads))
        if self._is_other:
            if any(compress(tails, self._is_other)):
                return None
            tails = list(compress(tails, self._is_sample))
        return tails if sum(map(len, tails)) == lines_bytes - self._heads_bytes else None

    def line(self, row: int) -> int:
        return self._lines[row] + 1

    def row_keys(self) -> Sequence[Hashable]:
        """Heads, with the type of the family where it says how labels are written."""
        keys: list[Hashable] = [*self.sample_heads()]
        for number, (first, kind) in enumerate(self._kinds):
            end = self._kinds[number + 1][0] if number + 1 < len(self._kinds) else self.size
            if kind in NUMERIC_LABELS:
                keys[first:end] = [(kind, head) for head in keys[first:end]]
        return keys

    def sample_heads(self) -> list[bytes]:
        return list(compress(self.heads, self._is_sample)) if self._is_other else list(self.heads)

    def labels_at(self, rows: Sequence[int], interned: dict[Pair, Pair] | None = None) -> list[Labels]:
        found: list[Labels] = []
        shared = interned if interned is not None else {}
        starts = [first for first, _ in self._kinds]
        heads, lines = self.heads, self._lines
        for row in rows:
            at = bisect_right(starts, row)
            try:
                found.append(labels_of_head(heads[lines[row]].decode(), self._kinds[at - 1][1] if at else "unknown", shared))
            except ValueError as error:
                raise PageError(str(error), self.line(row)) from error
        return found


def read_layout(
    lines: Sequence[bytes], form: TextFormat, previous: TextLayout | None = None
) -> Generator[None, None, tuple[TextLayout, list[bytes]]]:
    """The layout of a page and the tails of its sample lines, in steps. Raises PageError. Lines are valid UTF-8.

    What stands before the last space of a line and was a head of the layout before is one again: most lines are not looked at further.
    """
    known = frozenset(previous.sample_heads()) if previous is not None and previous.form is form else frozenset()
    kinds: list[tuple[int, str]] = []
    heads: list[bytes] = []
    tails: list[bytes] = []
    flags = bytearray()
    metadata: dict[str, Metadata] = {}
    openmetrics = form is TextFormat.OPENMETRICS
    ended = False
    for number, line in enumerate(lines, 1):
        if not number % STEP_ROWS:
            yield
        if ended:
            raise PageError("unexpected data after # EOF", number)
        length = line.rfind(b" ") + 1
        if (head := line[:length]) in known or not _is_comment(line, openmetrics):
            if head not in known:
                length = head_length(line, form, number)
                head = line[:length]
            heads.append(head)
            tails.append(line[length:])
            flags.append(1)
            continue
        heads.append(line)
        flags.append(0)
        if openmetrics and line == b"# EOF":
            ended = True
        elif (said := _metadata(line, form, number)) is not None:
            before = metadata.get(said.family, _UNKNOWN)
            if said.keyword == "TYPE":
                kinds.append((len(tails), said.text))
            metadata[said.family] = Metadata(
                said.text if said.keyword == "TYPE" else before.type,
                said.text if said.keyword == "HELP" else before.help,
                said.text if said.keyword == "UNIT" else before.unit,
            )
    if openmetrics and not ended:
        raise PageError("data does not end with # EOF", len(lines))
    return TextLayout(form, heads, bytes(flags), metadata, kinds), tails


def _is_comment(line: bytes, openmetrics: bool) -> bool:
    if openmetrics:
        return line[:1] == b"#"
    return (line if line[:1] not in b" \t" else line.lstrip(b" \t"))[:1] in b"#"


def _metadata(line: bytes, form: TextFormat, number: int) -> MetadataLine | None:
    return metadata_of(line, form, number) if line.lstrip(b" \t") and line != b"# EOF" else None
