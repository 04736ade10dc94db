"""What a benchmark has found, as files: the figures for programs and the table for the docs, each whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mvnp import atomic


def write_results(folder: Path, name: str, results: dict[str, Any], table: str) -> None:
    """Write name.json and name.md; the folder is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(folder / f"{name}.json", (json.dumps(results, indent=1) + "\n").encode())
    atomic.write_bytes(folder / f"{name}.md", table.encode())
