"""Runs all tests, in two sessions of pytest side by side: those of whole clusters mostly wait, the others compute, on a core each.

    python tools/run_tests.py [PYTEST ARGUMENTS]

With arguments (`-k name`, a path) it is plain pytest in one session; so it is where there is one core only. The first session's output is shown
as it comes, the second one's when the first has ended; the last line is what pytest's would be for both. What failed is remembered where
`pytest --last-failed` looks for it. Exit code: the worse of the two, as pytest gives it (1 for failures, 2 when interrupted).

Standard library only, and no more than two sessions: tests share the machine with each other's clusters, and have deadlines.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLUSTERS = "tests/e2e"
CACHE = Path(".pytest_cache")
FAILED = Path("v/cache/lastfailed")
WORDS = ("failed", "passed", "skipped", "deselected", "xfailed", "xpassed", "warnings", "errors")
"""In pytest's order."""

NOTHING_RAN = 5


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", *arguments]


def side_by_side(root: Path) -> int:
    began = time.monotonic()
    caches = [CACHE / name for name in ("others", "clusters")]
    with tempfile.TemporaryFile() as later:
        clusters = subprocess.Popen(command(CLUSTERS, "-o", f"cache_dir={caches[1]}"), cwd=root, stdout=later, stderr=later)
        others = subprocess.Popen(
            command("--ignore", CLUSTERS, "-o", f"cache_dir={caches[0]}"), cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        first = _shown(others)
        codes = [_ended(others), _ended(clusters)]
        later.seek(0)
        second = later.read().decode(errors="replace")
    print(f"\n{CLUSTERS}:\n{second}", flush=True)
    remember(root, caches)
    print(summary([first, second], time.monotonic() - began), flush=True)
    return worse(codes)


def _shown(process: "subprocess.Popen[bytes]") -> str:
    """What it prints, printed as it comes."""
    assert process.stdout is not None
    text = []
    try:
        while piece := os.read(process.stdout.fileno(), 65536):
            text.append(piece.decode(errors="replace"))
            print(text[-1], end="", flush=True)
    except KeyboardInterrupt:  # it was told, too, and says what it has
        text.append(process.stdout.read().decode(errors="replace"))
        print(text[-1], end="", flush=True)
    return "".join(text)


def _ended(process: "subprocess.Popen[bytes]") -> int:
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def remember(root: Path, caches: Sequence[Path]) -> None:
    """Both sessions' failures, where a session by itself keeps them."""
    failed: dict[str, bool] = {}
    for cache in caches:
        path = root / cache / FAILED
        if path.exists():
            failed |= json.loads(path.read_text())
    (root / CACHE / FAILED).parent.mkdir(parents=True, exist_ok=True)
    (root / CACHE / FAILED).write_text(json.dumps(failed, indent=2))


def summary(outputs: Sequence[str], seconds: float) -> str:
    """One line from the last lines of the sessions, as pytest words it."""
    counts: Counter[str] = Counter()
    missing = 0
    for output in outputs:
        lines = [line for line in output.splitlines() if re.search(r"(?:\d+ \w+.*|no tests ran) in [\d.]+s", line)]
        missing += not lines
        for number, word in re.findall(r"(\d+) (\w+)", lines[-1].rpartition(" in ")[0] if lines else ""):
            counts[word if word.endswith(("ed", "s")) else word + "s"] += int(number)
    said = [f"{counts[word]} {word if counts[word] != 1 else word.removesuffix('s')}" for word in WORDS if counts[word]]
    said += [f"{missing} without an end"] if missing else []
    whole = f" ({int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02})" if seconds >= 60 else ""
    return f"{', '.join(said) or 'no tests ran'} in {seconds:.2f}s{whole}"


def worse(codes: Sequence[int]) -> int:
    """A session that was killed by a signal counts as interrupted; one without tests counts only when the other has none either."""
    codes = [code if code >= 0 else 2 for code in codes]
    ran = [code for code in codes if code != NOTHING_RAN]
    return max(ran) if ran else NOTHING_RAN


def main(arguments: list[str]) -> int:
    if arguments or (os.cpu_count() or 1) < 2:
        return subprocess.run(command(*arguments), cwd=ROOT, check=False).returncode
    return side_by_side(ROOT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
