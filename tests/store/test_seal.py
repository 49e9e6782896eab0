"""What Secrets look like on disk."""

import asyncio
from pathlib import Path

import pytest

from podium.store.errors import StoreDamaged, StoreError
from podium.store.seal import AesGcmSeal, load_or_create_keys, rotate
from podium.store.sqlite import SqliteStore

PREFIXES = ("/core/secrets/",)
SECRET, PLAIN = "/core/secrets/n/s", "/core/configmaps/n/c"
VALUE = b'{"metadata":{"name":"x"},"data":"hunter2"}'


def _seal(path: Path) -> AesGcmSeal:
    return AesGcmSeal(load_or_create_keys(path / "keys"), PREFIXES)


def _write(path: Path, *keys: str) -> None:
    async def write() -> None:
        store = SqliteStore.open(path / "store.db", seal=_seal(path))
        for key in keys:
            await store.put(key, VALUE, expected=None)
        await store.compact(store.revision)
        await store.close()

    asyncio.run(write())


def _read(path: Path, key: str) -> bytes:
    async def read() -> bytes:
        store = SqliteStore.open(path / "store.db", seal=_seal(path))
        record = await store.get(key)
        await store.close()
        assert record is not None
        return record.encoded

    return asyncio.run(read())


def _on_disk(path: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(path.glob("store.db*")))


def test_a_secret_is_not_on_disk_and_comes_back(tmp_path: Path) -> None:
    _write(tmp_path, SECRET)
    assert b"hunter2" not in _on_disk(tmp_path) and b"k8s:enc:aesgcm:v1:key1:" in _on_disk(tmp_path)
    assert b"hunter2" in _read(tmp_path, SECRET)


def test_other_kinds_lie_there_as_they_are(tmp_path: Path) -> None:
    _write(tmp_path, PLAIN)
    assert b"hunter2" in _on_disk(tmp_path)


def test_the_key_file_is_for_the_owner_alone(tmp_path: Path) -> None:
    load_or_create_keys(tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600


def test_after_a_rotation_old_values_open_and_new_ones_use_the_new_key(tmp_path: Path) -> None:
    _write(tmp_path, SECRET)
    assert rotate(tmp_path / "keys") == "key2"
    assert b"hunter2" in _read(tmp_path, SECRET)
    _write(tmp_path, SECRET)
    assert b"v1:key2:" in _on_disk(tmp_path)


def test_a_missing_key_is_named_and_nothing_is_touched(tmp_path: Path) -> None:
    _write(tmp_path, SECRET)
    before = _on_disk(tmp_path)
    (tmp_path / "keys").unlink()
    with pytest.raises(StoreDamaged, match=r"encrypted with key key1"):
        _read(tmp_path, SECRET)
    assert _on_disk(tmp_path) == before


def test_a_value_cannot_be_moved_to_another_name(tmp_path: Path) -> None:
    seal = _seal(tmp_path)
    with pytest.raises(ValueError, match="or was changed"):
        seal.reveal("/core/secrets/n/other", seal.protect(SECRET, VALUE))


@pytest.mark.parametrize("text", ["", "key1\n", "key1 AAAA\n", "key1 !!!\n"])
def test_a_key_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(StoreError, match="restore"):
        load_or_create_keys(tmp_path / "keys")
