"""All kinds of discovery there are: sections for reading a configuration, makers for running it."""

from collections.abc import Mapping

from podium.telemetry.discovery.ec2 import Boto3Instances, Ec2Discoverer, Ec2DiscoveryConfig, Instances
from podium.telemetry.discovery.kubernetes_clients import KubernetesAccess
from podium.telemetry.discovery.kubernetes_config import KubernetesDiscoveryConfig
from podium.telemetry.metrics.configuration.discovery import CORE_KINDS
from podium.telemetry.metrics.discovery.runner import Maker, core_makers
from podium.world.interface import World

ALL_KINDS: Mapping[str, type] = {
    **CORE_KINDS,
    "kubernetes_sd_configs": KubernetesDiscoveryConfig,
    "ec2_sd_configs": Ec2DiscoveryConfig,
}


def all_makers(world: World, kubernetes: KubernetesAccess, instances: Instances | None = None) -> dict[str, Maker]:
    """For a DiscoveryRunner."""
    return {
        **core_makers(world),
        "kubernetes_sd_configs": kubernetes.discoverer,
        "ec2_sd_configs": lambda config: Ec2Discoverer(config, instances or Boto3Instances()),
    }
