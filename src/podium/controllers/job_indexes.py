"""Sets of completion indexes as Jobs write them: `1,3-5,7`. Pure.

Source: k8s.io/kubernetes pkg/controller/job/indexed_job_utils.go.
"""

from collections.abc import Iterable

from podium.client.interface import Object

INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"


def parse(text: str | None, count: int) -> set[int]:
    """What is at or beyond `count`, or not readable, is left out."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (not last or last.isdecimal()):
            found.update(range(int(first), min(int(last or first), count - 1) + 1))
    return found


def text_of(indexes: Iterable[int]) -> str:
    """Runs of three or more are written with a dash, pairs with a comma, as upstream."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(a) if a == b else f"{a},{b}" if b == a + 1 else f"{a}-{b}" for a, b in runs)


def index_of(pod: Object) -> int:
    """-1 for a pod without a readable one."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isdecimal() else -1


def failures_of(pod: Object) -> int:
    """How often its index had failed before this pod."""
    text = (pod["metadata"].get("annotations") or {}).get(FAILURES, "")
    return int(text) if text.isdecimal() else 0
