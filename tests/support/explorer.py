"""Reading a page of mvnp/visualize/explorer, and what is asked of every one."""

import base64
import io
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from .web import Reader as WebReader


class Reader(WebReader):
    """What a browser would find on it, but for scripts and styles."""

    VOID = (*WebReader.VOID, "input")

    def __init__(self, page: Path) -> None:
        super().__init__(_text(page))

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in ("script", "style"):
            super().handle_data(data.strip())


def data_of(page: Path) -> dict[str, Any]:
    """The data that its script is given."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', _text(page), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def assert_sound(page: Path) -> Reader:
    """All that is asked of a page, whatever is on it; gives what was read."""
    text, read = _text(page), Reader(page)
    assert "://" not in text
    assert "@import" not in text
    assert "url(" not in text
    policy = next(tag["content"] for tag in read.all("meta") if tag.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")
    addresses = [tag[key] for _, tag in read.tags for key in ("src", "href", "srcset") if key in tag]
    assert all(address.startswith("data:") for address in addresses)
    for picture in read.all("img") + read.all("source"):
        content = (picture.get("src") or picture["srcset"]).partition("base64,")[2]
        with Image.open(io.BytesIO(base64.b64decode(content))) as opened:
            assert opened.size == (int(picture["width"]), int(picture["height"]))
    assert all(picture["alt"] for picture in read.all("img"))
    levels = [int(tag[1]) for tag, _ in read.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    assert read.all("html")[0]["lang"] == "en"
    fields = {tag["id"] for name in ("input", "select") for tag in read.all(name)}
    assert fields == {tag["for"] for tag in read.all("label")}
    return read


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")
