"""A command in a container over one WebSocket: the channel protocols v5 and v4 of Kubernetes.

Every binary message begins with its channel: 0 stdin, 1 stdout, 2 stderr, 3 the final status (a metav1.Status as JSON), 4 resize
(`{"Width": 80, "Height": 24}`), and in v5 255, which closes the channel named by its second byte. An exit code other than 0 is a Failure
with reason NonZeroExitCode and the code as a cause.

Source: k8s.io/apimachinery remotecommand constants; apiserver wsstream; KEP-4006 (v5 close signal).
"""

import asyncio
from typing import Any

import orjson

from podium.instrument.log import logger
from podium.node.runtime.interface import ExecSession, RuntimeFailure
from podium.world.supervisor import Supervisor
from podium.world.websocket import WebSocket

log = logger("node.exec")

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")


def exit_status(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure_status(message: str) -> dict[str, Any]:
    return {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500}


async def serve(websocket: WebSocket, session: ExecSession, *, stdin: bool, stdout: bool, stderr: bool) -> None:
    """Until the command ends or the client goes; a command whose client went is killed."""
    supervisor = Supervisor("exec")
    client = supervisor.start("input", _input(websocket, session, stdin))
    output = supervisor.start("output", _output(websocket, session, stdout, stderr))
    try:
        await asyncio.wait([client, output], return_when=asyncio.FIRST_COMPLETED)
        if output.done():
            websocket.send(bytes([ERROR]) + orjson.dumps(output.result()))
            await websocket.drain()
    finally:
        await session.kill()  # lets go of the streams also when the command has ended
        await supervisor.stop()
        await websocket.close()


async def refuse(websocket: WebSocket, message: str) -> None:
    """Says why there is no command: on the status channel, because clients do not show the body of a refused handshake."""
    websocket.send(bytes([ERROR]) + orjson.dumps(failure_status(message)))
    await websocket.drain()
    await websocket.close()


async def _output(websocket: WebSocket, session: ExecSession, stdout: bool, stderr: bool) -> dict[str, Any]:
    try:
        while True:
            stream, data = await session.read()
            if stream == 0:
                return exit_status(await session.wait())
            if (stream == STDOUT and stdout) or (stream == STDERR and stderr):
                websocket.send(bytes([stream]) + data)
                await websocket.drain()
    except (RuntimeFailure, OSError) as failure:
        return failure_status(str(failure))


async def _input(websocket: WebSocket, session: ExecSession, stdin: bool) -> None:
    """Ends when the client has closed the connection."""
    while (message := await websocket.receive()) is not None:
        data = message[1]
        if not data:
            continue
        channel, body = data[0], data[1:]
        try:
            if channel == STDIN and stdin and body:
                await session.write(body)
            elif channel == CLOSE and body[:1] == bytes([STDIN]):
                await session.close_stdin()
            elif channel == RESIZE:
                size = orjson.loads(body)
                await session.resize(int(size["Width"]), int(size["Height"]))
        except (RuntimeFailure, OSError, ValueError, KeyError, TypeError) as error:
            log.debug("input not delivered", error=str(error))
