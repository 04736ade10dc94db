"""Checks a built site: python docs/check_site.py docs/_build/html

No link or anchor is broken, nothing is asked from another host, every figure has words for those who cannot see it, headings
are in order, controls have names, text has contrast by day and by night, and no page is too heavy. The exit status is 1 where
something is wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from checks import contrast, pages, weights


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not (Path(arguments[0]) / "index.html").is_file():
        print("usage: python docs/check_site.py FOLDER, the folder of a built site, such as docs/_build/html", file=sys.stderr)
        return 2
    root = Path(arguments[0])
    read = pages.read_all(root)
    found = [*pages.problems(root, read), *contrast.problems(root), *weights.problems(root, read)]
    for problem in found:
        print(problem)
    count = len(list(root.rglob("*.html")))
    print(f"{count} pages: {f'{len(found)} problems' if found else 'links, hosts, words, names, contrast, weights: all right'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
