import pytest

from podium.store.memory import MemoryStore
from podium.store.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, tmp_path):
    opened = MemoryStore() if request.param == "memory" else SqliteStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()
