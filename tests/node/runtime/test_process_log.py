import os
from pathlib import Path

from podium.node.runtime.process_log import LINE_BYTES_MAX, LogWriter


def tails(path: Path) -> list[tuple[str, str, int]]:
    return [(stream, tag, len(text)) for _, stream, tag, text in (line.split(" ", 3) for line in path.read_text().splitlines())]


def test_long_lines_are_written_in_parts(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path / "0.log"))
    for _ in range(5):
        log.feed("stdout", b"x" * 8192)
    log.feed("stdout", b"y\nshort\n")
    log.finish()
    parts = [("stdout", "P", LINE_BYTES_MAX)] * 2
    assert tails(tmp_path / "0.log") == [*parts, ("stdout", "F", 8193), ("stdout", "F", 5)]


def test_streams_do_not_mix_within_a_line(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path / "0.log"))
    for stream, data in (("stdout", b"a"), ("stderr", b"b"), ("stdout", b"c\n"), ("stderr", b"\n")):
        log.feed(stream, data)
    assert [line.split(" ", 1)[1] for line in (tmp_path / "0.log").read_text().splitlines()] == ["stdout F ac", "stderr F b"]


def test_a_renamed_log_is_opened_anew(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path / "0.log"))
    log.feed("stdout", b"before\n")
    os.rename(tmp_path / "0.log", tmp_path / "0.log.1")
    log.feed("stdout", b"after\n")
    assert "after" in (tmp_path / "0.log").read_text()
    assert "after" not in (tmp_path / "0.log.1").read_text()
