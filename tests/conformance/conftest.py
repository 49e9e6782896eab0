"""`api`: a control plane without controllers in the test's own loop. What needs controllers runs by `cluster.run` under the virtual clock."""

from collections.abc import AsyncIterator

import pytest

from podium.control_plane import build
from podium.store.memory import MemoryStore
from podium.world.real import RealWorld
from tests.conformance.api import Api
from tests.controllers.api_cluster import signing_key


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    plane = await build(MemoryStore(), RealWorld(), service_cidr="10.96.0.0/24", signing_key=signing_key(), api_endpoint=("10.0.0.1", 6443))
    yield Api(plane)
    await plane.stop()
