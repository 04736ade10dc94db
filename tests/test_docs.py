"""The documentation is held to the code: stems, equation numbers, links, names, and every Python block runs."""

from __future__ import annotations

import ast
import importlib
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

import mvnp
from mvnp.check.layer_checks import LAYER_CASES
from mvnp.cli.entry import COMMANDS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
LAYERS = ROOT / "mvnp" / "layers"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in DOCS.rglob("*.md") if not {"_build", "_static"} & set(page.parts)),
]

FENCE = re.compile(r"^(`{3,})([^\n]*)\n(.*?)^\1`*[ \t]*$", re.MULTILINE | re.DOTALL)
LABEL = re.compile(r"^\$\$ \(([\w-]+)\)$", re.MULTILINE)  # closes a numbered formula
DEFINED = re.compile(r"(?:  |^)\((\d{1,2})\)(?=$|  )", re.MULTILINE)  # an equation's number, set off by spaces
REFERRED = re.compile(r"(?<![\w.\])])\((\d{1,2})\)")
REFERRED_ELSEWHERE = re.compile(r"(\w+)\.py, eqs?\.? (\d+(?:(?:, | and | to )\d+)*)")

STEMS = sorted(path.stem for path in LAYERS.glob("*.py") if path.stem != "__init__")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    """The page without code: neither fenced blocks nor inline."""
    return re.sub(r"(`+)[^`].*?\1", "", FENCE.sub("", text_of(page)))


# One stem: a layer's file, its test, its page, its place in the table of contents, its case in `mvnp check`.


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("test file, tests/layers/test_<stem>.py", {p.stem.removeprefix("test_") for p in ROOT.glob("tests/layers/test_*.py")}),
        ("page, docs/layers/<stem>.md", {page.stem for page in DOCS.glob("layers/*.md")} - {"index"}),
        ("line in the toctree of docs/layers/index.md", set(re.findall(r"^\w+$", text_of(DOCS / "layers/index.md"), re.M))),
        ("case in LAYER_CASES of mvnp/check/layer_checks.py", {case.layer for case in LAYER_CASES}),
    ],
    ids=["test", "page", "toctree", "check"],
)
def test_one_stem(what, found):
    missing, left_over = set(STEMS) - found, found - set(STEMS)
    assert not missing, f"layers without a {what}: {', '.join(sorted(missing))}"
    assert not left_over, f"no layer mvnp/layers/<stem>.py for this {what}: {', '.join(sorted(left_over))}"


@pytest.mark.parametrize("stem", STEMS)
def test_page_shows_the_source_and_asks_a_question(stem):
    text = text_of(DOCS / "layers" / f"{stem}.md")
    assert f"```{{annotated}} mvnp.layers.{stem}\n" in text or f"```{{literalinclude}} ../../mvnp/layers/{stem}.py\n" in text
    assert re.search(r"\n## Exercise\n\n[^`#].*?\n\n(````?)\{answer\}\n.+?\n\1\n", text, re.DOTALL), (
        "a question, and its answer in a fold"
    )


@pytest.mark.parametrize("stem", STEMS)
def test_page_is_made_by_the_code(stem):
    """Beside the source stand a picture, numbers worked through, the gradient check and the cost, all of this layer."""
    text = text_of(DOCS / "layers" / f"{stem}.md")
    if f"```{{annotated}} mvnp.layers.{stem}\n" not in text:
        pytest.skip("this page shows its source by literalinclude still")
    for directive in (f"{{gradcheck}} {stem}\n", f"{{cost}} {stem}\n", "{plot} figures/", "{example}\n"):
        assert f"```{directive}" in text, f"docs/layers/{stem}.md has no ```{directive.strip()}"


# Equation numbers: those of the docstring.


def equations(stem: str) -> list[int]:
    """The numbers that a layer's docstring gives to equations."""
    docstring = ast.get_docstring(ast.parse(text_of(LAYERS / f"{stem}.py"))) or ""
    return [int(number) for number in DEFINED.findall(docstring)]


def remarks(stem: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every comment and docstring of a layer."""
    source = text_of(LAYERS / f"{stem}.py")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (docstring := ast.get_docstring(node)):
            yield node.body[0].lineno, docstring


@pytest.mark.parametrize("stem", STEMS)
def test_page_shows_the_twins_that_there_are(stem):
    twins = [path for path in (f"cpu/{stem}.py", f"cuda/{stem}.cu") if (ROOT / "mvnp" / "kernels" / path).is_file()]
    below = f"```{{annotated}} mvnp.layers.{stem}\n```\n\n```{{twins}} {stem}\n```\n"
    assert (below in text_of(DOCS / "layers" / f"{stem}.md")) == bool(twins)


def test_equations_are_found():
    assert equations("layernorm") == [1, 2, 3]
    assert equations("selective_scan") == list(range(1, 11))
    assert len([stem for stem in STEMS if equations(stem)]) >= 15


@pytest.mark.parametrize("stem", STEMS)
def test_equations_referred_to_exist(stem):
    assert equations(stem) == list(range(1, len(equations(stem)) + 1)), "equations are to be numbered 1, 2, 3, …"
    for line, remark in remarks(stem):
        for number in REFERRED.findall(DEFINED.sub("", remark)):
            assert int(number) in equations(stem), f"{stem}.py, line {line}: there is no equation ({number})"
        for other, numbers in REFERRED_ELSEWHERE.findall(remark):
            for number in re.findall(r"\d+", numbers):
                assert int(number) in equations(other), f"{stem}.py, line {line}: there is no equation {number} in {other}.py"


@pytest.mark.parametrize("stem", STEMS)
def test_page_numbers_equations_like_the_source(stem):
    labels = LABEL.findall(text_of(DOCS / "layers" / f"{stem}.md"))
    assert labels == [f"{stem}-{number}" for number in equations(stem)]


# Links.


@cache
def anchors(page: Path) -> set[str]:
    """What `#...` may point at: headings, by their slug, and labels."""
    text = FENCE.sub("", text_of(page))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))


def broken_links(page: Path) -> Iterator[str]:
    everywhere = {anchor for other in PAGES for anchor in anchors(other)}
    for target in re.findall(r"\[[^\]\[]*\]\(([^()\s]*)\)", prose_of(page)):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if re.match(r"[a-z]+:", target):
            continue
        if not file.exists():
            yield f"{target}: no such file"
        elif anchor and anchor not in (anchors(file) if path else everywhere):
            yield f"{target}: no such heading or label"
    for path in re.findall(r"^```\{(?:literal)?include\} (\S+)$", text_of(page), re.MULTILINE):
        if not (page.parent / path).exists():
            yield f"{path}: no such file"
    for block in re.findall(r"```\{toctree\}\n(.*?)```", text_of(page), re.DOTALL):
        yield from (f"{entry}: no such page" for entry in re.findall(r"^[\w/]+$", block, re.M) if not is_page(page, entry))
    labels = {label for other in PAGES for label in LABEL.findall(text_of(other))}
    yield from (
        f"no equation {label}" for label in re.findall(r"(?<!`` )\{eq\}`([^`]+)`", text_of(page)) if label not in labels
    )


def is_page(page: Path, entry: str) -> bool:
    return (page.parent / f"{entry}.md").exists()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_resolve(page):
    assert not list(broken_links(page))


# The reference, and the code on the pages.


def test_reference_names_everything_public():
    documented = set(re.findall(r"auto\w+:: mvnp\.(\w+)$", text_of(DOCS / "reference.md"), re.MULTILINE))
    public = set(mvnp.__all__)
    assert not public - documented, f"add to docs/reference.md: {', '.join(sorted(public - documented))}"
    assert not documented - public, (
        f"docs/reference.md names what mvnp.__all__ does not: {', '.join(sorted(documented - public))}"
    )


def test_every_command_is_documented():
    """On a page that is no layer's, and in the README's table."""
    pages = "\n".join(text_of(page) for page in PAGES if page.parent == DOCS)
    for command in COMMANDS:
        assert re.search(rf"(?:^|^\$ |`)mvnp {command}\b", pages, re.MULTILINE), f"no page of docs/ shows mvnp {command}"
        assert f"`mvnp {command}`" in text_of(ROOT / "README.md"), f"README.md does not name mvnp {command}"


def test_every_figure_is_used_once():
    used = [path for page in PAGES for path in re.findall(r"^```\{plot\} (\S+)$", text_of(page), re.MULTILINE)]
    drawn = {str(path.relative_to(DOCS)) for path in DOCS.glob("figures/*.py")}
    assert sorted(used) == sorted(set(used)), "a figure stands on two pages"
    assert set(used) == drawn, f"figures without a page, or pages without a figure: {sorted(set(used) ^ drawn)}"


@pytest.mark.parametrize("package", ["checkpoint", "data", "export", "inference", "kernels", "learn", "training", "visualize"])
def test_reference_names_what_packages_offer(package):
    documented = set(re.findall(rf"auto\w+:: mvnp\.{package}\.(\w+)$", text_of(DOCS / "reference.md"), re.MULTILINE))
    room = importlib.import_module(f"mvnp.{package}")
    public = {name for name in room.__all__ if getattr(mvnp, name, None) is not getattr(room, name)}
    assert documented == public, f"docs/reference.md and mvnp.{package}.__all__ differ in {sorted(documented ^ public)}"


def python_blocks(page: Path) -> list[tuple[int, str]]:
    """(line, code) of every Python block of a page, also in what is folded."""
    text = re.sub(r"^````\{(?:answer|fold)\}.*?\n(.*?)^````$", r"\n\1", text_of(page), flags=re.MULTILINE | re.DOTALL)
    found = [match for match in FENCE.finditer(text) if match[2].strip() in ("python", "{example}")]
    return [(text.count("\n", 0, match.start(3)), match[3]) for match in found]


# What the code of a page runs on, beyond what mvnp does.
NEEDED = {"docs/export.md": ("onnx", "onnxruntime"), "docs/kernels.md": ("numba",)}
PAGES_WITH_CODE = [page for page in PAGES if python_blocks(page)]


def test_pages_with_code_are_found():
    assert {named(page) for page in PAGES_WITH_CODE} >= {"docs/index.md", "docs/use.md", "docs/layers/selective_scan.md"}


@pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=named)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    """In order, in one namespace for each page. A traceback shows the page's own line numbers."""
    for package in NEEDED.get(named(page), ()):
        pytest.importorskip(package, reason=f"needs the package {package}: pip install -e '.[test]'")
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "a_page"}
    for line, code in python_blocks(page):
        exec(compile("\n" * line + code, str(page), "exec"), namespace)


def test_every_number_of_a_sentence_is_there(monkeypatch):
    """A role for a measured or counted number names one."""
    for folder in (DOCS / "_ext", ROOT / "benchmarks"):
        monkeypatch.syspath_prepend(str(folder))
    pytest.importorskip("sphinx", reason="needs Sphinx: pip install -e '.[docs]'")
    from measured import number

    found = {each for page in PAGES for each in re.findall(r"\{(measured|counted)\}`([^`]+)`(?!`)", text_of(page))}
    assert len(found) > 20
    for role, text in found:
        assert "…" in text or number(DOCS, text, role)


def test_letters_of_the_notation_are_those_of_the_source():
    """What docs/notation.md gives as the name "in the source" stands in one."""
    sources = "\n".join(text_of(LAYERS / f"{stem}.py") for stem in STEMS)
    rows = re.findall(r"^\| \$[^|]*\| (.*?) \| [^|]* \|$", text_of(DOCS / "notation.md"), re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`([.\w]+)[^`]*`", row)]
    assert len(names) > 15
    assert [name for name in names if not re.search(rf"(?<!\w){re.escape(name)}\b", sources)] == []


@pytest.mark.parametrize("stem", ["mixer", "vim_mixer", "ss2d"])
def test_no_letter_of_a_mixer_is_a_size_and_a_matrix(stem):
    docstring = ast.get_docstring(ast.parse(text_of(ROOT / "mvnp" / "models" / f"{stem}.py"))) or ""
    head, _, equations = docstring.partition("(1)")
    sizes = {*re.search(r"x, y \(([^)]*)\)", head)[1].split(", "), *re.findall(r"\b([A-Z]) =", head)}
    matrices = set("ABCD")
    assert len(sizes) >= 4
    assert matrices <= set(re.findall(r"\b[A-Z]\b", equations.replace("_k", "")))
    assert not sizes & matrices


def test_no_released_variant_scales_convolution_blocks():
    """docs/architecture.md says so."""
    from mvnp.models.variants import VARIANTS

    models = [mvnp.create_model(name, allocate=False) for name, row in VARIANTS.items() if row.family == "MambaVision"]
    assert {model.config["layer_scale_conv"] for model in models} == {None}
    assert "no released variant has it" in " ".join(text_of(DOCS / "architecture.md").split())


def test_readme_on_a_package_index_has_no_link_into_the_repository():
    """Where it is shown without the repository, pyproject.toml takes its pictures and its links to files away."""
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    readme = project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    assert readme["fragments"] == [{"path": "README.md"}]
    shown = text_of(ROOT / "README.md")
    for substitution in readme["substitutions"]:
        assert re.search(substitution["pattern"], shown), f"nothing to replace: {substitution['pattern']}"
        shown = re.sub(substitution["pattern"], substitution["replacement"], shown)
    targets = re.findall(r"\]\(([^()\s]*)\)", FENCE.sub("", shown))
    assert targets
    assert [target for target in targets if not target.startswith("https://")] == []
    assert "`mvnp/layers/linear.py`" in shown
    assert all(url.startswith("https://") for url in project["project"]["urls"].values())


def test_readme_and_ci_run_the_same_tests():
    readme = text_of(ROOT / "README.md")
    commands = re.findall(r"^python3 -m venv .*$", readme, re.MULTILINE)
    assert len(commands) == 2, "README has two commands that do all the set-up: the demo and the tests"
    assert commands[1] in text_of(ROOT / ".ci" / "run").splitlines()


def test_the_table_of_cuda_kernels_names_them_all():
    """docs/kernels.md says of each which thread does what; a name there that is no kernel is one that has been renamed."""
    text = text_of(DOCS / "kernels.md").partition("### Which thread does what")[2].partition("\n\nNo kernel adds")[0]
    patterns = [name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)]
    sources = "".join(text_of(path) for path in sorted((ROOT / "mvnp" / "kernels" / "cuda").glob("*.cu")))
    kernels = re.findall(r'extern "C" __global__ void (\w+)\(', sources)
    assert len(kernels) > 20
    assert [name for name in kernels if not any(fnmatchcase(name, pattern) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in kernels)] == []
