"""What a server may be told of the times of its alerts.

Source: Prometheus' flags --rules.alert.resend-delay, for-outage-tolerance and for-grace-period, with its defaults.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuleTiming:
    resend_delay_ms: int = 60_000
    """An alert that goes on is told again no sooner."""
    outage_tolerance_ms: int = 60 * 60 * 1000
    """How old the state of before may be that is looked for after a restart."""
    for_grace_period_ms: int = 10 * 60 * 1000
    """What restored alerts wait at least before they fire; alerts with a shorter `for` are not restored."""
