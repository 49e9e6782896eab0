"""`podium metrics serve`: settings from the command line. Prometheus' own spellings of the flags are understood, too."""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from podium import __version__
from podium.cli.listening import listen_address
from podium.cli.refusal import Refusal

if TYPE_CHECKING:
    from podium.telemetry.metrics.promql.token_stream import Features
    from podium.telemetry.metrics.remote.reading import ReadLimits


def serve(arguments: Namespace) -> int:
    from podium.instrument.log import configure
    from podium.telemetry.discovery.kinds import ALL_KINDS, all_makers
    from podium.telemetry.discovery.kubernetes_clients import KubernetesAccess
    from podium.telemetry.metrics.durations import parse_duration
    from podium.telemetry.metrics.errors import MetricsError
    from podium.telemetry.metrics.promql.engine import Options as EngineOptions
    from podium.telemetry.metrics.server.server import ServerOptions
    from podium.telemetry.metrics.server.sources import Switches
    from podium.telemetry.metrics.server.standalone import Settings, run
    from podium.telemetry.metrics.tsdb.options import Options as StoreOptions

    configure()
    host, port = listen_address(arguments.listen, "127.0.0.1:9090")
    data_dir = Path(arguments.data_dir).absolute()
    features = _features([name for text in arguments.enable_feature or () for name in text.split(",") if name])
    try:
        store = StoreOptions(retention_ms=parse_duration(arguments.retention), retention_bytes=arguments.retention_bytes)
        settings = Settings(
            config=Path(arguments.config).absolute(), data_dir=data_dir, host=host, port=port, store=store,
            options=ServerOptions(
                directory=data_dir,
                external_url=arguments.external_url or f"http://{host}:{port}",
                version=__version__,
                switches=Switches(
                    arguments.admin_api, arguments.lifecycle, arguments.remote_write_receiver, arguments.otlp_receiver, features.language
                ),
                engine=EngineOptions(
                    lookback_ms=parse_duration(arguments.lookback_delta), samples_max=arguments.max_samples,
                    timeout_s=parse_duration(arguments.query_timeout) / 1000, concurrency=arguments.max_concurrency, features=features.language,
                    delayed_name_removal=features.delayed_name_removal, type_and_unit_labels=features.type_and_unit_labels,
                ),
                read=_read_limits(arguments),
                cors_origin=arguments.cors_origin,
            ),
            flags={"config.file": str(arguments.config), "web.listen-address": arguments.listen}, kinds=ALL_KINDS,
            makers=lambda world, supervisor: all_makers(world, KubernetesAccess(world, supervisor)),
        )  # fmt: skip
        run(settings)
    except MetricsError as error:
        raise Refusal(str(error)) from error
    except ValueError as error:
        raise Refusal(str(error)) from error
    return 0


def _read_limits(arguments: Namespace) -> "ReadLimits":
    """Raises ValueError."""
    from podium.telemetry.metrics.remote.reading import ReadLimits

    for flag, value, least in (
        ("--read-samples", arguments.read_samples, 0),
        ("--read-concurrency", arguments.read_concurrency, 1),
        ("--read-frame-bytes", arguments.read_frame_bytes, 1),
    ):
        if value < least:
            raise ValueError(f"{flag}: at least {least} is wanted, not {value}")
    return ReadLimits(arguments.read_samples, arguments.read_concurrency, arguments.read_frame_bytes)


@dataclass(frozen=True, slots=True)
class Enabled:
    """What --enable-feature switches on."""

    language: "Features"
    delayed_name_removal: bool
    type_and_unit_labels: bool


ALWAYS = (
    "exemplar-storage", "native-histograms", "promql-at-modifier", "promql-duration-expr", "promql-negative-offset",
    "promql-per-step-stats", "utf8-names", "concurrent-rule-eval", "auto-gomaxprocs", "auto-gomemlimit", "no-default-scrape-port",
)  # fmt: skip
"""What is there without being asked for, or means nothing here."""


def _features(names: list[str]) -> Enabled:
    from podium.telemetry.metrics.promql.token_stream import Features
    from podium.telemetry.metrics.server.about import DELAYED_NAME_REMOVAL, LANGUAGE_FEATURES, TYPE_AND_UNIT_LABELS

    known = (*LANGUAGE_FEATURES, DELAYED_NAME_REMOVAL, TYPE_AND_UNIT_LABELS, *ALWAYS)
    for name in names:
        if name not in known:
            raise Refusal(f"--enable-feature {name}: there is no such feature here; there are {', '.join(known)}")
    language = Features(**{part: name in names for name, part in LANGUAGE_FEATURES.items()})
    return Enabled(language, DELAYED_NAME_REMOVAL in names, TYPE_AND_UNIT_LABELS in names)
