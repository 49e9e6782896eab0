"""`podium metrics import-openmetrics FILE --data-dir D`: a history into blocks of a store, as promtool's create-blocks-from openmetrics."""

import argparse
from pathlib import Path

from podium.cli.refusal import Refusal


def declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="OpenMetrics text; every sample has a time")
    parser.add_argument("--data-dir", metavar="D", default="data", help="of the server that shall have it (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Blocks made before an error stay: the rest can be imported again, samples that are there already are taken once."""
    from podium.telemetry.metrics.errors import MetricsError
    from podium.telemetry.metrics.exposition.history import read_history
    from podium.telemetry.metrics.tsdb.backfill import Backfill
    from podium.world.real import RealWorld

    backfill = Backfill(Path(arguments.data_dir).absolute(), RealWorld())
    try:
        with open(arguments.file, "rb") as file:
            for labels, times, values in read_history(file):
                backfill.add_run(labels, times, values)
            backfill.finish()
    except MetricsError as error:
        raise Refusal(f"{arguments.file}: {error}") from error
    except OSError as error:
        raise Refusal(f"{arguments.file}: {error.strerror}") from error
    made = f"{backfill.samples} samples in {len(backfill.blocks)} blocks of {arguments.data_dir}"
    print(f"{made}: a server that runs there has them when it starts next")
    return 0
