"""APIServices: where each group version is served, and whether it is.

Source: k8s.io/kube-aggregator pkg/registry/apiservice/etcd (ConvertToTable).
"""

from datetime import datetime
from typing import Any

from podium.api.tables.columns import AGE, NAME, Column, Table, age, name, spec, status
from podium.objects.values import Object


def _api_service(value: Object, now: datetime) -> list[Any]:
    service = spec(value).get("service")
    where = f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"
    found = next((c for c in status(value).get("conditions") or () if c.get("type") == "Available"), None)
    if found is None:
        available = "Unknown"
    elif found.get("status") == "True":
        available = "True"
    else:
        available = f"{found.get('status', '')} ({found.get('reason', '')})"
    return [name(value), where, available, age(value, now)]


TABLES = {
    ("apiregistration.k8s.io", "apiservices"): Table(
        (
            NAME,
            Column("Service", text="The reference to the service that hosts this API endpoint."),
            Column("Available", text="Whether this service is available."),
            AGE,
        ),
        _api_service,
    ),
}
