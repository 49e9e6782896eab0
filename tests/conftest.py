"""For all tests: signals as a terminal gives them.

A shell starts its background jobs (`make test &`, some CI) with SIGINT ignored, and every process that a test starts would inherit that.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
