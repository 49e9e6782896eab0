"""`podium metrics check-rules FILE...` and `test-rules FILE...`: promtool's, for rules."""

import asyncio
import sys
from argparse import Namespace
from pathlib import Path

from podium.telemetry.metrics.rules.documents import read
from podium.telemetry.metrics.rules.errors import RuleFileError
from podium.telemetry.metrics.rules.rule import Rule


def check(arguments: Namespace) -> int:
    """0: all files are fine; 1: not, or two rules record the same."""
    code = 0
    for name in arguments.files:
        print(f"Checking {name}")
        try:
            groups = read(Path(name).read_bytes(), name)
        except (OSError, RuleFileError) as error:
            print(f"  FAILED:\n{error}", file=sys.stderr)
            code = 1
            continue
        rules = [rule for group in groups for rule in group.rules]
        print(f"  SUCCESS: {len(rules)} rules found")
        if doubled := _doubled(rules):
            print(f"{len(doubled)} duplicate rule(s) found.", file=sys.stderr)
            for text in doubled:
                print(text, file=sys.stderr)
            print("Might cause inconsistency while recording expressions", file=sys.stderr)
            code = code or (1 if arguments.lint_fatal else 0)
        print()
    return code


def _doubled(rules: list[Rule]) -> list[str]:
    """Rules of one name and labels, each once."""
    seen: dict[tuple[str, str], int] = {}
    for rule in rules:
        key = (rule.name, "".join(f"\n\t{n}: {v}" for n, v in sorted(rule.labels.items())))
        seen[key] = seen.get(key, 0) + 1
    return [f"Metric: {name}\nLabel(s):{labels}" for (name, labels), count in seen.items() if count > 1]


def test(arguments: Namespace) -> int:
    """0: all tests passed; 1: not."""
    from podium.telemetry.metrics.memory_samples import MemorySamples
    from podium.telemetry.metrics.rules.unit_tests import run_file
    from podium.world.real import RealWorld

    world = RealWorld()
    failed = 0
    for name in arguments.files:
        print("Unit Testing: ", name)
        failures, warnings = asyncio.run(run_file(Path(name), world, MemorySamples, name_pattern=arguments.run or ""))
        for warning in warnings:
            print(f"  WARNING: {warning}", file=sys.stderr)
        if failures:
            failed += 1
            print("  FAILED:", file=sys.stderr)
            for failure in failures:
                print(f"{failure}\n", file=sys.stderr)
        else:
            print("  SUCCESS")
        print()
    return 1 if failed else 0
