"""A bounded run of the fuzzing of all readers; the seed is printed with what fails. Longer: make fuzz-metrics."""

import random
from typing import Any

import pytest

from podium.telemetry.metrics.alertmanager.errors import ConfigurationError
from podium.telemetry.metrics.alertmanager.fields import parse_url
from podium.telemetry.metrics.alertmanager.matchers import parse_matchers
from podium.telemetry.metrics.templates.template import Template
from tests.telemetry.metrics.fuzz.__main__ import one, run
from tests.telemetry.metrics.fuzz.mutation import bytes_of, text_of
from tests.telemetry.metrics.fuzz.readers import READERS, Reader

SEED, ROUNDS = 1, 150


@pytest.mark.parametrize("name", list(READERS))
def test_a_reader_takes_or_refuses_whatever_it_is_given(name: str) -> None:
    assert run([name], SEED, ROUNDS) == []


@pytest.mark.parametrize("name", list(READERS))
def test_what_a_reader_begins_from_is_good(name: str) -> None:
    reader = READERS[name]
    read = 0
    for seed in reader.seeds:
        try:
            reader.read(seed)
        except reader.errors:
            continue
        read += 1
    assert 2 * read >= len(reader.seeds)  # some readers are also given what is another's


def test_a_reader_that_is_wrong_is_told_of() -> None:
    def slow_and_wrong(given: Any) -> None:
        raise KeyError(given)

    assert one("x", Reader(slow_and_wrong, (ValueError,), (b"abc",)), 1, 0).startswith("x: KeyError(")
    assert one("x", Reader(lambda given: bytearray(64 << 20), (), (b"abc",)), 1, 0).startswith("x: it took 64 MiB")
    assert one("x", Reader(slow_and_wrong, (KeyError,), (b"abc",)), 1, 0) == ""


def test_changes_are_many_and_the_same_for_a_seed() -> None:
    texts = [text_of(random.Random(n), ["some text", "(other)"]) for n in range(200)]
    assert texts == [text_of(random.Random(n), ["some text", "(other)"]) for n in range(200)]
    assert len(set(texts)) > 150
    assert len({bytes_of(random.Random(n), [b"some bytes"]) for n in range(200)}) > 150


def test_what_it_found_once_stays_mended() -> None:
    for url in ("https://[::1", "http://a b/", "http://a:x/"):
        with pytest.raises(ConfigurationError, match="parse "):
            parse_url(url)
    with pytest.raises(ValueError, match="invalid UTF-8"):
        parse_matchers('a=~"\ud800"')
    assert Template.parse("t", "\ud800{{ 1 }}").execute({}) == "\ufffd1"
