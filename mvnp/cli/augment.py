"""`mvnp augment`: what a network will see of a folder's pictures in training."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import InputError
from .arguments import Parser, whole
from .data_options import DATA_HELP
from .outputs import check_output
from .settings import AUGMENTATION, add_table, given_settings, merged, read_file

SUMMARY = "write a page that shows what training makes of pictures"

USAGE = "mvnp augment DATA --out DIR [options]"

DESCRIPTION = """\
Write DIR/index.html: some pictures of a data set as they are stored, and as a
recipe changes them for the network, with what it is told that they show. Single
options take the place of the recipe's, as for mvnp train."""

EXAMPLES = """\
examples:
  mvnp augment photos --recipe official --out seen
  mvnp augment photos --recipe light --erasing 0.5 --out seen
  mvnp augment fashion-mnist-small --image-size 64 --recipe light --out seen"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("data", metavar="DATA", help=DATA_HELP)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument("--recipe", metavar="NAME", help="official, light or finetune (default: official, without --config)")
    parser.add_argument("--config", default=argparse.SUPPRESS, metavar="FILE", help="settings from a file (TOML)")
    parser.add_argument("--image-size", type=whole(8), metavar="S", help="side that the network sees (default: 224)")
    parser.add_argument("--pictures", type=whole(2), default=6, metavar="N", help="how many, an even number (default: 6)")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of all draws (default: 0)")
    parser.add_argument("--no-flip", action="store_true", help="do not mirror images")

    def add(group: Any, option: str, what: str, default: Any = None, **options: Any) -> None:
        group.add_argument(option, default=argparse.SUPPRESS, help=what, **options)

    add_table(add, parser.add_argument_group("augmentation"), AUGMENTATION, {})


def run(arguments: argparse.Namespace) -> int:
    from ..atomic import make_folder
    from ..data import load_parts
    from ..data.augment import Augmentation
    from ..data.sources import check_outside
    from ..training.recipes import recipe_settings
    from ..visualize.pages.augmented import write_augmented
    from ..visualize.pages.report import PAGE

    given = vars(arguments)
    file = read_file(given)
    named = arguments.recipe or file.get("recipe") or (None if "config" in given else "official")
    base = recipe_settings(named, "", {}) if named else {}
    settings = merged(base, file, given_settings(given))
    augmentation = Augmentation.of(settings.get("augmentation"))
    size = arguments.image_size or settings.get("loader_options", {}).get("image_size", 224)
    if not isinstance(size, int):
        raise InputError(f"augment: image_size is {size}, expected one side; give --image-size")
    check_output("--out", arguments.out / PAGE, [], "page")
    check_outside(arguments.data, arguments.out)
    make_folder(arguments.out)
    whole_pictures = augmentation.crop_scale is not None
    data = load_parts(arguments.data, image_size=size, whole=whole_pictures).train
    page = write_augmented(
        arguments.out,
        data,
        augmentation,
        size,
        f"the recipe {named}" if named else "the settings given",
        pictures=arguments.pictures,
        seed=arguments.seed,
        flip=not arguments.no_flip,
        crop_padding=0 if whole_pictures else settings.get("loader_options", {}).get("crop_padding", 0),
    )
    print(f"open {page} in a browser")
    return 0
