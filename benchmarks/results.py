"""What a benchmark has found, as files: the figures for programs and the table for the docs, each whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mvnp import atomic


def write_results(folder: Path, name: str, results: dict[str, Any], table: str) -> None:
    """Write name.json and name.md; the folder is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(folder / f"{name}.json", (json.dumps(results, indent=1) + "\n").encode())
    atomic.write_bytes(folder / f"{name}.md", table.encode())


def write_beside(folder: Path, name: str, result: dict[str, Any], table: Callable[[dict[str, Any]], str]) -> None:
    """Like `write_results`, of what depends on the processor: in place of what this processor has there, beside the others'.

    result    with "machine", whose "cpu" names the processor; table: makes the table of one processor
    """
    processors = {**by_processor(folder / f"{name}.json"), result["machine"]["cpu"]: result}
    processors = dict(sorted(processors.items()))
    head = "**{}**\n\n" if len(processors) > 1 else ""
    text = "\n".join(head.format(processor) + table(found) for processor, found in processors.items())
    write_results(folder, name, {"processors": processors}, text)


def by_processor(path: Path) -> dict[str, Any]:
    """{processor: its results} of a file of `write_beside`; empty where there is none."""
    return json.loads(path.read_text(encoding="utf-8"))["processors"] if path.exists() else {}
