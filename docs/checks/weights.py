"""How much a browser has to load: for each page what stands in its HTML to be loaded at once, and all files of the site.

A page's weight is that of its HTML, scripts, stylesheets, pictures and frames. Not counted are fonts, of which a browser
loads those that it uses, and what is loaded when it comes into view: frames with data-src; of the site, what Sphinx keeps
beside it for its next build, in a folder whose name begins with a dot, and Pyodide, which a site has that was asked to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from checks.pages import Page

MOST = 1_500_000  # bytes, of a page
FRONT = 400_000  # of the first
SITE = 30_000_000


def weight(page: Page) -> int:
    """Bytes; a file that is asked for twice counts once. What is not there, links say elsewhere."""
    files = {page.path}
    for element in page.all("script", "link", "img", "iframe", "source"):
        address = element.get("src") or (element.get("href") if "stylesheet" in element.get("rel") else "")
        parts = urlsplit(address)
        if parts.path and not parts.scheme and not parts.netloc:
            files.add((page.path.parent / unquote(parts.path)).resolve())
    return sum(file.stat().st_size for file in files if file.is_file())


def problems(root: Path, pages: Mapping[Path, Page]) -> Iterator[str]:
    """Pages, and a site, that are too heavy."""
    front = (root / "index.html").resolve()
    for path, page in pages.items():
        limit = FRONT if path == front else MOST
        if (bytes_ := weight(page)) > limit:
            yield f"{path.relative_to(root.resolve())}: weighs {bytes_ / 1e3:.0f} kB, more than {limit / 1e3:.0f}"
    shown = (
        file
        for file in root.rglob("*")
        if file.is_file() and not any(part[0] == "." or part == "pyodide" for part in file.relative_to(root).parts)
    )
    if (whole := sum(file.stat().st_size for file in shown)) > SITE:
        yield f"the site has {whole / 1e6:.1f} MB, more than {SITE / 1e6:.0f}"
