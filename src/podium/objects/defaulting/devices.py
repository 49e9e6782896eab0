"""Defaults of claims of devices.

Source: pkg/apis/resource/v1/defaults.go. Not here: when a taint was added, which needs a clock (api/strategies/devices.py).
"""

from typing import Any

Object = dict[str, Any]


def default_claim(value: Object) -> None:
    _default_spec(value.setdefault("spec", {}))


def default_template(value: Object) -> None:
    spec = value.setdefault("spec", {})
    _default_spec(spec.setdefault("spec", {}))


def _default_spec(spec: Object) -> None:
    for request in (spec.get("devices") or {}).get("requests") or ():
        exactly = request.get("exactly")
        for demand in [*([exactly] if exactly is not None else []), *(request.get("firstAvailable") or ())]:
            if not demand.get("allocationMode"):
                demand["allocationMode"] = "ExactCount"
            if demand["allocationMode"] == "ExactCount" and not demand.get("count"):
                demand["count"] = 1
            for toleration in demand.get("tolerations") or ():
                if not toleration.get("operator"):
                    toleration["operator"] = "Equal"
