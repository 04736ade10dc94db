"""mvnp visualize."""

import numpy as np
import pytest

from mvnp.checkpoint import save_pretrained
from mvnp.cli.visualize import FIGURES, token
from mvnp.data import ImageTransform, open_image
from mvnp.visualize.arrays.picture import as_picture
from mvnp.visualize.pages.explorer.data import as_uri
from support.command_line import IMAGES, NAMES, assert_refused, logits_of, save_small, softmax
from support.explorer import Reader, data_of
from support.tiny_vim import tiny_vim

BIG = {**IMAGES, "size": 70, "crop_pct": 1.0}  # maps of 5 and 3 tokens
GREY = {"size": 70, "mean": (0.5,), "std": (0.2,), "channels": 1}


def test_a_page(call, weights, files, tmp_path):
    model = save_small(weights, images=BIG)
    out = tmp_path / "new" / "folder"
    arguments = ("--block", "levels.2.blocks.1", "--query", "3,1", "--no-figures")
    status, text, err = call("visualize", files[0], "--weights", weights, "--out", out, *arguments)
    assert (status, text) == (0, f"open {out / 'visualize.html'} in a browser\n")
    assert err.splitlines()[0] == f"running {weights}"
    assert [path.name for path in out.iterdir()] == ["visualize.html"]
    data = data_of(out / "visualize.html")
    assert data["start"] == {"block": 1, "row": 3, "column": 1}
    x = ImageTransform(**BIG)(open_image(files[0]))[None]
    assert data["picture"] == {"src": as_uri(as_picture(x)), "width": 70, "height": 70}
    # The prediction is that of `mvnp classify`.
    page = Reader(out / "visualize.html")
    shares = softmax(logits_of(model, files[0], size=70, crop_pct=1.0))
    best = np.argsort(-shares)[:5]
    assert [word for word in page.words if word in NAMES] == [NAMES[index] for index in best]
    assert [word for word in page.words if word.endswith("%")] == [f"{shares[index]:.1%}" for index in best]


def test_one_figure(call, weights, files, tmp_path):
    from PIL import Image

    from mvnp.visualize.pages import one_figure

    save_small(weights, images=BIG)
    out = tmp_path / "cam.png"
    arguments = ("--weights", weights, "--only", "grad_cam", "--target", "rocket", "--out", out)
    status, text, err = call("visualize", files[0], *arguments)
    assert (status, text) == (0, f"{out}\n")
    assert err == f"running {weights}\ndrawing GradCAM\n"
    with Image.open(out) as picture:
        assert picture.width > 500
    by_name = out.read_bytes()
    assert call("visualize", files[0], *arguments[:-3], NAMES.index("rocket"), "--out", tmp_path, "--quiet")[0] == 0
    assert (tmp_path / "grad_cam.png").read_bytes() == by_name
    assert call("visualize", files[0], *arguments[:-3], "cat", "--out", out, "--quiet")[0] == 0
    assert out.read_bytes() != by_name, "another class, another picture"
    assert FIGURES == one_figure.NAMES


def test_one_figure_that_cannot_be(call, weights, files, tmp_path):
    save_small(weights, images=BIG, classes=("tiger cat", "tabby cat", *NAMES[2:]))
    right = {"only": "grad_cam", "target": "tabby", "out": tmp_path / "cam.png"}
    for changed, message in (
        ({"only": "gradcam"}, "unknown figure 'gradcam' (did you mean 'grad_cam'?)"),
        ({"out": tmp_path / "cam.jpg"}, "grad_cam is written to a .png file, or into a folder that is there"),
        ({"only": "state_animation"}, "state_animation is written to a .gif file"),
        ({"out": tmp_path / "gone" / "cam.png"}, "there is no folder"),
        ({"target": "cat"}, "--target 'cat' may be 0 tiger cat, 1 tabby cat; give the number"),
        ({"target": "tree frog"}, "--target is 'tree frog', which is no class"),
        ({"target": "8"}, "--target is '8', which is no class; expected a name, or a number from 0 to 7"),
        ({"compare": weights}, "--compare is for a page, and --only grad_cam writes one picture"),
    ):
        options = [part for name, value in {**right, **changed}.items() for part in (f"--{name}", value)]
        assert_refused(call("visualize", files[0], "--weights", weights, "--quiet", *options), message)
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".png", ".jpg", ".gif")] == []


def test_names_are_no_formulas(call, weights, files, tmp_path):
    """Matplotlib takes what stands between dollar signs for mathematics, and stops at what is none."""
    save_small(weights, images=BIG, classes=(r"$\\nonsense{$", "a\x1b[31m\nb\udcff", *NAMES[2:]))
    for target in ("0", "1"):
        options = ("--only", "grad_cam", "--target", target, "--out", tmp_path / "cam.png", "--quiet")
        assert call("visualize", files[0], "--weights", weights, *options)[0] == 0


def test_quietly_again_and_at_another_size(call, weights, files, tmp_path):
    save_small(weights, num_classes=0, classes=None, images=BIG)
    for size, shape in (((), (70, 70)), (("--size", "48x80"), (48, 80))):
        result = call("visualize", files[0], "--weights", weights, "--out", tmp_path, "--quiet", *size, "--no-figures")
        assert result == (0, f"open {tmp_path / 'visualize.html'} in a browser\n", "")
        picture = data_of(tmp_path / "visualize.html")["picture"]
        assert (picture["height"], picture["width"]) == shape
    assert "Figures" not in Reader(tmp_path / "visualize.html").words


def test_two_checkpoints(call, weights, files, tmp_path):
    save_small(weights, images=BIG)
    other = tmp_path / "other.safetensors"
    save_small(other, seed=2, images=IMAGES)
    arguments = ("--weights", weights, "--compare", other, "--out", tmp_path / "out", "--no-figures")
    assert call("visualize", files[0], *arguments)[0] == 0
    data = data_of(tmp_path / "out" / "visualize.html")
    assert data["names"] == [str(weights), str(other)]
    assert data["picture"]["width"] == 70  # as the first one's weights ask for


def test_models_that_cannot_stand_side_by_side(call, weights, files, tmp_path):
    save_small(weights, images=BIG)
    for change, parts in (
        (
            {"window_size": (8, 8, 5, 2)},
            ["levels.2.blocks.0 is a scan over 5x5 tokens in windows of 2 in the first", "of 5 in"],
        ),
        ({"num_heads": (1, 1, 4, 2)}, ["levels.2.blocks.1 is attention with 2 heads", "with 4 heads"]),
        ({"depths": (1, 1, 2, 3)}, ["levels.3.blocks.1 is attention with 2 heads over 3x3 tokens", "in the first and a scan"]),
        ({"depths": (1, 1, 2, 1)}, ["levels.3.blocks.1 is attention with 2 heads", "and not there in the second"]),
        ({"in_chans": 1, "images": GREY}, ["3 channels", "of 1: they cannot be shown the same picture"]),
    ):
        other = tmp_path / "other.safetensors"
        save_small(other, **{"images": BIG, **change})
        result = call("visualize", files[0], "--weights", weights, "--compare", other, "--out", tmp_path, "--quiet")
        assert_refused(result, *parts)
        assert not (tmp_path / "visualize.html").exists()


def test_wrong_input(call, weights, files, tmp_path):
    save_small(weights, images=BIG)
    broken = tmp_path / "broken.png"
    broken.write_text("no picture", encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    right = {"image": files[0], "weights": weights, "out": tmp_path / "out"}
    for changed, parts in (
        ({"image": tmp_path / "gone.png"}, ["gone.png: cannot be read as a picture"]),
        ({"image": broken}, ["broken.png: cannot be read as a picture (not a picture of a known format)"]),
        ({"image": files[0].parent}, ["photos is a folder, expected one picture"]),
        ({"weights": tmp_path / "gone.pth"}, ["gone.pth"]),
        ({"out": tmp_path / "file"}, ["file is a file; choose another folder"]),
        ({"out": tmp_path / "file" / "below"}, ["cannot be written to (Not a directory)"]),
        ({"block": "levels.2.blocks.3"}, ["unknown block 'levels.2.blocks.3", "(did you mean 'levels.2.blocks.1'?)"]),
        ({"block": "levels.1.blocks.0"}, ["unknown block 'levels.1.blocks.0"]),
        ({"query": "5,0"}, ["token (5, 0) is not on the map of 5x5 tokens"]),
        ({"query": "3,0", "block": "levels.3.blocks.0"}, ["token (3, 0) is not on the map of 3x3 tokens"]),
        ({"query": "3"}, ["'3' is no token; expected its row and column, such as 3,7"]),
        ({"query": "-1,2"}, ["expected one argument"]),
        ({"size": "0"}, ["'0' is no size"]),
        ({"classes": tmp_path / "gone.txt"}, ["gone.txt: No such file"]),
    ):
        given = {**right, **changed}
        options = [part for name, value in given.items() if name != "image" for part in (f"--{name}", value)]
        assert_refused(call("visualize", given["image"], *options, "--quiet"), *parts)
        assert not (tmp_path / "out" / "visualize.html").exists()


@pytest.mark.parametrize(("text", "expected"), [("3,7", (3, 7)), (" 0 , 12 ", (0, 12))])
def test_a_token(text, expected):
    assert token(text) == expected


def test_a_vim(call, weights, files, tmp_path):
    """The page and single figures of another family: no windows, and scans to choose from."""
    model = tiny_vim(img_size=24, in_chans=3, num_classes=8, stride=4)
    save_pretrained(weights, model, classes=NAMES, images={**IMAGES, "size": 24, "crop_pct": 1.0})
    out = tmp_path / "page"
    assert call("visualize", files[0], "--weights", weights, "--out", out, "--no-figures", "--quiet")[0] == 0
    page = data_of(out / "visualize.html")
    assert [block["kind"] for block in page["blocks"]] == ["2 scans", "2 scans"]
    assert page["blocks"][0]["order"] == [*range(18), -1, *range(18, 36)]
    one = ("visualize", files[0], "--weights", weights, "--quiet", "--only")
    drawn = {}
    for route in ((), ("--route", "there"), ("--route", "back")):
        assert call(*one, "scan_state", *route, "--out", tmp_path / "s.png")[0] == 0
        drawn[route] = (tmp_path / "s.png").read_bytes()
    assert drawn[()] == drawn["--route", "there"] != drawn["--route", "back"]
    for arguments, message in (
        (("scan_state", "--route", "up"), "unknown route 'up'; choose one of there, back"),
        (("grad_cam", "--route", "back"), "grad_cam shows no single scan; leave --route 'back' out"),
        (("window_grid",), f"window_grid: {weights} has no part that this figure shows"),
        (("window_attention",), f"window_attention: {weights} has no part that this figure shows"),
    ):
        assert_refused(call(*one, *arguments, "--out", tmp_path / "x.png"), message)
    assert_refused(call("visualize", files[0], "--weights", weights, "--out", out, "--route", "back"), "--route chooses a scan")
    assert not (tmp_path / "x.png").exists()
