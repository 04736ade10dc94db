"""What is written: HTML pages for any browser, with no network, and a table for other programs.

explorer/      a page to click through: one image, one or two models
report.py      a page of pictures and the words around them
demo.py        trains a small model, and writes such a page about it
augmented.py   what training makes of pictures
confusion.py   what a validation took for what, as a table or a picture
run.py         about a training, or two
"""

from .augmented import write_augmented
from .demo import run_demo
from .explorer import Subject, write_explorer
from .report import Page, Picture, Section, write_page
from .run import write_run_page

__all__ = [
    "Page",
    "Picture",
    "Section",
    "Subject",
    "run_demo",
    "write_augmented",
    "write_explorer",
    "write_page",
    "write_run_page",
]
