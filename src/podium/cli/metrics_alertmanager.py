"""`podium metrics alertmanager` and `podium metrics check-alertmanager-config`.

Imported for every `podium --help`: what is heavy is imported when a command runs.
"""

import argparse
import signal
import sys
from pathlib import Path

from podium.cli.listening import listen_address
from podium.cli.refusal import Refusal


def declare_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="F", required=True, help="alertmanager.yml")
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:9093", help="where to listen (default: 127.0.0.1:9093)")
    parser.add_argument("--data-dir", metavar="D", default="alertmanager-data", help="for silences and the notification log")
    parser.add_argument("--peer", metavar="URL", action="append", default=[], help="another replica; may be repeated")
    parser.add_argument("--advertise", metavar="URL", default="", help="where the other replicas reach this one (default: of --listen)")
    parser.add_argument(
        "--peer-timeout", metavar="SECONDS", type=float, default=15.0, help="how long a replica waits for the one before it"
    )
    parser.add_argument("--external-url", metavar="URL", default="", help="for links in notifications")


def declare_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="F", nargs="+", help="alertmanager.yml")


def serve(arguments: argparse.Namespace) -> int:
    import asyncio

    from podium.instrument.log import configure
    from podium.telemetry.metrics.alertmanager.errors import AlertmanagerError
    from podium.telemetry.metrics.alertmanager.server import ServerSettings
    from podium.telemetry.metrics.alertmanager.server import serve as run

    configure()
    host, port = listen_address(arguments.listen, "127.0.0.1:9093")
    settings = ServerSettings(
        Path(arguments.config), Path(arguments.data_dir), host, port, tuple(p.rstrip("/") for p in arguments.peer),
        arguments.advertise.rstrip("/"), arguments.external_url, arguments.peer_timeout,
    )  # fmt: skip

    async def main() -> None:
        from podium.world.real import RealWorld

        stopping, reload = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        loop.add_signal_handler(signal.SIGHUP, reload.set)
        await run(settings, RealWorld(), stopping, reload)

    try:
        asyncio.run(main())
    except AlertmanagerError as error:
        raise Refusal(f"{arguments.config}: {error}" if isinstance(error, ValueError) else str(error)) from error
    except ValueError as error:
        raise Refusal(str(error)) from error
    return 0


def check(arguments: argparse.Namespace) -> int:
    """A line for each file, as amtool's; 1 when one of them cannot be used."""
    from podium.telemetry.metrics.alertmanager.configuration import load_file
    from podium.telemetry.metrics.alertmanager.errors import ConfigurationError
    from podium.telemetry.metrics.alertmanager.notification_templates import NotificationTemplates
    from podium.world.real import RealClock

    failed = 0
    for name in arguments.files:
        try:
            configuration = load_file(Path(name))
            NotificationTemplates.load(configuration.templates, RealClock())
        except ConfigurationError as error:
            print(f"Checking '{name}'  FAILED: {error}", file=sys.stderr)
            failed += 1
            continue
        print(f"Checking '{name}'  SUCCESS")
        print(
            f"Found:\n - global config\n - route\n - {len(configuration.inhibit_rules)} inhibit rules\n"
            f" - {len(configuration.receivers)} receivers\n - {len(configuration.templates)} templates"
        )
    if failed:
        print(f"podium: {failed} of {len(arguments.files)} files cannot be used", file=sys.stderr)
    return 1 if failed else 0
