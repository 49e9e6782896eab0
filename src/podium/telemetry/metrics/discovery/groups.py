"""Targets as discovery finds them: groups, each from a source.

A later group of the same source replaces the one before; one without targets removes it. Whoever discovers says only what changed.
Source: Prometheus' discovery.Discoverer and targetgroup.Group.
"""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

ADDRESS = "__address__"
META = "__meta_"
TARGETS_PER_GROUP_MAX = 100_000
_RAW = -zlib.MAX_WBITS
_NAMES = """
    node_address_InternalIP node_address_Hostname node_name node_provider_id node_annotation_ node_annotationpresent_ node_label_ node_labelpresent_
    node_label_kubernetes_io_arch node_label_kubernetes_io_hostname node_label_kubernetes_io_os node_label_topology_kubernetes_io_region
    node_label_topology_kubernetes_io_zone service_name service_label_ service_labelpresent_ endpoint_port_name endpoint_port_protocol
    endpoint_ready endpoints_name pod_annotation_ pod_annotationpresent_ pod_label_app pod_labelpresent_app pod_label_pod_template_hash
    pod_labelpresent_pod_template_hash pod_container_port_name pod_container_port_number pod_container_name pod_container_image
    pod_container_init pod_container_id namespace pod_name pod_ip pod_ready pod_phase pod_node_name pod_host_ip pod_uid
    pod_controller_kind pod_controller_name
"""
_WORDS = "".join(f'"__meta_kubernetes_{name}":"true","' for name in _NAMES.split()).encode() + (
    b'false","Running","ReplicaSet","default","__metrics_path__":"/metrics","__scheme__":"https","__scrape_interval__":"30s",'
    b'"__scrape_timeout__":"10s","job":"kubernetes-pods","__address__":"10.'
)
"""What zlib knows of labels before it has seen any."""


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """`targets` are labels of each, `__address__` among them; `labels` are those of all, which a target's own override."""

    source: str
    targets: tuple[Mapping[str, str], ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Of targets."""
        return len(self.targets)


class KeptGroup:
    """A group as it is kept by those who have thousands: a tenth of the memory. It has the same attributes, made anew at each look, and is equal to
    the group that it was made of."""

    __slots__ = ("_packed", "count", "source")

    def __init__(self, group: TargetGroup) -> None:
        self.source = group.source
        self.count = len(group.targets)
        self._packed = packed([list(map(dict, group.targets)), dict(group.labels)])

    @property
    def targets(self) -> tuple[Mapping[str, str], ...]:
        return tuple(unpacked(self._packed)[0])

    @property
    def labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = unpacked(self._packed)[1]
        return labels

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TargetGroup | KeptGroup):
            return NotImplemented
        return (self.source, *unpacked(self._packed)) == (other.source, list(other.targets), other.labels)

    __hash__ = None  # type: ignore[assignment]


Group = TargetGroup | KeptGroup


def packed(value: Any) -> bytes:
    """Strings, lists and dictionaries as compressed JSON: labels of targets are words that nearly all of them have."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _RAW, zdict=_WORDS)
    text = json.dumps(value, separators=(",", ":")).encode()
    return packer.compress(text) + packer.flush()


def unpacked(data: bytes) -> Any:
    return json.loads(zlib.decompressobj(_RAW, _WORDS).decompress(data))


Sink = Callable[[Sequence[TargetGroup]], None]
"""Called synchronously, in the event loop."""


class Discoverer(Protocol):
    async def run(self, sink: Sink) -> None:
        """Until it is cancelled. What fails is logged and tried again; what was found before stays meanwhile."""
        ...
