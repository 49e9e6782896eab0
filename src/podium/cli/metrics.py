"""`podium metrics COMMAND`: the metrics engine's own commands, each in a module that is imported when it is called.

A command is a line of COMMANDS: its name, what it does, how its arguments are declared, and the function that runs it, as `module:function`
(it takes the parsed arguments and returns the exit code).
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from podium.cli import metrics_alertmanager


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


def _declare_scripts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="scripts of load and eval commands (docs/promql-scripts.md)")


COMMANDS: tuple[Command, ...] = (
    Command("check-rules", "check rule files", _check_rules, "podium.cli.metrics_rules:check"),
    Command("test-rules", "run unit tests of rules", _test_rules, "podium.cli.metrics_rules:test"),
    Command("test-promql", "run scripts that say what PromQL queries must give", _declare_scripts, "podium.cli.promql_scripts:run"),
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
