"""Checks the architecture: who may import whom, and who may open the doors to the real world. Prints each breach and why it is one.

    python tools/check_layers.py [src/podium]

Two rules, both from the design (docs/design or ARCHITECTURE.md):

* the packages are in an order, and a package imports only earlier ones; some never import the store, the API or one another;
* time, chance, sockets, threads, processes and bare tasks are had from `world`, so that the same code runs under a virtual clock.

An exception is a line in ALLOWED with its reason; a reason that is not used any more is a breach too.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ORDER = (
    "world", "instrument", "objects", "store", "api", "client", "controllers", "scheduler", "autoscaling", "node", "network", "cloud",
    "certificates", "delivery", "telemetry", "console", "simulation", "cli",
)  # fmt: skip
"""A package may import those before it. Modules directly in podium/ (main, control_plane) wire everything and may import all of them."""

CLIENTS_ONLY = ("controllers", "scheduler", "autoscaling", "node", "network", "certificates", "delivery")
"""Clients of the API like anyone's: they never import `store` or `api`, nor one another."""

ENGINE = "telemetry/metrics/"
ENGINE_IMPORTS = ("world", "instrument", "telemetry")
"""The metrics engine knows nothing of Kubernetes, and so can stand alone: below telemetry it imports only telemetry.metrics."""

MODULES = {
    "time": "the clock is the world's: world.clock.now(), .monotonic(), .timestamp(); to wait, asyncio.sleep",
    "random": "chance is the world's: world.random(name), so that a seed repeats a run (`random.Random` as a type is fine)",
    "uuid": "identifiers are the world's: world.uid()",
    "secrets": "chance is the world's: world.token(length) for names; keys are made in api/authority.py",
    "socket": "sockets belong to world (http_server, http_client): a rehearsal has none",
    "threading": "a thread escapes the virtual clock; stay on the loop",
    "multiprocessing": "processes are started by node/runtime and cli only",
    "concurrent": "a thread escapes the virtual clock; stay on the loop",
    "subprocess": "processes are started by node/runtime and cli only",
    "select": "waiting is asyncio's",
    "selectors": "waiting is asyncio's",
}
CALLS = {
    "asyncio.create_task": "a task needs an owner: Supervisor.start(name, coroutine) of world/supervisor.py",
    "asyncio.ensure_future": "a task needs an owner: Supervisor.start(name, coroutine) of world/supervisor.py",
    "asyncio.TaskGroup": "it cancels in the order of a set, which differs from run to run: use a Supervisor of world/supervisor.py",
    "asyncio.to_thread": "a thread escapes the virtual clock; stay on the loop",
    "asyncio.create_subprocess_exec": "processes are started by node/runtime and cli only",
    "asyncio.create_subprocess_shell": "processes are started by node/runtime and cli only",
    "asyncio.open_connection": "sockets belong to world (http_client): a rehearsal has none",
    "asyncio.start_server": "sockets belong to world (http_server): a rehearsal has none",
    "datetime.now": "the clock is the world's: world.clock.now()",
    "datetime.utcnow": "the clock is the world's: world.clock.now()",
    "datetime.today": "the clock is the world's: world.clock.now()",
    "date.today": "the clock is the world's: world.clock.now()",
    "random.Random": "chance is the world's: world.random(name)",
    "os.urandom": "chance is the world's: world.random(name), world.token(length); keys are made in api/authority.py",
}
LOOP_METHODS = {
    "create_task": "a task needs an owner: Supervisor.start(name, coroutine) of world/supervisor.py",
    "run_in_executor": "a thread escapes the virtual clock; stay on the loop",
}


@dataclass(frozen=True, slots=True)
class Allowed:
    """`where` is a path below podium/, a file or a folder ending with a slash; `what` names doors, or packages for an import."""

    where: str
    what: tuple[str, ...]
    reason: str


_PROCESSES = ("subprocess", "time", "socket", "select", "threading", "asyncio.create_subprocess_exec", "asyncio.to_thread")
ALLOWED = (
    Allowed("world/", (*MODULES, *CALLS, *LOOP_METHODS), "the world is where the doors are"),
    Allowed("node/runtime/process", _PROCESSES, "starts workloads as host processes, which no rehearsal does"),
    Allowed("node/runtime/cri", _PROCESSES, "talks to a container runtime, which no rehearsal does"),
    Allowed("node/runtime/command_session.py", _PROCESSES, "runs commands inside host processes and containers"),
    Allowed("node/http_get.py", ("asyncio.open_connection",), "probes and hooks of real pods; simulated ones have SimulatedTarget"),
    Allowed("node/agent.py", ("asyncio.to_thread",), "measures what is in an emptyDir; simulated pods have no files"),
    Allowed("api/audit_log.py", ("asyncio.to_thread",), "appends to a file, which may be on a slow disk; a rehearsal keeps no audit log"),
    Allowed("store/seal.py", ("os.urandom",), "keys and nonces for what lies on disk; a rehearsal has no disk"),
    Allowed("api/compression.py", ("run_in_executor",), "compresses bytes for a socket; a rehearsal has none"),
    Allowed("node/images.py", ("subprocess",), "packs and loads images for a container runtime, at the command line"),
    Allowed("node/probe_targets.py", ("asyncio.open_connection",), "probes of real pods; simulated ones have SimulatedTarget"),
    Allowed(
        "network/",
        ("subprocess", "socket", "asyncio.create_subprocess_exec", "asyncio.to_thread"),
        "sets up the kernel's network: live only",
    ),
    Allowed(
        "telemetry/exporters/node/filesystems.py", ("asyncio.to_thread",), "asks mounts that may never answer; a rehearsal mounts nothing"
    ),
    Allowed("telemetry/exporters/blackbox/", ("socket", "asyncio.open_connection"), "probes what others serve; a rehearsal has no outside"),
    Allowed("store/writer.py", ("threading",), "the thread that waits for the disk; rehearsals use the memory store"),
    Allowed("store/lock.py", ("subprocess",), "names the process that holds the data directory, where there is no /proc"),
    Allowed("api/authority.py", ("secrets", "datetime.now", "os.urandom"), "keys and certificates: real entropy and real dates, always"),
    Allowed("telemetry/discovery/ec2.py", ("asyncio.to_thread",), "boto3 blocks; a rehearsal gives another source of instances"),
    Allowed("cli/", (*MODULES, *CALLS), "for terminals: starts, watches and ends real processes"),
    Allowed("node_process.py", ("asyncio.to_thread",), "wires the live role: waits for containerd"),
    Allowed("control_plane.py", ("socket",), "wires the live role, which is handed its listening sockets"),
)


@dataclass(frozen=True, slots=True)
class Breach:
    path: str
    line: int
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}\n    {self.why}"


def check(root: Path, allowed: tuple[Allowed, ...] = ALLOWED) -> list[Breach]:
    """All breaches below `root` (the package's folder), by path and line."""
    breaches: list[Breach] = []
    used: set[int] = set()
    files = sorted(root.rglob("*.py"))
    for path in files:
        below = path.relative_to(root).as_posix()
        permitted = {what: n for n, a in enumerate(allowed) if below.startswith(a.where) for what in a.what}
        tree = ast.parse(path.read_bytes(), filename=str(path))
        for line, what, name, why in _findings(tree, below):
            if name in permitted:
                used.add(permitted[name])
            else:
                breaches.append(Breach(str(path), line, what, why))
    for n, exception in enumerate(allowed):
        present = any(path.relative_to(root).as_posix().startswith(exception.where) for path in files)
        if present and n not in used and exception.where.endswith(".py"):
            why = f"nothing there needs {', '.join(exception.what[:4])} any more: delete the line"
            breaches.append(Breach(__file__, 0, f"the exception for {exception.where} ({exception.reason}) is not used", why))
    return breaches


Finding = tuple[int, str, str, str]
"""(line, what is done, the name an exception would carry, why not)."""


def _findings(tree: ast.Module, below: str) -> Iterator[Finding]:
    aliases = _typing_only_random(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield from _import(node.lineno, name.name, below, typing_only=name.name in aliases)
        elif isinstance(node, ast.ImportFrom) and node.module:
            typing_only = node.module == "random" and {n.name for n in node.names} == {"Random"}
            modules = [f"podium.{n.name}" for n in node.names] if node.module == "podium" else [node.module]
            for name in node.names:
                full = f"{node.module}.{name.name}"
                if full in CALLS and node.module != "random":
                    yield node.lineno, f"imports {full}", full, CALLS[full]
            for module in modules:
                yield from _import(node.lineno, module, below, typing_only=typing_only)
        elif isinstance(node, ast.Call):
            yield from _call(node)


def _typing_only_random(tree: ast.Module) -> set[str]:
    """{"random"} when the module is only used as `random.Random`, to name the type."""
    attributes = {
        n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "random"
    }
    return {"random"} if attributes <= {"Random"} else set()


def _import(line: int, module: str, below: str, *, typing_only: bool) -> Iterator[Finding]:
    top, _, rest = module.partition(".")
    if top != "podium":
        if top in MODULES and not typing_only:
            yield line, f"imports {module}", top, MODULES[top]
        return
    target = rest.partition(".")[0]
    own = below.partition("/")[0]
    why = _why_not(own, target) or (_why_not_engine(target, rest) if below.startswith(ENGINE) else "")
    if why:
        yield line, f"imports {module}", target, why


def _why_not(own: str, target: str) -> str:
    """Why a module of package `own` may not import package `target`; empty when it may."""
    if not target or target.startswith("__") or target == own or own not in ORDER:
        return ""
    if target not in ORDER:
        return f"podium.{target} wires packages together, and only its like may import it: move what you need into a package"
    if own in CLIENTS_ONLY and target in ("store", "api"):
        return f"{own} is a client of the API like anyone's, and works against any cluster: use podium.client (Client, Mirrors)"
    if own in CLIENTS_ONLY and target in CLIENTS_ONLY:
        return f"{own} and {target} work together through the API only: move what both need to podium.objects or podium.client"
    if ORDER.index(target) > ORDER.index(own):
        return f"{own} comes before {target} in the order of packages: pass what you need as an argument, or move it up"
    return ""


def _why_not_engine(target: str, module: str) -> str:
    """Why the metrics engine may not import `module` (below podium) of package `target`; empty when it may."""
    if target and target not in ENGINE_IMPORTS:
        return f"{ENGINE[:-1]} knows nothing of Kubernetes: what needs {target} stands beside it (telemetry/discovery, telemetry/exporters)"
    if target == "telemetry" and not module.startswith("telemetry.metrics"):
        return f"{ENGINE[:-1]} stands alone: pass what you need of {module} as an argument"
    return ""


def _call(node: ast.Call) -> Iterator[Finding]:
    function = node.func
    if not isinstance(function, ast.Attribute):
        return
    owner = function.value.id if isinstance(function.value, ast.Name) else getattr(function.value, "attr", "")
    name = f"{owner}.{function.attr}"  # of datetime.now() and datetime.datetime.now()
    if name in CALLS:
        yield node.lineno, f"calls {name}", name, CALLS[name]
    elif function.attr in LOOP_METHODS:
        yield node.lineno, f"calls {function.attr}", function.attr, LOOP_METHODS[function.attr]


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else Path(__file__).parents[1] / "src" / "podium"
    breaches = check(root)
    for breach in breaches:
        print(breach)
    if breaches:
        print(f"{len(breaches)} breaches of the architecture; an exception needs a line with its reason in {__file__}")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
