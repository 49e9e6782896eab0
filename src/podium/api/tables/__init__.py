"""Server-side printing: what `kubectl get` shows, decided by the server as clients expect.

`printer(resource)` gives the columns and, for each object, one row of cells in their order; columns of priority 1 show with `-o wide`
(cells are always complete; the client chooses). Kinds without columns of their own show a name and when they were created.

Source: k8s.io/kubernetes pkg/printers/internalversion/printers.go; the default of k8s.io/apiserver pkg/registry/rest/table.go.
"""

from functools import lru_cache

from podium.api.tables import access, admission, aggregation, configuration, custom, events, network, nodes, pods, storage, workloads
from podium.api.tables.columns import DEFAULT, Printer, Table
from podium.objects.resources import Resource

__all__ = ["Printer", "printer"]

PRINTERS_MAX = 4096

_TABLES: dict[tuple[str, str], Table] = {
    **pods.TABLES,
    **workloads.TABLES,
    **network.TABLES,
    **nodes.TABLES,
    **events.TABLES,
    **configuration.TABLES,
    **storage.TABLES,
    **access.TABLES,
    **admission.TABLES,
    **aggregation.TABLES,
}
"""By (group, plural): all versions of a resource print alike."""


@lru_cache(maxsize=PRINTERS_MAX)
def printer(resource: Resource, kind: str = "") -> Printer:
    """The one printer of this resource; of what its subresource answers when `kind` is another one (Scale)."""
    if kind == "Scale":
        return Printer(workloads.SCALE)
    if resource.custom is not None:
        return Printer(custom.table(resource.custom))
    return Printer(_TABLES.get((resource.group, resource.plural), DEFAULT))
