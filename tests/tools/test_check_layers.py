"""The architecture check finds what it should, says why, and holds for this repository."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


check_layers = load("check_layers")

BREACHES = [
    # (file, source, part of what, part of why)
    ("objects/a.py", "from podium.store.record import Record", "imports podium.store.record", "objects comes before store"),
    ("world/a.py", "import podium.objects.values", "imports podium.objects.values", "world comes before objects"),
    ("store/a.py", "def f():\n    from podium.api import core", "imports podium.api", "store comes before api"),
    ("controllers/a.py", "from podium.store.memory import MemoryStore", "podium.store.memory", "client of the API like anyone's"),
    ("node/runtime/a.py", "from podium import api", "imports podium.api", "client of the API like anyone's"),
    ("scheduler/a.py", "from podium.controllers.x import y", "podium.controllers.x", "through the API only"),
    ("node/a.py", "from podium.controllers.x import y", "podium.controllers.x", "through the API only"),
    ("api/a.py", "from podium.control_plane import build", "podium.control_plane", "wires packages together"),
    ("api/a.py", "import time", "imports time", "world.clock"),
    ("api/a.py", "from time import monotonic", "imports time", "world.clock"),
    ("controllers/a.py", "import random\nrandom.random()", "imports random", "world.random"),
    ("controllers/a.py", "import random\nrandom.Random(1)", "calls random.Random", "world.random"),
    ("client/a.py", "import uuid", "imports uuid", "world.uid"),
    ("api/a.py", "import secrets", "imports secrets", "world.token"),
    ("client/a.py", "import socket", "imports socket", "sockets belong to world"),
    ("api/a.py", "from concurrent.futures import ThreadPoolExecutor", "imports concurrent.futures", "virtual clock"),
    ("api/a.py", "from datetime import datetime\ndatetime.now()", "calls datetime.now", "world.clock.now()"),
    ("api/a.py", "import datetime\ndatetime.datetime.now()", "calls datetime.now", "world.clock.now()"),
    ("client/a.py", "import asyncio\nasyncio.create_task(f())", "calls asyncio.create_task", "Supervisor.start"),
    ("client/a.py", "from asyncio import create_task", "imports asyncio.create_task", "Supervisor.start"),
    ("client/a.py", "async def f(loop):\n    loop.create_task(g())", "calls create_task", "Supervisor.start"),
    ("client/a.py", "async def f():\n    async with asyncio.TaskGroup() as group: pass", "calls asyncio.TaskGroup", "order of a set"),
    ("telemetry/metrics/a.py", "from podium.objects.quantities import whole", "podium.objects.quantities", "nothing of Kubernetes"),
    ("telemetry/metrics/tsdb/a.py", "from podium.telemetry.discovery.http import x", "telemetry.discovery", "stands alone"),
    ("client/a.py", "async def f(loop):\n    await loop.run_in_executor(None, g)", "calls run_in_executor", "virtual clock"),
]

FINE = [
    ("api/a.py", "from podium.store.record import Record\nfrom podium.world.interface import World"),
    ("client/a.py", "from podium.api.server import ApiServer"),
    ("controllers/a.py", "from podium.controllers.other import plan\nfrom podium.client.mirrors import Mirrors"),
    ("telemetry/metrics/tsdb/a.py", "from podium.telemetry.metrics.labels import Labels\nfrom podium.world.interface import World"),
    ("telemetry/discovery/a.py", "from podium.client.mirrors import Mirrors"),
    ("wiring.py", "from podium.controllers.x import y\nfrom podium.store.memory import z"),
    ("main.py", "from podium.control_plane import run"),
    ("cli/a.py", "import time, subprocess\nfrom podium import __version__"),
    ("client/a.py", "import random\ndef f(draw: random.Random) -> None: draw.random()"),
    ("client/a.py", "from random import Random"),
    ("client/a.py", "import asyncio\nasync def f(world):\n    await asyncio.sleep(1)\n    return world.clock.now()"),
    ("world/a.py", "import time, random, uuid, socket, asyncio\nasyncio.create_task(f())"),
]


def breaches(tmp_path, file, source):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return check_layers.check(tmp_path)


@pytest.mark.parametrize(("file", "source", "what", "why"), BREACHES)
def test_a_breach_is_found_and_explained(tmp_path, file, source, what, why):
    (breach,) = breaches(tmp_path, file, source)
    line = source[: source.index(what.rpartition(" ")[2].rpartition(".")[2])].count("\n") + 1
    assert (breach.line, breach.path) == (line, str(tmp_path / file))
    assert what in breach.what and why in breach.why


@pytest.mark.parametrize(("file", "source"), FINE)
def test_what_is_fine_stays_unmentioned(tmp_path, file, source):
    assert breaches(tmp_path, file, source) == []


def test_an_exception_nobody_needs_is_a_breach(tmp_path):
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "a.py").write_text("")
    (breach,) = check_layers.check(tmp_path, (check_layers.Allowed("api/a.py", ("time",), "for a while"),))
    assert "for a while" in breach.what


def test_this_repository_keeps_to_its_architecture():
    assert [str(breach) for breach in check_layers.check(ROOT / "src" / "podium")] == []


def test_every_package_has_its_place():
    packages = {path.parent.name for path in (ROOT / "src" / "podium").glob("*/__init__.py")}
    assert packages <= set(check_layers.ORDER)
