"""Lets known users pay. Its key for payment comes from a Secret, as an environment variable."""

import os

import service

PAYMENT_URL = os.environ.get("PAYMENT_URL", "http://payment:8080")
USERS = tuple(name for name in os.environ.get("USERS", "ada,grace,linus").split(",") if name)
API_KEY = os.environ.get("PAYMENT_API_KEY", "").strip()


def authorize(order, trace, headers):
    if order.get("user") not in USERS:
        raise service.Failure(403, f"user {order.get('user')!r} is not known")
    answer = service.call(f"{PAYMENT_URL}/charge", order, trace, {"X-Api-Key": API_KEY})
    return {**answer, "path": [service.POD, *answer["path"]]}


if __name__ == "__main__":
    service.run({"/authorize": authorize})
