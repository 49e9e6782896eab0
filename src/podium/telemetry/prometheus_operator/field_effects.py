"""What becomes of fields of upstream's resources that Podium does not act on: told without refusing, or refused by name.

Three things can be said of a field of a Prometheus, a PrometheusAgent or an Alertmanager:

    it works           its schema is in schemas.py, and tests set each of them and see the plan change
    it has no effect   WITHOUT_EFFECT: it shapes upstream's pods, or how upstream's binary works inside; nothing that it asks for is missing
                       here. It is accepted, with a warning when it is written and an event
    it is refused      everything else: by the API server as unknown, by the webhook and the operator by name, with REASONS where there is more
                       to say

Source: the Prometheus operator's API reference.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = dict[str, Any]

_PODS = "no pods run it: it is part of Podium's telemetry"
_DISK = "samples, silences and notifications are kept in the cluster's data directory"
_LOGS = "it logs as Podium does"
_VERSION = "Podium brings one version"
_INSIDE = "it is up to Podium's own store and reload"
_PLACED = (
    "affinity", "automountServiceAccountToken", "enableServiceLinks", "hostUsers", "imagePullPolicy", "imagePullSecrets",
    "maximumStartupDurationSeconds", "minReadySeconds", "nodeSelector", "podManagementPolicy", "podMetadata", "priorityClassName", "resources",
    "schedulerName", "securityContext", "serviceAccountName", "terminationGracePeriodSeconds", "tolerations", "topologySpreadConstraints",
    "updateStrategy",
)  # fmt: skip
_SHARED: Mapping[str, str] = {
    **dict.fromkeys(_PLACED, _PODS),
    **dict.fromkeys(("baseImage", "image", "sha", "tag", "version"), _VERSION),
    **dict.fromkeys(("persistentVolumeClaimRetentionPolicy", "storage"), _DISK),
    **dict.fromkeys(("logFormat", "logLevel"), _LOGS),
}
_SERVER = {**_SHARED, **dict.fromkeys(("reloadStrategy", "runtime", "walCompression"), _INSIDE)}
_CLUSTERED = dict.fromkeys(
    ("clusterAdvertiseAddress", "clusterGossipInterval", "clusterLabel", "clusterPeerTimeout", "clusterPushpullInterval"),
    "one replica has no peers",
)
WITHOUT_EFFECT: Mapping[str, Mapping[str, str]] = {
    "Prometheus": {**_SERVER, "allowOverlappingBlocks": _INSIDE},
    "PrometheusAgent": _SERVER,
    "Alertmanager": {**_SHARED, **_CLUSTERED},
}
"""Kind -> field of its spec -> why."""

_OWN_FILES = "files would be this machine's: name the Secret or the ConfigMap where it is used"
REASONS: Mapping[str, str] = {
    "alertmanagerConfiguration.global": "use a configSecret",
    "alertmanagerConfiguration.templates": "use a configSecret",
    "additionalArgs": "there is no command line",
    "additionalPeers": "one replica has no peers",
    "apiserverConfig": "it watches the cluster that it belongs to",
    "configMaps": _OWN_FILES,
    "containers": "no pods run it, so nothing can run beside it",
    "initContainers": "no pods run it, so nothing can run before it",
    "mode": "there is one telemetry process, not one on each node",
    "objectStorageConfig": "write to an engine with object storage by remoteWrite",
    "queryLogFile": "it would be a file of this machine",
    "scrapeFailureLogFile": "it would be a file of this machine",
    "secrets": _OWN_FILES,
    "serviceName": "Podium makes the Service; see its status.url",
    "thanos": "write to Thanos Receive by remoteWrite",
    "tracingConfig": "the server sends no traces",
    "web": "it is served on this machine as Podium serves it",
}
"""What to do about some of the fields that are refused."""


_ENDINGS = {"File": "use a Secret", "SDConfigs": "use httpSDConfigs or fileSDConfigs"}


def without_effect(kind: str, spec: Mapping[str, Any]) -> list[str]:
    """A sentence for each field that is given and changes nothing, by name."""
    known = WITHOUT_EFFECT.get(kind, {})
    return [f"spec.{name} has no effect: {known[name]}" for name in sorted(spec) if name in known and _given(spec[name])]


def unsupported(spec: Any, schema: Schema) -> list[str]:
    """A sentence for each field that is given and that `schema` (of the kind's spec) does not have.

    The API server prunes them; they are here only when upstream's own definitions are in place of Podium's."""
    return [f"{path} is not supported{_reason(path)}" for path in _undescribed(spec, schema, "spec")]


def _reason(path: str) -> str:
    reason = REASONS.get(path.removeprefix("spec."), "")
    for ending, said in _ENDINGS.items():
        reason = reason or (said if path.endswith(ending) else "")
    return f": {reason}" if reason else ""


def _given(value: Any) -> bool:
    """Whether it says anything: definitions of upstream's fill some fields with what is the case anyway."""
    return value not in (None, "", 0, False, [], {})


def _undescribed(value: Any, schema: Schema, path: str) -> Iterator[str]:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, inner in value.items():
            if name in properties:
                yield from _undescribed(inner, properties[name], f"{path}.{name}")
            elif isinstance(others, dict):
                yield from _undescribed(inner, others, f"{path}.{name}")
            elif _given(inner):
                yield f"{path}.{name}"
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _undescribed(inner, schema.get("items", {}), f"{path}[{index}]")
