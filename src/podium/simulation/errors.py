"""Errors of simulations, by what the caller should do."""


class SimulationError(Exception):
    """What was asked cannot be had; the text says why and what can."""


class Unreachable(SimulationError):
    """Raised by whoever answers on a simulated network to be as if it were not there: the one who asks gets no connection."""
