"""What the documentation makes at build: it ends the build where something is wrong, and shows what is so."""

from __future__ import annotations

import io
import re

import pytest

pytest.importorskip("sphinx", reason="needs Sphinx: pip install -e '.[docs]'")


CONF = """
extensions = ["myst_parser", "annotated", "bibliography", "cost_table", "explorable", "explorer", "fold", "measured", "plot"]
extensions += ["run_at_build", "twins"]
myst_enable_extensions = ["dollarmath"]
html_theme = "basic"
"""


@pytest.fixture
def build(tmp_path):
    """Builds a site of one page, beside modules given by name; its HTML, and what was warned of."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    def make(page, **modules):
        source = tmp_path / "docs"
        (source / "measured").mkdir(exist_ok=True, parents=True)
        (source / "measured" / "models.json").write_text(
            '{"rows": [{"key": "t1", "mvnp": {"seconds": 0.0625}}]}', encoding="utf-8"
        )
        for name, text in {"conf": CONF, **modules}.items():
            (source / f"{name}.py").write_text(text, encoding="utf-8")
        (source / "index.md").write_text(f"# Page\n\n{page}", encoding="utf-8")
        said = io.StringIO()
        with docutils_namespace():
            folders = (source, source, tmp_path / "html", tmp_path / "trees")
            app = Sphinx(*folders, "html", status=None, warning=said, freshenv=True)
            app.build()
        return (tmp_path / "html" / "index.html").read_text(encoding="utf-8"), said.getvalue()

    return make


def fence(name, content=""):
    """A directive: its name, what stands behind the name, and its content."""
    name, _, argument = name.partition(" ")
    return f"```{{{name}}} {argument}\n{content}\n```\n"


def test_example_shows_what_it_prints(build):
    page, warnings = build(fence("example", "x = 6") + fence("example", "print(7 * x)"))
    assert "example" not in warnings
    assert ">42</span>" in page or "\n42\n" in page or ">42\n" in page


def test_example_that_fails_is_an_error_at_its_line(build):
    _, warnings = build("text\n\n" + fence("example", "x = 1\nx / 0"))
    assert "ZeroDivisionError" in warnings
    assert "line 7, in <module>" in warnings


def test_gradcheck_shows_a_table(build):
    page, warnings = build(fence("gradcheck relu"))
    assert "gradcheck" not in warnings
    assert "central differences of fourth order" in page
    assert "<table" in page


def test_a_check_says_its_verdict_and_folds_its_table(build):
    page, _ = build(fence("gradcheck linear"))
    before, _, folded = page.partition('<details class="fold"><summary>')
    assert re.search(
        r"gradients in \d cases were compared, and the largest error is \d\.\d·10⁻¹", re.sub(r"<[^>]+>", "", before)
    )
    assert "<table" not in before
    assert "<table" in folded.partition("</details>")[0]


def test_fold_and_answer(build):
    page, warnings = build(fence("fold Why & how", "Because of *this*.") + "\n" + fence("answer", "It is $x$."))
    assert "fold" not in warnings
    assert '<details class="fold"><summary>Why &amp; how</summary>' in page
    assert "<em>this</em>" in page
    assert '<details class="fold answer"><summary>An answer</summary>' in page
    assert page.count("</details>") == 2
    assert "answer: it is empty" in build(fence("answer"))[1]


def test_a_line_has_its_formula_above(build):
    equations = "".join(f"\n$$\nx_{n} = y\n$$ (relu-{n})\n" for n in (1, 2))
    page, _ = build(f"{equations}\n{fence('annotated mvnp.layers.relu')}")
    code = page[page.index('class="annotated') :]
    assert code.count("x_1 = y") == code.count("x_2 = y") == 1
    assert code.index("def") < code.index("x_1 = y") < code.index("x_2 = y")
    assert "source-formula" in code[: code.index("x_1 = y")]
    assert page.count('id="equation-relu-1"') == 1
    elsewhere, _ = build(fence("annotated mvnp.layers.relu", ":object: relu_backward"))
    assert "source-formula" not in elsewhere


def test_gradcheck_that_fails_is_an_error(build, monkeypatch):
    from mvnp.check import layer_checks
    from mvnp.layers.relu import relu_forward

    def check(**options):
        return layer_checks.gradcheck(relu_forward, lambda dy, _: 2 * dy, {"x": [1.0, 2.0]}, **options)

    wrong = layer_checks.Case("relu", "", check)
    monkeypatch.setattr(layer_checks, "LAYER_CASES", [wrong])
    _, warnings = build(fence("gradcheck relu"))
    assert "the backward of relu is not the derivative of its forward" in warnings
    assert "did you mean 'relu'" in build(fence("gradcheck rleu"))[1]


DRAWING = """
from matplotlib.figure import Figure

def draw():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], color="#0060a8")
    return figure
"""


def test_plot(build, tmp_path):
    page, warnings = build(fence("plot drawing.py", ":alt: A line & more.\n\nThe *caption*."), drawing=DRAWING)
    assert "plot" not in warnings
    assert 'role="img" aria-label="A line &amp; more."' in page
    assert "var(--fig-blue)" in page
    assert "#0060a8" not in page
    assert "<em>caption</em>" in page
    assert [path.suffix for path in (tmp_path / "figures").iterdir()] == [".svg"]  # kept beside the site, not in it


def test_a_plot_for_phones(build):
    narrow = DRAWING.replace("draw():", "draw(narrow=False):").replace("(2, 1)", "(1 if narrow else 2, 1)")
    page, warnings = build(fence("plot drawing.py", ":alt: A line."), drawing=narrow)
    assert "plot" not in warnings
    wide, small = page.index('class="plot-scroll plot-wide"'), page.index('class="plot-scroll plot-narrow"')
    assert wide < page.index("--fig-width: 2in") < small < page.index("--fig-width: 1in")
    assert page.count('aria-label="A line."') == 2
    ids = re.findall(r'\bid="([^"]+)"', page[wide:])
    assert len(ids) == len(set(ids))


def test_plot_without_words_is_an_error(build):
    assert "needs `:alt:`" in build(fence("plot drawing.py"), drawing=DRAWING)[1]
    assert "there is no file" in build(fence("plot gone.py", ":alt: x"))[1]
    assert "ZeroDivisionError" in build(fence("plot drawing.py", ":alt: x"), drawing="def draw():\n    1 / 0\n")[1]


def test_explorable(build):
    page, warnings = build(fence("explorable state", ":title: One & all\n:alt: Bars, <faded>.\n\nDrag *one*."))
    assert "explorable" not in warnings
    assert 'data-explorable="state" data-options="{}"' in page
    assert 'role="img" aria-label="Bars, &lt;faded&gt;."' in page
    assert "One &amp; all" in page
    assert "<em>one</em>" in page
    scripts = re.findall(r'<script[^>]* src="_static/explorables/(\w+)\.js', page)
    assert scripts == ["kit", "state"]
    assert "explorables" not in build("Nothing.")[0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("state\n:title: x\n\nDrag.", "state needs `:alt:`"),
        ("state\n:alt: x\n\nDrag.", "state needs `:title:`"),
        ("state\n:title: x\n:alt: x", "needs a sentence: what to do"),
        ("gone\n:title: x\n:alt: x\n\nDrag.", "there is no gone.js"),
        ("state\n:title: x\n:alt: x\n:still: gone\n\nDrag.", "there is no state-gone.svg"),
        ("state\n:title: x\n:alt: x\n:options: {A: 1}\n\nDrag.", "the options of state are no JSON"),
    ],
)
def test_explorable_that_lacks_something(build, text, found):
    name, _, rest = text.partition("\n")
    assert found in build(fence(f"explorable {name}", rest))[1]


def test_explorer(build, tmp_path):
    page, warnings = build(fence("explorer Ankle boot, Bag"))
    assert "explorer" not in warnings
    written = tmp_path / "html" / "_static" / "explorer"
    assert sorted(path.name for path in written.iterdir()) == ["ankle-boot.html", "bag.html"]
    assert "Inside MambaVision: Bag" in (written / "bag.html").read_text(encoding="utf-8")
    assert 'data-src="_static/explorer/ankle-boot.html"' in page
    assert re.findall(r'href="_static/explorer/(\S+)" target="explorer"', page) == ["ankle-boot.html", "bag.html"]
    assert "explorer.js" in page
    assert not (tmp_path / "html" / "figures").exists()
    assert "knows no 'Hat', only T-shirt/top" in build(fence("explorer Hat"))[1]


def test_annotated_links_both_ways(build):
    equations = "".join(f"\n$$\nx = {n}\n$$ (relu-{n})\n" for n in (1, 2))
    page, warnings = build(f"{equations}\n{fence('annotated mvnp.layers.relu')}")
    assert "annotated" not in warnings
    assert 'href="#equation-relu-1"' in page
    assert 'href="#relu-L' in page
    assert 'id="relu-L1"' not in page  # the docstring is prose
    assert all(f'id="{target}"' in page for target in re.findall('href="#(relu-L[0-9]+)"', page))
    assert "relu_backward, line" in page


def test_annotated_equation_without_a_line_is_warned_of(build):
    _, warnings = build("\n$$\nx\n$$ (relu-7)\n\n" + fence("annotated mvnp.layers.relu"))
    assert "no line of relu.py refers to equation relu-7" in warnings
    assert "there is no module mvnp.layers.gone" in build(fence("annotated mvnp.layers.gone"))[1]
    assert "there is no gone in mvnp.layers.relu" in build(fence("annotated mvnp.layers.relu", ":object: gone"))[1]


def test_cost(build):
    page, warnings = build(fence("cost layernorm"))
    assert "cost" not in warnings
    assert "LayerNorm, 196×320" in page
    assert "24 times" in page.partition("<details")[0]
    assert "operations a byte" in page.partition("<details")[2]
    assert "Softmax, 8×196×196" in build(fence("cost softmax"))[0]


NUMBERS = """
def milliseconds(data, key):
    row = next(row for row in data["models"]["rows"] if row["key"] == key)
    return f"{1000 * row['mvnp']['seconds']:.0f} ms"
"""


def test_measured(build):
    page, warnings = build("It takes {measured}`milliseconds t1`.\n", measured_numbers=NUMBERS)
    assert "It takes <span" in page
    assert ">62 ms<" in page
    assert "measured" not in warnings


def test_counted(build):
    counted = "def pairs(word):\n    return f'four {word}'\n"
    page, warnings = build("There are {counted}`pairs pairs`.\n", counted_numbers=counted)
    assert ">four pairs<" in page
    assert "counted" not in warnings
    assert "has no function 'gone'" in build("{counted}`gone`\n", counted_numbers=counted)[1]


@pytest.mark.parametrize(
    ("text", "found"),
    [("milliseconds t2", "no such row"), ("seconds t1", "has no function 'seconds'"), ("milliseconds", "missing 1 required")],
)
def test_measured_that_is_not_there_is_warned_of(build, text, found):
    assert found in build(f"It takes {{measured}}`{text}`.\n", measured_numbers=NUMBERS)[1]


def test_bibliography(build):
    page, warnings = build(fence("bibliography", "1607.06450 | Layer Normalization | https://arxiv.org/abs/1607.06450"))
    assert "mvnp/layers/layernorm.py</span></code>: eq. 4" in page
    assert "mvnp cites arXiv:2312.00752, and docs/bibliography.md has no line for it" in warnings
    assert "nothing in mvnp names 'Zzyzx'" in build(fence("bibliography", "Zzyzx | A work |"))[1]


def test_twins_are_folded_side_by_side(build):
    page, warnings = build(f"\n$$\nx\n$$ (softplus-1)\n\n$$\nx\n$$ (softplus-2)\n\n{fence('twins softplus')}")
    assert "twins" not in warnings
    assert "equation not found" not in warnings
    folded = page[page.index('<details class="fold twins">') : page.index("</details>")]
    assert "The same as a loop for the CPU (Numba) and as a kernel for a GPU (CUDA)" in folded
    assert folded.index("mvnp/kernels/cpu/softplus.py") < folded.index("mvnp/kernels/cuda/softplus.cu")
    assert 'id="softplus-cpu-L1"' in folded
    assert 'id="softplus-cuda-L1"' in folded
    assert 'href="#equation-softplus-2"' in folded


def test_twins_of_a_layer_that_has_none(build):
    assert "drop_path has none" in build(fence("twins drop_path"))[1]


def test_one_function_three_times(build):
    page, warnings = build(fence("twins layernorm", ":function: layernorm_backward"))
    assert "twins" not in warnings
    assert "<details" not in page
    text = re.sub(r"<[^>]+>", "", page)
    for part in ("def layernorm_backward", "def _backward", "void layernorm_backward", "void layernorm_parameters"):
        assert part in text, part
    assert "def layernorm_forward" not in text
    assert "void layernorm_forward" not in text
    columns = [text.index(title) for title in ("Array code", "A loop for the CPU", "A kernel for a GPU")]
    assert columns == sorted(columns)
    assert "there is no gone in mvnp/layers/layernorm.py" in build(fence("twins layernorm", ":function: gone"))[1]
    assert "there is no row_mean in layernorm.py" in build(fence("twins layernorm", ":function: row_mean"))[1]


def test_a_kernel_has_its_helpers_and_comments(tmp_path):
    import twins

    (tmp_path / "gate.py").write_text(
        'def gate(x):\n    return _launch(x)\n\n\ndef _launch(x):\n    K.each("gate_kernel", x)\n'
    )
    (tmp_path / "gate.cu").write_text(
        "// Of no use.\n__device__ A unused(A x) {\n    return x;\n}\n\n"
        "// Half of it.\n__device__ A half_of(A x) {\n    return x / 2;\n}\n\n"
        '// Two lines\n// of words.\nextern "C" __global__ void gate_kernel(\n    const T* x\n) {\n    half_of(x[0]);\n}\n'
    )
    assert twins.kernel_lines(tmp_path / "gate.cu", "gate") == [(6, 9), (11, 17)]
    assert twins.kernel_lines(tmp_path / "gate.cu", "other") == []


@pytest.mark.filterwarnings("ignore:.*MystReferenceResolver")  # MyST's own
def test_search_knows_what_pages_are_about(build, tmp_path):
    """The first link of a glossary's term, a page's title, and the words of ABOUT; each section's text without its code."""
    import json

    glossary = (
        "# Glossary\n\n```{glossary}\nzero-order hold\n  Exact, see [the page](index.md#page).\n\nloose\n  No link.\n```\n"
    )
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "glossary.md").write_text(glossary, encoding="utf-8")
    conf = CONF.replace('"run_at_build", ', '"run_at_build", "search_pages", ')
    text = "Some *words*.\n\n## Further\n\nMore & `code`.\n\n" + fence("example", "hidden = 1")
    conf += '\nimport search_pages\nsearch_pages.ABOUT = {**search_pages.ABOUT, "zebra stripes": ("index",)}\n'
    build(text + "\n" + fence("toctree", "\nglossary"), conf=conf)
    written = (tmp_path / "html" / "_static" / "search_pages.js").read_text(encoding="utf-8")
    about, pages = (json.loads(re.search(rf"^const {name} = (.*);$", written, re.MULTILINE)[1]) for name in ("ABOUT", "PAGES"))
    assert about["zero order hold"] == "index"
    assert about["page"] == "index"
    assert about["glossary"] == "glossary"
    assert "loose" not in about
    assert "gpu" not in about  # there is no such page here
    assert about["zebra stripes"] == "index"
    index = (tmp_path / "html" / "searchindex.js").read_text(encoding="utf-8")
    assert "zebra" in index  # a page is found by words that it does not have
    assert "gpu" not in index
    assert ["term-loose", "loose No link."] in pages["glossary"]
    assert pages["index"] == [["page", "Page Some words."], ["further", "Further More & code."]]
