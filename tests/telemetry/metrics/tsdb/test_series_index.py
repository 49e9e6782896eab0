"""The index against a loop over all series."""

import numpy as np
import pytest

from podium.telemetry.metrics.errors import LimitExceeded
from podium.telemetry.metrics.labels import LabelColumns, Labels, Matcher, MatchType, labels_of
from podium.telemetry.metrics.tsdb import series_index
from podium.telemetry.metrics.tsdb.series_codec import decode_series, encode_series
from podium.telemetry.metrics.tsdb.series_index import SeriesIndex

E, N, R, X = MatchType.EQUAL, MatchType.NOT_EQUAL, MatchType.REGEXP, MatchType.NOT_REGEXP


def series(count: int) -> list[Labels]:
    names = ("up", "http_requests_total", "go_goroutines")
    return [
        labels_of({"__name__": names[i % 3], "i": str(i), "job": f"j{i % 7}", "odd": "x" * (i % 2), "path": f"/a/{i % 5}" if i % 4 else ""})
        for i in range(count)
    ]


MATCHERS = [
    [(E, "__name__", "up")],
    [(E, "__name__", "nothing")],
    [(E, "job", "j3"), (E, "__name__", "up")],
    [(R, "job", "j3|j4")],
    [(R, "path", "/a/[12]")],
    [(X, "path", "/a/.*")],
    [(N, "path", "")],
    [(E, "path", "")],
    [(E, "absent", "")],
    [(N, "absent", "")],
    [(R, "absent", ".*")],
    [(R, "absent", ".+")],
    [(R, "odd", "x|")],
    [(N, "job", "j1"), (X, "i", ".*[13579]"), (R, "__name__", "go.*")],
    [],
]


@pytest.mark.parametrize("matchers", MATCHERS, ids=str)
def test_matchers_choose_as_a_loop_would(matchers: list[tuple[MatchType, str, str]]) -> None:
    index = SeriesIndex(100_000)
    rows = series(2_000)
    ids = index.register(rows)
    chosen = [Matcher(*m) for m in matchers]
    expected = [i for i, r in zip(ids.tolist(), rows, strict=True) if all(m.matches(dict(r).get(m.name, "")) for m in chosen)]
    for _ in range(2):  # the second time from what is kept
        assert index.matching(chosen).tolist() == sorted(expected)
    more = index.register([labels_of({"__name__": "up", "job": "j3", "i": "new", "path": "/a/1"})])
    again = index.matching(chosen).tolist()
    fits = all(m.matches({"__name__": "up", "job": "j3", "i": "new", "path": "/a/1"}.get(m.name, "")) for m in chosen)
    assert again == sorted([*expected, *(more.tolist() if fits else [])])


def test_a_series_is_registered_once_whatever_the_way() -> None:
    index = SeriesIndex(1000)
    rows = series(300)
    ids = index.register(rows)
    assert index.register([*rows[::-1], rows[0]]).tolist() == [*ids.tolist()[::-1], ids[0]]
    assert index.register_columns(LabelColumns.of(rows)).tolist() == ids.tolist()
    assert index.labels(ids).rows() == rows
    assert index.register([rows[5], labels_of({"new": "a"}), labels_of({"new": "a"})]).tolist() == [ids[5], 300, 300]


def test_series_beyond_the_limit_are_refused() -> None:
    index = SeriesIndex(10)
    index.register(series(10))
    with pytest.raises(LimitExceeded, match="limit of 10"):
        index.register(series(11))
    assert index.count == 10 and index.register(series(10)).tolist() == list(range(10))


def test_ids_and_values_of_forgotten_series_are_used_again() -> None:
    index = SeriesIndex(1_000_000)
    kept = index.register([labels_of({"__name__": "kept", "pod": "steady"})])
    for generation in range(40):
        pods = [labels_of({"__name__": "m", "pod": f"pod-{generation}-{n}", "only": str(generation)}) for n in range(500)]
        ids = index.register(pods)
        assert index.labels(ids).rows() == pods
        assert index.matching([Matcher(R, "pod", f"pod-{generation}-.*")]).tolist() == sorted(ids.tolist())
        index.forget(ids)
        assert index.matching([]).tolist() == kept.tolist()
    assert index.allocated <= 501 and len(index.tables["pod"].values) < 2000 and "only" not in index.tables
    assert index.labels(kept).rows() == [labels_of({"__name__": "kept", "pod": "steady"})]


def test_series_whose_hashes_collide_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeriesIndex, "_hashes", lambda self, batch: np.zeros(batch.count, np.uint64))
    index = SeriesIndex(1000)
    rows = series(40)
    ids = index.register(rows)
    assert sorted(ids.tolist()) == list(range(40))
    assert index.register(rows[::-1]).tolist() == ids.tolist()[::-1]
    index.forget(ids[3:5])
    assert index.register(rows[5:]).tolist() == ids.tolist()[5:]
    assert index.labels(index.register(rows)).rows() == rows


@pytest.mark.parametrize("rows", [[], [()], [(), (("a", "b"),)], series(50)], ids=len)
def test_labels_come_back_from_bytes(rows: list[Labels]) -> None:
    assert decode_series(encode_series(LabelColumns.of(rows))).rows() == rows


def test_names_of_labels_are_bounded_and_a_refused_registration_leaves_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podium.telemetry.metrics.tsdb.series_index.LABEL_NAMES_MAX", 10)
    index = SeriesIndex(1000)
    index.register([labels_of({"__name__": "up", "a": "1"})])
    wide = labels_of({"__name__": "wide", **{f"n{i}": "1" for i in range(20)}})
    for _ in range(3):
        with pytest.raises(LimitExceeded, match="names of labels"):
            index.register([wide])
        with pytest.raises(LimitExceeded, match="names of labels"):
            index.register_columns(LabelColumns.of([wide]))
        assert sorted(index.tables) == ["__name__", "a"]
    index.register([labels_of({"__name__": "up", **{f"m{i}": "1" for i in range(8)}})])  # there is still room for others
    assert index.count == 2


def test_a_batch_is_small_where_every_series_has_names_of_its_own() -> None:
    index = SeriesIndex(100_000)
    rows = [labels_of({"__name__": "up", **{f"n{i}_{j}": "1" for j in range(30)}}) for i in range(400)]
    sizes: list[int] = []
    taken = index._register
    index._register = lambda batch, **more: (sizes.append(batch.count * len(batch.codes)), taken(batch, **more))[1]  # type: ignore[method-assign]
    ids = index.register([*rows, *rows])
    assert ids[:400].tolist() == ids[400:].tolist() == list(range(400))
    assert max(sizes) <= 8192 * 128
    assert len(sizes) > 2


def test_expressions_are_decided_in_steps_and_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podium.telemetry.metrics.tsdb.series_index.DECIDE_STEP", 100)
    monkeypatch.setattr("podium.telemetry.metrics.tsdb.series_index.MATCHES_BYTES_MAX", 5_000)
    index = SeriesIndex(100_000)
    index.register(series(1_000))
    matchers = [Matcher(R, "i", ".*7"), Matcher(N, "job", "j1"), Matcher(R, "absent", ".+")]
    assert len(list(index.deciding(matchers))) == 10
    assert not list(index.deciding(matchers))  # kept
    expected = [i for i, row in enumerate(series(1_000)) if dict(row)["i"].endswith("7")]
    assert index.matching(matchers[:1]).tolist() == expected
    for n in range(20):
        index.matching([Matcher(R, "i", f".*{n}x")])
    assert index._matches_bytes == sum(map(len, index._matches.values())) <= 5_000


def test_a_selector_has_a_bounded_number_of_matchers() -> None:
    index = SeriesIndex(1000)
    many = [Matcher(N, "i", str(n)) for n in range(257)]
    for ask in (index.matching, lambda m: list(index.deciding(m))):
        with pytest.raises(LimitExceeded, match="257 matchers, at most 256"):
            ask(many)


def test_labels_that_were_kept_go_with_their_series(monkeypatch: pytest.MonkeyPatch) -> None:
    index = SeriesIndex(100)
    ids = index.register([labels_of({"a": "1"}), labels_of({"a": "2"})])
    assert index.labels(ids) is index.labels(ids.copy())
    index.forget(ids[:1])
    (again,) = index.register([labels_of({"b": "3"})])
    assert again == ids[0]
    assert index.labels(ids).rows() == [labels_of({"b": "3"}), labels_of({"a": "2"})]


def test_kept_labels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_index, "LABELS_KEPT_BYTES_MAX", 1000)
    index = SeriesIndex(10_000)
    ids = index.register(series(2_000))
    for start in range(0, 2000, 10):
        part = ids[start : start + 10]
        assert index.labels(part).rows() == series(2_000)[start : start + 10]
        assert index._labels_kept_bytes <= 1000
    assert index.labels(ids).rows() == series(2_000) and not index._labels_kept


def test_kept_labels_cannot_be_changed() -> None:
    index = SeriesIndex(100)
    labels = index.labels(index.register([labels_of({"a": "1"})]))
    with pytest.raises(ValueError, match="read-only"):
        labels.columns["a"].codes[0] = 0
