"""`{plot} figures/layernorm.py`: a figure drawn from real data when the site is built.

    ```{plot} figures/layernorm.py
    :alt: What a reader who cannot see the figure needs to know.

    The caption, in Markdown.
    ```

The script, a path below docs/, defines `draw() -> Figure`, with the colours and helpers of mvnp/visualize/figures/style.py. One
that can `draw(narrow=True)` is drawn a second time for phones, and the page shows the one that fits.
What it draws is put into the page as SVG. The colours of style.py become variables of the stylesheet (`--fig-ink` and so on),
so one drawing serves the light and the dark page. `alt` must be given. A figure is kept beside the site, and drawn anew where
the script, mvnp or what was measured has changed.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
import runpy
import traceback
from functools import cache
from pathlib import Path

import matplotlib
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import mvnp
from mvnp.visualize.figures import style

VARIABLES = {
    "#000000": "--fig-ink",  # matplotlib's own, where a script names no colour
    "#ffffff": "--fig-paper",
    style.INK: "--fig-ink",
    style.MUTED: "--fig-muted",
    style.FAINT: "--fig-faint",
    style.OUTSIDE: "--fig-outside",
    style.BLUE: "--fig-blue",
    style.ORANGE: "--fig-orange",
    style.GREEN: "--fig-green",
    "#1f77b4": "--fig-blue",  # the first three of matplotlib's own cycle, which notebooks draw in
    "#ff7f0e": "--fig-orange",
    "#2ca02c": "--fig-green",
}


class Plot(SphinxDirective):
    required_arguments = 1
    has_content = True
    folder = Path()  # of what is kept
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012  (docutils wants a plain dictionary)

    def run(self) -> list[nodes.Node]:
        script = Path(self.env.srcdir) / self.arguments[0]
        alt = " ".join(self.options.get("alt", "").split())
        if not alt:
            raise self.error(f"plot: {self.arguments[0]} needs `:alt:`, in words what the figure shows")
        if not script.is_file():
            raise self.error(f"plot: there is no file {script}")
        self.env.note_dependency(str(script))
        name = script.stem
        try:
            drawn = cached_svgs(script, self.folder)
        except Exception:
            raise self.error(f"plot: {script} fails\n{traceback.format_exc()}") from None
        result = nodes.figure(ids=[f"figure-{name}"], classes=["plot"])
        for svg, (ending, css) in zip(drawn, (("", " plot-wide"), ("-narrow", " plot-narrow")), strict=False):
            fitted = fit_for_page(svg, f"{name}{ending}", alt)
            fitted = fitted.replace('class="plot-scroll"', f'class="plot-scroll{css}"', 1) if len(drawn) > 1 else fitted
            result += nodes.raw("", fitted, format="html")
        caption, _, legend = "\n".join(self.content).partition("\n\n")
        if caption:
            text = self.parse_text_to_nodes(caption)
            result += nodes.caption(caption, "", *(child for part in text for child in part.children))
        if legend:
            result += nodes.legend("", *self.parse_text_to_nodes(legend))
        return [result]


def cached_svgs(script: Path, folder: Path) -> list[str]:
    """The drawing of `script`, or both, kept in `folder` under names that change with all that they may depend on."""
    state = hashlib.sha256(script.read_bytes() + fingerprint()).hexdigest()[:20]
    endings = ["", "-narrow"] if re.search(r"^def draw\(narrow\b", script.read_text(encoding="utf-8"), re.MULTILINE) else [""]
    found = []
    for ending in endings:
        kept = folder / f"{script.stem}-{state}{ending}.svg"
        if not kept.exists():
            folder.mkdir(parents=True, exist_ok=True)
            kept.write_text(draw_svg(script, narrow=bool(ending)), encoding="utf-8")
        found.append(kept.read_text(encoding="utf-8"))
    return found


@cache
def fingerprint() -> bytes:
    """Of the sources of mvnp and of the benchmarks, of what these have measured, and of what draws."""
    root = Path(mvnp.__file__).parent.parent
    files = sorted([*root.glob("mvnp/**/*.py"), *root.glob("benchmarks/*.py"), *root.glob("docs/measured/*.json")])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files) + matplotlib.__version__.encode()).digest()


def draw_svg(script: Path, narrow: bool = False) -> str:
    """What `draw()` of a script gives, as SVG; the same script gives the same text."""
    draw = runpy.run_path(str(script))["draw"]
    with matplotlib.rc_context({"svg.hashsalt": script.stem, "font.size": 9}):
        figure = draw(narrow=True) if narrow else draw()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def fit_for_page(svg: str, name: str, alt: str) -> str:
    """The <svg> alone, named for screen readers, with ids of its own and variables in place of colours.

    Things that are the same twice have the same id in matplotlib's text; the first keeps it.
    """
    svg = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    given: set[str] = set()
    svg = re.sub(r' id="([^"]*)"', lambda match: "" if match[1] in given else given.add(match[1]) or match[0], svg)
    for colour, variable in VARIABLES.items():
        svg = re.sub(rf"(?<=: ){colour}\b", f"var({variable})", svg, flags=re.IGNORECASE)
    width, height = (float(number) for number in re.findall(r'^<svg [^>]*?viewBox="0 0 (\S+) (\S+)"', svg)[0])
    opening = (
        f'<svg viewBox="0 0 {width:g} {height:g}" style="--fig-width: {width / 72:.3g}in" role="img"'
        f' aria-label="{html.escape(alt)}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return f'<div class="plot-scroll">{opening}{svg[svg.index(">") + 1 :].strip()}</div>'


def setup(app: Sphinx) -> dict:
    Plot.folder = Path(app.outdir).parent / "figures"
    app.add_directive("plot", Plot)
    return {"parallel_read_safe": True}
