"""Charges an order. The key that callers must show comes from a Secret, mounted as a file and read at each request."""

import hmac
import os

import service

NOTIFICATION_URL = os.environ.get("NOTIFICATION_URL", "http://notification:8080")
API_KEY_FILE = os.environ.get("API_KEY_FILE", "/etc/shop/payment/api-key")
AMOUNT_MAX = float(os.environ.get("AMOUNT_MAX", "1000"))


def charge(order, trace, headers):
    try:
        with open(API_KEY_FILE) as file:
            key = file.read().strip()
    except OSError as error:
        raise service.Failure(500, f"no API key: {error}") from error
    if not key or not hmac.compare_digest(headers.get("X-Api-Key", "").encode(), key.encode()):
        raise service.Failure(403, "the API key is wrong")
    amount = order.get("amount")
    if not isinstance(amount, int | float) or not 0 < amount <= AMOUNT_MAX:
        raise service.Failure(422, f"amount must be more than 0 and at most {AMOUNT_MAX:g}")
    answer = service.call(f"{NOTIFICATION_URL}/notify", order, trace)
    return {"charge": trace.span_id, **answer, "path": [service.POD, *answer["path"]]}


if __name__ == "__main__":
    service.run({"/charge": charge})
