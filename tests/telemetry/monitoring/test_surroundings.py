"""What listens for the live role: connections for what is streamed, and bodies as large as the stand-alone server takes them."""

import urllib.request
from asyncio import to_thread
from pathlib import Path

from podium.telemetry.monitoring.jobs import Place
from podium.telemetry.monitoring.surroundings import LiveSurroundings
from podium.world.http_messages import HttpRequest, Response
from podium.world.http_server import Connection
from podium.world.real import RealWorld
from tests.e2e.test_envtest import free_port

BODY_BYTES = 4 * 1024 * 1024


async def test_both_doors_take_a_large_body_and_give_the_connection(tmp_path: Path) -> None:
    place = Place(api="", own="", agent="", node_name="", ca=tmp_path, certificate=tmp_path, key=tmp_path, dns=False, simulated=False)
    around = LiveSurroundings(RealWorld(), tmp_path, "127.0.0.1", free_port(), place)
    asked: list[tuple[int, bool]] = []

    async def answer(request: HttpRequest, connection: object) -> Response:
        asked.append((len(request.body), isinstance(connection, Connection)))
        return Response(204, b"", ())

    close = await around.listen(answer)
    door = await around.open_door(answer, True)
    for port in (around.port, door.port):
        await to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/", bytes(BODY_BYTES), 10)
    assert asked == [(BODY_BYTES, True)] * 2
    await door.close()
    await close()
