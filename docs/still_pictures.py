"""Writes the still picture of every explorable: python docs/still_pictures.py

It is what the script draws at its start, for readers without scripts (docs/_ext/explorable.py). It needs Chromium, and is
run once for each change of a drawing; tests/docs/test_explorables.py asks whether it was.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.browser import Browser, find_chromium

DOCS = Path(__file__).parent
FOLDER = DOCS / "_static" / "explorables"


def names() -> list[str]:
    """All explorables."""
    return sorted(path.stem for path in FOLDER.glob("*.js") if path.stem != "kit")


def wanted() -> dict[str, tuple[str, dict]]:
    """File names of all stills, with the explorable and the options that a page gives it."""
    found: dict[str, tuple[str, dict]] = {f"{name}.svg": (name, {}) for name in names()}
    for page in DOCS.rglob("*.md"):
        for name, body in re.findall(r"```\{explorable\} (\w+)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            still, options = (
                re.search(r"^:still: (\w+)$", body, re.MULTILINE),
                re.search(r"^:options: (.+)$", body, re.MULTILINE),
            )
            if still and options:
                found[f"{name}-{still[1]}.svg"] = (name, json.loads(options[1]))
    return found


def bare_page() -> str:
    """A page that has all scripts and nothing else."""
    scripts = "".join(f'<script src="{(FOLDER / f"{name}.js").as_uri()}"></script>' for name in ("kit", *names()))
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Stills</title>{scripts}</html>'


def drawn(browser: Browser, page: Path) -> dict[str, str]:
    """Every still as its script draws it now. `page`: a file to write for that."""
    page.write_text(bare_page(), encoding="utf-8")
    browser("Page.navigate", url=page.absolute().as_uri())
    browser.until("document.readyState === 'complete' && Boolean(window.mvnp?.still)")
    return {
        file: browser.run(f"mvnp.still({json.dumps(name)}, {json.dumps(options)})")
        for file, (name, options) in wanted().items()
    }


def main() -> int:
    if find_chromium() is None:
        print("no Chromium here: install chromium, or set CHROMIUM to one", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        stills = drawn(browser, Path(folder) / "stills.html")
    for file, text in stills.items():
        if not (FOLDER / file).is_file() or (FOLDER / file).read_text(encoding="utf-8") != text:
            (FOLDER / file).write_text(text, encoding="utf-8")
            print(f"written: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
