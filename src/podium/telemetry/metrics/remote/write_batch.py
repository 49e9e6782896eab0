"""A remote write request, read: samples, exemplars and metadata, and what of it is not as it should be.

A request with something wrong in one series is not wrong as a whole: the series is left out and told of in `refused`, the others stand. What
cannot be read at all is MessageRefused.

Source: the remote write specifications 1.0 and 2.0 ("Invalid samples"); upstream's receiver for words.
"""

from collections.abc import Callable, Sequence
from typing import Any

from podium.telemetry.metrics.labels import METRIC_NAME, Labels, labels_of
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.messages import TYPES, decode, histogram_from
from podium.telemetry.metrics.samples import Exemplar, Sample
from podium.telemetry.metrics.storage import Metadata

EXEMPLAR_CHARACTERS_MAX = 128
"""Of an exemplar's labels, names and values; longer ones are left out in silence. Source: OpenMetrics 1.0."""
_PARTS = {"histogram": ("_bucket", "_sum", "_count"), "gaugehistogram": ("_bucket", "_gsum", "_gcount"), "summary": ("_sum", "_count")}


class WriteBatch:
    """What one remote write request holds, either version; `refused` says what of it was left out, a text for each."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.exemplars: list[tuple[Labels, Exemplar]] = []
        self.metadata: dict[str, Metadata] = {}
        self.refused: list[str] = []

    @classmethod
    def version_1(cls, body: bytes) -> "WriteBatch":
        """Raises MessageRefused."""
        batch, request = cls(), decode("WriteRequest", body)
        for series in request.timeseries:
            try:
                batch._add(_checked([(label.name, label.value) for label in series.labels]), series, _named)
            except MessageRefused as error:
                batch.refused.append(str(error))
        for said in request.metadata:
            batch.metadata[said.metric_family_name] = Metadata(_type(said.type), said.help, said.unit)
        return batch

    @classmethod
    def version_2(cls, body: bytes) -> "WriteBatch":
        """Raises MessageRefused."""
        batch, request = cls(), decode("RequestV2", body)
        symbols = list(request.symbols)

        def resolve(exemplar: Any) -> list[tuple[str, str]]:
            return _resolved(symbols, exemplar.labels_refs)

        for series in request.timeseries:
            try:
                labels = _checked(resolve(series))
                if not series.samples and not series.histograms:
                    raise MessageRefused(f"TimeSeries must contain at least one sample or histogram for series {show(labels)}")
                if series.HasField("metadata"):
                    batch._describe(labels, series.metadata, symbols)
                batch._add(labels, series, resolve)
            except MessageRefused as error:
                batch.refused.append(str(error))
        return batch

    def _add(self, labels: Labels, series: Any, labels_of_exemplar: Callable[[Any], list[tuple[str, str]]]) -> None:
        self.samples += [Sample(labels, s.timestamp, s.value) for s in series.samples]
        for h in series.histograms:
            try:
                self.samples.append(Sample(labels, h.timestamp, histogram_from(h)))
            except MessageRefused as error:
                self.refused.append(f"{error} for series {show(labels)}")
        for e in series.exemplars:
            try:
                own = labels_of(dict(labels_of_exemplar(e)))
            except MessageRefused as error:
                self.refused.append(f"parsing exemplar for series {show(labels)}: {error}")
                continue
            if sum(len(name) + len(value) for name, value in own) <= EXEMPLAR_CHARACTERS_MAX:
                self.exemplars.append((labels, Exemplar(own, e.value, e.timestamp)))

    def _describe(self, labels: Labels, said: Any, symbols: Sequence[str]) -> None:
        if said.help_ref >= len(symbols) or said.unit_ref >= len(symbols):
            raise MessageRefused(f"metadata of series {show(labels)} refers to a symbol beyond the {len(symbols)} there are")
        about = Metadata(_type(said.type), symbols[said.help_ref], symbols[said.unit_ref])
        name = dict(labels).get(METRIC_NAME, "")
        suffix = next((part for part in _PARTS.get(about.type, ()) if name.endswith(part)), "")
        if about != Metadata("unknown"):
            self.metadata[name.removesuffix(suffix)] = about


def show(labels: Labels) -> str:
    """As in upstream's messages."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"


def _named(exemplar: Any) -> list[tuple[str, str]]:
    return [(label.name, label.value) for label in exemplar.labels]


def _resolved(symbols: Sequence[str], references: Sequence[int]) -> list[tuple[str, str]]:
    try:
        texts = [symbols[r] for r in references]
    except IndexError as error:
        raise MessageRefused(f"a label refers to a symbol beyond the {len(symbols)} there are") from error
    if len(texts) % 2:
        raise MessageRefused(f"invalid labelRefs length {len(texts)}")
    return list(zip(texts[::2], texts[1::2], strict=True))


def _type(number: int) -> str:
    return TYPES[number] if 0 <= number < len(TYPES) else TYPES[0]


def _checked(pairs: list[tuple[str, str]]) -> Labels:
    """Sorted, without empty values. Raises MessageRefused for labels that name no series."""
    ordered = sorted(pairs)
    if not ordered:
        raise MessageRefused("a series has no labels")
    names = [name for name, _ in ordered]
    if "" in names:
        raise MessageRefused(f"a label has no name, in series {show(tuple(ordered))}")
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise MessageRefused(f"duplicate label with name: {twice}, in series {show(tuple(ordered))}")
    if not dict(ordered).get(METRIC_NAME):
        raise MessageRefused(f"a series has no metric name: {show(tuple(ordered))}")
    return tuple((name, value) for name, value in ordered if value)
