"""Loopback addresses of this test session's own, so that sessions beside it may listen on the same ports. Clusters take theirs from 127.96.0.0 on."""

import os

OWN = f"127.{2 + os.getpid() % 60}.{os.getpid() // 60 % 250}"
"""The first three numbers; the last one is free."""
