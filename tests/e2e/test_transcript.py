"""The test language itself: a transcript that cannot fail would be worth nothing."""

import os
from pathlib import Path

import pytest

from tests.e2e import transcript
from tests.e2e.leftovers import commands
from tests.e2e.transcript import Outcome, as_expected, parse, play

OUTPUTS = [
    ("NAME  AGE\nweb   …", "NAME   AGE\nweb     3s\n", True),
    ("NAME  AGE\nweb   …", "NAME   AGE\napi     3s\n", False),
    ("NAME", "NAME\nmore\n", False),
    ("NAME\nmore", "NAME\n", False),
    ("NAME\n…", "NAME\nmore\nand more\n", True),
    ("NAME\n…\nlast", "NAME\nlast\n", True),
    ("one\nhint (?)\ntwo", "one\ntwo\n", True),
    ("one\nhint (?)\ntwo", "one\nhint\ntwo\n", True),
    ("one\nhint (?)\ntwo", "one\nother\ntwo\n", False),
    ("", "", True),
    ("", "unexpected\n", False),
    ("a.c", "abc\n", False),
]


@pytest.mark.parametrize(("expected", "output", "fits"), OUTPUTS)
def test_output_fits_what_is_expected(expected: str, output: str, fits: bool) -> None:
    [step] = parse(f"$ command\n{expected}")
    assert as_expected(step, Outcome(output, 0)) is fits


def test_exit_code_is_part_of_what_is_expected() -> None:
    [step] = parse("$ false\n[1]")
    assert as_expected(step, Outcome("", 1)) and not as_expected(step, Outcome("", 0))


def test_play_says_where_the_output_leaves_the_transcript(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("$ echo one\none\n\n# then\n$ cat <<END\n> a\n> END\nb\n")
    assert "a.txt:5: $ cat <<END" in play(path, {"PATH": "/bin:/usr/bin"}, tmp_path)


def test_a_command_that_does_not_end_is_ended_with_what_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "COMMAND_SECONDS_MAX", 0.3)
    outcome = transcript.run("echo begun; sleep 4711 & sleep 4711", {"PATH": os.environ["PATH"]}, tmp_path)
    assert outcome == transcript.Outcome("begun\n", 124)
    assert not [words for _, words in commands() if words == ["sleep", "4711"]]
