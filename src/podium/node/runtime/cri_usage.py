"""What a container runtime says that its containers use, as plain values.

Source: k8s.io/cri-api runtime.v1 api.proto (ListContainerStats, ListPodSandboxStats).
"""

from typing import Any

from podium.node.runtime.cri_client import CriClient, Unimplemented, message
from podium.node.runtime.usage import ContainerUsage, InterfaceUsage, RuntimeUsage


async def ask(client: CriClient, label: str, cluster: str) -> RuntimeUsage:
    """The containers with that label. A runtime that does not know ListPodSandboxStats tells nothing of networks. Raises RuntimeFailure."""
    request = message("ListContainerStatsRequest")()
    request.filter.label_selector[label] = cluster
    stats = (await client.call("ListContainerStats", request)).stats
    containers = {item.attributes.id: container_usage(item) for item in stats}
    request = message("ListPodSandboxStatsRequest")()
    request.filter.label_selector[label] = cluster
    try:
        pods = (await client.call("ListPodSandboxStats", request)).stats
    except Unimplemented:
        return RuntimeUsage(containers)
    return RuntimeUsage(containers, {item.attributes.id: interfaces(item) for item in pods})


def container_usage(stats: Any) -> ContainerUsage:
    cpu, memory, layer = stats.cpu, stats.memory, stats.writable_layer
    nanos = _value(cpu, "usage_core_nano_seconds")
    return ContainerUsage(
        cpu_s=None if nanos is None else nanos / 1e9,
        memory_bytes=_value(memory, "usage_bytes"), working_set_bytes=_value(memory, "working_set_bytes"),
        rss_bytes=_value(memory, "rss_bytes"), page_faults=_value(memory, "page_faults"),
        major_page_faults=_value(memory, "major_page_faults"),
        filesystem_bytes=_value(layer, "used_bytes"), filesystem_inodes=_value(layer, "inodes_used"),
    )  # fmt: skip


def interfaces(stats: Any) -> list[InterfaceUsage]:
    network = stats.linux.network
    found = [network.default_interface] if network.HasField("default_interface") else []
    return [
        InterfaceUsage(
            item.name, item.rx_bytes.value, None, item.rx_errors.value, None, item.tx_bytes.value, None, item.tx_errors.value, None
        )
        for item in [*found, *network.interfaces]
    ]


def _value(part: Any, field: str) -> int | None:
    return int(getattr(part, field).value) if part.HasField(field) else None
