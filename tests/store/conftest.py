import pytest

from podium.store.memory import MemoryStore


@pytest.fixture(params=["memory"])
async def store(request, tmp_path):
    opened = MemoryStore()
    yield opened
    await opened.close()
