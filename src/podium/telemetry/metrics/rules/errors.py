"""What is wrong with rules."""

from podium.telemetry.metrics.errors import ConfigurationError, MetricsError


class RuleFileError(ConfigurationError):
    """A rule file says something that cannot be. `problems` are all that were found, each with its place."""

    def __init__(self, file: str, problems: list[str]) -> None:
        super().__init__("\n".join(f"{file}: {p}" for p in problems))
        self.problems = problems


class RuleFailed(MetricsError):
    """A rule could not be evaluated this time; the next evaluation may do better."""
