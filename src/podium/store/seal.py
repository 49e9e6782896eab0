"""Encryption at rest: what the store keeps of Secrets on disk is sealed with AES-256-GCM; in memory and on the wire (TLS) it is as ever.

A sealed value is `k8s:enc:aesgcm:v1:KEY:` + nonce + ciphertext, with the store key as associated data, so that a value cannot be moved to
another name. The keys are lines `KEY base64` in a file of their own (0600), the first one seals, all open. To rotate, a new line is put first
(`rotate`); the next start writes every Secret anew, and after the next compaction no older line is needed: a start without a key
that is still in use is refused, and names it. A damaged or foreign value is damage of the store, never an empty Secret.

Source: Kubernetes' EncryptionConfiguration (aesgcm), NIST SP 800-38D: a 96-bit random nonce for each of fewer than 2**32 values a key.
"""

import base64
import binascii
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from podium.store.errors import StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
_PREFIX = b"k8s:enc:aesgcm:v1:"


class Seal(Protocol):
    """How some values look on disk. Both ways are pure but for the nonce."""

    def protect(self, key: str, encoded: bytes) -> bytes: ...

    def reveal(self, key: str, stored: bytes) -> bytes:
        """Raises ValueError for what was not sealed under this key name by a known key."""
        ...


class Unsealed:
    """Everything lies on disk as it is."""

    def protect(self, key: str, encoded: bytes) -> bytes:
        return encoded

    def reveal(self, key: str, stored: bytes) -> bytes:
        if stored.startswith(_PREFIX):
            raise ValueError(f"{key} is encrypted, and no keys were given")
        return stored


class AesGcmSeal:
    """Seals the values under `prefixes`. `keys` are (name, 32 bytes), the current one first."""

    def __init__(self, keys: Sequence[tuple[str, bytes]], prefixes: tuple[str, ...]) -> None:
        assert keys
        self._prefixes = prefixes
        self._current = keys[0][0]
        self._keys = dict(keys)
        self._ciphers: dict[str, AESGCM] = {}

    def protect(self, key: str, encoded: bytes) -> bytes:
        if not encoded or not key.startswith(self._prefixes):
            return encoded
        nonce = os.urandom(NONCE_BYTES)
        return b"%b%b:%b%b" % (_PREFIX, self._current.encode(), nonce, self._cipher(self._current).encrypt(nonce, encoded, key.encode()))

    def reveal(self, key: str, stored: bytes) -> bytes:
        if not stored.startswith(_PREFIX):
            return stored  # from before encryption; sealed at its next write
        name, _, sealed = stored[len(_PREFIX) :].partition(b":")
        if name.decode() not in self._keys:
            raise ValueError(f"{key} is encrypted with key {name.decode()}, which is not in the key file")
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher(name.decode()).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], key.encode())
        except InvalidTag as error:
            raise ValueError(f"{key} was not encrypted with key {name.decode()}, or was changed") from error

    def _cipher(self, name: str) -> "AESGCM":
        cipher = self._ciphers.get(name)
        if cipher is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            cipher = self._ciphers[name] = AESGCM(self._keys[name])
        return cipher


def load_or_create_keys(path: Path) -> list[tuple[str, bytes]]:
    """The keys in `path`, current first; one is made when there is no file. Raises StoreError for a file that cannot be read as keys."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return [_create_key(path)]
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, encoded = line.strip().partition(" ")
        try:
            secret = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            secret = b""
        if len(secret) != KEY_BYTES or ":" in name:
            raise StoreError(
                f"{path}: line {number} is not `NAME base64-of-{KEY_BYTES}-bytes`; restore the file, or Secrets cannot be read"
            )
        keys.append((name, secret))
    if not keys:
        raise StoreError(f"{path} holds no key; restore it, or move it away if nothing was ever encrypted")
    return keys


def rotate(path: Path) -> str:
    """Puts a new key first; returns its name. The next start uses it."""
    keys = load_or_create_keys(path)
    name = f"key{len(keys) + 1}"
    lines = [f"{name} {base64.b64encode(os.urandom(KEY_BYTES)).decode()}"] + [f"{n} {base64.b64encode(k).decode()}" for n, k in keys]
    _write(path, "\n".join(lines) + "\n")
    return name


def _create_key(path: Path) -> tuple[str, bytes]:
    secret = os.urandom(KEY_BYTES)
    _write(path, f"key1 {base64.b64encode(secret).decode()}\n")
    return "key1", secret


def _write(path: Path, text: str) -> None:
    """Atomically; 0600 from the first byte; durable before anything is sealed with it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
