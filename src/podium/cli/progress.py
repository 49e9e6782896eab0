"""What a command tells while it works: steps with their durations on a terminal, nothing but the final lines in a pipe."""

import contextlib
import sys
import time
from collections.abc import Iterator


class Progress:
    """Steps go to standard error, so that standard output carries only results."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._colour = self._terminal

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        began = time.monotonic()
        self._draw(f"  … {text}", end="")
        try:
            yield
        except BaseException:
            self._draw(f"\r  ✗ {text}\033[K")
            raise
        self._draw(f"\r  {self._green('✓')} {text} {self._dim(f'{time.monotonic() - began:.2f} s')}\033[K")

    def say(self, text: str = "") -> None:
        """A final line: shown on a terminal and in a pipe."""
        print(text, flush=True)

    def note(self, text: str) -> None:
        """Shown on a terminal only."""
        self._draw(text)

    def _draw(self, text: str, end: str = "\n") -> None:
        if self._terminal:
            print(text, end=end, file=sys.stderr, flush=True)

    def _green(self, text: str) -> str:
        return f"\033[32m{text}\033[0m" if self._colour else text

    def _dim(self, text: str) -> str:
        return f"\033[2m{text}\033[0m" if self._colour else text
