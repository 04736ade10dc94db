"""The lowest versions that pyproject.toml allows, as constraints for pip: `python3 .ci/lowest.py [EXTRA ...]`."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENT = re.compile(r"([\w-]+)(?:\[([\w,-]+)\])?(?:(?:>=|==)([\w.]+))?")


def lowest(requirements: list[str]) -> Iterator[str]:
    """A constraint for each requirement, and for those of the extras of our own that it names."""
    for requirement in requirements:
        name, extras, version = REQUIREMENT.match(requirement).groups()
        if name == PROJECT["name"]:
            for extra in extras.split(","):
                yield from lowest(PROJECT["optional-dependencies"][extra])
        elif version is None:
            raise SystemExit(f"pyproject.toml: {requirement!r} has no lowest version")
        else:
            yield f"{name}=={version}"


if __name__ == "__main__":
    wanted = [*PROJECT["dependencies"], *(f"{PROJECT['name']}[{extra}]" for extra in sys.argv[1:])]
    print(*sorted(set(lowest(wanted))), sep="\n")
