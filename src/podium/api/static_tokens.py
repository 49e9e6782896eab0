"""A file of fixed bearer tokens: lines `token,user,uid` and optionally `,"group1,group2"`, as upstream's --token-auth-file.

Tokens are kept as digests, so that a lookup takes the same time whatever is guessed.
"""

import csv
import hashlib
from pathlib import Path

from podium.api.request import User


class StaticTokens:
    def __init__(self, path: Path) -> None:
        """Raises ValueError naming the line; a line that begins with # is a comment."""
        self._users: dict[bytes, User] = {}
        with path.open(newline="") as file:
            for number, row in enumerate(csv.reader(file, skipinitialspace=True), 1):
                if row and not row[0].startswith("#"):
                    self._add(f"{path}, line {number}", row)

    def _add(self, place: str, row: list[str]) -> None:
        if len(row) < 3 or not row[0] or not row[1]:
            raise ValueError(f"{place}: a line must have at least token, user name and user uid")
        groups = tuple(g.strip() for g in row[3].split(",") if g.strip()) if len(row) > 3 else ()
        digest = hashlib.sha256(row[0].encode()).digest()
        if digest in self._users:
            raise ValueError(f"{place}: the token is there twice")
        self._users[digest] = User(row[1], (*groups, "system:authenticated"), row[2])

    def find(self, token: str) -> User | None:
        return self._users.get(hashlib.sha256(token.encode()).digest())
