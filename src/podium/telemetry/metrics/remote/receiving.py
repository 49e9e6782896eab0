"""Remote write, the receiving side: samples of other servers into the store, acknowledged when they are on disk.

A request is taken as far as it can be. What will never be taken (samples out of order, doubled, too far ahead; series that are none, or beyond
the store's limit) is refused with 400, which tells a sender not to repeat it; the rest of the request is kept, and version 2.0 is told how
much. What cannot be taken now is 503 with Retry-After: the sender comes again, and what was kept meanwhile is known then.

Exemplars that are refused count in version 2.0 only, as upstream's.

Source: the remote write specifications 1.0 and 2.0; upstream's receiver for what is refused.
"""

from collections.abc import Sequence

from podium.telemetry.metrics.errors import LimitExceeded, StorageFailed
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.write_batch import WriteBatch, show
from podium.telemetry.metrics.samples import Sample
from podium.telemetry.metrics.storage import Appendable, Metadata, Outcome, Rejected
from podium.world.http_messages import Headers, HttpRequest, Response
from podium.world.interface import World

METADATA_MAX = 20_000
"""Metric families that senders may describe; what is beyond is not kept."""
AHEAD_MS_MAX = 10 * 60 * 1000
"""How far in the future a sample may be. Source: upstream."""
REASONS_MAX = 10
"""Told of one request; the last line then says how many more there are."""
RETRY_AFTER_S = 5
MESSAGES = {"": "1", "prometheus.WriteRequest": "1", "io.prometheus.write.v2.Request": "2"}
"""Content type's `proto` parameter -> version."""
_WORDS = {
    Outcome.OUT_OF_ORDER: "out of order sample",
    Outcome.TOO_OLD: "too old sample",
    Outcome.DUPLICATE: "duplicate sample for timestamp",
    Outcome.OVER_LIMIT: "the store's limit of series is reached, and new ones are not taken",
}


class WriteReceiver:
    """`await receiver(request)`: the handler of POST /api/v1/write."""

    def __init__(self, storage: Appendable, world: World) -> None:
        self._storage, self._world = storage, world
        self._metadata: dict[str, Metadata] = {}

    async def __call__(self, request: HttpRequest) -> Response:
        kind, _, parameters = request.headers.get("content-type", "application/x-protobuf").partition(";")
        proto = parameters.strip().removeprefix("proto=") if parameters.strip().startswith("proto=") else ""
        version = MESSAGES.get(proto)
        if kind.strip() != "application/x-protobuf" or version is None:
            return _text(
                415, f"{kind.strip()};{parameters.strip()} protobuf message is not accepted by this server; accepted {sorted(MESSAGES)[1:]}"
            )
        if (encoding := request.headers.get("content-encoding", "snappy")) != "snappy":
            return _text(415, f"{encoding} encoding (compression) is not accepted by this server; only snappy is acceptable")
        try:
            batch = WriteBatch.version_1(request.body) if version == "1" else WriteBatch.version_2(request.body)
        except MessageRefused as error:
            return _text(400, str(error), _written(version, 0, 0, 0))
        return await self.take(batch, version)

    async def take(self, batch: WriteBatch, version: str = "1") -> Response:
        """204 when all of it is on disk, 400 when some of it will never be taken, 503 when it cannot be taken now."""
        try:
            return await self._take(batch, version)
        except (LimitExceeded, StorageFailed) as error:
            retry = (b"retry-after", str(RETRY_AFTER_S).encode())
            return _text(503, str(error), (retry, *_written(version, 0, 0, 0)))

    async def _take(self, batch: WriteBatch, version: str) -> Response:
        """Raises LimitExceeded, StorageFailed."""
        latest_ms = int(self._world.clock.now().timestamp() * 1000) + AHEAD_MS_MAX
        samples = [s for s in batch.samples if s.time_ms <= latest_ms]
        reasons = [*batch.refused]
        reasons += [
            f"out of bounds: timestamp is too far in the future for series {show(s.labels)}" for s in batch.samples if s.time_ms > latest_ms
        ]
        rejected = self._storage.append_samples(samples, partly=True)
        reasons += _reasons(samples, rejected)
        spurned = self._storage.append_exemplars(batch.exemplars)
        if version == "2" and spurned.out_of_order:
            reasons.append(f"out of order exemplar ({spurned.out_of_order} of them)")
        if batch.metadata:
            self._storage.set_metadata((("job", "remote-write"),), self._known(batch))
        await self._storage.synced()
        written: Headers = ()
        if version == "2":
            floats, histograms = (_count_kept(samples, rejected, histograms=native) for native in (False, True))
            written = _written(version, floats, histograms, len(batch.exemplars) - spurned.count)
        return _text(400, _listed(reasons), written) if reasons else Response(204, b"", written)

    def _known(self, batch: WriteBatch) -> dict[str, Metadata]:
        """Requests tell of a few families each: all that was told so far."""
        room = METADATA_MAX - len(self._metadata)
        new = [family for family in batch.metadata if family not in self._metadata]
        self._metadata.update({f: about for f, about in batch.metadata.items() if f not in new[max(0, room) :]})
        return dict(self._metadata)


def _reasons(samples: Sequence[Sample], rejected: Rejected) -> list[str]:
    """A line for each kind, with its first sample."""
    if not rejected or rejected.outcomes is None:
        return []
    found: dict[Outcome, list[Sample]] = {}
    for outcome, sample in zip(rejected.outcomes.tolist(), samples, strict=True):
        if outcome in _WORDS:
            found.setdefault(Outcome(outcome), []).append(sample)
    return [f"{_WORDS[o]} for series {show(s[0].labels)} ({len(s)} of them)" for o, s in sorted(found.items())]


def _count_kept(samples: Sequence[Sample], rejected: Rejected, *, histograms: bool) -> int:
    outcomes = rejected.outcomes.tolist() if rejected.outcomes is not None else [Outcome.TAKEN] * len(samples)
    return sum(1 for o, s in zip(outcomes, samples, strict=True) if o <= Outcome.KNOWN and isinstance(s.value, Histogram) is histograms)


def _listed(reasons: Sequence[str]) -> str:
    more = [f"and {len(reasons) - REASONS_MAX} more"] if len(reasons) > REASONS_MAX else []
    return "\n".join([*reasons[:REASONS_MAX], *more])


def _written(version: str, samples: int, histograms: int, exemplars: int) -> Headers:
    if version == "1":
        return ()
    named = (("Samples", samples), ("Histograms", histograms), ("Exemplars", exemplars))
    return tuple((f"x-prometheus-remote-write-{name.lower()}-written".encode(), str(count).encode()) for name, count in named)


def _text(status: int, text: str, headers: Headers = ()) -> Response:
    return Response(status, (text + "\n").encode(), ((b"content-type", b"text/plain; charset=utf-8"), *headers))
