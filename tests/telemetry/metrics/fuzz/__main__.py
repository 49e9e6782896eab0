"""Reads mutated input for as long as it is told: `make fuzz-metrics`, or

    python -m tests.telemetry.metrics.fuzz [--seed N] [--rounds N] [--only READER...]

The first input that a reader neither takes nor refuses properly is printed, with the command that repeats it. Bounds: TIME_S of CPU an input, and
MEMORY_BYTES more than MEMORY_FACTOR times its size.
"""

import argparse
import logging
import random
import sys
import time
import tracemalloc

from tests.telemetry.metrics.fuzz.mutation import bytes_of, text_of
from tests.telemetry.metrics.fuzz.readers import READERS, Reader

TIME_S = 2.0
MEMORY_FACTOR = 200
MEMORY_BYTES = 16 << 20
MEASURED_EVERY = 20


def one(name: str, reader: Reader, seed: int, number: int) -> str:
    """What is wrong with the reading of that input; empty: nothing."""
    chance = random.Random(f"{seed} {name} {number}")
    given = bytes_of(chance, reader.seeds) if isinstance(reader.seeds[0], bytes) else text_of(chance, reader.seeds)
    measured = number % MEASURED_EVERY == 0
    if measured:
        tracemalloc.start()
    began = time.process_time()
    wrong = ""
    try:
        reader.read(given)
    except reader.errors as error:
        str(error)
    except BaseException as error:
        wrong = repr(error)[:500]
        if isinstance(error, KeyboardInterrupt):
            raise
    took_s = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1] if measured else 0
    if measured:
        tracemalloc.stop()
    if took_s > (10 * TIME_S if measured else TIME_S):
        wrong = wrong or f"it took {took_s:.1f} s"
    if peak > MEMORY_FACTOR * len(given) + MEMORY_BYTES:
        wrong = wrong or f"it took {peak >> 20} MiB for {len(given)} bytes"
    return f"{name}: {wrong}\n  input: {given[:2000]!r}" if wrong else ""


def run(names: list[str], seed: int, rounds: int) -> list[str]:
    logging.disable(logging.CRITICAL)
    try:
        return [
            f"{wrong}\n  round {n} of --seed {seed}"
            for name in names
            for n in range(rounds)
            if (wrong := one(name, READERS[name], seed, n))
        ]
    finally:
        logging.disable(logging.NOTSET)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--rounds", type=int, default=5000)
    parser.add_argument("--only", nargs="*", default=list(READERS))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}, {options.rounds} inputs for each of {len(options.only)} readers", flush=True)
    bad = 0
    for name in options.only:
        began = time.process_time()
        wrong = run([name], options.seed, options.rounds)
        print(f"{name:16}{len(wrong):6} wrong, {time.process_time() - began:.1f} s of CPU", flush=True)
        for text in wrong[:3]:
            print(text, flush=True)
        bad += len(wrong)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
