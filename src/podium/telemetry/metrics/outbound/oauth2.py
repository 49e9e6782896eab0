"""Tokens by OAuth 2.0 client credentials: fetched once, used until shortly before they expire, fetched once again however many wait.

Source: RFC 6749 section 4.4; golang.org/x/oauth2 for the leeway and for how the client says who it is (header first, then in the form).
"""

import asyncio
from urllib.parse import quote, urlencode

import orjson

from podium.telemetry.metrics.configuration.http import BasicAuth, OAuth2
from podium.telemetry.metrics.configuration.values import Secret
from podium.telemetry.metrics.outbound.credentials import basic, read_secret
from podium.telemetry.metrics.outbound.interface import OutboundResponse, Requester, TokenRefused
from podium.world.interface import World

LEEWAY_S = 10.0
ANSWER_BYTES_MAX = 1024 * 1024
_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}


class TokenSource:
    def __init__(self, config: OAuth2, requester: Requester, world: World) -> None:
        self._config = config
        self._requester = requester
        self._world = world
        self._turn = asyncio.Lock()
        self._header = ""
        self._secret = ""
        self._expires_s = 0.0  # on the monotonic clock; 0: never

    async def header(self, timeout_s: float) -> str:
        """The value of the Authorization header. Raises OutboundError."""
        async with self._turn:
            secret = read_secret(self._config.client_secret, self._config.client_secret_file, "oauth2 client secret")
            now = self._world.clock.monotonic()
            if not self._header or secret != self._secret or (self._expires_s and now >= self._expires_s - LEEWAY_S):
                self._header = ""
                await self._fetch(secret, timeout_s)
            return self._header

    def forget(self) -> None:
        """The token was refused: the next request fetches another."""
        self._header = ""

    async def _fetch(self, secret: str, timeout_s: float) -> None:
        config = self._config
        form = {"grant_type": "client_credentials", **config.endpoint_params}
        if config.scopes:
            form["scope"] = " ".join(config.scopes)
        user = BasicAuth(quote(config.client_id, safe=""), password=Secret(quote(secret, safe="")))
        response = await self._post(form, {**_FORM, "authorization": basic(user)}, timeout_s)
        if 400 <= response.status < 500:
            response = await self._post({**form, "client_id": config.client_id, "client_secret": secret}, _FORM, timeout_s)
        if response.status != 200:
            raise TokenRefused(f"oauth2: cannot fetch token: {response.status_text}")
        try:
            answer = orjson.loads(response.body)
            token, kind, lifetime = answer["access_token"], answer.get("token_type") or "Bearer", answer.get("expires_in")
            expires_s = self._world.clock.monotonic() + float(lifetime) if lifetime else 0.0
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise TokenRefused("oauth2: cannot fetch token: the answer has no access_token") from error
        kind = {"bearer": "Bearer", "basic": "Basic", "mac": "MAC"}.get(str(kind).lower(), str(kind))
        self._header, self._secret, self._expires_s = f"{kind} {token}", secret, expires_s

    async def _post(self, form: dict[str, str], headers: dict[str, str], timeout_s: float) -> OutboundResponse:
        return await self._requester.request(
            "POST",
            str.__str__(self._config.token_url),
            headers=headers,
            body=urlencode(form).encode(),
            timeout_s=timeout_s,
            response_bytes_max=ANSWER_BYTES_MAX,
        )
