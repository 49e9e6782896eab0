"""`remoteWrite` and `remoteRead` of a Prometheus as entries of prometheus.yml's remote_write and remote_read.

Source: the Prometheus operator's API reference, RemoteWriteSpec and RemoteReadSpec.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from podium.telemetry.prometheus_operator.credentials import Credentials
from podium.telemetry.prometheus_operator.relabeling import written

Config = dict[str, Any]
_WRITE = {
    "name": "name", "headers": "headers", "sendExemplars": "send_exemplars", "sendNativeHistograms": "send_native_histograms",
}  # fmt: skip
_READ = {
    "name": "name", "headers": "headers", "requiredMatchers": "required_matchers", "readRecent": "read_recent",
    "filterExternalLabels": "filter_external_labels", "remoteTimeout": "remote_timeout",
}  # fmt: skip
_QUEUE = {
    "capacity": "capacity", "minShards": "min_shards", "maxShards": "max_shards", "maxSamplesPerSend": "max_samples_per_send",
    "batchSendDeadline": "batch_send_deadline", "minBackoff": "min_backoff", "maxBackoff": "max_backoff",
    "retryOnRateLimit": "retry_on_http_429", "sampleAgeLimit": "sample_age_limit",
}  # fmt: skip
_METADATA = {"send": "send", "sendInterval": "send_interval", "maxSamplesPerSend": "max_samples_per_send"}
_MESSAGES = {"V1.0": "prometheus.WriteRequest", "V2.0": "io.prometheus.write.v2.Request"}


def remote_write(entries: Sequence[Mapping[str, Any]] | None, credentials: Credentials) -> list[Config]:
    """Raises ResourceRefused."""
    return [_write(given, credentials, f"remoteWrite[{number}]") for number, given in enumerate(entries or ())]


def remote_read(entries: Sequence[Mapping[str, Any]] | None, credentials: Credentials) -> list[Config]:
    """Raises ResourceRefused."""
    return [
        {"url": given.get("url", ""), **credentials.http(given, f"remoteRead[{number}]"), **_named(given, _READ)}
        for number, given in enumerate(entries or ())
    ]


def _write(given: Mapping[str, Any], credentials: Credentials, where: str) -> Config:
    config = {"url": given.get("url", ""), "remote_timeout": given.get("remoteTimeout") or "30s", **credentials.http(given, where)}
    config |= _named(given, _WRITE)
    if given.get("messageVersion"):
        config["protobuf_message"] = _MESSAGES.get(given["messageVersion"], given["messageVersion"])
    if given.get("writeRelabelConfigs"):
        config["write_relabel_configs"] = written(given["writeRelabelConfigs"])
    if queue := given.get("queueConfig"):
        config["queue_config"] = _named(queue, _QUEUE)
    if metadata := given.get("metadataConfig"):
        config["metadata_config"] = _named(metadata, _METADATA)
    return config


def _named(given: Mapping[str, Any], names: Mapping[str, str]) -> Config:
    return {ours: given[theirs] for theirs, ours in names.items() if given.get(theirs) is not None}
