import asyncio
import io
from pathlib import Path

import pytest

from podium.node.log_rotation import rotate
from podium.node.logs import CHUNK_BYTES, Formatter, LogOptions, read_log, tail_offset
from podium.node.runtime.interface import ContainerState, ContainerStatus

LOG = b"""2026-01-01T00:00:01.000000001Z stdout F one
2026-01-01T00:00:02.000000002Z stderr F two
2026-01-01T00:00:03.000000003Z stdout P thr
2026-01-01T00:00:03.000000004Z stdout P e
2026-01-01T00:00:03.000000005Z stdout F e
2026-01-01T00:00:04.5+00:00 stdout F four
"""

CASES = [
    ("all", {}, b"one\ntwo\nthree\nfour\n"),
    ("timestamps, once for a line in parts", {"timestamps": True}, b"2026-01-01T00:00:01.000000001Z one\n"),
    ("tail 0", {"tail_lines": 0}, b""),
    ("tail 1", {"tail_lines": 1}, b"four\n"),
    ("tail counts a line in parts once", {"tail_lines": 2}, b"three\nfour\n"),
    ("tail 3", {"tail_lines": 3}, b"two\nthree\nfour\n"),
    ("tail of more than there is", {"tail_lines": 99}, b"one\ntwo\nthree\nfour\n"),
    ("since", {"since": 1767225603.0}, b"three\nfour\n"),
    ("limit", {"limit_bytes": 6}, b"one\ntw"),
    ("one stream", {"stream": "stderr"}, b"two\n"),
]


async def read(path: Path, **options: object) -> bytes:
    return b"".join([piece async for piece in read_log(path, LogOptions(**options), lambda: True)])  # type: ignore[arg-type]


@pytest.mark.parametrize(("options", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
async def test_what_the_client_sees(tmp_path: Path, options: dict[str, object], expected: bytes) -> None:
    (tmp_path / "0.log").write_bytes(LOG)
    assert (await read(tmp_path / "0.log", **options)).startswith(expected)
    if "timestamps" not in options:
        assert await read(tmp_path / "0.log", **options) == expected


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_pieces_of_any_size_give_the_same(size: int) -> None:
    formatter = Formatter(LogOptions())
    assert b"".join(formatter.feed(LOG[i : i + size]) for i in range(0, len(LOG), size)) == b"one\ntwo\nthree\nfour\n"


def test_a_huge_line_passes_through_without_being_kept() -> None:
    formatter = Formatter(LogOptions())
    assert formatter.feed(b"2026-01-01T00:00:01Z stdout F ") == b""
    for _ in range(50):
        assert len(formatter.feed(b"x" * CHUNK_BYTES)) == CHUNK_BYTES
        assert formatter._rest == b""


def test_the_tail_of_a_log_with_lines_longer_than_a_chunk() -> None:
    line = b"2026-01-01T00:00:01Z stdout F " + b"x" * (3 * CHUNK_BYTES) + b"\n"
    assert tail_offset(io.BytesIO(line * 4), 2) == 2 * len(line)


async def test_lines_that_are_not_cri_are_shown_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "0.log").write_bytes(b"garbage\n" + LOG[:44])
    assert await read(tmp_path / "0.log") == b"garbage\none\n"


async def test_a_follower_sees_what_comes_across_a_rotation_and_ends_with_the_container(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    over = False
    seen = bytearray()

    async def follow() -> None:
        async for piece in read_log(path, LogOptions(follow=True), lambda: over):
            seen.extend(piece)

    task = asyncio.ensure_future(follow())
    await asyncio.sleep(0.01)
    path.write_bytes(b"2026-01-01T00:00:01Z stdout F one\n")
    await asyncio.sleep(0.12)
    with path.open("ab") as opened:
        opened.write(b"2026-01-01T00:00:02Z stdout F two\n")
    path.rename(tmp_path / "0.log.old")
    path.write_bytes(b"2026-01-01T00:00:03Z stdout F three\n")
    over = True
    await asyncio.wait_for(task, 20)
    assert bytes(seen) == b"one\ntwo\nthree\n"


async def test_a_follower_of_the_end_of_a_log_that_is_not_there_yet_misses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    pieces = read_log(path, LogOptions(follow=True, tail_lines=0), path.exists)
    first = asyncio.ensure_future(anext(pieces))
    await asyncio.sleep(0.01)
    path.write_bytes(b"2026-01-01T00:00:01Z stdout F the first and last words\n")
    assert await asyncio.wait_for(first, 20) == b"the first and last words\n"


async def test_a_long_log_is_rotated_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    status = ContainerStatus("c", "s", "u", "app", 0, ContainerState.RUNNING, "i", "process://i", 0, log_path=str(path))
    for number in range(7):
        path.write_bytes(b"x" * 101)
        assert await rotate(object(), [status], f"2026-0{number}", bytes_max=100) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"0.log.2026-0{n}" for n in (3, 4, 5, 6)]
    path.write_bytes(b"x" * 100)
    assert await rotate(object(), [status], "2026-09", bytes_max=100) == 0
