"""Transcripts: text files of what a user types and then sees. The test language of this directory.

    # a comment: at the start, or after an empty line
    $ kubectl create namespace shop         a command for bash; continuation lines begin with "> "
    namespace/shop created                  what it prints, standard output and error together
    $ kubectl get pod none
    Error from server (NotFound): …         "…" stands for any text within a line
    [1]                                     the exit code, when it is not 0
    $ kubectl get pods
    NAME … AGE
    …                                       a line of its own: any number of lines, also none
    newer clients say this (?)              a line that may be missing
    ~ kubectl get events                    a command that is repeated until its output is as expected (10 s at most)

Runs of spaces count as one, because the width of a column depends on what else is in it; spaces at the end of a line and empty lines at the
end of an output do not count.
A transcript stops when PROBLEMS_MAX commands did not print what they should.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ANY = "…"
OPTIONAL = " (?)"
COMMAND_SECONDS_MAX = 60
PATIENCE_S = 15.0
PAUSE_S = 0.1
PROBLEMS_MAX = 3


@dataclass(frozen=True)
class Step:
    """`line` is where the command is in its file, from 1. `expected` are the lines without the exit code."""

    line: int
    command: str
    expected: tuple[str, ...]
    exit_code: int
    patient: bool


@dataclass(frozen=True)
class Outcome:
    output: str
    exit_code: int


def parse(text: str) -> list[Step]:
    steps: list[Step] = []
    start, command, patient = 0, "", False
    expected: list[str] = []

    def close() -> None:
        if not command:
            assert not "".join(expected).strip(), f"text before the first command: {expected}"
            return
        lines = list(expected)
        while lines and not lines[-1].strip():
            lines.pop()
        code = re.fullmatch(r"\[(\d+)\]", lines[-1]) if lines else None
        steps.append(Step(start, command, tuple(lines[:-1] if code else lines), int(code.group(1)) if code else 0, patient))

    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(("$ ", "~ ")):
            close()
            start, command, expected, patient = number, line[2:], [], line[0] == "~"
        elif line.startswith("> ") or line == ">":
            command += "\n" + line[2:]
        elif not (line.startswith("# ") and (not expected or not expected[-1].strip()) and not (command and not expected)):
            expected.append(line)
    close()
    return steps


def normal(text: str) -> str:
    return "".join(re.sub(r"[ \t]+", " ", line).rstrip() + "\n" for line in text.rstrip().split("\n")) if text.strip() else ""


def pattern(expected: tuple[str, ...]) -> re.Pattern[str]:
    """What matches an output that was made `normal`."""
    parts = []
    for line in expected:
        if line.strip() == ANY:
            parts.append(r"(?:[^\n]*\n)*?")
            continue
        wanted = line.removesuffix(OPTIONAL)
        text = r"[^\n]*?".join(re.escape(re.sub(r"[ \t]+", " ", piece)) for piece in wanted.rstrip().split(ANY))
        parts.append(f"(?:{text}[ ]?\n)" + ("?" if wanted != line else ""))
    return re.compile("".join(parts))


def run(command: str, environment: Mapping[str, str], directory: Path) -> Outcome:
    """A command that does not end is ended, with all that it started; as timeout(1) has it, its exit code is 124."""
    process = subprocess.Popen(
        ["bash", "-c", command], env=dict(environment), cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    code = 0
    try:
        output, _ = process.communicate(timeout=COMMAND_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        code = 124
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    return Outcome(output.decode("utf-8", "replace"), code or process.returncode)


def as_expected(step: Step, outcome: Outcome) -> bool:
    return outcome.exit_code == step.exit_code and pattern(step.expected).fullmatch(normal(outcome.output)) is not None


def explain(path: Path, step: Step, outcome: Outcome) -> str:
    """Where the output leaves what was expected, and the whole of it."""
    actual = normal(outcome.output)
    fitting = max((n for n in range(len(step.expected) + 1) if pattern(step.expected[:n]).match(actual)), default=0)
    wrong = step.expected[fitting] if fitting < len(step.expected) else "(nothing more)"
    return (
        f"{path.name}:{step.line}: $ {step.command}\n"
        f"first line that does not fit: {wrong}\nexit code {outcome.exit_code}, expected {step.exit_code}\n--- output\n{outcome.output}"
    )


def play(path: Path, environment: Mapping[str, str], directory: Path) -> str:
    """Runs a transcript; empty when all was as expected, else what was not. Goes on after the first few, because they may be unrelated."""
    problems: list[str] = []
    for step in parse(path.read_text()):
        outcome = run(step.command, environment, directory)
        deadline = time.monotonic() + PATIENCE_S
        while step.patient and not as_expected(step, outcome) and time.monotonic() < deadline:
            time.sleep(PAUSE_S)
            outcome = run(step.command, environment, directory)
        if not as_expected(step, outcome):
            problems.append(explain(path, step, outcome))
        if len(problems) >= PROBLEMS_MAX:
            break
    return "\n\n".join(problems)
