"""How long a test waits for what must come: so long that only what hangs is given up, however busy the machine."""

HANGS = 1800.0  # seconds
