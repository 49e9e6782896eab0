"""The same seed gives the same events in the same order, whatever else runs and however Python hashes."""

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.world.rehearsed import digest, event_log

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quiet():
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def test_the_play_is_worth_watching():
    log, _ = event_log(1)
    for part in ("put", "stored", "hungry", "saw", "revived", "stopped"):
        assert sum(part in line for line in log) > 10


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_same_seed_repeats_and_another_differs(seed):
    first = event_log(seed)
    assert event_log(seed) == first
    other = event_log(seed + 1)
    assert other[0] != first[0] and other[1] != first[1]


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), strangers=st.integers(1, 5))
def test_strangers_do_not_change_what_a_group_of_tasks_does(seed, strangers):
    assert event_log(seed, strangers)[0] == event_log(seed)[0]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks_repeat_too():
    assert digest(3, eager=True) == digest(3, eager=True)
    assert event_log(3, 3, eager=True)[0] == event_log(3, eager=True)[0]


@pytest.mark.slow
async def test_the_hash_seed_does_not_matter():
    async def run(hash_seed: str) -> bytes:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-m", "tests.world.rehearsed", "11", "2"]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
        output, _ = await process.communicate()
        return output

    digests = [await run(hash_seed) for hash_seed in ("0", "1", "4711")]
    assert len(digests[0]) > 64 and digests == [digests[0]] * 3
