"""A client whose server is unreliable: requests fail before they are done, or are done and the answer is lost; watches break off."""

from podium.objects.status import Conflict, ServiceUnavailable, TooManyRequests


class ChaosClient:
    """Delegates to `client`; while `rate` > 0 about that share of the requests fails, drawn from `random`."""

    def __init__(self, client, random, rate=0.1):
        self._client = client
        self._random = random
        self.rate = rate
        self.failures = 0

    def __getattr__(self, verb):
        async def call(*arguments, **options):
            self._fail(ServiceUnavailable("overloaded"), TooManyRequests("slow down"), Conflict("stale"), ConnectionResetError("before"))
            answer = await getattr(self._client, verb)(*arguments, **options)
            self._fail(ConnectionResetError("after"))
            return answer

        return call

    async def watch(self, *arguments, **options):
        self._fail(ServiceUnavailable("overloaded"), ConnectionRefusedError("down"))
        async for event in self._client.watch(*arguments, **options):
            self._fail(ConnectionResetError("in the middle"))
            yield event

    def _fail(self, *errors):
        if self._random.random() < self.rate / 2:
            self.failures += 1
            raise self._random.choice(errors)
