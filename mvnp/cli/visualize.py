"""`mvnp visualize`: a page that shows what happens inside a model when it looks at a picture."""

from __future__ import annotations

import argparse
import re
import textwrap
from pathlib import Path

from ..errors import DataError, InputError
from .arguments import Parser
from .outputs import check_output
from .pictures import band_numbers
from .weights import add_picture_options, add_weights_options, open_model, open_transform

SUMMARY = "write a page that shows what happens inside, token by token"

USAGE = "mvnp visualize IMAGE --weights W --out DIR [options]"

DESCRIPTION = """\
Write DIR/visualize.html: what a trained model does with one picture. A click on
the picture chooses a token, and the page shows what the scans remember there
and what every layer takes from where; below are all figures of mvnp.visualize.
The page is one file and needs no network. With --compare, two checkpoints stand
side by side on the same scales, say from before and after training. With --only
FIGURE, --out is one picture, quicker: see below."""

EXAMPLES = """\
examples:
  mvnp visualize cat.jpg --weights mambavision_tiny_1k.pth.tar --out cat
  mvnp visualize cat.jpg --weights W --out cat --block levels.2.blocks.5
  mvnp visualize bag.png --weights run/best.safetensors --out bag --query 1,3
  mvnp visualize bag.png --weights first --compare second --out both
  mvnp visualize cat.jpg --weights W --only grad_cam --target tabby --out c.png
  mvnp visualize cat.jpg --weights W --only scan_state --route back --out s.png

figures for --only:
{figures}

The picture is prepared as the weights ask for, with --compare as those of
--weights do. Both models need the same blocks. A block's map of tokens is
counted from 0; `mvnp summary` lists the blocks."""


FIGURES = (
    *("window_grid", "scan_state", "state_animation", "timescales", "hidden_attention_matrix", "hidden_attention_map"),
    *("hidden_attention_groups", "window_attention", "attention_entropy", "token_to_token", "attention_rollout"),
    *("receptive_field", "gradient_times_input", "grad_cam", "mamba_lrp", "feature_maps", "first_filters", "gradient_flow"),
)
EXAMPLES = EXAMPLES.format(figures=textwrap.fill(" ".join(FIGURES), 78, initial_indent="  ", subsequent_indent="  "))
LARGE = 5_000_000  # parameters


def token(text: str) -> tuple[int, int]:
    """The type of --query: `3,7`, row and column."""
    match = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no token; expected its row and column, such as 3,7, counted from 0")
    return int(match[1]), int(match[2])


def add_arguments(parser: Parser) -> None:
    parser.add_argument("image", metavar="IMAGE", type=Path, help="picture")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder; with --only the file to write")
    parser.add_argument("--compare", metavar="W2", help="weights of a second model, to stand beside the first")
    parser.add_argument("--block", metavar="PATH", help="block that the page begins with (default: the first mixer)")
    parser.add_argument("--query", type=token, metavar="R,C", help="token that it begins with (default: the middle one)")
    parser.add_argument("--only", metavar="FIGURE", help="draw this figure alone, into the file --out")
    parser.add_argument(
        "--route", metavar="NAME", help="with --only: one scan of several, such as back (default: the first, or all)"
    )
    parser.add_argument("--target", metavar="CLASS", help="class to explain, by name or number (default: the likeliest)")
    parser.add_argument("--no-figures", action="store_true", help="only what is chosen by click, without the figures below it")
    parser.add_argument("--classes", metavar="FILE", help="text file with the name of a class on each line")
    bands = "which bands of a picture are shown: three for red, green and blue, or one, from 1 (default: all, as grey)"
    parser.add_argument("--bands", type=band_numbers, metavar="R,G,B", help=bands)
    parser.add_argument("--quiet", action="store_true", help="show no progress, only where the page is")
    add_weights_options(parser)
    add_picture_options(parser, many=False)


def run(arguments: argparse.Namespace) -> int:
    from ..atomic import make_folder
    from ..backend import from_numpy
    from ..data import read_picture
    from ..inference import class_names
    from ..inference.classify import check_head
    from ..training.progress import Progress
    from ..visualize.arrays.picture import showing
    from ..visualize.pages.explorer import PAGE, Subject, write_explorer

    file, out = arguments.image.expanduser(), arguments.out.expanduser()
    if file.is_dir():
        raise DataError(f"{file} is a folder, expected one picture")
    if arguments.only is not None:
        if arguments.compare is not None or arguments.no_figures:
            other = "--compare" if arguments.compare is not None else "--no-figures"
            raise InputError(f"{other} is for a page, and --only {arguments.only} writes one picture; leave one of them out")
        from ..visualize.pages.one_figure import check_figure_file

        out = check_figure_file(out, arguments.only)
        check_output("--out", out, [file, arguments.weights, arguments.classes], out.suffix.lower())
    elif arguments.route is not None:
        raise InputError("--route chooses a scan for one figure; give --only FIGURE with it, or leave it out")
    read_picture(file, None, (0.0, 1.0), max_bytes=arguments.picture_limit)  # whether it can be read, before all else
    if arguments.only is None:
        make_folder(out)  # before anything takes time
        check_output("--out", out / PAGE, [file, arguments.weights, arguments.compare, arguments.classes], "page")
    pretrained = open_model(arguments)
    transform = open_transform(arguments, pretrained)
    names = class_names(pretrained, arguments.classes)
    subjects = [Subject(arguments.weights, pretrained.model, names)]
    target = None
    if arguments.target is not None:
        from ..visualize.pages.one_figure import class_number

        check_head(pretrained.model)
        target = class_number(arguments.target, names, pretrained.model.num_classes)
    say = Progress(arguments.quiet).say
    if arguments.only is not None:
        from ..visualize.pages.one_figure import write_figure

        image = from_numpy(transform.read(file, arguments.picture_limit)[None])
        about = {"block": arguments.block, "query": arguments.query, "target": target, "route": arguments.route, "say": say}
        with showing(arguments.bands):
            write_figure(out, arguments.only, subjects[0], image, **about)
        print(out)
        return 0
    if arguments.compare is not None:
        second = open_model(arguments, arguments.compare)
        if second.model.in_chans != pretrained.model.in_chans:
            raise InputError(
                f"{arguments.weights} takes images of {pretrained.model.in_chans} channels and {arguments.compare} of"
                f" {second.model.in_chans}: they cannot be shown the same picture"
            )
        subjects.append(Subject(arguments.compare, second.model, class_names(second, arguments.classes)))
    if not arguments.no_figures and pretrained.model.parameter_count > LARGE:
        say(
            "all figures of a model of this size take minutes, token to token and receptive fields most of them, and a page of"
            " some 15 MB; --no-figures leaves them out, and --only draws one"
        )
    image = from_numpy(transform.read(file, arguments.picture_limit)[None])
    with showing(arguments.bands):
        page = write_explorer(
            out,
            subjects,
            image,
            name=file.name,
            block=arguments.block,
            query=arguments.query,
            figures=not arguments.no_figures,
            target=target,
            say=say,
        )
    print(f"open {page} in a browser")
    return 0
