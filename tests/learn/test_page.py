"""The session on docs/learn.md is what one gets."""

import ast
import os
import re
from pathlib import Path

from mvnp.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "learn.md"
BLOCK = re.compile(r"^```(console|\{code-block\} python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ERROR = re.compile(r"largest error \S+")


def put(file, function):
    """Write `function` into the file in place of the one of its name, as the reader does."""
    text = file.read_text(encoding="utf-8")
    name = re.match(r"def (\w+)", function)[1]
    node = next(node for node in ast.parse(text).body if getattr(node, "name", "") == name)
    lines = text.splitlines()
    file.write_text("\n".join([*lines[: node.lineno - 1], function, *lines[node.end_lineno :]]) + "\n", encoding="utf-8")


def test_the_session(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks, later = BLOCK.findall(PAGE.read_text(encoding="utf-8")), {}
    assert len(blocks) >= 8
    for kind, block in blocks:
        if kind != "console":
            path, function = re.match(r":caption: (\S+)\n\n(.*)", block, re.DOTALL).groups()
            if os.path.exists(path):
                put(Path(path), function.rstrip())
            else:
                later[path] = function.rstrip()
            continue
        for call in re.split(r"^\$ mvnp ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = call.partition("\n")
            main(command.split())
            out, err = capfd.readouterr()
            assert err == ""
            pattern = re.escape(ERROR.sub("", expected)).replace("…", ".*")  # NumPy's own words may change
            assert re.fullmatch(pattern, ERROR.sub("", out)), f"{command}\n{out}"
            for path in [path for path in later if os.path.exists(path)]:
                put(Path(path), later.pop(path))
    assert not later
