"""TCP and TLS byte streams of the real world, for protocols that are not HTTP. A virtual world refuses the connection by name.

Bounds: CONNECT_TIMEOUT_S; what is not read beyond `limit_bytes` is not taken from the socket.
"""

import asyncio
import ssl

CONNECT_TIMEOUT_S = 10.0


async def open_stream(
    host: str, port: int, *, tls: ssl.SSLContext | None = None, server_hostname: str = "", limit_bytes: int = 64 * 1024
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """With `tls`, encrypted from the start; a plain one may become encrypted later (`writer.start_tls`). Raises ConnectionError."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await asyncio.open_connection(
                host, port, ssl=tls, server_hostname=(server_hostname or host) if tls else None, limit=limit_bytes
            )
    except ssl.SSLError as error:
        raise ConnectionAbortedError(f"TLS with {host}:{port} failed: {error}") from error
    except TimeoutError as error:
        raise ConnectionAbortedError(f"no connection to {host}:{port} within {CONNECT_TIMEOUT_S:g} s") from error
    except OSError as error:
        raise ConnectionRefusedError(f"no connection to {host}:{port}: {error.strerror or error}") from error
