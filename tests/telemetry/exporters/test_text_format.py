"""Reading the text format."""

import math

import pytest

from podium.telemetry.exporters.errors import BadExposition
from podium.telemetry.exporters.text_format import parse_text


def test_families_are_read_with_all_they_have() -> None:
    families = parse_text(
        "# a comment\n"
        '# HELP a_total Line \\n two \\\\ "x"\n# TYPE a_total counter\n'
        'a_total { b = "c\\"\\\\\\n" , z="" , } 1e3 1500\r\n'
        "a_total 0x10\n\n"
        "# TYPE h histogram\n"
        'h_bucket{le="+Inf"} 3\nh_sum NaN\nh_count 3\n'
        "loose_count -Inf"
    )
    assert families["a_total"].text == 'Line \n two \\ "x"'
    assert families["a_total"].samples == {("", (("b", 'c"\\\n'), ("z", ""))): 1000.0, ("", ()): 16.0}
    assert families["a_total"].timestamps_ms == {("", (("b", 'c"\\\n'), ("z", ""))): 1500}
    assert sorted(suffix for suffix, _ in families["h"].samples) == ["_bucket", "_count", "_sum"]
    assert math.isnan(families["h"].samples["_sum", ()])
    assert families["loose_count"].kind == "untyped"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a", "is no sample"),
        ("a b", "expected float"),
        ("a 1_0", "expected float"),
        ("a{b} 1", "labels cannot be read"),
        ('a{b="c" d="e"} 1', "expected a comma"),
        ('a{b="c",b="d"} 1', "duplicate label name"),
        ('a{b="\\x"} 1', "invalid escape sequence"),
        ('a{b="c} 1', "labels cannot be read"),
        ("a 1\na 2", "line 2: a second sample"),
        ("# TYPE a counter\n# TYPE a counter", "second TYPE"),
        ("a 1\n# TYPE a counter", "second TYPE"),
        ("# HELP a x\n# HELP a y", "second HELP"),
        ("# TYPE a thing", "unknown metric type"),
        ("# TYPE 1a counter", "invalid metric name"),
        ("a 1 1.5", "is no sample"),
        ("\x00\x01", "is no sample"),
        ("a{" + ",".join(f'l{n}="x"' for n in range(65)) + "} 1", "more than 64 labels"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(BadExposition, match=f"line [0-9]+: .*{why}|{why}"):
        parse_text(text)
