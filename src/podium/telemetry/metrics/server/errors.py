"""What the HTTP API answers instead of data. Source: Prometheus' HTTP API, "errorType" and its status codes."""

STATUS = {
    "bad_data": 400,
    "execution": 422,
    "canceled": 499,
    "timeout": 503,
    "unavailable": 503,
    "not_found": 404,
    "not_acceptable": 406,
    "internal": 500,
}


class ApiError(Exception):
    """`type` is one of STATUS; the text is for the client."""

    def __init__(self, type: str, message: str) -> None:
        super().__init__(message)
        self.type = type
        self.status = STATUS[type]


def bad_parameter(name: str, reason: str) -> ApiError:
    return ApiError("bad_data", f'invalid parameter "{name}": {reason}')
