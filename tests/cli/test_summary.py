"""mvnp summary."""

import json
import math

import numpy as np
import pytest

import mvnp
from mvnp.checkpoint import save_pretrained
from mvnp.costs.cost import model_cost
from mvnp.layers.dropout import Dropout
from mvnp.models.variants import VARIANTS
from mvnp.training.presets import PRESETS
from support.command_line import SMALL, assert_refused, save_small


def total(call, *arguments):
    status, out, err = call("summary", *arguments, "--json")
    assert (status, err) == (0, "")
    content = json.loads(out)
    for name, value in content["total"].items():
        assert value == sum(row[name] for row in content["layers"])
    return content


@pytest.mark.parametrize("name", [*VARIANTS, *PRESETS])
def test_totals_are_those_of_mvnp_models(call, name):
    status, out, _ = call("models")
    assert status == 0
    row = next(line.split() for line in out.splitlines() if line.split()[:1] == [name])
    content = total(call, name)
    assert f"{content['total']['parameters']:,}" == row[1]
    assert f"{content['total']['flops'] / 2e9:.{2 if content['total']['flops'] > 2e9 else 3}f}" == row[2]
    assert "x".join(map(str, content["input"][1:])) == row[3]
    assert content["total"]["flops"] == 2 * content["total"]["macs"] + content["total"]["scan_flops"]


def test_the_table_says_the_same(call):
    status, out, err = call("summary")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "mamba_vision_T, 3 x 224 x 224"
    layers, parts, sums, notes = (block.splitlines() for block in out.split("\n\n")[1:])
    assert layers[0].split() == ["layer", "kind", "output", "parameters", "MFLOPs", "memory"]
    assert layers[1].split() == [
        "patch_embed.conv_down.0",
        "Conv2d",
        "112",
        "x",
        "112",
        "x",
        "32",
        "864",
        "21.676",
        "1.6",
        "MB",
    ]
    assert layers[-1].split() == ["head", "Linear", "1000", "641,000", "1.280", "4.0", "kB"]
    assert [line.split("  ")[0] for line in parts] == ["stem", "level 0", "level 1", "level 2", "level 3", "head", "all"]
    assert parts[-1].split()[1:3] == ["31,794,248", "9,140.312"]
    assert sum(int(line.split()[-4].replace(",", "")) for line in parts[:-1]) == 31_794_248
    assert sums == ["4.57 GMACs, 9.14 GFLOPs, of which 11.29 MFLOPs are the scans'; the parameters are 127.2 MB"]
    assert "not measured" in " ".join(notes)
    content = total(call)
    assert len(layers) - 1 == len(content["layers"])
    model = mvnp.create_model("mamba_vision_T", allocate=False)
    paths = {path for path, layer in model.named_layers() if not any(layer.children()) and not isinstance(layer, Dropout)}
    assert paths <= {row["layer"] for row in content["layers"]}


def test_memory_is_that_of_the_outputs(call, tmp_path):
    model = save_small(tmp_path / "w.safetensors", dtype="float64")
    content = total(call, "--weights", tmp_path / "w.safetensors", "--batch", 3, "--size", "40x24")
    assert content["input"] == [3, 40, 24]
    seen = {}
    for path, layer in model.named_layers():
        if not any(layer.children()):

            def forward(x, tape=None, path=path, plain=layer.forward):
                y = plain(x, tape)
                seen[path] = seen.get(path, 0) + y.nbytes
                return y

            layer.forward = forward
    model(np.zeros((3, 3, 40, 24)), mvnp.Tape(training=False))
    rows = {}
    for row in content["layers"]:
        assert row["output_bytes"] == 3 * 8 * math.prod(row["output"])
        if row["kind"] not in ("scan", "attention", "windows"):
            rows[row["layer"]] = rows.get(row["layer"], 0) + row["output_bytes"]
    assert rows == {path: size for path, size in seen.items() if path in rows}
    assert len(rows) > 40


def test_weights(call, tmp_path):
    model = save_small(tmp_path / "w.safetensors")
    content = total(call, "--weights", tmp_path / "w.safetensors")
    assert content["model"] == str(tmp_path / "w.safetensors")
    assert content["input"] == [3, 32, 32]  # as the file says
    assert content["total"]["parameters"] == model.parameter_count
    assert call("summary", "--weights", tmp_path / "w.safetensors")[1].startswith(
        f"{tmp_path / 'w.safetensors'}, 3 x 32 x 32\n"
    )


def test_another_mixer_and_pattern(call):
    """The counts of the paper's ablations, and the rows that a gated mixer has."""
    content = total(call, "mamba_vision_T", "--mixer", "mamba", "--pattern", "last_half")
    assert content["total"]["parameters"] == 31_176_008
    kinds = {row["layer"]: row for row in content["layers"]}
    assert kinds["levels.2.blocks.0.mixer.out_proj"]["macs"] == 196 * 160 * 320
    assert kinds["levels.2.blocks.0.mixer.in_proj"]["macs"] == 196 * 320 * 320
    assert "levels.2.blocks.0.mixer.conv1d_z" not in kinds
    wide = {row["layer"]: row for row in total(call, "mamba_vision_T", "--mixer", "gated_wide")["layers"]}
    assert wide["levels.2.blocks.0.mixer.out_proj"]["macs"] == 196 * 320 * 320
    assert wide["levels.2.blocks.0.mixer.conv1d_z"]["macs"] == 196 * 320 * 3
    assert total(call, "demo", "--pattern", "SS,SM")["total"]["scan_flops"] > 0
    assert total(call, "--pattern", "all")["total"]["scan_flops"] == 0


def test_refused(call, tmp_path):
    save_small(tmp_path / "w.safetensors")
    for arguments, parts in (
        (["mamba_vision_TT"], ["unknown model 'mamba_vision_TT' (did you mean 'mamba_vision_T'?)"]),
        (["demo", "--weights", tmp_path / "w.safetensors"], ["give a model (demo) or --weights, and not both"]),
        ([tmp_path], ["is a file or folder, and no model's name; --weights", "counts the model in it"]),
        (["--variant", "mamba_vision_T"], ["--variant says more about --weights, and none are given"]),
        (["--mixer", "mambo"], ["unknown mixer 'mambo' (did you mean 'mamba'?)"]),
        (["vim_tiny", "--pattern", "all"], ["unknown option 'pattern' of vim_tiny"]),
        (
            ["--weights", tmp_path / "w.safetensors", "--mixer", "mamba"],
            ["--mixer makes another model, which these weights do not fit"],
        ),
        (["--size", "-3"], ["expected"]),
        (["--size", "12.5"], ["'12.5' is no size"]),
        (["--batch", "0"], ["'0' is not a whole number of at least 1"]),
        (["--weights", tmp_path / "gone.npz"], ["gone.npz: No such file or directory"]),
    ):
        assert_refused(call("summary", *arguments), *parts)


@pytest.mark.parametrize("family", ["mamba_vision_T", "vim_tiny", "vmamba_tiny_s1l8"])
@pytest.mark.parametrize("out_norm", ["layer", "none"])
def test_a_backbone_has_the_rows_of_its_trunk_and_its_norms(family, out_norm):
    backbone = mvnp.Backbone(family, out_indices=(0, 2), out_norm=out_norm, allocate=False)
    cost = model_cost(backbone, 224)
    whole = model_cost(mvnp.create_model(family, allocate=False), 224)
    assert cost.parameters == sum(param.size for key, param in backbone.named_parameters())
    norms = [row for row in cost.rows if row.part == "outputs"]
    assert [row for row in whole.rows if row in cost.rows] == [row for row in cost.rows if row not in norms]
    sides = [-(-224 // stride) for stride in backbone.strides]
    shapes = [(side, side, width) for side, width in zip(sides, backbone.channels, strict=True)]
    assert [row.shape for row in norms] == (shapes if out_norm == "layer" else [])


def test_the_maps_of_a_backbone_are_those_that_it_gives():
    for family, options in {
        "MambaVision": SMALL,
        "Vim": {"embed_dim": 8, "depth": 4, "img_size": (29, 37), "patch_size": 8, "stride": 7},
    }.items():
        backbone = mvnp.Backbone(family=family, **options)
        norms = [row.shape for row in model_cost(backbone, 29, 37).rows if row.part == "outputs"]
        maps = backbone(np.zeros((1, 3, 29, 37), np.float32))
        assert norms == [each[0].transpose(1, 2, 0).shape for each in maps]


def test_a_backbone_of_a_file(call, tmp_path):
    backbone = mvnp.Backbone.of(save_small(tmp_path / "w.npz"), out_indices=(1, 3))
    save_pretrained(tmp_path / "b.npz", backbone)
    content = total(call, "--weights", tmp_path / "b.npz", "--size", "40x48")
    assert [row["layer"] for row in content["layers"]][-2:] == ["outnorm1", "outnorm3"]
    status, out, _ = call("summary", "--weights", tmp_path / "b.npz", "--size", "64")
    assert status == 0
    assert "\noutputs " in out
    assert "\nhead " not in out


def test_names_by_pattern(call):
    status, out, _ = call("summary", "vim_*", "demo", "--json", "--num-classes", "3")
    assert status == 0
    names = [json.loads(line)["model"] for line in out.splitlines()]
    assert names == ["vim_tiny", "vim_tiny_stride8", "vim_small", "vim_small_stride8", "vim_base", "demo", "vim_demo"]
    status, out, _ = call("summary", "DEMO", "vim_dem?")
    assert out.startswith("demo, 1 x 64 x 64\n")
    assert "\n\n\nvim_demo, 1 x " in out
    assert_refused(call("summary", "foo*"), "unknown model 'foo*'")
