"""Attaching to a process container: its own streams, from outside, without ever ending it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from podium.node.runtime.interface import ExecSession, RuntimeFailure
from podium.node.runtime.process import ProcessRuntime
from tests.node.runtime.conftest import process_runtime
from tests.node.runtime.test_process import ended, started


async def read_until(session: ExecSession, done: Callable[[dict[int, bytes]], bool]) -> dict[int, bytes]:
    """What came on each stream until then, or until the end."""
    output = {1: b"", 2: b""}
    async with asyncio.timeout(20):
        while not done(output):
            stream, data = await session.read()
            if not stream:
                break
            output[stream] += data
    return output


async def test_attached_client_writes_input_and_reads_both_streams_to_the_end(runtime: ProcessRuntime, tmp_path: Path) -> None:
    container_id = await started(runtime, tmp_path, "read line; echo got $line; echo bad >&2; exit 3", stdin=True)
    session = await runtime.attach(container_id, tty=False, stdin=True)
    await session.write(b"words\n")
    assert await read_until(session, lambda output: False) == {1: b"got words\n", 2: b"bad\n"}
    assert await session.wait() == 0 and (await ended(runtime, container_id)).exit_code == 3
    await session.kill()


async def test_input_ends_with_the_first_client_only_when_asked(runtime: ProcessRuntime, tmp_path: Path) -> None:
    container_id = await started(runtime, tmp_path, "cat; echo over", stdin=True, stdin_once=True)
    session = await runtime.attach(container_id, tty=False, stdin=True)
    await session.write(b"all\n")
    await session.close_stdin()
    assert await read_until(session, lambda output: False) == {1: b"all\nover\n", 2: b""}
    await session.kill()


async def test_clients_come_and_go_while_the_container_stays(runtime: ProcessRuntime, tmp_path: Path) -> None:
    container_id = await started(runtime, tmp_path, "while read line; do echo $line; done", stdin=True)
    for word in (b"one\n", b"two\n"):
        session = await runtime.attach(container_id, tty=False, stdin=True)
        await session.write(word)
        assert (await read_until(session, lambda output, word=word: word in output[1]))[1] == word
        await session.kill()
    status = await runtime.container_status(container_id)
    assert status is not None and status.finished_ns == 0
    assert not [path.name for path in (tmp_path / "pods/containers" / container_id).iterdir() if path.name.startswith("attach")]


async def test_attached_terminal_echoes_takes_its_size_and_ends_on_its_end_of_file(runtime: ProcessRuntime, tmp_path: Path) -> None:
    script = "read line; stty size; while read line; do echo got $line; done; echo over"
    container_id = await started(runtime, tmp_path, script, tty=True, stdin=True, stdin_once=True)
    session = await runtime.attach(container_id, tty=True, stdin=True)
    await session.resize(99, 33)
    await session.write(b"go\nword\n")
    await read_until(session, lambda output: b"33 99" in output[1] and b"got word" in output[1])
    await session.close_stdin()
    assert b"over" in (await read_until(session, lambda output: False))[1]
    await session.kill()


async def test_an_agent_that_comes_later_attaches_too(runtime: ProcessRuntime, tmp_path: Path) -> None:
    container_id = await started(runtime, tmp_path, "read line; echo $line", stdin=True)
    later = process_runtime(tmp_path)
    session = await later.attach(container_id, tty=False, stdin=True)
    await session.write(b"hello\n")
    assert (await read_until(session, lambda output: False))[1] == b"hello\n"
    await session.kill()
    await later.close()


async def test_a_container_that_has_ended_cannot_be_attached_to(runtime: ProcessRuntime, tmp_path: Path) -> None:
    container_id = await started(runtime, tmp_path, "true")
    await ended(runtime, container_id)
    with pytest.raises(RuntimeFailure, match="not running"):
        await runtime.attach(container_id, tty=False, stdin=False)
