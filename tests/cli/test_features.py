"""mvnp features."""

import errno
import os
import zipfile

import numpy as np
import pytest

from mvnp.checkpoint import save_pretrained
from mvnp.checkpoint.npz import read_npz
from mvnp.data import ImageTransform, open_image
from mvnp.inference import features, write_features
from support.command_line import IMAGES, assert_refused, save_small
from support.tolerance import DEEP, assert_close


def prepared(files):
    transform = ImageTransform(**IMAGES)
    return np.stack([transform(open_image(file)) for file in files])


def loaded(path):
    with np.load(path, allow_pickle=False) as content:
        return dict(content)


def test_pooled_and_stages(call, weights, files, tmp_path):
    model = save_small(weights)
    out = tmp_path / "f.npz"
    status, text, err = call("features", files[0].parent, "--weights", weights, "--out", out, "--batch", 2)
    assert (status, err) == (0, "")
    shapes = ["5 x 32", "5 x 4 x 8 x 8", "5 x 8 x 4 x 4", "5 x 16 x 2 x 2", "5 x 32 x 1 x 1", "5"]
    names = ["pooled", "stage0", "stage1", "stage2", "stage3", "files"]
    assert text == f"{out}\n" + "".join(f"{name:<6}  {shape}\n" for name, shape in zip(names, shapes, strict=True))
    content, x = loaded(out), prepared(files)
    assert list(content) == names
    assert content["files"].tolist() == [str(file) for file in files]
    assert_close(content["pooled"], model.pooled(x))
    for level, stage in enumerate(model.features(x)):
        assert content[f"stage{level}"].dtype == np.float32
        assert_close(content[f"stage{level}"], stage)
    assert zipfile.ZipFile(out).testzip() is None


def test_some_of_the_arrays(call, weights, files, tmp_path):
    model = save_small(weights, dtype="float64", num_classes=0, classes=None)  # no head is needed
    for names in (["pooled"], ["stage3", "pooled"], ["stage2"]):
        assert call("features", *files[:3], "--weights", weights, "--out", tmp_path / "f.npz", "--only", *names)[0] == 0
        content = loaded(tmp_path / "f.npz")
        assert list(content) == [*names, "files"]
        assert content[names[0]].dtype == np.float64
        if "pooled" in names:
            assert_close(content["pooled"], model.pooled(prepared(files[:3])), terms=DEEP)
    # Arrays of numbers alone are what our own careful reader takes.
    with zipfile.ZipFile(tmp_path / "f.npz") as archive, zipfile.ZipFile(tmp_path / "g.npz", "w") as copy:
        copy.writestr("stage2.npy", archive.read("stage2.npy"))
    np.testing.assert_array_equal(read_npz(tmp_path / "g.npz")["stage2"], content["stage2"])


def test_broken_pictures_are_left_out(call, weights, files, tmp_path):
    save_small(weights)
    (files[0].parent / "0a.png").write_text("no picture", encoding="utf-8")
    status, out, err = call("features", files[0].parent, "--weights", weights, "--out", tmp_path / "f.npz", "--batch", 1)
    assert status == 1
    assert "5 x 32" in out
    assert err.splitlines()[0].startswith(f"mvnp: left out: {files[0].parent / '0a.png'}: cannot be read")
    assert err.splitlines()[-1] == "mvnp: 1 of 6 pictures could not be read and were left out"
    content = loaded(tmp_path / "f.npz")
    assert content["files"].tolist() == [str(file) for file in files]
    assert_close(content["pooled"][1], loaded_one(call, weights, files[1], tmp_path))


def loaded_one(call, weights, file, tmp_path):
    assert call("features", file, "--weights", weights, "--out", tmp_path / "one.npz")[0] == 0
    return loaded(tmp_path / "one.npz")["pooled"][0]


def test_nothing_is_written_where_nothing_can_be_read(call, weights, files, tmp_path):
    save_small(weights)
    out = tmp_path / "new" / "f.npz"
    out.parent.mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("no picture", encoding="utf-8")
    status, text, err = call("features", tmp_path / "a.png", tmp_path / "b.png", "--weights", weights, "--out", out)
    assert (status, text) == (2, "")
    assert err.splitlines()[-1] == "mvnp: error: none of the 2 pictures could be read; nothing was written"
    assert_refused(call("features", tmp_path / "a.png", "--weights", weights, "--out", out), "a.png: cannot be read")
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("moment", ["a batch", "the end"])
def test_whole_or_not_at_all(moment, call, weights, files, tmp_path, monkeypatch):
    save_small(weights)
    out = tmp_path / "new" / "f.npz"
    out.parent.mkdir()
    np.savez(out, files=np.array(["the old one"]))
    old = out.read_bytes()
    seen = []

    def interrupt(*arguments, **options):
        seen.append(arguments)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return plain(*arguments, **options)

    name = {"a batch": "_features", "the end": "write_with"}[moment]
    plain = getattr(features, name)
    if moment == "the end":
        seen.append(())
    monkeypatch.setattr(features, name, interrupt)
    status, text, err = call("features", *files, "--weights", weights, "--out", out, "--batch", 2)
    assert (status, text, err) == (130, "", "mvnp: interrupted\n")
    assert out.read_bytes() == old
    assert list(out.parent.iterdir()) == [out]


def test_refused_before_anything_takes_time(call, weights, files, tmp_path):
    save_small(weights)
    for out, parts in (
        (tmp_path / "f.npy", ["f.npy is none by its name"]),
        (tmp_path / "gone" / "f.npz", [f"there is no folder {tmp_path / 'gone'}"]),
        (tmp_path / "folder.npz", ["is a folder"]),
    ):
        (tmp_path / "folder.npz").mkdir(exist_ok=True)
        assert_refused(call("features", files[0], "--weights", tmp_path / "gone.pth", "--out", out), *parts)
    arguments = ["features", files[0], "--weights", weights]
    assert_refused(call(*arguments), "the following arguments are required: --out")
    assert_refused(call(*arguments, "--out", tmp_path / "f.npz", "--only", "stage5"), "invalid choice: 'stage5'")
    assert not (tmp_path / "f.npz").exists()


def test_full_disk(call, weights, files, tmp_path, monkeypatch):
    save_small(weights)

    def full(self, values):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(features._Entry, "append", full)
    out = tmp_path / "f.npz"
    result = call("features", files[0], "--weights", weights, "--out", out)
    assert result == (2, "", f"mvnp: error: {out}: No space left on device; nothing was written\n")


def test_numbers_that_are_not_finite(call, weights, files, tmp_path):
    model = save_small(weights)
    arrays = model.state_dict()
    arrays["norm.weight"][0] = np.inf
    model.load_state_dict(arrays)

    save_pretrained(weights, model, images=IMAGES)
    assert_refused(
        call("features", files[0], "--weights", weights, "--out", tmp_path / "f.npz"), "no finite numbers for", files[0]
    )
    assert not (tmp_path / "f.npz").exists()


def test_from_python_a_broken_picture_ends_it(weights, files, tmp_path):
    model = save_small(weights)
    files[1].write_text("no picture", encoding="utf-8")
    with pytest.raises(ValueError, match=r"1\.png: cannot be read"):
        write_features(model, files, ImageTransform(**IMAGES), tmp_path / "f.npz")
    shapes = write_features(model, files[2:], ImageTransform(**IMAGES), tmp_path / "f.npz", ["pooled"])
    assert shapes == {"pooled": (3, 32), "files": (3,)}
