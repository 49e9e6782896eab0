"""`podium metrics COMMAND`: the metrics engine's own commands, each in a module that is imported when it is called.

A command is a line of COMMANDS: its name, what it does, how its arguments are declared, and the function that runs it, as `module:function`
(it takes the parsed arguments and returns the exit code).
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from podium.cli import metrics_alertmanager, metrics_explain, metrics_exporter, metrics_import


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    help: str
    declare: Callable[[argparse.ArgumentParser], None]
    run: str


def _check_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="a rule file")
    parser.add_argument("--lint-fatal", action="store_true", help="fail when two rules record the same series, too")


def _test_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="a unit-test file, as promtool's")
    parser.add_argument("--run", metavar="NAME", help="only tests whose name contains this")


def _serve(parser: argparse.ArgumentParser) -> None:
    """Prometheus' own spelling of a flag is its second name."""
    parser.add_argument("--config", "--config.file", metavar="F", required=True, help="a prometheus.yml")
    parser.add_argument("--listen", "--web.listen-address", metavar="HOST:PORT", default="127.0.0.1:9090", help="(default: %(default)s)")
    parser.add_argument(
        "--data-dir", "--storage.tsdb.path", metavar="D", default="data", help="where samples are kept (default: %(default)s)"
    )
    parser.add_argument("--retention", "--storage.tsdb.retention.time", metavar="T", default="15d", help="how long (default: %(default)s)")
    parser.add_argument("--retention-bytes", type=int, metavar="N", default=0, help="how much; 0: any (default: %(default)s)")
    parser.add_argument(
        "--external-url", "--web.external-url", metavar="URL", help="under which clients reach the server; in alerts' links"
    )
    parser.add_argument("--admin-api", "--web.enable-admin-api", action="store_true", help="allow deletion and snapshots")
    parser.add_argument("--lifecycle", "--web.enable-lifecycle", action="store_true", help="allow POST /-/reload and /-/quit")
    parser.add_argument(
        "--remote-write-receiver", "--web.enable-remote-write-receiver", action="store_true", help="take samples at /api/v1/write"
    )
    parser.add_argument(
        "--otlp-receiver", "--web.enable-otlp-receiver", action="store_true", help="take OpenTelemetry's metrics at /api/v1/otlp/v1/metrics"
    )
    parser.add_argument(
        "--cors-origin", "--web.cors.origin", metavar="RE", default=".*", help="origins of pages that may ask (default: %(default)s)"
    )
    parser.add_argument("--lookback-delta", "--query.lookback-delta", metavar="T", default="5m", help="(default: %(default)s)")
    parser.add_argument(
        "--max-samples", "--query.max-samples", type=int, metavar="N", default=50_000_000, help="of one query (default: %(default)s)"
    )
    parser.add_argument("--query-timeout", "--query.timeout", metavar="T", default="2m", help="(default: %(default)s)")
    parser.add_argument(
        "--max-concurrency", "--query.max-concurrency", type=int, metavar="N", default=20, help="queries at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--read-samples", "--storage.remote.read-sample-limit", type=int, metavar="N", default=50_000_000,
        help="of one remote read that is not streamed; 0: any (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--read-concurrency", "--storage.remote.read-concurrent-limit", type=int, metavar="N", default=10,
        help="remote reads at a time (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--read-frame-bytes", "--storage.remote.read-max-bytes-in-frame", type=int, metavar="N", default=1024 * 1024,
        help="of a streamed remote read's frames (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--enable-feature",
        metavar="NAMES",
        action="append",
        help="promql-experimental-functions, promql-binop-fill-modifiers, ... (docs/metrics.md)",
    )


def _declare_scripts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="scripts of load and eval commands (docs/promql-scripts.md)")


def _declare_check_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="a configuration file, as Prometheus'")
    parser.add_argument("--syntax-only", action="store_true", help="do not look at the files that it names")


COMMANDS: tuple[Command, ...] = (
    Command("serve", "run a Prometheus-compatible server", _serve, "podium.cli.metrics_serve:serve"),
    Command(
        "check-config", "check prometheus.yml files, and the files that they name", _declare_check_config, "podium.cli.metrics_config:check"
    ),
    Command(
        "import-openmetrics",
        "make a store's blocks of samples in OpenMetrics text",
        metrics_import.declare,
        "podium.cli.metrics_import:run",
    ),
    Command("check-rules", "check rule files", _check_rules, "podium.cli.metrics_rules:check"),
    Command("test-rules", "run unit tests of rules", _test_rules, "podium.cli.metrics_rules:test"),
    Command("test-promql", "run scripts that say what PromQL queries must give", _declare_scripts, "podium.cli.promql_scripts:run"),
    Command("explain", "say what answering a query takes, part by part", metrics_explain.declare, "podium.cli.metrics_explain:run"),
    Command(
        "alertmanager",
        "an Alertmanager: routes, groups and silences alerts and tells receivers",
        metrics_alertmanager.declare_serve,
        "podium.cli.metrics_alertmanager:serve",
    ),
    Command(
        "check-alertmanager-config",
        "check alertmanager.yml files",
        metrics_alertmanager.declare_check,
        "podium.cli.metrics_alertmanager:check",
    ),
    Command(
        "exporter", "an exporter: node, kube-state, blackbox or pushgateway", metrics_exporter.declare, "podium.cli.metrics_exporter:run"
    ),
)


def declare(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="metrics_command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.declare(commands.add_parser(command.name, help=command.help, description=f"{command.help[0].upper()}{command.help[1:]}."))


def metrics(arguments: argparse.Namespace) -> int:
    command = next(c for c in COMMANDS if c.name == arguments.metrics_command)
    module, _, function = command.run.partition(":")
    code: int = getattr(import_module(module), function)(arguments)
    return code
