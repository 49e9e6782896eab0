"""Messages of protocols (.proto files beside the code that speaks them), which are compiled when the package is built.

Protobuf is imported when the first message is. Each protocol has a pool of its own, so that what two of them call alike does not meet.
"""

from functools import cache
from pathlib import Path
from typing import Any


@cache
def message_class(descriptors: Path, name: str) -> Any:
    """`descriptors` is what the protocol was compiled to; `name` has its package before it. Raises KeyError for one that is not there."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(pool(descriptors).FindMessageTypeByName(name))


@cache
def pool(descriptors: Path) -> Any:
    """All that the protocol defines: services, too."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    found = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes()).file:
        found.Add(file)
    return found
