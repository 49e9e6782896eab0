import pytest

from podium.objects import quantities

CANONICAL = """
0 0 | 0k 0 | -0 0 | 1000m 1 | 0.5 500m | 1.5 1500m | 1024Ki 1Mi | 1000Ki 1000Ki | 1.5Gi 1536Mi | 0.1Ki 102400m | 0.5Ki 512 | 1023 1023
1Ki 1Ki | 1e3 1e3 | 1.5e3 1500 | 1E 1E | 1E6 1e6 | 2e-3 2e-3 | 1e-10 1e-9 | 0.1n 1n | 12E 12E | 1000E 1000E | 100000k 100M | -1.5 -1500m
.5 500m | 5. 5 | +3 3 | 1025Ki 1025Ki | 16Ei 9223372036854775807 | 3u 3u | 1000000u 1 | 1.0Gi 1Gi
"""


@pytest.mark.parametrize("pair", [p.split() for p in CANONICAL.replace("\n", "|").split("|") if p.strip()], ids=lambda p: p[0])
def test_canonical_form_is_upstreams(pair: list[str]) -> None:
    assert quantities.canonical(pair[0]) == pair[1]


@pytest.mark.parametrize(
    ("text", "milli", "whole"), [("100m", 100, 1), ("1.0001", 1001, 2), ("1Gi", 2**30 * 1000, 2**30), ("-1500m", -1500, -1), ("1n", 1, 1)]
)
def test_counts_round_up(text: str, milli: int, whole: int) -> None:
    assert (quantities.milli(text), quantities.whole(text)) == (milli, whole)


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1KiB", ".", "1e", "1e1000000000", "--1", "1.2.3", "1ki", "Gi"])
def test_malformed_ones_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantit"):
        quantities.parse(text)


def test_canonical_form_is_stable() -> None:
    for text in ("1.5Gi", "2e-3", "0.1Ki", "123456789m"):
        once = quantities.canonical(text)
        assert quantities.canonical(once) == once
        assert quantities.parse(once).nanos == quantities.parse(text).nanos
