"""Defaults of flow schemas and priority levels.

Source: pkg/apis/flowcontrol/v1/defaults.go.
"""

from typing import Any

Object = dict[str, Any]

SHARES = 30
_QUEUING = {"queues": 64, "handSize": 8, "queueLengthLimit": 50}


def default_flow_schema(value: Object) -> None:
    spec = value.setdefault("spec", {})
    if not spec.get("matchingPrecedence"):
        spec["matchingPrecedence"] = 1000


def default_priority_level(value: Object) -> None:
    spec = value.setdefault("spec", {})
    if spec.get("type") == "Exempt":
        exempt = spec.setdefault("exempt", {})
        exempt.setdefault("nominalConcurrencyShares", 0)
        exempt.setdefault("lendablePercent", 0)
    if (limited := spec.get("limited")) is not None:
        limited.setdefault("nominalConcurrencyShares", SHARES)
        limited.setdefault("lendablePercent", 0)
        if (queuing := (limited.get("limitResponse") or {}).get("queuing")) is not None:
            for field, default in _QUEUING.items():
                if not queuing.get(field):
                    queuing[field] = default
