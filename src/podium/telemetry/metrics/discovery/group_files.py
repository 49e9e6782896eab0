"""Lists of target groups in JSON or YAML, as files and HTTP servers give them. Source: Prometheus' <file_sd_config>, <http_sd_config>."""

from typing import Any

import orjson
import yaml

from podium.telemetry.metrics.configuration.decoding import TEXT_BYTES_MAX, Decoder
from podium.telemetry.metrics.configuration.discovery import StaticGroup
from podium.telemetry.metrics.discovery.groups import ADDRESS, TARGETS_PER_GROUP_MAX, TargetGroup
from podium.telemetry.metrics.discovery.refreshing import DiscoveryFailed
from podium.telemetry.metrics.errors import ConfigurationError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_json(data: bytes, place: str, label: str) -> list[TargetGroup]:
    """Groups with the sources `place:0`, ...; each gets the label with the place as its value. Raises DiscoveryFailed."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DiscoveryFailed(f"{place}: {error}") from error
    if not isinstance(value, list):
        raise DiscoveryFailed(f"{place}: a list of target groups is expected")
    return [_group(number, *_parts(item, place), place, label) for number, item in enumerate(value)]


def read_yaml(data: bytes, place: str, label: str) -> list[TargetGroup]:
    """As `read_json`."""
    if len(data) > TEXT_BYTES_MAX:
        raise DiscoveryFailed(f"{place}: larger than {TEXT_BYTES_MAX} bytes")
    decoder = Decoder({})
    try:
        node = yaml.compose(data, Loader=_Loader)
        groups = () if node is None else decoder.value(node, tuple[StaticGroup, ...], ())
    except (yaml.YAMLError, RecursionError, UnicodeError, ConfigurationError) as error:
        raise DiscoveryFailed(f"{place}: yaml: {' '.join(str(error).split())}") from error
    if decoder.problems:
        raise DiscoveryFailed(f"{place}: yaml: {'; '.join(decoder.problems)}")
    if None in groups:
        raise DiscoveryFailed(f"{place}: nil target group item found")
    return [_group(number, list(group.targets), dict(group.labels), place, label) for number, group in enumerate(groups)]


def _parts(item: Any, place: str) -> tuple[list[str], dict[str, str]]:
    if item is None:
        raise DiscoveryFailed(f"{place}: nil target group item found")
    if not isinstance(item, dict):
        raise DiscoveryFailed(f"{place}: a target group is an object")
    targets, labels = item.get("targets") or [], item.get("labels") or {}
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        raise DiscoveryFailed(f"{place}: targets is a list of strings")
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise DiscoveryFailed(f"{place}: labels are strings by name")
    if unknown := sorted(item.keys() - {"targets", "labels", "source"}):
        raise DiscoveryFailed(f'{place}: json: unknown field "{unknown[0]}"')
    return targets, labels


def _group(number: int, targets: list[str], labels: dict[str, str], place: str, label: str) -> TargetGroup:
    if len(targets) > TARGETS_PER_GROUP_MAX:
        raise DiscoveryFailed(f"{place}: more than {TARGETS_PER_GROUP_MAX} targets in a group")
    return TargetGroup(f"{place}:{number}", tuple({ADDRESS: target} for target in targets), {**labels, label: place})
