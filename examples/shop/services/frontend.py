"""The shop's door: /checkout?user=ada&item=book&amount=12 asks auth, which asks payment, which asks notification."""

import os

import service

AUTH_URL = os.environ.get("AUTH_URL", "http://auth:8080")


def index(given, trace, headers):
    return {"shop": "podium", "try": "/checkout?user=ada&item=book&amount=12", "pod": service.POD}


def checkout(given, trace, headers):
    try:
        amount = float(given.get("amount", "12"))
    except (TypeError, ValueError) as error:
        raise service.Failure(400, "amount must be a number") from error
    order = {"user": given.get("user", "ada"), "item": given.get("item", "book"), "amount": amount}
    answer = service.call(f"{AUTH_URL}/authorize", order, trace)
    return {"order": order, **answer, "path": [service.POD, *answer["path"]], "trace_id": trace.trace_id}


if __name__ == "__main__":
    service.run({"/": index, "/checkout": checkout})
