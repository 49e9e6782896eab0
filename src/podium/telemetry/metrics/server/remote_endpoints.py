"""Remote endpoints as the configuration has them: writers and readers, with their credentials and time limits.

Source: Prometheus' configuration, <remote_write>, <remote_read>; its rules for what is tried again.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from podium.telemetry.metrics.configuration.remote import WRITE_2_0, RemoteReadConfig, RemoteWriteConfig
from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.outbound.client import OutboundClient, OutboundMaker
from podium.telemetry.metrics.outbound.interface import OutboundError, Requester
from podium.telemetry.metrics.relabel import Relabeling
from podium.telemetry.metrics.remote.errors import SendFailed
from podium.telemetry.metrics.remote.read_client import ReadClient, ReadOptions
from podium.telemetry.metrics.remote.sending import QueueOptions, RemoteWriter
from podium.telemetry.metrics.storage import Queryable
from podium.world.interface import World

ANSWER_BYTES_MAX = 64 * 1024
READ_BYTES_MAX = 64 * 1024 * 1024
"""Of an answer to a remote read."""
READ_ERROR_BYTES_MAX = 512
RETRY_S_MAX = 300.0
_TYPES = {"1": "application/x-protobuf", "2": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
_VERSIONS = {"1": "0.1.0", "2": "2.0.0"}


def name_of(config: RemoteWriteConfig | RemoteReadConfig) -> str:
    """As it is configured, or the beginning of a digest of its address, as upstream's."""
    return config.name or hashlib.md5(str.__str__(config.url).encode(), usedforsecurity=False).hexdigest()[:6]


def writer(
    config: RemoteWriteConfig, storage: Queryable, world: World, external_labels: Labels, directory: Path | None,
    outbound: OutboundMaker | None = None,
) -> RemoteWriter:  # fmt: skip
    requester = outbound(config.http) if outbound else OutboundClient(config.http, world, user_agent="Podium")
    queue, relabeling = config.queue_config, Relabeling(config.write_relabel_configs)
    shards = max(queue.min_shards, min(queue.max_shards, 4))
    options = QueueOptions(
        capacity=queue.capacity * queue.max_shards,
        shards=shards,
        max_samples_per_send=queue.max_samples_per_send,
        batch_send_deadline_ms=queue.batch_send_deadline,
        min_backoff_ms=queue.min_backoff,
        max_backoff_ms=queue.max_backoff,
        sample_age_limit_ms=queue.sample_age_limit,
        version="2" if config.protobuf_message == WRITE_2_0 else "1",
        native_histograms=config.send_native_histograms,
        exemplars=config.send_exemplars,
        metadata=config.metadata_config.send,
        metadata_interval_ms=config.metadata_config.send_interval,
        metadata_per_send=config.metadata_config.max_samples_per_send,
    )

    def relabel(labels: Labels) -> Labels | None:
        values = dict(labels)
        return labels_of(values) if relabeling.apply(values) else None

    async def post(body: bytes, version: str) -> None:
        headers = {
            **config.headers, "content-type": _TYPES[version], "content-encoding": "snappy",
            "x-prometheus-remote-write-version": _VERSIONS[version],
        }  # fmt: skip
        await _post(requester, config, body, headers)

    position = directory / "remote_write" / name_of(config) if directory is not None else None
    if position is not None:
        position.parent.mkdir(parents=True, exist_ok=True)
    return RemoteWriter(
        name_of(config), storage, world, post, options, external_labels=external_labels,
        relabel=relabel if config.write_relabel_configs else None, position_file=position, close=requester.aclose,
    )  # fmt: skip


async def _post(requester: Requester, config: RemoteWriteConfig, body: bytes, headers: Mapping[str, str]) -> None:
    """Raises SendFailed."""
    url = str.__str__(config.url)
    try:
        answer = await requester.request(
            "POST", url, headers=headers, body=body, timeout_s=config.remote_timeout / 1000, response_bytes_max=ANSWER_BYTES_MAX
        )
    except OutboundError as error:
        raise SendFailed(str(error), 0.0) from error
    if answer.status // 100 == 2:
        return
    said = answer.body.decode(errors="replace").strip().partition("\n")[0][:500]
    again = answer.status // 100 == 5 or (answer.status == 429 and config.queue_config.retry_on_http_429)
    raise SendFailed(f"server returned HTTP status {answer.status_text}: {said}", _retry_after_s(answer.headers) if again else None)


def _retry_after_s(headers: Mapping[str, str]) -> float:
    text = headers.get("retry-after", "")
    return min(RETRY_S_MAX, float(text)) if text.isascii() and text.isdigit() else 0.0


def reader(
    config: RemoteReadConfig, world: World, external_labels: Labels, whole_from_ms: Callable[[], int], outbound: OutboundMaker | None = None
) -> ReadClient:
    requester = outbound(config.http) if outbound else OutboundClient(config.http, world, user_agent="Podium")
    url, timeout_s = str.__str__(config.url), config.remote_timeout / 1000
    headers = {
        **config.headers, "content-type": "application/x-protobuf", "content-encoding": "snappy", "accept-encoding": "snappy",
        "x-prometheus-remote-read-version": "0.1.0",
    }  # fmt: skip

    async def post(body: bytes) -> tuple[str, bytes]:
        answer = await requester.request("POST", url, headers=headers, body=body, timeout_s=timeout_s, response_bytes_max=READ_BYTES_MAX)
        if answer.status // 100 != 2:
            said = answer.body[:READ_ERROR_BYTES_MAX].decode(errors="replace").strip()
            raise OutboundError(f"remote server {config.url} returned http status {answer.status_text}: {said}")
        return answer.headers.get("content-type", ""), answer.body

    options = ReadOptions(
        read_recent=config.read_recent,
        required_matchers=config.required_matchers,
        external_labels=external_labels if config.filter_external_labels else (),
        frame_bytes_max=config.chunked_read_limit,
    )
    return ReadClient(name_of(config), post, options, whole_from_ms, requester.aclose)
