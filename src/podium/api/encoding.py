"""How objects are encoded: once, at the write. See store/record.py for the stamp that relies on `{"metadata":{` coming first."""

from typing import Any

import orjson

from podium.objects.status import TooLarge
from podium.store.record import HEAD

OBJECT_BYTES_MAX = 1_572_864  # 1.5 MiB, as etcd's request limit


def encode(value: dict[str, Any]) -> bytes:
    """`value` as JSON with metadata first and without a resourceVersion, ready for the store. Raises TooLarge."""
    metadata = value["metadata"]
    metadata.pop("resourceVersion", None)
    encoded = orjson.dumps({"metadata": metadata, **value})
    assert encoded.startswith(HEAD) and metadata, "the store stamps behind the head"
    if len(encoded) > OBJECT_BYTES_MAX:
        raise TooLarge(f"etcdserver: request is too large: {len(encoded)} bytes, the limit is {OBJECT_BYTES_MAX}")
    return encoded
