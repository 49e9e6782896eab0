"""When history is compacted: every five minutes, to where it was five minutes before, as kube-apiserver does with etcd.

So a watcher that was away for less than five minutes always resumes, and one away for ten never does. The bound on events and bytes
(versions.py) may compact sooner.

Source: k8s.io/apiserver storage/etcd3/compact.go (its default interval, and that it goes to the revision of one interval ago).
"""

import asyncio

from podium.instrument.log import logger
from podium.store.errors import StoreError
from podium.store.interface import Store

COMPACTION_INTERVAL_S = 300.0

_log = logger("store")


async def compact_regularly(store: Store, interval_s: float = COMPACTION_INTERVAL_S) -> None:
    """Runs until cancelled; for a supervisor to own. A compaction that fails is logged and tried again at the next interval."""
    target = store.revision
    while True:
        await asyncio.sleep(interval_s)
        reached = store.revision
        try:
            await store.compact(max(target, store.oldest_revision))
        except StoreError as error:
            _log.warning("compaction failed", error=str(error), revision=target)
        target = reached
        store.rest()
