"""Commands take turns on a cluster, and end what they started when the user has had enough."""

import os
import signal
from pathlib import Path

import pytest

from podium.cli import turns
from podium.cli.refusal import Refusal


def test_only_one_command_at_a_time(tmp_path: Path) -> None:
    with turns.turn(tmp_path), pytest.raises(Refusal, match="at work on"), turns.turn(tmp_path, patience_s=0.05):
        pass
    with turns.turn(tmp_path, patience_s=0.05):
        pass


@pytest.mark.parametrize("number", turns.SIGNALS)
def test_signals_interrupt_and_are_as_before_afterwards(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(turns.Interrupted), turns.interruptible():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_what_is_being_taken_down_is_not_interrupted() -> None:
    with turns.interruptible():
        with turns.uninterrupted():
            for number in turns.SIGNALS:
                os.kill(os.getpid(), number)
        with pytest.raises(turns.Interrupted):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_closed_terminal_does_not_interrupt_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with turns.interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
