"""What evaluating rules costs; prints JSON: microseconds of CPU a rule, over all rules and by their kind.

    python bench/rules_bench.py [--rules 10000] [--groups 100] [--rounds 3] [--kinds KIND...] [--profile]

A store on disk with the series of metrics_requests_bench.py, 30 s of them a second apart; then rounds of all groups, 5 s apart, after two that
do not count. `a_round_s` is what one round of all rules takes of a core: an interval that is shorter falls behind.
"""

import argparse
import asyncio
import cProfile
import json
import pstats
import tempfile
import time
from pathlib import Path
from typing import Any

from metrics_requests_bench import BEGAN_MS, fill

from podium.telemetry.metrics.promql.parser import parse
from podium.telemetry.metrics.rules.evaluation import GroupState, evaluate
from podium.telemetry.metrics.rules.rule import AlertingRule, Group, RecordingRule
from podium.telemetry.metrics.server.server import MetricsServer, ServerOptions
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world.real import RealWorld

FILLED_S, INTERVAL_S, WARM_ROUNDS = 30, 5, 2
KINDS = {
    "selector": 'app_gauge{{job="t{t}",item="item-{i:05d}"}}',
    "comparison": 'app_gauge{{job="t{t}",item="item-{i:05d}"}} > 1000',
    "firing": 'app_gauge{{job="t{t}",item="item-{i:05d}"}} >= 0',
    "rate": 'sum by (job) (rate(http_requests_total{{job="t{t}",seq="{i}"}}[1m]))',
    "ratio": 'sum(rate(http_requests_total{{job="t{t}",pod="web-{t:02d}-0007",code="500"}}[1m]))'
    ' / sum(rate(http_requests_total{{job="t{t}",pod="web-{t:02d}-0007"}}[1m]))',
    "targets": "count(up{{job=~\"t{t}|t1\"}} == 0) > {i}",
}  # fmt: skip
ALERTS = ("comparison", "firing", "targets")


def rule_of(kind: str, n: int, run: str) -> RecordingRule | AlertingRule:
    text = KINDS[kind].format(t=n % 20, i=n // 20 % 2000)
    if kind in ALERTS:
        return AlertingRule(
            f"{run}{kind}{n}", text, parse(text), 60_000, 0, {"severity": "page"}, {"summary": "{{ $labels.job }} at {{ $value }}"}
        )
    return RecordingRule(f"rule:{run}:{kind}:{n}", text, parse(text), {})


def groups_of(rules: int, groups: int, kinds: list[str], run: str) -> list[Group]:
    made = [rule_of(kinds[n % len(kinds)], n, run) for n in range(rules)]
    return [Group(f"g{n}", "rules.yml", tuple(made[n::groups]), INTERVAL_S * 1000) for n in range(groups)]


async def rounds(server: MetricsServer, store: Tsdb, groups: list[Group], count: int, profile: cProfile.Profile | None = None) -> float:
    """Seconds of CPU of one of them."""
    states = [GroupState.of(group, restored=True) for group in groups]
    began = 0.0
    for number in range(WARM_ROUNDS + count):
        if number == WARM_ROUNDS:
            began = time.process_time()
            if profile is not None:
                profile.enable()
        for state in states:
            await evaluate(state, server.rules.server, BEGAN_MS + (FILLED_S + number * INTERVAL_S) * 1000)
        if failed := [rule.error for state in states for rule in state.rules if rule.error]:
            raise SystemExit(f"{len(failed)} rules failed: {failed[0]}")
        await store.synced()
    return (time.process_time() - began) / count


async def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="rules-") as folder:
        store = Tsdb.open(Path(folder), RealWorld())
        await fill(store, FILLED_S)
        server = MetricsServer(store, RealWorld(), ServerOptions(directory=Path(folder)))
        found: dict[str, Any] = {"rules": options.rules, "groups": options.groups}
        profile = cProfile.Profile() if options.profile else None
        found["a_round_s"] = await rounds(
            server, store, groups_of(options.rules, options.groups, options.kinds, "all"), options.rounds, profile
        )
        if profile is not None:
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(50)
        found["us_a_rule"] = round(found["a_round_s"] / options.rules * 1e6)
        for kind in options.kinds if len(options.kinds) > 1 else ():
            some = groups_of(options.rules // 10, max(1, options.groups // 10), [kind], kind)
            spent = await rounds(server, store, some, options.rounds)
            found[f"us_{kind}"] = round(spent / (options.rules // 10) * 1e6)
        print(json.dumps(found, indent=1))
        await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=[*KINDS])
    parser.add_argument("--profile", action="store_true")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
