"""Writes the customer's message from a template, which comes from a ConfigMap, mounted as a file."""

import os
from string import Template

import service

TEMPLATE_FILE = os.environ.get("TEMPLATE_FILE", "/etc/shop/notification/message.txt")


def notify(order, trace, headers):
    try:
        with open(TEMPLATE_FILE) as file:
            template = Template(file.read().strip())
    except OSError as error:
        raise service.Failure(500, f"no message template: {error}") from error
    return {"message": template.safe_substitute(order), "path": [service.POD]}


if __name__ == "__main__":
    service.run({"/notify": notify})
