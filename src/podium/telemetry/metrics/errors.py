"""Errors of the metrics engine that cross its packages, by what the caller should do. Each package's own are in its errors.py."""


class MetricsError(Exception):
    """Any of these; its text is for the user."""


class LimitExceeded(MetricsError):
    """A named limit was met: ask for less. `limit` names it."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit


class StorageFailed(MetricsError):
    """The disk or the store failed: what was asked did not happen; later may be better."""


class ReadAgain(StorageFailed):
    """What was being read has just been set aside as damaged: ask anew, and the answer is made without it."""


class ConfigurationError(MetricsError):
    """A file or a resource says something that cannot be: change it. `where` is `file:line` or a field's path, if known."""

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where
