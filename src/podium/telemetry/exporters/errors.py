"""What can be wrong with what exporters are given."""


class BadExposition(ValueError):
    """Metrics that somebody hands over cannot be read, or contradict one another: they should repair them. Says where."""


class BadConfiguration(ValueError):
    """A configuration file cannot be used: its author should change it. Says where and why."""
