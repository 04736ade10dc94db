"""VMamba in ONNX: mvnp/export/vmamba.py. What ONNX Runtime gives is what the model gives."""

import json
from pathlib import Path

import numpy as np
import pytest

from mvnp import Backbone, VMamba
from mvnp.core import Layer
from mvnp.errors import ExportError, InputError
from support.onnx_files import assert_close, onnx, session  # skips without onnx
from support.randomise import randomised

from mvnp.export import export_onnx, verify_onnx  # isort: skip

OPTIONS = json.loads((Path(__file__).parents[1] / "reference" / "vmamba_options.json").read_text(encoding="utf-8"))
SMALL = {"dims": (8, 10, 12), "depths": (1, 2, 1), "num_classes": 3}
CASES = {
    "v2": SMALL,
    "v0": {**SMALL, "version": "v0", "d_state": 3},
    "no head": {**SMALL, "num_classes": 0, "in_chans": 1},
    "even kernel, gelu": {**SMALL, "ssm_conv": 4, "ssm_act_layer": "gelu", "forward_type": "v05"},
    "large patches": {**SMALL, "patchembed_version": "v1", "patch_size": 5},
    "float64, three states": {**SMALL, "d_state": 3, "dtype": "float64", "drop_path_rate": 0.5},
    **OPTIONS,
}
SIZES = [(20, 20), (33, 46)]


def images(model, *size, batch=2):
    return np.random.default_rng(batch).standard_normal((batch, model.in_chans, *size)).astype(np.float32)


@pytest.mark.parametrize("any_size", [False, True])
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_agrees(options, any_size, tmp_path):
    model = randomised(VMamba(**options), seed=1)
    file = tmp_path / "model.onnx"
    if any_size and model.image_size:
        with pytest.raises(InputError, match="the model takes 20x20 alone"):
            export_onnx(model, file, None, features=True)
        return
    for size in SIZES[:1] if model.image_size or any_size else SIZES:
        export_onnx(model, file, None if any_size else size, features=True)
        onnx.checker.check_model(file, full_check=True)
        runtime = session(str(file))
        for seen in SIZES if any_size else [size]:
            for batch in (1, 3):
                x = images(model, *seen, batch=batch)
                *stages, pooled = runtime.run(None, {"images": x})
                for stage, own in zip(stages, model.features(x), strict=True):
                    assert_close(stage, own)
                assert_close(pooled, model.pooled(x))


@pytest.mark.parametrize("size", SIZES)
def test_logits(size, tmp_path):
    model = randomised(VMamba(**SMALL), seed=1)
    export_onnx(model, tmp_path / "model.onnx", size)
    x = images(model, *size)
    runtime = session(str(tmp_path / "model.onnx"))
    assert [output.name for output in runtime.get_outputs()] == ["logits"]
    assert_close(runtime.run(None, {"images": x})[0], model(x))
    verify_onnx(tmp_path / "model.onnx", model)


@pytest.mark.parametrize("half", [False, True])
def test_in_half_precision_scans_step_as_far(half, tmp_path):
    model = randomised(VMamba(**SMALL), seed=1)
    export_onnx(model, tmp_path / "model.onnx", 20, dtype="float16" if half else "float32")
    stored = {tensor.name: tensor.data_type for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer}
    at = "layers.0.blocks.0.op"
    for name, whole in (("A_logs", True), ("dt_projs_bias", True), ("Ds", True), ("x_proj_weight", False)):
        narrow = half and not whole
        assert stored[f"{at}.{name}"] == (onnx.TensorProto.FLOAT16 if narrow else onnx.TensorProto.FLOAT), name
    x = images(model, 20, 20)
    got = session(str(tmp_path / "model.onnx")).run(None, {"images": x})[0]
    if not half:
        assert_close(got, model(x))
    np.testing.assert_allclose(got, model(x), rtol=0, atol=2e-2 * np.abs(model(x)).max())


def test_backbone(tmp_path):
    arguments = {name: value for name, value in SMALL.items() if name != "num_classes"}
    backbone = randomised(Backbone(family="VMamba", **arguments, out_indices=(0, 2)), seed=1)
    export_onnx(backbone, tmp_path / "model.onnx", (33, 46))
    x = np.random.default_rng(0).standard_normal((2, 3, 33, 46)).astype(np.float32)
    for got, want in zip(session(str(tmp_path / "model.onnx")).run(None, {"images": x}), backbone(x), strict=True):
        assert_close(got, want)


def test_an_image_smaller_than_a_patch(tmp_path):
    with pytest.raises(ExportError, match="an image of 3x20 is smaller than a patch of 4"):
        export_onnx(VMamba(**SMALL, version="v0"), tmp_path / "model.onnx", (3, 20))


def test_a_layer_that_is_not_known(tmp_path):
    class Own(Layer):
        pass

    for place in ("downsample", "act", "norm"):
        model = VMamba(**SMALL)
        if place == "downsample":
            model.levels[0].downsample = Own()
        elif place == "act":
            model.levels[0].blocks[0].op.act = Own()
        else:
            model.levels[0].blocks[0].op.out_norm = Own()
        with pytest.raises(ExportError, match="Own has no form in ONNX here"):
            export_onnx(model, tmp_path / "model.onnx", 20)
