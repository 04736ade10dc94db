"""A process that makes batches for another: `Prefetch` (prefetch.py) starts it.

A loader comes on standard input, and then requests, (epoch, index, part); batches go to standard output, in that order. It ends
with its standard input: when the process that it works for ends, in whatever way.
"""

from __future__ import annotations

import os
import pickle
import sys
import warnings


def main() -> None:
    source, target = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no batch
    try:
        loader = pickle.load(source)
        while True:
            epoch, index, part = pickle.load(source)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    result = loader.batch(epoch, index, part)
                except Exception as error:
                    result = error
            told = [each.message for each in caught]
            pickle.dump((result, told), target, protocol=5)
            target.flush()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # nobody is left to say anything to


if __name__ == "__main__":
    main()
