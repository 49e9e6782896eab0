import math

import pytest

from podium.telemetry.metrics.exposition.numbers import format_label_number, parse_numbers


def test_zero_keeps_its_sign() -> None:
    found = parse_numbers([b"-0", b"0", b"-0.0", b"-05"])
    assert found is not None
    assert [math.copysign(1, value) for value in found.tolist()] == [-1, 1, -1, -1]
    assert found.tolist() == [0, 0, 0, -5]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"), (1.0, "1.0"), (-1.0, "-1.0"), (100.0, "100.0"), (999999.0, "999999.0"), (1e6, "1e+06"), (1234567.0, "1.234567e+06"),
        (123456.75, "123456.75"), (0.1, "0.1"), (0.25, "0.25"), (0.0001, "0.0001"), (0.00001, "1e-05"), (0.00012345, "0.00012345"),
        (-2.5, "-2.5"), (1e21, "1e+21"), (1e100, "1e+100"), (5e-324, "5e-324"), (10.0, "10.0"),
        (float("inf"), "+Inf"), (float("-inf"), "-Inf"), (float("nan"), "NaN"),
    ],
)  # fmt: skip
def test_numbers_in_labels_are_as_openmetrics_writes_them(value: float, text: str) -> None:
    assert format_label_number(value) == text
