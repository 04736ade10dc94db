"""The walk through the model: mvnp/export/model.py. What ONNX Runtime gives is what the model gives."""

import numpy as np
import pytest

from mvnp import Backbone, MambaVision
from mvnp.core import Layer
from mvnp.errors import ExportError
from support.onnx_files import (
    assert_close,
    onnx,
    reference,
    session,
    skip_unless_reference_scans,
)  # skips without onnx
from support.randomise import randomised
from support.tiny import tiny

from mvnp.export import export_onnx, verify_onnx  # isort: skip

WINDOWS = {"window_size": (8, 8, 3, 2)}  # maps of 4x3 and 2x2 at 52x44: level 2 is padded both ways, level 3 not
CASES = {
    "official": {},
    "no padding": {"window_size": (8, 8, 2, 1)},
    "a window larger than the map": {"window_size": (8, 8, 5, 4)},
    "three blocks: two scan, one attention": {"depths": (2, 1, 3, 1)},
    "layer scale": {"layer_scale": 0.5, "layer_scale_conv": 0.3},
    "grey, no head": {"in_chans": 1, "num_classes": 0},
    "five channels, qk-norm, no bias": {"in_chans": 5, "qk_scale": True, "qkv_bias": False},
    "once": {"dt_bias": "once"},
    "LayerNorm before the head": {"head_norm": "layer"},
    "masked": {"padding": "masked"},
    "mamba's mixer, no attention": {"mixer": "mamba", "pattern": "none", "d_conv": 4},
    "one convolution, wide": {"mixer": "gated_one_conv_wide", "pattern": "interleaved_sm"},
    "gated, masked": {"mixer": "gated", "padding": "masked", "pattern": "first_half"},
    "attention alone": {"pattern": "all"},
    "corrected": {"quirks": "corrected", "d_conv": 4, "d_state": 3, "mlp_ratio": 1.5},
    "rates that only training knows": {"drop_path_rate": 0.5, "drop_rate": 0.5, "attn_drop_rate": 0.5},
    "float64": {"dtype": "float64"},
}


def images(model, batch, height=52, width=44):
    rng = np.random.default_rng(batch)
    return rng.standard_normal((batch, model.in_chans, height, width)).astype(np.float32)


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_agrees_for_any_batch(options, tmp_path):
    model = tiny(**{**WINDOWS, **options})
    export_onnx(model, tmp_path / "model.onnx", (52, 44))
    onnx.checker.check_model(tmp_path / "model.onnx", full_check=True)
    runtime = session(str(tmp_path / "model.onnx"))
    for batch in (1, 3):
        x = images(model, batch)
        assert_close(runtime.run(None, {"images": x})[0], model(x))


@pytest.mark.parametrize("options", [{}, {"padding": "masked"}, {"head_norm": "layer"}], ids=str)
def test_any_size(options, tmp_path):
    model = tiny(**{**WINDOWS, **options})
    export_onnx(model, tmp_path / "model.onnx", None)
    onnx.checker.check_model(tmp_path / "model.onnx", full_check=True)
    runtime = session(str(tmp_path / "model.onnx"))
    for size in ((52, 44), (33, 70), (48, 48), (1, 1)):
        x = images(model, 2, *size)
        assert_close(runtime.run(None, {"images": x})[0], model(x))


@pytest.mark.parametrize("image_size", [(52, 44), None], ids=str)
def test_features(image_size, tmp_path):
    model = tiny(**WINDOWS)
    export_onnx(model, tmp_path / "model.onnx", image_size, features=True)
    runtime, x = session(str(tmp_path / "model.onnx")), images(model, 3)
    *stages, pooled = runtime.run(["stage0", "stage1", "stage2", "stage3", "pooled"], {"images": x})
    for stage, own in zip(stages, model.features(x), strict=True):
        assert_close(stage, own)
    assert_close(pooled, model.pooled(x))
    shapes = [output.shape for output in runtime.get_outputs()]
    expected = [(13, 11), (7, 6), (4, 3), (2, 2)] if image_size else [(f"height_{i}", f"width_{i}") for i in range(4)]
    assert shapes == [*(["batch", 4 * 2**i, *sides] for i, sides in enumerate(expected)), ["batch", 32]]


@pytest.mark.parametrize(("out_indices", "out_norm"), [((0, 1, 2, 3), "layer"), ((1, 3), "batch"), ((0, 2), "none")])
@pytest.mark.parametrize("image_size", [(52, 44), None], ids=str)
def test_backbones(out_indices, out_norm, image_size, tmp_path):
    backbone = randomised(Backbone.of(tiny(**WINDOWS), out_indices=out_indices, out_norm=out_norm))
    export_onnx(backbone, tmp_path / "model.onnx", image_size)
    found = verify_onnx(tmp_path / "model.onnx", backbone, sizes=[(52, 44), (33, 70)], tolerance=1e-5)
    assert {each.output for each in found} == {f"stage{index}" for index in out_indices}
    names = {tensor.name for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer}
    last = out_indices[-1]
    assert any(name.startswith(f"levels.{last}.blocks") for name in names)
    assert not any(name.startswith(f"levels.{last + 1}") for name in names)


def test_agrees_in_the_reference_implementation_of_onnx(tmp_path):
    skip_unless_reference_scans()
    model = tiny(padding="masked")
    export_onnx(model, tmp_path / "model.onnx", (20, 17))
    x = images(model, 2, 20, 17)
    assert_close(reference(str(tmp_path / "model.onnx")).run(None, {"images": x})[0], model(x))


def test_moved_parameters_are_seen(tmp_path):
    # Each parameter and statistic is used: moving it moves what the file gives, as it moves the model.
    model = tiny(**WINDOWS, layer_scale=0.5, layer_scale_conv=0.5, qk_scale=True, num_classes=2)
    x = images(model, 1)
    for key, param in model.named_state():
        if key.endswith("num_batches_tracked"):
            continue
        before, param.data = param.data, param.data + np.float32(0.1)
        export_onnx(model, tmp_path / "model.onnx", (52, 44))
        assert_close(session(str(tmp_path / "model.onnx")).run(None, {"images": x})[0], model(x))
        param.data = before


@pytest.mark.parametrize("where", ["level", "mixer", "norm"])
def test_unknown_layers_are_named(where, tmp_path):
    class Novel(Layer):
        downsample = None

    model = tiny()
    if where == "level":
        model.levels[3] = Novel()
    elif where == "mixer":
        model.levels[2].blocks[0].mixer = Novel()
    else:
        model.norm = Novel()
    model.name_paths()
    with pytest.raises(ExportError, match=r"Novel \((levels\.3|levels\.2\.blocks\.0\.mixer|norm)\) has no form in ONNX"):
        export_onnx(model, tmp_path / "model.onnx", 32)
    assert list(tmp_path.iterdir()) == []


def test_mamba_vision_t_is_described_in_full(tmp_path):
    # Shapes of every value follow from the file alone: batch is free, the rest is fixed.
    model = MambaVision(dim=8, in_dim=4, depths=(1, 1, 2, 2), num_heads=(1, 1, 2, 2), window_size=(8, 8, 14, 7), num_classes=10)
    export_onnx(model, tmp_path / "model.onnx", 224)
    inferred = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "model.onnx"), strict_mode=True, data_prop=True)
    known = {value.name for value in inferred.graph.value_info if value.type.tensor_type.HasField("shape")}
    made = {name for node in inferred.graph.node for name in node.output} - {"logits"}
    assert made <= known
