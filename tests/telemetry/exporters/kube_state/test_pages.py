"""What a store in the same process takes is what the text says."""

from podium.client.mirror import Change
from podium.instrument.exposition import Format
from podium.objects.values import Object, copy
from podium.telemetry.exporters.kube_state.pages import ObjectPages
from podium.telemetry.exporters.kube_state.resources import SHOWN
from podium.telemetry.exporters.kube_state.shown import Store
from podium.telemetry.metrics.exposition.grammar import TextFormat
from podium.telemetry.metrics.exposition.page import Page, series_of
from podium.telemetry.metrics.exposition.text import parse_text
from tests.telemetry.exporters.kube_state.test_kube_state import objects

ALL = {"*": ("*",)}


class Cluster:
    def __init__(self) -> None:
        self.stores = {shown.resource.plural: Store(shown, ALL, ALL) for shown in SHOWN}
        self.pages = ObjectPages(list(self.stores.values()))

    def put(self, plural: str, value: Object) -> None:
        self.stores[plural].changed(Change("modified", value, None))

    def remove(self, plural: str, value: Object) -> None:
        self.stores[plural].changed(Change("deleted", None, value))

    def text(self) -> bytes:
        parts: list[bytes | bytearray] = []
        for store in self.stores.values():
            store.write(parts, Format.TEXT)
        return b"".join(parts)

    def page(self) -> Page:
        """Checked against the text."""
        (page, size), text = self.pages.page(), self.text()
        read = parse_text(text, TextFormat.PROMETHEUS)
        assert size == len(text)
        assert sorted(zip(series_of(page.layout), page.values.tolist(), strict=True)) == sorted(
            zip(series_of(read.layout), read.values.tolist(), strict=True)
        )
        assert dict(page.layout.metadata) == dict(read.layout.metadata)
        assert len(set(page.layout.row_keys().tolist())) == page.layout.size == len(page.values)
        return page


def test_a_page_says_what_the_text_says_whatever_happens_to_the_objects() -> None:
    cluster = Cluster()
    assert cluster.page().layout.size == 0
    values = objects()
    for plural, value in values:
        cluster.put(plural, value)
    assert cluster.page().layout.size > 200
    for number, (plural, value) in enumerate(values):
        if number % 3 == 0:
            cluster.remove(plural, value)
        elif number % 3 == 1:
            changed = copy(value)
            changed["metadata"]["labels"]["more"] = 'a "quoted"\nline\\'
            cluster.put(plural, changed)
    cluster.page()
    for plural, value in values:
        cluster.put(plural, value)
    cluster.page()


def test_the_layout_stays_while_only_numbers_change() -> None:
    cluster = Cluster()
    values = objects()
    for plural, value in values:
        cluster.put(plural, value)
    first = cluster.page()
    again = cluster.page()
    assert again.layout is first.layout
    plural, pod = next((plural, value) for plural, value in values if plural == "pods")
    finished = copy(pod)
    finished["status"]["phase"] = "Succeeded"
    cluster.put(plural, finished)
    after = cluster.page()
    assert after.layout is first.layout
    assert after.values.tolist() != first.values.tolist()
    renamed = copy(pod)
    renamed["metadata"]["name"] = "another"
    cluster.put(plural, renamed)
    grown = cluster.page()
    assert grown.layout is not first.layout
    assert set(first.layout.row_keys().tolist()) < set(grown.layout.row_keys().tolist())


def test_what_cannot_be_shown_is_left_out_and_was_there_before() -> None:
    cluster = Cluster()
    plural, pod = next((plural, value) for plural, value in objects() if plural == "pods")
    cluster.put(plural, pod)
    assert cluster.page().layout.size
    cluster.put(plural, {**pod, "spec": 7})
    assert cluster.page().layout.size == 0


def test_an_object_takes_a_fraction_of_its_text() -> None:
    cluster = Cluster()
    plural, pod = next((plural, value) for plural, value in objects() if plural == "pods")
    for number in range(200):
        cluster.put(plural, {**pod, "metadata": {**pod["metadata"], "name": f"p{number}", "uid": f"u{number}"}})
    kept = cluster.stores["pods"].objects.values()
    assert sum(len(one.packed) + len(one.keys) + len(one.values) for one in kept) * 4 < len(cluster.text())
