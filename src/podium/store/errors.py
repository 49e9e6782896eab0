"""What can go wrong in a store, classed by what the caller should do."""


class StoreError(Exception):
    """The store cannot serve: give up and say so."""


class RevisionMismatch(StoreError):
    """The key is not at the expected revision: refetch. `actual` is its revision now, 0 when absent."""

    def __init__(self, key: str, expected: int, actual: int) -> None:
        super().__init__(f"{key} is at revision {actual}, not {expected}")
        self.key, self.expected, self.actual = key, expected, actual


class Compacted(StoreError):
    """The revision asked for is older than what is kept: list again. `oldest` is the first revision still readable."""

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"revision {revision} is compacted; the oldest kept is {oldest}")
        self.revision, self.oldest = revision, oldest


class FutureRevision(StoreError):
    """The revision asked for has not happened yet."""

    def __init__(self, revision: int, newest: int) -> None:
        super().__init__(f"revision {revision} is in the future; the newest is {newest}")
        self.revision, self.newest = revision, newest


class WatchLagged(StoreError):
    """The watcher did not keep up and its buffer overflowed: start again from the last revision seen."""


class StoreLocked(StoreError):
    """Another process has the data directory open. The message names it (pid and command line)."""


class StoreDamaged(StoreError):
    """The file is not a store of ours, or is corrupt; it was left as it is."""
