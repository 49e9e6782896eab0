"""A control plane in the test's own loop: real request path, memory store, no sockets."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podium.api.authority import Authority
from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane, build
from podium.objects.resources import resource
from podium.store.memory import MemoryStore
from podium.world.real import RealWorld

SERVICE_CIDR = "10.96.0.0/24"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.load_or_create(Path(tmp_path_factory.mktemp("pki")))


@pytest.fixture
async def plane(authority: Authority) -> AsyncIterator[ControlPlane]:
    plane = await build(MemoryStore(), RealWorld(), service_cidr=SERVICE_CIDR, signing_key=authority.service_account_key)
    await plane.client().create(resource("serviceaccounts"), {"metadata": {"name": "default", "namespace": "default"}})
    yield plane
    await plane.stop()


@pytest.fixture
def client(plane: ControlPlane) -> InProcessClient:
    return plane.client()
