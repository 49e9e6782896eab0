"""The web pages: which paths have one, what is sent with them, and that what they load and ask for exists. How they look is for eyes."""

import re
from pathlib import Path

import pytest

from podium.telemetry.metrics.server import application, pages
from tests.telemetry.metrics.server.conftest import Ask

WEB = Path(pages.__file__).parent / "web"
SCRIPTS = sorted(WEB.glob("*.js"))


@pytest.mark.parametrize("path", pages.PAGES)
def test_a_page_forbids_all_that_is_not_its_own(ask: Ask, path: str) -> None:
    answer = ask("GET", f"{path}?g0.expr=up", control=_Silent())
    sent = dict(answer.headers)
    assert (answer.status, sent[b"content-type"]) == (200, b"text/html; charset=utf-8")
    assert b"default-src 'none'" in sent[b"content-security-policy"] and b"unsafe" not in sent[b"content-security-policy"]
    assert b"<main>" in answer.body


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/", b"query"),
        ("/graph?g0.expr=up+%3D%3D+0&g0.tab=1", b"query?g0.expr=up+%3D%3D+0&g0.tab=1"),
        ("/tsdb-status", b"status"),
        ("/service-discovery?pool=a", b"targets?pool=a"),
    ],
)
def test_upstreams_other_addresses_lead_to_a_page(ask: Ask, target: str, location: bytes) -> None:
    answer = ask("GET", target, control=_Silent())
    assert (answer.status, dict(answer.headers)[b"location"]) == (302, location)


def test_a_file_is_sent_once(ask: Ask) -> None:
    tag = dict(ask("GET", "/assets/page.js", control=_Silent()).headers)[b"etag"]
    again = ask("GET", "/assets/page.js", headers={"if-none-match": tag.decode()}, control=_Silent())
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/assets/", "/assets/index.html", "/assets/../pages.py", "/assets/%2e%2e/pages.py", "/nothing", "/query/"]
)
def test_there_is_nothing_else(ask: Ask, path: str) -> None:
    assert ask("GET", path, control=_Silent()).status == 404


def test_a_server_without_a_life_of_its_own_has_no_pages(ask: Ask) -> None:
    assert ask("GET", "/query").status == 404


def test_pages_load_only_files_that_there_are() -> None:
    named = set(re.findall(r'(?:href|src)="(?:assets/)([^"]+)"', (WEB / "index.html").read_text()))
    for script in SCRIPTS:
        named |= set(re.findall(r'from "\./([^"]+)"', script.read_text()))
    assert named == {entry.name for entry in WEB.iterdir()} - {"index.html"}


def test_pages_ask_only_for_endpoints_that_there_are() -> None:
    asked = {path for script in SCRIPTS for path in re.findall(r'(?:ask|answer)\("([\w/]+)"', script.read_text())}
    asked |= {path for script in SCRIPTS for path in re.findall(r'shown\("\w[\w ]*", "([\w/]+)"', script.read_text())}
    assert {"query", "query_range", "podium/explain", "rules", "targets", "status/tsdb"} <= asked
    assert asked - {"label/__name__/values"} <= application.QUERIES.keys() | application.VIEWS.keys()


def test_every_page_of_the_navigation_has_a_path() -> None:
    linked = re.findall(r'<a href="(\w+)">\w+</a>', (WEB / "index.html").read_text())
    assert sorted(f"/{name}" for name in linked) == sorted(pages.PAGES)


class _Silent:
    """A control that pages do not ask."""
