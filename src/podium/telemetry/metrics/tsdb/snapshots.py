"""Snapshots: a directory `snapshots/NAME` that is the store of this moment, and can be opened as one.

Blocks are linked, not copied: they do not change. The head becomes blocks there, one for each window, and stays as it is here.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.tsdb import lifecycle
from podium.telemetry.metrics.tsdb.block import TEMPORARY, BlockWriter, sync_directory
from podium.telemetry.metrics.tsdb.compaction import rewrite

if TYPE_CHECKING:
    from podium.telemetry.metrics.tsdb.tsdb import Tsdb
    from podium.telemetry.metrics.tsdb.window import Window

SNAPSHOTS = "snapshots"


async def take(store: "Tsdb", *, skip_head: bool) -> str:
    """Its name. Raises StorageFailed; what is half done is removed then."""
    if store.directory is None:
        raise StorageFailed("a store in memory has no snapshots")
    now = store.world.clock.timestamp().replace("-", "").replace(":", "")
    name = f"{now}-{store.world.token(16)}"
    parent = store.directory / SNAPSHOTS
    unfinished = parent / f"{TEMPORARY}{name}"
    try:
        async with store.steps:
            unfinished.mkdir(parents=True, mode=0o700)
            for block in store.blocks:
                _link(block.directory, unfinished / block.name)
            if not skip_head:
                await _head(store, unfinished)
            sync_directory(unfinished)
            os.rename(unfinished, parent / name)
            sync_directory(parent)
    except OSError as error:
        remove(unfinished)
        raise StorageFailed(f"cannot make a snapshot in {parent}: {error.strerror}") from error
    except StorageFailed:
        remove(unfinished)
        raise
    return name


async def export(store: "Tsdb", directory: Path) -> None:
    """Makes `directory` a store of what one in memory has, which stays as it is. Raises StorageFailed; what is half done is removed then."""
    if store.directory is not None:
        raise StorageFailed("a store on disk is not exported: take a snapshot of it")
    unfinished = directory.with_name(f"{TEMPORARY}{directory.name}")
    try:
        if directory.exists() and any(directory.iterdir()):
            raise StorageFailed(f"{directory} is not empty: name a new directory")
        async with store.steps:
            unfinished.mkdir(parents=True, mode=0o700)
            await _head(store, unfinished)
            sync_directory(unfinished)
            os.rename(unfinished, directory)
            sync_directory(directory.parent)
    except OSError as error:
        remove(unfinished)
        raise StorageFailed(f"cannot export to {directory}: {error.strerror}") from error


def _link(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    for path in sorted(source.iterdir()):
        os.link(path, target / path.name)
    sync_directory(target)


async def _head(store: "Tsdb", directory: Path) -> None:
    store.head.seal_all()
    for start in sorted(store.windows):
        lifecycle.seal(store, store.windows[start])
        await _window(store, store.windows[start], directory)


async def _window(store: "Tsdb", one: "Window", directory: Path) -> None:
    ids = lifecycle.ids_of(one)
    if not len(ids):
        return
    labels = store.frozen_labels(ids)
    uid = store.world.token(12)
    chunks, histograms = list(one.chunks), list(one.histograms.all())
    end_ms = one.start_ms + store.options.window_ms

    def work() -> None:
        writer = BlockWriter(directory, uid, labels)
        rewrite(chunks, histograms, one.start_ms, end_ms, store.sets, writer)
        writer.finish(one.start_ms, end_ms, 1, [], [])

    await store.worker.run(work)


def remove(directory: Path) -> None:
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    if directory.exists():
        directory.rmdir()
