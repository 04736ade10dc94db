"""`python -m mvnp` is `mvnp`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
