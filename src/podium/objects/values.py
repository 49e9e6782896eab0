"""API objects are plain JSON values; what is common to all of them."""

from typing import Any

import orjson

Object = dict[str, Any]


def copy(value: Any) -> Any:
    """A deep copy that may be changed. An orjson round trip: nine times faster than copy.deepcopy."""
    return orjson.loads(orjson.dumps(value))


def namespace_of(value: Object) -> str:
    """Empty for cluster-scoped objects."""
    return value["metadata"].get("namespace", "")


def name_of(value: Object) -> str:
    return value["metadata"]["name"]


def key_of(value: Object) -> str:
    """`namespace/name`, or `name` when cluster-scoped: how queues and mirrors name an object."""
    metadata = value["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else metadata["name"]


def split_key(key: str) -> tuple[str, str]:
    """(namespace, name); the namespace is empty for cluster-scoped objects."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


def controller_of(value: Object) -> Object | None:
    """The owner reference with controller=true."""
    for owner in value["metadata"].get("ownerReferences", ()):
        if owner.get("controller"):
            found: Object = owner
            return found
    return None


def is_deleting(value: Object) -> bool:
    return "deletionTimestamp" in value["metadata"]
