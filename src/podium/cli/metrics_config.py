"""`podium metrics check-config FILE...`: promtool's check of prometheus.yml, and of the files that it names."""

import glob
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from podium.telemetry.discovery.kinds import ALL_KINDS
from podium.telemetry.metrics.configuration.configuration import Configuration, load_file
from podium.telemetry.metrics.configuration.discovery import FileDiscoveryConfig
from podium.telemetry.metrics.configuration.values import FilePath
from podium.telemetry.metrics.discovery.files import FILE_PATH
from podium.telemetry.metrics.discovery.group_files import read_json, read_yaml
from podium.telemetry.metrics.discovery.groups import ADDRESS
from podium.telemetry.metrics.discovery.refreshing import DiscoveryFailed
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.rules.documents import read
from podium.telemetry.metrics.rules.errors import RuleFileError
from podium.telemetry.metrics.scrape.errors import BadTarget
from podium.telemetry.metrics.scrape.targets import TargetMaker

_WRITTEN = ("query_log_file", "scrape_failure_log_file")
_LISTS = ("rule_files", "scrape_config_files")


def check(arguments: Namespace) -> int:
    """0: all files are fine; 1: not."""
    code = 0
    for name in arguments.files:
        print(f"Checking {name}")
        try:
            configuration = load_file(Path(name), ALL_KINDS, os.environ)
            check_static_targets(configuration)
            rules = [] if arguments.syntax_only else _referenced(configuration)
        except ConfigurationError as error:
            print(f"  FAILED: {error}", file=sys.stderr)
            code = 1
            continue
        for warning in configuration.warnings:
            print(f"  WARNING: {warning}", file=sys.stderr)
        if rules:
            print(f"  SUCCESS: {len(rules)} rule files found")
        print(f" SUCCESS: {name} is valid prometheus config file syntax\n")
        for path in rules:
            code = _check_rules(path) or code
    return code


def _check_rules(path: str) -> int:
    print(f"Checking {path}")
    try:
        groups = read(Path(path).read_bytes(), path)
    except (OSError, RuleFileError) as error:
        print(f"  FAILED:\n{error}", file=sys.stderr)
        return 1
    print(f"  SUCCESS: {sum(len(group.rules) for group in groups)} rules found\n")
    return 0


def _referenced(configuration: Configuration) -> list[str]:
    """The rule files. Raises ConfigurationError when another file that is named is missing or wrong."""
    rules: list[str] = []
    for pattern in configuration.rule_files:
        found = sorted(glob.glob(pattern))
        if not found and not any(c in pattern for c in "*?["):
            raise ConfigurationError(f'"{pattern}" does not point to an existing file')
        rules += found
    for path in _paths(configuration):
        if not Path(path).exists():
            raise ConfigurationError(f'error checking file "{path}": no such file or directory')
    for job in configuration.jobs:
        for section in job.discovery.get("file_sd_configs", ()):
            _check_target_files(section, job.job_name)
    return rules


def check_static_targets(configuration: Configuration) -> None:
    """As they are after relabelling. Raises ConfigurationError."""
    for job in configuration.jobs:
        maker = TargetMaker(job)
        for number, group in enumerate(job.discovery.get("static_configs", ())):
            for instance, address in enumerate(group.targets):
                try:
                    maker.make({**group.labels, ADDRESS: address})
                except BadTarget as error:
                    raise ConfigurationError(f"instance {instance} in group {number}: {error}") from error


def _check_target_files(section: FileDiscoveryConfig, job: str) -> None:
    for pattern in section.files:
        found = sorted(glob.glob(pattern))
        if not found:
            print(f'  WARNING: file "{pattern}" for file_sd in scrape job "{job}" does not exist', file=sys.stderr)
        for path in found:
            try:
                (read_json if path.lower().endswith(".json") else read_yaml)(Path(path).read_bytes(), path, FILE_PATH)
            except (OSError, DiscoveryFailed) as error:
                raise ConfigurationError(f"checking SD file: {error}") from error


def _paths(value: Any, kind: Any = None) -> Iterator[str]:
    """Every file that is read: certificates, credentials, kubeconfigs."""
    if isinstance(value, FileDiscoveryConfig):
        return
    if is_dataclass(value) and not isinstance(value, type):
        hints = get_type_hints(type(value), include_extras=True)
        for field in fields(value):
            if field.name not in (*_WRITTEN, *_LISTS):
                yield from _paths(getattr(value, field.name), hints[field.name])
    elif isinstance(value, tuple):
        for item in value:
            yield from _paths(item, next(iter(get_args(kind)), None))
    elif isinstance(value, dict):
        for item in value.values():
            yield from _paths(item, (get_args(kind) or (None,))[-1])
    elif kind == FilePath and value:
        yield value
