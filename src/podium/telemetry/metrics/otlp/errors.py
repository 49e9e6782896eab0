"""What is wrong with a request of OpenTelemetry's. A metric that cannot be translated is remote.errors.MessageRefused."""


class RequestTooLarge(Exception):
    """It becomes more than a request may: send less at a time. Nothing of it is kept."""
