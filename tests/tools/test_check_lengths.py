"""The check of lengths finds what is too long, and holds for this repository."""

from tests.tools.test_check_layers import ROOT, load

check_lengths = load("check_lengths")


def test_files_and_functions_that_are_too_long_are_named(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "long.py").write_text("x = 1\n" * 601)
    body = "    x = 1\n" * 70
    (tmp_path / "src" / "deep.py").write_text(f"class C:\n  def fine(self):\n{body[:-10]}\n  async def f(self):\n{body}")
    assert check_lengths.check(tmp_path) == [
        "src/deep.py:73: f has 71 lines, at most 70: it is two things; split it",
        "src/long.py:1: src/long.py has 601 lines, at most 600: it is two things; split it",
    ]


def test_an_exception_holds_until_it_is_not_needed(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "long.py").write_text("x = 1\n" * 601)
    exceptions = {"src/long.py": "a table", "src/gone.py": "was long"}
    assert check_lengths.check(tmp_path, exceptions=exceptions) == [
        "src/gone.py: the exception (was long) is not needed any more: delete it"
    ]


def test_this_repository_keeps_to_its_lengths():
    assert check_lengths.check(ROOT) == []
