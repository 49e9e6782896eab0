"""What can go wrong, by what the caller should do."""


class AlertmanagerError(Exception):
    pass


class ConfigurationError(AlertmanagerError, ValueError):
    """The configuration's author mends it. `str()` is in upstream's words; `line` counts from 1, 0 when there is none."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


class BadMatcher(AlertmanagerError, ValueError):
    """A matcher that cannot be parsed: the one who wrote it mends it."""


class BadAlert(AlertmanagerError, ValueError):
    """An alert that is refused; others of the same request are kept."""


class BadSilence(AlertmanagerError, ValueError):
    """A silence that is refused."""


class SilenceNotFound(AlertmanagerError):
    def __init__(self) -> None:
        super().__init__("silence not found")


class TooMany(AlertmanagerError):
    """A limit is reached: come back when there is less."""


class StorageError(AlertmanagerError):
    """The disk refuses: choose another directory or mend it."""


class NotificationError(AlertmanagerError):
    """A receiver did not take a notification. `is_retriable`: the same may succeed later. `reason` is a label of the failure's metric."""

    def __init__(self, message: str, *, is_retriable: bool, reason: str = "other") -> None:
        super().__init__(message)
        self.is_retriable, self.reason = is_retriable, reason
