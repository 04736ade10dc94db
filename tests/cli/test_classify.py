"""mvnp classify."""

import csv
import io
import json
import os
import re

import numpy as np
import pytest
from PIL import Image

from mvnp.checkpoint import read_pretrained, save_arrays, save_pretrained
from mvnp.inference import class_names, imagenet_names, wordnet_ids
from support.command_line import NAMES, assert_refused, logits_of, save_small, softmax
from support.tolerance import near, shown


def tables(out):
    """{file: [(share, class, name)]}"""
    found = {}
    for block in out.strip().split("\n\n"):
        file, *lines = block.splitlines()
        found[file] = [re.fullmatch(r" +(\d+\.\d\d)%  +(\d+)(?:  (.+))?", line).groups() for line in lines]
    return found


def test_a_table_for_each_picture(call, weights, files):
    model = save_small(weights)
    status, out, err = call("classify", *files[:2], files[2].parent, "--weights", weights, "--batch", 2)
    assert (status, err) == (0, "")
    names = [block.splitlines()[0] for block in out.strip().split("\n\n")]
    assert names == [str(file) for file in [*files[:2], *files]]
    for file, rows in tables(out).items():
        share = softmax(logits_of(model, file))
        best = np.argsort(-share)[:5]
        assert [int(row[1]) for row in rows] == best.tolist()
        assert [row[2] for row in rows] == [NAMES[index] for index in best]
        assert [float(row[0]) for row in rows] == [shown(100 * each, decimals=2) for each in share[best]]
    assert len({rows[0][1] for rows in tables(out).values()}) > 1  # the model does tell them apart


def test_json_has_a_line_for_the_only_picture_even_if_it_cannot_be_read(call, weights, tmp_path):
    save_small(weights)
    (tmp_path / "no.png").write_text("text", encoding="utf-8")
    status, out, err = call("classify", tmp_path / "no.png", "--weights", weights, "--json")
    assert status == 2
    assert json.loads(out)["file"] == str(tmp_path / "no.png")
    assert "cannot be read as a picture" in json.loads(out)["error"]
    assert err.startswith("mvnp: error: ")


def test_csv(call, weights, files, tmp_path):
    model = save_small(weights, classes=("=1+1", *NAMES[1:]))
    broken = tmp_path / "photos" / "9.png"
    broken.write_text("no picture", encoding="utf-8")
    status, out, _ = call("classify", files[0].parent, "--weights", weights, "--csv", "--top", 8)
    assert status == 1
    header, *rows = csv.reader(io.StringIO(out))
    assert header == ["file", *(f"{what}_{rank}" for rank in range(1, 9) for what in ("class", "name", "share")), "error"]
    assert [row[0] for row in rows] == [*map(str, files), str(broken)]
    for row in rows[:5]:
        share = softmax(logits_of(model, row[0]))
        best = np.argsort(-share)
        assert [int(cell) for cell in row[1:-1:3]] == best.tolist()
        assert [float(cell) for cell in row[3:-1:3]] == [shown(each, decimals=6) for each in share[best]]
        assert [cell for cell in row[2:-1:3] if cell.startswith("'")] == ["'=1+1"], "a spreadsheet is not to compute it"
    assert rows[5][1:-1] == [""] * 24
    assert "cannot be read as a picture" in rows[5][-1]
    assert_refused(call("classify", files[0], "--weights", weights, "--csv", "--json"), "not allowed with argument")


def test_json(call, weights, files):
    model = save_small(weights)
    status, out, err = call("classify", files[3], files[1], "--weights", weights, "--json", "--top", 99)
    assert (status, err) == (0, "")
    for line, file in zip(out.splitlines(), [files[3], files[1]], strict=True):
        content = json.loads(line)
        assert set(content) == {"file", "classes"}
        assert content["file"] == str(file)
        assert [set(entry) for entry in content["classes"]] == [{"class", "name", "probability"}] * 8
        share = softmax(logits_of(model, file))
        for entry in content["classes"]:
            assert entry["name"] == NAMES[entry["class"]]
            assert entry["probability"] == near(share[entry["class"]], dtype="float32")
        assert sum(entry["probability"] for entry in content["classes"]) == near(1.0, dtype="float32")


def test_size(call, weights, files):
    model = save_small(weights)
    for text, size in (("40", 40), ("24x56", (24, 56))):
        status, out, _ = call("classify", files[0], "--weights", weights, "--size", text, "--top", 1, "--json")
        assert status == 0
        share = softmax(logits_of(model, files[0], size=size))
        assert json.loads(out)["classes"][0]["probability"] == near(share.max(), dtype="float32")


# Names


def test_names_of_imagenet(call, weights, files):
    save_small(weights, num_classes=1000, classes=None)
    status, out, _ = call("classify", files[0], "--weights", weights, "--top", 1)
    assert status == 0
    ((_, index, name),) = tables(out)[str(files[0])]
    assert name == imagenet_names()[int(index)]


def test_the_thousand_names():
    names, ids = imagenet_names(), wordnet_ids()
    assert (len(names), len(ids)) == (1000, 1000)
    assert (names[0], ids[0]) == ("tench", "n01440764")
    assert (names[281], ids[281]) == ("tabby cat", "n02123045")
    assert (names[999], ids[999]) == ("toilet paper", "n15075141")
    assert list(ids) == sorted(ids)
    assert all(names)


def test_no_names(call, weights, files):
    save_small(weights, classes=None)
    status, out, _ = call("classify", files[0], "--weights", weights, "--top", 2)
    assert status == 0
    assert [name for _, _, name in tables(out)[str(files[0])]] == [None, None]
    assert json.loads(call("classify", files[0], "--weights", weights, "--json")[1])["classes"][0]["name"] is None


def test_names_from_a_file(call, weights, files, tmp_path):
    save_small(weights)
    listed = tmp_path / "names.txt"
    listed.write_bytes("\ufeffα\r\nβ \r\nγ\r\nδ\r\nε\r\nζ\r\nη\r\nθ\r\n\r\n".encode())
    status, out, _ = call("classify", files[0], "--weights", weights, "--classes", listed, "--top", 8)
    assert status == 0
    assert sorted((int(index), name) for _, index, name in tables(out)[str(files[0])]) == list(enumerate("αβγδεζηθ"))
    for content, part in (
        ("a\nb\n", "has 2 lines, expected 8 names"),
        ("a\n\nb\nc\nd\ne\nf\ng\n", "has no name on line 2"),
        ("\xff", "is no text in UTF-8"),
    ):
        listed.write_bytes(content.encode("latin-1"))
        assert_refused(call("classify", files[0], "--weights", weights, "--classes", listed), listed, part)
    assert_refused(
        call("classify", files[0], "--weights", weights, "--classes", tmp_path / "gone.txt"), "gone.txt: No such file"
    )


# Weights that do not say how images were prepared


def test_unknown_preparation_is_said(call, weights, files, tmp_path):
    model = save_small(weights, images=None)
    status, out, err = call("classify", files[0], "--weights", weights, "--json")
    assert status == 0
    assert err.startswith("mvnp: these weights do not say how pictures were prepared for them: taking the middle at 224x224")
    imagenet = {"size": 224, "crop_pct": 1.0, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    want = softmax(logits_of(model, files[0], **imagenet))
    assert json.loads(out)["classes"][0]["probability"] == near(want.max(), dtype="float32")


def test_grey_model(call, weights, files):
    model = save_small(weights, images=None, in_chans=1)
    status, out, err = call("classify", files[0], "--weights", weights, "--size", 64, "--json")
    assert status == 0
    assert "64x64" in err
    grey = {"size": 64, "crop_pct": 1.0, "mean": (0.449,), "std": (0.226,), "channels": 1}
    want = softmax(logits_of(model, files[0], **grey))
    assert json.loads(out)["classes"][0]["probability"] == near(want.max(), dtype="float32")


def test_weights_that_need_to_be_told_more(call, weights, files):
    model = save_small(weights)
    bare = weights.with_name("bare.safetensors")
    save_arrays(bare, model.state_dict())
    assert_refused(call("classify", files[0], "--weights", bare), "num_heads and window_size", "--heads and --windows")
    more = ["--heads", 1, 1, 2, 2, "--windows", 8, 8, 2, 2, "--size", 32]
    assert call("classify", files[0], "--weights", bare, *more)[0] == 0


# Files that are no pictures


def test_a_broken_picture_among_many(call, weights, files):
    save_small(weights)
    folder = files[0].parent
    whole = call("classify", folder, "--weights", weights)
    (folder / "2b.png").write_bytes(files[2].read_bytes()[:200])
    (folder / "2a.jpg").write_text("no picture", encoding="utf-8")
    (folder / "notes.txt").write_text("passed over", encoding="utf-8")
    status, out, err = call("classify", folder, "--weights", weights, "--batch", 3)
    assert (status, out) == (1, whole[1])
    reason = "cannot be read as a picture (not a picture of a known format); replace or remove it"
    assert err.splitlines()[0] == "mvnp: passed over: 1 file that is no picture (.txt 1)"
    assert err.splitlines()[1] == f"mvnp: left out: {folder / '2a.jpg'}: {reason}"
    assert err.splitlines()[2].startswith(f"mvnp: left out: {folder / '2b.png'}: cannot be read as a picture (")
    assert err.splitlines()[3:] == ["mvnp: 2 of 7 pictures could not be read and were left out"]
    status, out, _ = call("classify", folder, "--weights", weights, "--json")
    assert status == 1
    rows = [json.loads(line) for line in out.splitlines()]
    assert ["error" in row for row in rows] == [False, False, False, True, True, False, False]
    assert "cannot be read as a picture" in rows[3]["error"]


def test_a_whole_batch_of_broken_pictures(call, weights, files, tmp_path):
    save_small(weights)
    for name in ("0a.png", "0b.png"):
        (files[0].parent / name).write_text("no picture", encoding="utf-8")
    assert call("classify", files[0].parent, "--weights", weights, "--batch", 1)[0] == 1
    for file in files:
        file.unlink()
    assert_refused(call("classify", files[0].parent / "0a.png", "--weights", weights), "0a.png: cannot be read as a picture")
    status, out, err = call("classify", files[0].parent, "--weights", weights)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1] == "mvnp: error: none of the 2 pictures could be read"


def test_refused(call, weights, files, tmp_path):
    save_small(weights)
    empty = tmp_path / "empty"
    empty.mkdir()
    for arguments, parts in (
        ([], ["the following arguments are required: IMAGE, --weights", "See mvnp classify --help."]),
        ([files[0]], ["the following arguments are required: --weights"]),
        ([tmp_path / "gone.jpg", "--weights", weights], ["gone.jpg: there is no such file or folder"]),
        ([empty, "--weights", weights], ["empty: no pictures in this folder"]),
        ([files[0], "--weights", tmp_path / "gone.safetensors"], ["gone.safetensors: No such file or directory"]),
        ([files[0], "--weights", files[0]], ["0.png is a picture"]),
        ([files[0], "--weights", "mamba_vision_t"], ["did you mean 'mamba_vision_T'"]),
        ([files[0], "--weights", weights, "--variant", "mamba_vision_T"], ["is not of mamba_vision_T"]),
        ([files[0], "--weights", weights, "--size", "0"], ["'0' is no size; expected a side such as 384, or HxW"]),
        ([files[0], "--weights", weights, "--size", "224x"], ["'224x' is no size"]),
        ([files[0], "--weights", weights, "--batch", "0"], ["'0' is not a whole number of at least 1"]),
        ([files[0], "--weights", weights, "--top", "0"], ["'0' is not a whole number"]),
        ([files[0], "--weights", weights, "--tpo", "1"], ["'--tpo' (did you mean '--top'?)"]),
    ):
        assert_refused(call("classify", *arguments), *parts)


def test_a_model_without_a_head(call, weights, files):
    save_small(weights, num_classes=0, classes=None)
    assert_refused(call("classify", files[0], "--weights", weights), "has no head", "mvnp features")


def test_other_numbers_of_channels(call, weights, files):
    save_small(weights, in_chans=4, images=None)
    assert_refused(call("classify", files[0], "--weights", weights), "the model takes pictures of 4 bands, and these weights")
    save_small(weights, in_chans=4, images={"size": 32, "channels": 4, "mean": [0.5] * 4, "std": [0.2] * 4})
    assert_refused(call("classify", files[0], "--weights", weights), "has 3 bands, and the model takes 4; none is left out")
    save_small(weights, images={"size": 8, "channels": 1, "mean": [0.5], "std": [0.5]})
    assert_refused(
        call("classify", files[0], "--weights", weights), "takes 3 channels, but these weights say that images have 1"
    )
    save_small(weights, images={"size": 8, "colour": True})
    assert_refused(call("classify", files[0], "--weights", weights), "what these weights say of their images cannot be used")


def test_weights_that_are_not_numbers(call, weights, files):
    model = save_small(weights)
    arrays = model.state_dict()
    arrays["head.bias"][3] = np.nan
    model.load_state_dict(arrays)

    save_pretrained(weights, model, images={"size": 32})
    assert_refused(
        call("classify", files[1], "--weights", weights), "no finite numbers for", files[1], "are these weights whole"
    )


def test_photographs_of_every_kind(call, weights, tmp_path):
    save_small(weights)
    folder = tmp_path / "kinds"
    folder.mkdir()
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        Image.new(mode, (30, 20)).save(folder / f"{mode.replace(';', '')}.png")
    Image.new("CMYK", (30, 20)).save(folder / "CMYK.jpg")
    Image.new("L", (1, 1)).save(folder / "dot.png")
    status, out, err = call("classify", folder, "--weights", weights, "--json")
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 9


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_names_of_classes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "names.txt")
    save_small(tmp_path / "w.safetensors")
    read = read_pretrained(tmp_path / "w.safetensors")
    with pytest.raises(OSError, match=r"it is a named pipe, expected a file"):
        class_names(read, tmp_path / "names.txt")
