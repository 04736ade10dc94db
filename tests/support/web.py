"""Reading a written page as a browser would, and what is asked of every one."""

from html.parser import HTMLParser
from itertools import pairwise

from PIL import Image


class Reader(HTMLParser):
    """What a browser would find: tags with attributes, headings, text; and whether every tag is closed in its place."""

    VOID = ("meta", "link", "img", "source")

    def __init__(self, text):
        super().__init__()
        self.tags, self.headings, self.words, self._open = [], [], [], []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if self._open and self._open[-1] in ("h1", "h2", "h3"):
            self.headings.append((self._open[-1], data))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def assert_sound(folder):
    """All that is asked of a page, whatever is on it; gives what was read."""
    text = (folder / "index.html").read_text(encoding="utf-8")
    page = Reader(text)
    assert "://" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert not page.all("script")
    addresses = [tag.get(key) for _, tag in page.tags for key in ("src", "href", "srcset") if key in tag]
    for address in addresses:
        assert address == "data:," or (folder / address).is_file()
    pictures = page.all("img") + page.all("source")
    for picture in pictures:
        with Image.open(folder / (picture.get("src") or picture["srcset"])) as opened:
            assert opened.size == (int(picture["width"]), int(picture["height"]))
    assert all(picture["alt"] for picture in page.all("img"))
    assert len(page.all("img")) == len(page.all("source")) == text.count("<figcaption>")
    levels = [int(tag[1]) for tag, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    assert page.all("html")[0]["lang"] == "en"
    left_behind = [path.name for path in folder.rglob("*") if "tmp" in path.name]
    assert not left_behind
    return page
