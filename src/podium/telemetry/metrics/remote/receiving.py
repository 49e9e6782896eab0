"""Remote write, the receiving side: samples of other servers into the store, acknowledged when they are on disk.

A request is taken as far as it can be: samples that are out of order or doubled are refused with 400, the others are kept, so that a
sender does not repeat them. What the store cannot take now is 503: the sender tries again.

Source: the remote write specifications 1.0 and 2.0.
"""

from podium.telemetry.metrics.errors import LimitExceeded, StorageFailed
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.messages import WriteBatch
from podium.telemetry.metrics.storage import Appendable, Metadata, Rejected
from podium.world.http_messages import Headers, HttpRequest, Response

METADATA_MAX = 20_000
"""Metric families that senders may describe; what is beyond is not kept."""
MESSAGES = {"": "1", "prometheus.WriteRequest": "1", "io.prometheus.write.v2.Request": "2"}
"""Content type's `proto` parameter -> version."""


class WriteReceiver:
    """`await receiver(request)`: the handler of POST /api/v1/write."""

    def __init__(self, storage: Appendable) -> None:
        self._storage = storage
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
        try:
            rejected = self._storage.append_samples(batch.samples)
            refused_exemplars = self._storage.append_exemplars(batch.exemplars)
            if batch.metadata:
                self._storage.set_metadata((("job", "remote-write"),), self._known(batch))
            await self._storage.synced()
        except (LimitExceeded, StorageFailed) as error:
            return _text(503, str(error), _written(version, 0, 0, 0))
        lost = rejected.out_of_order + rejected.too_old + rejected.duplicate
        histograms = batch.histograms if not lost else 0
        kept = max(0, len(batch.samples) - lost - histograms)
        written = _written(version, kept, histograms, len(batch.exemplars) - refused_exemplars.out_of_order - refused_exemplars.duplicate)
        return _text(400, _reason(rejected), written) if lost else Response(204, b"", written)

    def _known(self, batch: WriteBatch) -> dict[str, Metadata]:
        """Requests tell of a few families each: all that was told so far."""
        room = METADATA_MAX - len(self._metadata)
        new = [family for family in batch.metadata if family not in self._metadata]
        self._metadata.update({f: about for f, about in batch.metadata.items() if f not in new[max(0, room) :]})
        return dict(self._metadata)


def _reason(rejected: Rejected) -> str:
    """In the words that senders log, the first kind first."""
    if rejected.out_of_order:
        return f"out of order sample ({rejected.out_of_order} of them)"
    if rejected.too_old:
        return f"too old sample ({rejected.too_old} of them)"
    return f"duplicate sample for timestamp ({rejected.duplicate} of them)"


def _written(version: str, samples: int, histograms: int, exemplars: int) -> Headers:
    if version == "1":
        return ()
    named = (("Samples", samples), ("Histograms", histograms), ("Exemplars", exemplars))
    return tuple((f"x-prometheus-remote-write-{name.lower()}-written".encode(), str(count).encode()) for name, count in named)


def _text(status: int, text: str, headers: Headers = ()) -> Response:
    return Response(status, (text + "\n").encode(), ((b"content-type", b"text/plain; charset=utf-8"), *headers))
