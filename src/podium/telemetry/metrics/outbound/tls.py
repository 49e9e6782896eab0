"""TLS contexts from a tls_config, made again when a file that they were made from changes.

Source: prometheus/common's http_config. Certificates and keys given inline are written to a temporary file for the moment of loading, as OpenSSL
takes them from files only.
"""

import ssl
import tempfile
from pathlib import Path

from podium.telemetry.metrics.configuration.http import TlsConfig
from podium.telemetry.metrics.outbound.interface import TlsFilesWrong

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_Stamp = tuple[tuple[int, int, int], ...]


class TlsContexts:
    """The context of one tls_config."""

    def __init__(self, config: TlsConfig) -> None:
        self.config = config
        self._context: ssl.SSLContext | None = None
        self._stamp: _Stamp = ()

    def current(self) -> tuple[ssl.SSLContext, bool]:
        """(context, whether it is another one than last time). Raises TlsFilesWrong for files that are missing or wrong."""
        stamp = self._stamps()
        if self._context is not None and stamp == self._stamp:
            return self._context, False
        try:
            context = _make(self.config)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise TlsFilesWrong(f"tls_config: {error}") from error
        changed = self._context is not None
        self._context, self._stamp = context, stamp
        return context, changed

    def _stamps(self) -> _Stamp:
        found = []
        for path in (self.config.ca_file, self.config.cert_file, self.config.key_file):
            if path:
                try:
                    status = Path(path).stat()
                except OSError as error:
                    raise TlsFilesWrong(f"tls_config: unable to read file {path}: {(error.strerror or str(error)).lower()}") from error
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)


def _make(config: TlsConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=config.ca_file or None, cadata=config.ca or None)
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.min_version:
        context.minimum_version = _VERSIONS[config.min_version]
    if config.max_version:
        context.maximum_version = _VERSIONS[config.max_version]
    if config.cert or config.cert_file:
        _load_certificate(context, config)
    return context


def _load_certificate(context: ssl.SSLContext, config: TlsConfig) -> None:
    with tempfile.TemporaryDirectory(prefix="podium-tls-") as directory:  # readable by us alone
        paths = []
        for name, inline, path in (("cert", config.cert, config.cert_file), ("key", config.key.reveal(), config.key_file)):
            if path:
                paths.append(path)
            else:
                file = Path(directory) / name
                file.write_text(inline)
                paths.append(str(file))
        context.load_cert_chain(*paths)
