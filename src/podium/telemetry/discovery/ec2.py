"""ec2_sd_configs: instances of EC2, through boto3 (the extra `aws`).

boto3 blocks, so it runs in a thread, which is why it stands behind `Instances`: a test or a rehearsal gives another. Source: Prometheus'
<ec2_sd_config>, discovery/aws.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from podium.telemetry.discovery.kubernetes_groups import join, sanitized
from podium.telemetry.metrics.configuration.decoding import inline
from podium.telemetry.metrics.configuration.http import HttpConfig
from podium.telemetry.metrics.configuration.printing import always
from podium.telemetry.metrics.configuration.values import NO_SECRET, Duration, Secret
from podium.telemetry.metrics.discovery.groups import ADDRESS, META, Sink, TargetGroup
from podium.telemetry.metrics.discovery.refreshing import DiscoveryFailed, refreshing
from podium.telemetry.metrics.errors import ConfigurationError

PREFIX = META + "ec2_"
SEPARATOR = ","
INSTANCES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Ec2Filter:
    GO_TYPE: ClassVar[str] = "aws.EC2Filter"

    name: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ec2DiscoveryConfig:
    """Without a key: what boto3 finds (environment, profile, the machine's role)."""

    GO_TYPE: ClassVar[str] = "aws.plain"

    endpoint: str = ""
    region: str = field(default="", metadata=always())
    access_key: str = ""
    secret_key: Secret = NO_SECRET
    profile: str = ""
    role_arn: str = ""
    external_id: str = ""
    refresh_interval: Duration = 60_000
    port: int = field(default=80, metadata=always())
    filters: tuple[Ec2Filter, ...] = ()
    http: HttpConfig = field(default=HttpConfig(), metadata=inline())

    def checked(self) -> "Ec2DiscoveryConfig":
        for wanted in self.filters:
            if wanted is None or not wanted.values:
                raise ConfigurationError("EC2 SD configuration filter values cannot be empty")
        if not self.region:
            raise ConfigurationError("EC2 SD configuration requires a region")
        if self.http.checked() != HttpConfig():
            raise ConfigurationError("ec2_sd_configs does not support HTTP client options: set them for boto3 (AWS_CA_BUNDLE, HTTPS_PROXY)")
        return self


class Instances(Protocol):
    async def describe(self, config: Ec2DiscoveryConfig) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, str]]:
        """(reservations as DescribeInstances gives them, zone id by zone name). Raises DiscoveryFailed."""
        ...


class Boto3Instances:
    async def describe(self, config: Ec2DiscoveryConfig) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, str]]:
        return await asyncio.to_thread(_describe, config)


def _describe(config: Ec2DiscoveryConfig) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, str]]:
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise DiscoveryFailed("ec2_sd_configs needs boto3: install podium[aws]") from error
    try:
        client = _client(boto3, config)
        zones = client.describe_availability_zones()["AvailabilityZones"]
        filters = [{"Name": wanted.name, "Values": list(wanted.values)} for wanted in config.filters]
        reservations: list[Mapping[str, Any]] = []
        count = 0
        for page in client.get_paginator("describe_instances").paginate(Filters=filters):
            reservations += page["Reservations"]
            count += sum(len(reservation["Instances"]) for reservation in page["Reservations"])
            if count > INSTANCES_MAX:
                raise DiscoveryFailed(f"more than {INSTANCES_MAX} instances: narrow them with filters")
    except (BotoCoreError, ClientError) as error:
        raise DiscoveryFailed(f"could not describe instances: {error}") from error
    return reservations, {zone["ZoneName"]: zone["ZoneId"] for zone in zones if "ZoneId" in zone}


def _client(boto3: Any, config: Ec2DiscoveryConfig) -> Any:
    keys = {"aws_access_key_id": config.access_key, "aws_secret_access_key": config.secret_key.reveal()} if config.access_key else {}
    session = boto3.Session(region_name=config.region, profile_name=config.profile or None, **keys)
    options: dict[str, Any] = {}
    if config.role_arn:
        more = {"ExternalId": config.external_id} if config.external_id else {}
        assumed = session.client("sts").assume_role(RoleArn=config.role_arn, RoleSessionName="podium-metrics", **more)["Credentials"]
        options = {
            "aws_access_key_id": assumed["AccessKeyId"],
            "aws_secret_access_key": assumed["SecretAccessKey"],
            "aws_session_token": assumed["SessionToken"],
        }
    return session.client("ec2", endpoint_url=config.endpoint or None, **options)


class Ec2Discoverer:
    def __init__(self, config: Ec2DiscoveryConfig, instances: Instances) -> None:
        self._config = config
        self._instances = instances

    async def run(self, sink: Sink) -> None:
        await refreshing(f"ec2_sd {self._config.region}", self._config.refresh_interval, self.refresh, sink)

    async def refresh(self) -> list[TargetGroup]:
        """Raises DiscoveryFailed."""
        reservations, zone_ids = await self._instances.describe(self._config)
        targets = [
            instance_labels(instance, reservation, zone_ids, self._config)
            for reservation in reservations
            for instance in reservation.get("Instances") or ()
            if instance.get("PrivateIpAddress")
        ]
        return [TargetGroup(self._config.region, tuple(targets))]


def instance_labels(
    instance: Mapping[str, Any], reservation: Mapping[str, Any], zone_ids: Mapping[str, str], config: Ec2DiscoveryConfig
) -> dict[str, str]:
    """Pure. Only those are there that the instance has."""
    zone = (instance.get("Placement") or {}).get("AvailabilityZone", "")
    found: dict[str, Any] = {
        "instance_id": instance.get("InstanceId"),
        "owner_id": reservation.get("OwnerId"),
        "private_ip": instance["PrivateIpAddress"],
        "private_dns_name": instance.get("PrivateDnsName"),
        "platform": instance.get("Platform"),
        "public_ip": instance.get("PublicIpAddress"),
        "public_dns_name": instance.get("PublicDnsName"),
        "ami": instance.get("ImageId"),
        "availability_zone": zone,
        "availability_zone_id": zone_ids.get(zone),
        "instance_state": (instance.get("State") or {}).get("Name"),
        "instance_type": instance.get("InstanceType"),
        "instance_lifecycle": instance.get("InstanceLifecycle"),
        "architecture": instance.get("Architecture"),
        "region": config.region,
    }
    if instance.get("VpcId"):
        found |= _network_labels(instance)
    for tag in instance.get("Tags") or ():
        found[f"tag_{sanitized(tag['Key'])}"] = tag["Value"]
    return {ADDRESS: join(instance["PrivateIpAddress"], config.port), **{PREFIX + name: value for name, value in found.items() if value}}


def _network_labels(instance: Mapping[str, Any]) -> dict[str, Any]:
    interfaces = [interface for interface in instance.get("NetworkInterfaces") or () if interface.get("SubnetId")]
    subnets = dict.fromkeys(interface["SubnetId"] for interface in interfaces)
    addresses = [address for interface in interfaces for address in interface.get("Ipv6Addresses") or ()]
    primary = [address["Ipv6Address"] for address in addresses if address.get("IsPrimaryIpv6")]
    return {
        "vpc_id": instance["VpcId"],
        "primary_subnet_id": instance.get("SubnetId"),
        "subnet_id": _listed(list(subnets)),
        "ipv6_addresses": _listed([address["Ipv6Address"] for address in addresses]),
        "primary_ipv6_addresses": _listed(primary),
    }


def _listed(values: list[str]) -> str:
    """With a separator around each, so that a pattern finds one of them."""
    return f"{SEPARATOR}{SEPARATOR.join(values)}{SEPARATOR}" if values else ""
