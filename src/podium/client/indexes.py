"""Index functions that several users of a mirror share (`Mirror.add_index(NAME, function)`)."""

from podium.client.interface import Object

BY_CONTROLLER = "controller"
"""Objects by the uid of the object that controls them; those without one under ORPHANS + namespace."""

ORPHANS = "orphans/"

BY_NAMESPACE = "namespace"


def by_controller(value: Object) -> tuple[str]:
    metadata = value["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return (owner["uid"],)
    return (ORPHANS + metadata.get("namespace", ""),)


def by_namespace(value: Object) -> tuple[str]:
    return (value["metadata"].get("namespace", ""),)
