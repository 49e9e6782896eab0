"""How a probe is carried out: against a real container, or against a simulated one.

Source: kubelet/probe http, tcp, exec (what counts as success; wording).
"""

import asyncio

from podium.node.http_get import HttpGet, get_of, http_get, port_of
from podium.node.pod_spec import epoch_s
from podium.node.probes import Outcome
from podium.node.runtime.interface import Runtime, RuntimeFailure
from podium.node.runtime.simulated import seconds
from podium.objects.values import Object
from podium.world.interface import World

READY_AFTER = "podium.dev/simulated-ready-after"
"""A duration from the pod's start until its probes succeed."""
UNHEALTHY_AFTER = "podium.dev/simulated-unhealthy-after"
"""A duration from the pod's start after which its liveness and readiness probes fail."""


class RealTarget:
    def __init__(self, runtime: Runtime, get: HttpGet = http_get) -> None:
        self._runtime = runtime
        self._get = get

    async def probe(self, probe: Object, container: Object, container_id: str, address: str, pod: Object) -> Outcome:
        timeout_s = float(probe.get("timeoutSeconds", 1))
        try:
            if "exec" in probe:
                return await self._exec(probe, container_id, timeout_s)
            async with asyncio.timeout(timeout_s):
                if "httpGet" in probe:
                    return await self._http(probe["httpGet"], container, address)
                if "tcpSocket" in probe:
                    return await _tcp(probe["tcpSocket"], container, address)
        except TimeoutError:
            return Outcome(False, _timeout_message(probe, container, address, timeout_s))
        except ValueError as error:
            return Outcome(None, str(error))
        return Outcome(None, "this kind of probe is not supported")

    async def _exec(self, probe: Object, container_id: str, timeout_s: float) -> Outcome:
        try:
            result = await self._runtime.exec_sync(container_id, tuple(probe["exec"].get("command") or ()), timeout_s)
        except TimeoutError:
            return Outcome(False, f"command timed out: {' '.join(probe['exec'].get('command') or ())!r} timed out after {timeout_s:g}s")
        except RuntimeFailure as failure:
            return Outcome(None, str(failure))
        return Outcome(result.exit_code == 0, (result.stdout + result.stderr).decode(errors="replace"))

    async def _http(self, action: Object, container: Object, address: str) -> Outcome:
        request = get_of(action, container, address)
        try:
            status, body = await self._get(request)
        except OSError as error:
            return Outcome(False, f'Get "{request.url}": {_dial(error, request.host, request.port)}')
        except ValueError as error:
            return Outcome(False, f'Get "{request.url}": {error}')
        if 200 <= status < 400:
            return Outcome(True, body.decode(errors="replace"))
        return Outcome(False, f"HTTP probe failed with statuscode: {status}")


async def _tcp(action: Object, container: Object, address: str) -> Outcome:
    host, port = action.get("host") or address, port_of(action["port"], container)
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return Outcome(False, _dial(error, host, port))
    writer.close()
    return Outcome(True)


def _dial(error: OSError, host: str, port: int) -> str:
    """As Go says why it could not connect."""
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {host}:{port}: connect: connection refused"
    if isinstance(error, ConnectionResetError):
        return f"read tcp {host}:{port}: connection reset by peer"
    return f"dial tcp {host}:{port}: connect: {(error.strerror or str(error)).lower()}"


def _timeout_message(probe: Object, container: Object, address: str, timeout_s: float) -> str:
    if "httpGet" in probe:
        url = get_of(probe["httpGet"], container, address).url
        return f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    action = probe.get("tcpSocket", {})
    return f"dial tcp {action.get('host') or address}:{port_of(action.get('port', 0), container)}: i/o timeout"


class SimulatedTarget:
    """Probes of simulated pods succeed, unless an annotation of the pod says from or until when they do."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def probe(self, probe: Object, container: Object, container_id: str, address: str, pod: Object) -> Outcome:
        annotations = pod["metadata"].get("annotations") or {}
        ready, unhealthy = annotations.get(READY_AFTER), annotations.get(UNHEALTHY_AFTER)
        if not ready and not unhealthy:
            return Outcome(True, settled=True)
        start = pod.get("status", {}).get("startTime")
        age_s = self._world.clock.now().timestamp() - epoch_s(start) if start else 0.0
        try:
            if ready and age_s < seconds(ready):
                return Outcome(False, f"simulated: not ready before {ready}")
            if unhealthy and age_s >= seconds(unhealthy):
                return Outcome(False, f"simulated: unhealthy after {unhealthy}")
        except ValueError as error:
            return Outcome(None, str(error))
        return Outcome(True, settled=not unhealthy)
