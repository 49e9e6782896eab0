"""What a command says when it cannot do what it was asked: one line that says what, and what to do."""


class Refusal(Exception):
    """`message` is one line for the terminal: what is wrong, then what to do. The command exits with `code`."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.code = code
