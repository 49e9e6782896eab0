"""What can go wrong with a template: its text, or its execution. Both are the author's to mend."""


class TemplateError(ValueError):
    """`str()` is the message in the words of Go's text/template: `template: NAME:LINE: ...`. `line` counts from 1; 0 when there is none."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


class FunctionError(Exception):
    """A function refuses its arguments: shown as `error calling NAME: ...`."""
