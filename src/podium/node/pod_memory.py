"""What the agent remembers of a pod beyond what the runtime tells: why something waits, backoffs, probe results.

All of it may be lost: after a restart of the agent the runtime's attempts and the pod's status are enough to go on.
"""

from dataclasses import dataclass, field
from typing import Any

CRASH_BACKOFF_FIRST_S = 10.0
CRASH_BACKOFF_MAX_S = 300.0
CRASH_BACKOFF_FORGET_S = 600.0
"""A container that ran this long since its last restart begins again with the first delay. Source: client-go util/flowcontrol Backoff."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container does not run: the reason and message of its `waiting` state. `retry_at` in monotonic seconds."""

    reason: str
    message: str
    retry_at: float = 0.0
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CrashBackoff:
    """`delay_s` is how long after an exit the next start may happen; `updated_s` (wall clock) when it last grew."""

    delay_s: float
    updated_s: float

    def holds(self, finished_s: float, now_s: float) -> bool:
        """Whether a container that exited at `finished_s` still has to wait. Wall clock seconds."""
        return finished_s - self.updated_s <= CRASH_BACKOFF_FORGET_S and now_s - finished_s < self.delay_s


def next_crash_backoff(old: CrashBackoff | None, finished_s: float, now_s: float) -> CrashBackoff:
    """The delay for the exit after the one at `finished_s`: 10 s, then doubled to at most 5 minutes."""
    if old is None or finished_s - old.updated_s > CRASH_BACKOFF_FORGET_S:
        return CrashBackoff(CRASH_BACKOFF_FIRST_S, now_s)
    return CrashBackoff(min(old.delay_s * 2, CRASH_BACKOFF_MAX_S), now_s)


@dataclass(slots=True)
class Health:
    """Probe results of one running container. Without probes both are true once it (and its postStart hook) started."""

    started: bool = True
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Doom:
    """A running container that must be killed and why: `message` is the Killing event's."""

    message: str
    grace_s: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The pod as a whole failed: `status.reason` and `status.message`."""

    reason: str
    message: str


@dataclass(slots=True)
class PodMemory:
    """By container name: `waiting`, `image_failures`, `crashes`. By container id: `health`, `doomed`, `images` (as specified)."""

    waiting: dict[str, Waiting] = field(default_factory=dict)
    image_failures: dict[str, Waiting] = field(default_factory=dict)
    crashes: dict[str, CrashBackoff] = field(default_factory=dict)
    health: dict[str, Health] = field(default_factory=dict)
    doomed: dict[str, Doom] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    """Termination messages, by container id."""
    granted: dict[str, Any] = field(default_factory=dict)
    """The `resources` that the node grants each container, by name (resize.py); empty before the pod is looked at first."""
    in_force: dict[str, Any] = field(default_factory=dict)
    """The `resources` of each running container, by id."""
    resize_pending: tuple[str, str] | None = None
    """Why the spec asks for more than is granted: reason and message."""
    resizing: bool = False
    """A grant was changed, and not all of it is in force yet."""
    resize_error: Waiting | None = None
    """What is granted could not be brought into force."""
    sandbox_error: Waiting | None = None
    verdict: Verdict | None = None
    started_at: str = ""
    """status.startTime until the API has it."""
    prepared: bool = False
    """Volumes and files are in place."""
    finished: bool = False
    """Nothing of the pod is left on the node."""

    def forgive(self, name: str) -> None:
        """Forgets why the container of that name waits: it may start at once."""
        for table in (self.waiting, self.image_failures, self.crashes):
            table.pop(name, None)
