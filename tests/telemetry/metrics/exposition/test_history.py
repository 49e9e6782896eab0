"""OpenMetrics histories: series by series, with times, whatever their size; what is wrong is told with its line."""

import io

import pytest

from podium.telemetry.metrics.exposition import history
from podium.telemetry.metrics.exposition.errors import PageError

TEXT = """# HELP c Things.
# TYPE c counter
c_total{i="1"} 1 100
c_total{i="1"} 2 115.5
c_total{i="a b # } c",e="x\\"\\n"} 3 100 # {trace="7"} 1.5
c_total{i="1"} NaN 130
# TYPE h histogram
h_bucket{le="1"} 4 -10
plain -Inf 1e3
# EOF
"""


def read(text: str) -> list[tuple[dict[str, str], list[int], list[str]]]:
    runs = history.read_history(io.BytesIO(text.encode()))
    return [(dict(labels), times.tolist(), [repr(v) for v in values.tolist()]) for labels, times, values in runs]


EXPECTED = [
    ({"__name__": "c_total", "i": "1"}, [100_000, 115_500], ["1.0", "2.0"]),
    ({"__name__": "c_total", "i": "a b # } c", "e": 'x"\n'}, [100_000], ["3.0"]),
    ({"__name__": "c_total", "i": "1"}, [130_000], ["nan"]),
    ({"__name__": "h_bucket", "le": "1.0"}, [-10_000], ["4.0"]),
    ({"__name__": "plain"}, [1_000_000], ["-inf"]),
]


def test_lines_of_a_series_that_follow_each_other_come_together() -> None:
    assert read(TEXT) == EXPECTED


@pytest.mark.parametrize("piece_bytes", [1, 7, 50])
def test_pieces_may_end_anywhere(monkeypatch: pytest.MonkeyPatch, piece_bytes: int) -> None:
    monkeypatch.setattr(history, "PIECE_BYTES", piece_bytes)
    joined: list[tuple[dict[str, str], list[int], list[str]]] = []
    for labels, times, values in read(TEXT):
        if joined and joined[-1][0] == labels:
            joined[-1][1].extend(times)
            joined[-1][2].extend(values)
        else:
            joined.append((labels, times, values))
    assert joined == EXPECTED


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a 1 2\n", "line 1: data does not end with # EOF"),
        ("", "data does not end with # EOF"),
        ("a 1 2\n# EOF\nb 1 2\n", "line 3: unexpected data after # EOF"),
        ("a 1 2\na 1\n# EOF\n", "line 2: expected a timestamp, got none"),
        ("a 1 2\na x 3\n# EOF\n", 'line 2: invalid or too large number "x"'),
        ("a 1 2\na 1 3\na 1 NaN\n# EOF\n", 'line 3: invalid timestamp "NaN"'),
        ("a 1 1e300\n# EOF\n", 'line 1: invalid timestamp "1e300"'),
        ('a{b="1",b="2"} 1 2\n# EOF\n', 'line 1: label name "b" is not unique'),
        ('a{b="1"} 5 } 1 2\n# EOF\n', "line 1: expected value after metric"),
        ("a 1 2\n\n# EOF\n", "line 2: empty line"),
        ("a 1 2\n9a 1 2\n# EOF\n", "line 2: expected a valid start token"),
        ("# TYPE a nonsense\n# EOF\n", "line 1: invalid metric type"),
        ("a{b=} 1 2\n# EOF\n", "line 1: expected label name"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(PageError) as told:
        read(text)
    assert str(told.value).startswith(complaint)


def test_an_endless_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "LINE_BYTES_MAX", 100)
    monkeypatch.setattr(history, "PIECE_BYTES", 64)
    with pytest.raises(PageError, match="more than 100 bytes"):
        read("a" * 1000)
