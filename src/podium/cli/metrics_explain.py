"""`podium metrics explain EXPR`: what answering a query takes, part by part, as a tree.

A server is asked (`--url`, by default the cluster's own), or the query is answered here, over a store that no server has open (`--config`).
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from podium.cli.refusal import Refusal

TIMEOUT_S = 130.0
"""For a server's answer: it ends the query itself before."""
ANSWER_BYTES_MAX = 64 * 1024 * 1024


def declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", metavar="EXPR", help="a PromQL expression")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", metavar="URL", help="of a server of ours (default: the cluster's)")
    where.add_argument("--config", metavar="F", help="a prometheus.yml: answer here, over --data-dir and what it reads from")
    parser.add_argument("--data-dir", metavar="D", help="with --config: the store (default: data); otherwise: the cluster's")
    parser.add_argument("--time", metavar="T", help="seconds since 1970, or RFC 3339 (default: now)")
    parser.add_argument("--start", metavar="T", help="of a range query")
    parser.add_argument("--end", metavar="T", help="(default: now)")
    parser.add_argument("--step", metavar="D", help="15s, 1m, ...: makes it a range query")
    parser.add_argument("--timeout", metavar="D", help="of the evaluation")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="(default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    if (arguments.start is None) != (arguments.step is None):
        raise Refusal("a range query needs both --start and --step")
    import asyncio
    import json

    from podium.telemetry.metrics.promql.explain import render

    said = asyncio.run(_here(arguments) if arguments.config else _asked(arguments))
    explained = said["data"]
    if arguments.output == "json":
        print(json.dumps(explained, indent=2))
    else:
        print(render(explained))
        for kind in ("warnings", "infos"):
            for text in said.get(kind, ()):
                print(f"{kind.removesuffix('s')}: {text}")
    return 0


def _parameters(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """As the API takes them."""
    from datetime import UTC, datetime

    now = f"{datetime.now(UTC).timestamp():.3f}"
    given = {"query": arguments.query, "timeout": arguments.timeout}
    if arguments.step is None:
        given["time"] = arguments.time or now
    else:
        given |= {"start": arguments.start, "end": arguments.end or now, "step": arguments.step}
    return {name: [value] for name, value in given.items() if value}


def _cluster_url(data_dir: str | None) -> str:
    from podium.cli.cluster import require, resolve_data_dir

    cluster = require(resolve_data_dir(data_dir))
    if not cluster.metrics:
        raise Refusal(f"the cluster in {cluster.data_dir} runs without metrics: give --url or --config")
    return cluster.metrics_url


async def _asked(arguments: argparse.Namespace) -> Mapping[str, Any]:
    import json
    from urllib.parse import urlencode

    from podium.telemetry.metrics.configuration.http import HttpConfig
    from podium.telemetry.metrics.outbound.client import OutboundClient
    from podium.telemetry.metrics.outbound.interface import OutboundError
    from podium.world.real import RealWorld

    url = (arguments.url or _cluster_url(arguments.data_dir)).rstrip("/") + "/api/v1/podium/explain"
    client = OutboundClient(HttpConfig(), RealWorld())
    body = urlencode(_parameters(arguments), doseq=True).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    try:
        answer = await client.request("POST", url, headers=headers, body=body, timeout_s=TIMEOUT_S, response_bytes_max=ANSWER_BYTES_MAX)
        said: Any = json.loads(answer.body)
        if answer.status == 200 and "data" in said:
            return dict(said)
        raise Refusal(str(said["error"]))
    except OutboundError as error:
        raise Refusal(f"{url}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(f"{url} answers {answer.status_text}: only Podium's servers explain queries") from error
    finally:
        await client.aclose()


async def _here(arguments: argparse.Namespace) -> Mapping[str, Any]:
    import json
    import os

    from podium.telemetry.discovery.kinds import ALL_KINDS
    from podium.telemetry.metrics.configuration.configuration import load_file
    from podium.telemetry.metrics.errors import MetricsError
    from podium.telemetry.metrics.promql.parser import EVERYTHING
    from podium.telemetry.metrics.server.errors import ApiError
    from podium.telemetry.metrics.server.parameters import Parameters
    from podium.telemetry.metrics.server.queries import explain
    from podium.telemetry.metrics.server.server import MetricsServer, ServerOptions
    from podium.telemetry.metrics.server.sources import Switches
    from podium.telemetry.metrics.server.standalone import store_options
    from podium.telemetry.metrics.tsdb.errors import DirectoryInUse
    from podium.telemetry.metrics.tsdb.options import Options
    from podium.telemetry.metrics.tsdb.tsdb import Tsdb
    from podium.world.real import RealWorld

    data_dir = Path(arguments.data_dir or "data")
    if not data_dir.is_dir():
        raise Refusal(f"there is no store in {data_dir}: give --data-dir")
    world = RealWorld()
    try:
        configuration = load_file(Path(arguments.config), ALL_KINDS, os.environ)
        store = Tsdb.open(data_dir, world, store_options(Options(), configuration))
    except DirectoryInUse as error:
        raise Refusal(f"a server has {data_dir} open: ask it, with --url") from error
    except MetricsError as error:
        raise Refusal(str(error)) from error
    server = MetricsServer(store, world, ServerOptions(switches=Switches(features=EVERYTHING)))
    try:
        server.read_from(configuration)
        answer = await explain(server.sources(), Parameters(_parameters(arguments)))
        return dict(json.loads(answer.body))
    except ApiError as error:
        raise Refusal(str(error)) from error
    finally:
        await server.stop()
        await store.close()
