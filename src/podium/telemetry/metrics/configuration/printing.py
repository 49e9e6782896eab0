"""A configuration as YAML again, with the defaults that apply and without its secrets. Source: what /api/v1/status/config shows upstream."""

import dataclasses
import enum
import typing
from collections.abc import Mapping
from typing import Any

import yaml

from podium.telemetry.metrics.configuration.values import HIDDEN, ByteSize, Duration, Secret, Url, format_bytes
from podium.telemetry.metrics.durations import format_duration


def always() -> dict[str, Any]:
    """Metadata of a field that is printed even if it is empty."""
    return {"always": True}


def print_section(section: Any) -> str:
    return yaml.safe_dump(to_plain(section), sort_keys=False, default_flow_style=False, allow_unicode=True, width=1_000_000)


def to_plain(section: Any) -> dict[str, Any]:
    """Plain values in the order of the fields. A section's `print_extra` gives keys of which there is no field."""
    plain: dict[str, Any] = {}
    hints = typing.get_type_hints(type(section), include_extras=True)
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        key = field.metadata.get("key", field.name)
        if field.metadata.get("inline"):
            plain |= to_plain(value)
        elif key and (field.metadata.get("always") or not _is_empty(value)):
            plain[key] = _plain(value, hints[field.name])
    extra = getattr(section, "print_extra", None)
    return plain | extra() if extra else plain


def _is_empty(value: Any) -> bool:
    return value is None or value is False or (not isinstance(value, enum.Enum) and not dataclasses.is_dataclass(value) and not value)


def _plain(value: Any, kind: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_plain(value)
    if isinstance(value, Secret):
        return HIDDEN if value else ""
    if isinstance(value, Url):
        return value.redacted()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        item_kind = next(iter(typing.get_args(kind)), None)
        return [_plain(item, item_kind) for item in value]
    if isinstance(value, Mapping):
        item_kind = (typing.get_args(kind) or (None, None))[1]
        return {key: _plain(item, item_kind) for key, item in value.items()}
    if Duration in (kind, *typing.get_args(kind)):
        return format_duration(value)
    return format_bytes(value) if ByteSize in (kind, *typing.get_args(kind)) else value
