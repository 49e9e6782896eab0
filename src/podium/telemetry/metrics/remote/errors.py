"""What is wrong with a remote message."""

from podium.telemetry.metrics.errors import MetricsError


class MessageRefused(MetricsError):
    """The bytes are not the message they should be, or too large: sending them again is of no use."""


class SendFailed(MetricsError):
    """The other end did not take it. `again_after_s`: worth another try, not before so many seconds; None: not worth it."""

    def __init__(self, message: str, again_after_s: float | None) -> None:
        super().__init__(message)
        self.again_after_s = again_after_s
