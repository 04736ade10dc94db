"""Cells that run in the browser: a site has none by default, and what they run needs NumPy alone, no threads, no processes.

Where PYODIDE names a folder of Pyodide with NumPy, cells and exercises run in it, in Chromium. Elsewhere a script that answers
as Pyodide would stands in for it, and Python's part is run here.
"""

from __future__ import annotations

import functools
import http.server
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from mvnp.learn import EXERCISES, find_exercise
from mvnp.learn.cut import solved_text
from support.browser import Browser, find_chromium

pytest.importorskip("sphinx", reason="needs Sphinx: pip install -e '.[docs]'")

DOCS = Path(__file__).parents[2] / "docs"
CONF = f"""
extensions = ["myst_parser", "cells", "fold", "run_at_build"]
html_theme = "furo"
html_static_path = [{str(DOCS / "_static")!r}]
html_css_files = ["site.css"]
"""
PAGE = """# Softmax

```{example}
import math

x = 6
print("x is", x)
```

Between.

```{example}
print(math.sqrt(6 * x))
```

## Exercise

A question.
"""

WHEEL = "numpy-2.0.0-py3-none-any.whl"
LOCK = json.dumps({"packages": {"numpy": {"file_name": WHEEL, "depends": []}}})
# What cells.js and worker.js ask of Pyodide. Its Python knows the cells of PAGE, and an exercise that is never right.
STAND_IN = """
export async function loadPyodide({env}) {
  if (env.MVNP_KERNELS !== "off") throw new Error("kernels");
  let say = () => {};
  return {
    loadedPackages: {},
    setStdout: ({batched}) => (say = batched),
    setStderr: () => {},
    loadPackage: async function (names) { for (const name of names) this.loadedPackages[name] = "here"; },
    unpackArchive: (buffer, format) => { if (format !== "zip" || buffer.byteLength < 1000) throw new Error("no archive"); },
    runPython: () => {},
    pyimport: () => ({
      run: (code, place) => {
        while (code.includes("while True")) { /* until Stop */ }
        if (code.includes("1 / 0")) return "ZeroDivisionError: division by zero";
        say(`cell ${place}: ${code.split("\\n").filter(Boolean).pop()}`);
        return "";
      },
      begin: (stem) => `def ${stem}_backward(dy, cache):\\n    raise NotImplementedError\\n`,
      check: (stem, text) => JSON.stringify({told: `  ${stem}_backward: wrong\\n`, right: text.includes("right"), tried: true}),
      answer: () => "the solution",
    }),
  };
}
"""


@pytest.fixture
def pyodide(tmp_path):
    """A folder that has what a site takes of Pyodide's."""
    folder = tmp_path / "pyodide"
    folder.mkdir()
    files = {"pyodide.mjs": STAND_IN, "pyodide.asm.mjs": "", "pyodide.asm.wasm": "", "python_stdlib.zip": "", WHEEL: ""}
    for name, text in {**files, "pyodide-lock.json": LOCK, "scipy-1.whl": "", "console.html": ""}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def build(tmp_path):
    """Builds a site of two pages with a setting of PYODIDE; its folder."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    def make(setting):
        source, said = tmp_path / "docs", io.StringIO()
        (source / "layers").mkdir(parents=True, exist_ok=True)
        (source / "conf.py").write_text(f"{CONF}\npyodide = {setting!r}\n", encoding="utf-8")
        (source / "index.md").write_text("# Pages\n\n```{toctree}\nlayers/softmax\n```\n", encoding="utf-8")
        (source / "layers" / "softmax.md").write_text(PAGE, encoding="utf-8")
        with docutils_namespace():
            folders = (source, source, tmp_path / "html", tmp_path / "trees")
            Sphinx(*folders, "html", status=None, warning=said, freshenv=True).build()
        assert "WARNING" not in said.getvalue(), said.getvalue()
        return tmp_path / "html"

    return make


# The site.


def test_by_default_no_byte_of_it(build, pyodide):
    """Not even where the folder has the site of another build."""
    build(str(pyodide))
    site = build("")
    for name in ("index.html", "layers/softmax.html"):
        text = (site / name).read_text(encoding="utf-8")
        assert not any(word in text.lower() for word in ("pyodide", "cells.", "data-exercise"))
    names = [path.name for path in (site / "_static").rglob("*")]
    assert "site.css" in names
    assert not {"cells", "pyodide", "cells.js", "mvnp.zip", "pyodide.mjs", WHEEL} & set(names)


def test_a_folder(build, pyodide):
    site = build(str(pyodide))
    page = (site / "layers" / "softmax.html").read_text(encoding="utf-8")
    assert 'data-pyodide="../pyodide/"' in page
    assert 'data-packages="numpy"' in page
    assert '<div class="exercise-cell" data-exercise="softmax">' in page
    assert "cells" not in (site / "index.html").read_text(encoding="utf-8")
    taken = {path.name for path in (site / "_static" / "pyodide").iterdir()}
    assert taken == {"pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json", WHEEL}


@pytest.mark.parametrize("address", ["https://example.org/pyodide/full", "https://example.org/pyodide/full/"])
def test_an_address(build, address):
    site = build(address)
    assert 'data-pyodide="https://example.org/pyodide/full/"' in (site / "layers" / "softmax.html").read_text(encoding="utf-8")
    assert not (site / "_static" / "pyodide").exists()
    assert (site / "_static" / "cells" / "worker.js").is_file()


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (WHEEL, rf"a folder without {WHEEL}, which its pyodide-lock\.json names; the full distribution"),
        ("pyodide.asm.wasm", r"a folder without pyodide\.asm\.wasm; the full distribution"),
        ("", "expected a folder, or an address that begins with https://"),
    ],
)
def test_what_is_no_pyodide(build, pyodide, missing, told):
    from sphinx.errors import ConfigError

    if missing:
        (pyodide / missing).unlink()
    with pytest.raises(ConfigError, match=told):
        build(str(pyodide) if missing else str(pyodide / "nothing"))


# Python's part.


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_cells"))
    import page_cells

    monkeypatch.delitem(sys.modules, "page_cells")
    monkeypatch.setattr(page_cells, "names", {"__name__": "a_page"})
    return page_cells


def test_a_cell_prints_and_shows_what_it_ends_with(page, capsys):
    assert page.run("x = 2\nprint('two', end='')", 1) == ""
    assert page.run("y = 3 * x\ny", 2) == ""
    assert page.run("None", 3) == ""
    assert capsys.readouterr().out == "two6\n"


@pytest.mark.parametrize(
    ("code", "line", "last"),
    [
        ("x = 1\nx / 0", "x / 0", "ZeroDivisionError: division by zero"),
        ("x = (", "x = (", "SyntaxError: '(' was never closed"),
        ("raise SystemExit(3)", "raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_an_error_is_told_from_the_cell_on(page, code, line, last):
    told = page.run(code, 4)
    assert 'File "cell 4", line ' in told
    assert f"    {line}\n" in told
    assert told.rstrip().endswith(last)
    assert "page_cells" not in told


def test_an_exercise_is_judged(page):
    begun = page.begin("softmax")
    assert "softmax_backward: is still to be written" in json.loads(page.check("softmax", begun))["told"]
    assert not json.loads(page.check("softmax", begun))["tried"]
    wrong = begun + "\n\ndef softmax_backward(dy, cache):\n    return dy * cache\n"
    found = json.loads(page.check("softmax", wrong))
    assert "hint: dx: the term − y Σ_j dy_j y_j is missing" in found["told"]
    assert (found["right"], found["tried"]) == (False, True)
    assert json.loads(page.check("softmax", solved_text(find_exercise("softmax"))))["right"]
    assert "def softmax_backward" in page.answer("softmax")


# In a browser's Python there are NumPy and the files of mvnp.zip, one thread, and no other process.
ALONE = """
import json, pathlib, re, subprocess, sys, threading

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"numba", "llvmlite", "scipy", "matplotlib", "PIL", "tqdm", "threadpoolctl", "cupy"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def refuse(*arguments, **options):
    raise OSError("not in a browser")

sys.meta_path.insert(0, Nothing())
subprocess.Popen = threading.Thread.start = refuse
site, pages, stems = sys.argv[1:4]
sys.path.insert(0, site)
import page_cells
import mvnp
assert mvnp.__file__.startswith(site), mvnp.__file__
for page in sorted(pathlib.Path(pages).glob("*.md")):
    if page.stem in stems.split():
        page_cells.names.clear()
        cells = re.findall(r"^```\\{example\\}\\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
        for place, code in enumerate(cells, 1):
            assert not (error := page_cells.run(code, place)), f"{page.name}: {error}"
from mvnp.learn import find_exercise
from mvnp.learn.cut import solved_text
for stem in stems.split():
    assert "still to be written" in json.loads(page_cells.check(stem, page_cells.begin(stem)))["told"], stem
    verdict = json.loads(page_cells.check(stem, solved_text(find_exercise(stem))))
    assert verdict["right"], (stem, verdict["told"])
print("all of them")
"""


def test_pages_need_nothing_that_a_browser_lacks(build, pyodide, tmp_path):
    """All but GELU's, which takes erf from SciPy, and loads it."""
    with zipfile.ZipFile(build(str(pyodide)) / "_static" / "cells" / "mvnp.zip") as archive:
        archive.extractall(tmp_path / "site")
    stems = " ".join(exercise.stem for exercise in EXERCISES if exercise.stem != "gelu")
    settings = {"MVNP_KERNELS": "off", "MVNP_THREADS": "1", "MVNP_BACKEND": "numpy"}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | settings
    arguments = [str(tmp_path / "site"), str(DOCS / "layers"), stems]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *arguments], env=environment, cwd=tmp_path, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all of them\n")


# In Chromium.


class Served(http.server.SimpleHTTPRequestHandler):
    """With the types that a browser asks of modules, whatever the system's table of types says."""

    extensions_map = {  # noqa: RUF012  (as the class it comes from has it)
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *arguments):
        """Nothing."""


@pytest.fixture
def served():
    """Serves a folder on this machine alone; its address."""
    servers = []

    def serve(folder):
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Served, directory=str(folder))))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


in_chromium = [
    pytest.mark.slow(reason="Chromium opens the page, and runs its cells"),
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]


def with_marks(marks):
    return lambda test: functools.reduce(lambda marked, mark: mark(marked), marks, test)


def opened(browser, address):
    browser("Page.navigate", url=f"{address}/layers/softmax.html")
    browser.until("document.readyState === 'complete' && document.querySelectorAll('.cell-bar').length === 3")
    browser.settle()


def press(browser, label, place=0):
    """By keyboard: the focus on a button, and Enter."""
    find = f"[...document.querySelectorAll('.cell-bar button')].filter((one) => one.textContent === {label!r} && !one.hidden)"
    browser.until(f"{find}.length > {place}")
    browser.run(f"{find}[{place}].focus()")
    browser.press("Enter")


def wait(browser):
    browser.until("document.querySelectorAll('[aria-busy]').length === 0")


def written(browser, selector, text):
    """Text typed in place of what a cell has."""
    browser.run(f"(one => (one.focus(), getSelection().selectAllChildren(one)))(document.querySelector({selector!r}))")
    browser("Input.insertText", text=text)
    browser.settle()


@with_marks(in_chromium)
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_cells_by_keyboard(build, pyodide, served, tmp_path, width, dark):
    address = served(build(str(pyodide)))
    with Browser(width, 800, dark=dark) as browser:
        opened(browser, address)
        assert not [request for request in browser.requests if "pyodide/" in request or "worker" in request or "zip" in request]
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert min(browser.all(".cell-bar button:not([hidden])", "one.offsetHeight")) >= 40
        # The second cell runs the first.
        press(browser, "Run", 1)
        wait(browser)
        assert browser.all(".output pre", "one.textContent") == [
            'cell 1: print("x is", x)\n',
            "cell 2: print(math.sqrt(6 * x))\n",
        ]
        assert browser.run("document.activeElement.textContent") == "Run"
        asked = [request for request in browser.requests if "pyodide.mjs" in request]
        # Typed, and run by Ctrl and Enter; back as it was.
        written(browser, ".cell-code", "x = 7\nprint(x)")
        modifiers = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "modifiers": 2}
        browser("Input.dispatchKeyEvent", type="rawKeyDown", **modifiers)
        browser("Input.dispatchKeyEvent", type="keyUp", **modifiers)
        wait(browser)
        assert browser.one(".output pre", "one.textContent") == "cell 1: print(x)\n"
        press(browser, "As it was")
        assert browser.one(".output pre", "one.textContent").strip() == "x is 6"
        assert 'print("x is", x)' in browser.one(".cell-code", "one.innerText")
        # An error is shown, and stops what needs the cell.
        written(browser, ".cell-code", "1 / 0")
        press(browser, "Run", 1)
        wait(browser)
        assert "Cell 1, above, ends with an error" in browser.run("document.querySelectorAll('.cell-status')[1].textContent")
        assert browser.one(".output pre", "one.textContent + one.className") == "ZeroDivisionError: division by zerocell-error"
        # A loop without end is ended, and the next run begins anew.
        written(browser, ".cell-code", "while True: pass")
        press(browser, "Run")
        press(browser, "Stop")
        assert browser.one(".cell-status", "one.textContent").startswith("Stopped.")
        assert browser.run("document.activeElement.textContent") == "Run"
        written(browser, ".cell-code", "x = 8")
        press(browser, "Run")
        wait(browser)
        assert browser.one(".output pre", "one.textContent") == "cell 1: x = 8\n"
        assert len([request for request in browser.requests if "pyodide.mjs" in request]) == len(asked) * 2
        # The exercise; what is written stays, and the solution comes after a try.
        press(browser, "Write it here")
        wait(browser)
        code = ".exercise-cell .cell-code"
        assert browser.one(code, "document.activeElement === one")
        written(browser, code, "right")
        press(browser, "Check")
        wait(browser)
        assert browser.one(".exercise-cell .cell-status", "one.textContent") == "Right."
        press(browser, "Solution")
        wait(browser)
        assert browser.one(".exercise-cell .output pre", "one.textContent") == "the solution"
        assert browser.run("document.documentElement.scrollWidth") <= width
        opened(browser, address)
        press(browser, "Write it here")
        wait(browser)
        assert browser.one(code, "one.innerText.trim()") == "right"
        press(browser, "Begin anew")
        assert "NotImplementedError" in browser.one(code, "one.innerText")
        assert [error for error in browser.errors if "favicon" not in error and "404" not in error] == []
        assert {request.split("/")[2] for request in browser.requests if request.startswith("http")} == {address.split("/")[2]}


@with_marks(in_chromium)
def test_what_cannot_be_loaded_is_told(build, pyodide, served):
    site = build(str(pyodide))
    (site / "_static" / "pyodide" / "pyodide.mjs").unlink()
    with Browser() as browser:
        opened(browser, served(site))
        press(browser, "Run")
        wait(browser)
        assert browser.one(".cell-status", "one.textContent").startswith("Python could not be run here: ")


PYODIDE = Path(os.environ.get("PYODIDE") or "nowhere")


@with_marks(in_chromium)
@pytest.mark.skipif(not PYODIDE.is_dir(), reason="PYODIDE names no folder of Pyodide with NumPy")
def test_in_pyodide_itself(build, served):
    """What cells print is what the build has printed, and an exercise is judged."""
    with Browser() as browser:
        opened(browser, served(build(str(PYODIDE.resolve()))))
        before = browser.all(".output pre", "one.textContent.trim()")
        press(browser, "Run", 1)
        wait(browser)
        assert browser.all(".output pre", "one.textContent.trim()") == before
        press(browser, "Write it here")
        wait(browser)
        press(browser, "Check")
        wait(browser)
        assert "is still to be written" in browser.one(".exercise-cell .output pre", "one.textContent")
        written(browser, ".exercise-cell .cell-code", solved_text(find_exercise("softmax")))
        press(browser, "Check")
        wait(browser)
        assert browser.one(".exercise-cell .cell-status", "one.textContent") == "Right."
