"""For all tests: signals as a terminal gives them, a machine that is left as it was found, and values of the store that nobody has changed.

A shell starts its background jobs (`make test &`, some CI) with SIGINT ignored, and every process that a test starts would inherit that.
"""

import os
import signal
import time
from collections.abc import Iterator

import orjson
import pytest

from podium.objects import parts
from tests import leftovers

DEATH_PATIENCE_S = 5.0
"""A killed process stays in its control group for a moment."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set up first, so torn down last: after the clusters that tests share."""
    os.environ[leftovers.SESSION] = str(tmp_path_factory.getbasetemp())
    yield
    deadline = time.monotonic() + DEATH_PATIENCE_S
    while (left := leftovers.of(tmp_path_factory.getbasetemp())) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        pytest.fail("these tests left on the machine:\n" + "\n".join(left), pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def nobody_changes_what_others_share() -> Iterator[None]:
    """A value of the store shares its parts with others (objects/parts.py): who changes one in place changes them all."""
    yield
    changed = [text for text, part in parts.remembered() if orjson.dumps(part) != text]
    if changed:
        pytest.fail(f"values of the store were changed in place; as they were: {changed[:5]}", pytrace=False)
