"""What differs between two values, as the refusal of a change shows it."""

from collections.abc import Iterator
from typing import Any

from podium.objects.cause import show


def differences(old: Any, new: Any, path: str) -> Iterator[str]:
    """`  spec.nodeName: "a" -> "b"`, a line for each leaf that differs."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            yield from differences(old.get(key), new.get(key), f"{path}.{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, f"{path}[{i}]")
    else:
        yield f"  {path}: {show(old)} -> {show(new)}"
