"""What people save with torch.save, in thirty layouts: each is one model, found and read by `load_pretrained` without torch."""

import argparse
import collections
import pickle
import types

import numpy as np
import pytest

import mvnp
from mvnp.checkpoint import load_pretrained, read_pretrained
from mvnp.errors import CheckpointError

torch = pytest.importorskip("torch", reason="torch is to write the files")

CUT = {"num_heads": (1, 1, 2, 4), "window_size": (2, 2, 2, 2)}
MODEL = mvnp.MambaVision(dim=4, in_dim=2, depths=(1, 1, 2, 1), num_classes=3, seed=5, **CUT)
OTHER = mvnp.MambaVision(dim=4, in_dim=2, depths=(1, 1, 2, 1), num_classes=3, seed=6, **CUT)
PICTURE = np.random.default_rng(1).standard_normal((1, 3, 32, 32)).astype("float32")


def weights(model=MODEL, prefix=""):
    return collections.OrderedDict(
        (prefix + key, torch.from_numpy(np.array(array))) for key, array in model.state_dict().items()
    )


class HistoryBuffer:
    """As a logger of mmengine's kind leaves it."""

    def __init__(self):
        self.log, self.counts, self.methods = np.arange(5000.0), np.ones(5000, np.int64), {"mean": len}


class CfgNode(dict):
    """As yacs: a dict with attributes."""


class Trainer:
    """A whole object with parts of all kinds."""

    def __init__(self):
        self.parts = {1, 2.5, "three", None, frozenset({4})}
        self.when = types.SimpleNamespace(epoch=3, big=10**400, text="ä" * 300)


def module(model=MODEL):
    """A torch module with these weights: parameters, buffers, and modules in it."""
    root = torch.nn.Module()
    buffers = {key for key, _ in model.named_state()} - {key for key, _ in model.named_parameters()}
    for key, tensor in weights(model).items():
        *path, name = key.split(".")
        inner = root
        for part in path:
            if part not in inner._modules:
                inner.add_module(part, torch.nn.Module())
            inner = inner._modules[part]
        if key in buffers:
            inner.register_buffer(name, tensor)
        else:
            inner.register_parameter(name, torch.nn.Parameter(tensor))
    root.register_buffer("scratch", torch.zeros(3), persistent=False)
    return root


def with_state():
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.origin = "somewhere"  # pickled with _rebuild_parameter_with_state
    return parameter


def optimiser():
    parameters = [torch.nn.Parameter(tensor) for tensor in weights().values() if tensor.is_floating_point()]
    adam = torch.optim.AdamW(parameters, lr=1e-3)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    adam.step()
    return adam


def without(*names):
    return {key: tensor for key, tensor in weights().items() if not key.endswith(names)}


def counters():
    extra = {f"{key.rpartition('.')[0]}.{name}": torch.zeros(1, dtype=torch.float64) for key in weights() for name in COUNTED}
    return {**weights(), **extra, **{name: torch.zeros(1) for name in COUNTED}}


COUNTED = ("total_ops", "total_params")

LAYOUTS = {
    "bare": weights,
    "state_dict": lambda: {"state_dict": weights()},
    "model": lambda: {"model": weights(), "epoch": 3, "optimizer": optimiser().state_dict()},
    "model_state_dict": lambda: {"epoch": 1, "loss": 0.5, "model_state_dict": weights()},
    "net": lambda: {"net": weights(), "acc": 91.2},
    "weights": lambda: {"weights": weights()},
    "params": lambda: {"params": weights()},
    "deep": lambda: {"checkpoint": {"best": {"generator": weights()}}},
    "data parallel": lambda: weights(prefix="module."),
    "compiled": lambda: weights(prefix="_orig_mod."),
    "compiled, parallel": lambda: {"model": weights(prefix="_orig_mod.module.")},
    "parallel, compiled": lambda: {"model": weights(prefix="module._orig_mod.")},
    "compiled inside": lambda: {key.replace("levels.0", "levels.0._orig_mod"): t for key, t in weights().items()},
    "backbone": lambda: {"state_dict": weights(prefix="backbone.")},
    "lightning": lambda: {
        "state_dict": weights(prefix="model.encoder."),
        "hyper_parameters": CfgNode(lr=1e-3, tags=["a"]),
        "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.5)}},
        "loops": {"fit_loop": {"state_dict": {}}},
    },
    "averaged beside": lambda: {"state_dict": weights(), "state_dict_ema": weights(OTHER), "arch": "mamba_vision_T"},
    "average alone": lambda: {"ema_state_dict": weights(prefix="module.")},
    "torch's average": lambda: {"n_averaged": torch.tensor(7), **weights(prefix="module.")},
    "twice the same": lambda: (lambda w: {"state_dict": w, "model": dict(w)})(weights()),
    "mmengine": lambda: {
        "meta": {"cfg": CfgNode(a=1), "time": "today"},
        "message_hub": {"log_scalars": {"loss": HistoryBuffer()}},
        "state_dict": weights(),
    },
    "arrays of NumPy beside": lambda: {"state_dict": weights(), "metrics": np.arange(6.0), "best": np.float32(0.5)},
    "options beside": lambda: {"model": weights(), "args": argparse.Namespace(lr=0.1, size=(224, 224), f=print)},
    "objects beside": lambda: {"model": weights(), "trainer": Trainer(), "optimizer": optimiser(), "dtype": torch.bfloat16},
    "parameters with attributes": lambda: {
        "model": {**weights(), "head.bias": torch.nn.Parameter(weights()["head.bias"])},
        "other": with_state(),
    },
    "what NumPy lacks beside": lambda: {
        "model": weights(),
        "quantised": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        "tiny": torch.ones(3).to(torch.float8_e4m3fn),
        "sparse": torch.eye(3).to_sparse(),
        "meta": torch.empty(3, device="meta"),
        "complex": torch.ones(2, dtype=torch.complex64),
    },
    "no counters of batches": lambda: without("num_batches_tracked"),
    "a profiler's counters": counters,
    "channels last": lambda: {k: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for k, t in weights().items()},
    "one storage for all": lambda: dict(zip(weights(), _flattened(), strict=True)),
    "a whole module": module,
    "a whole module, wrapped": lambda: {"model": torch.nn.DataParallel(module()), "epoch": 1},
    "arrays of NumPy": lambda: {"model": {key: tensor.numpy() for key, tensor in weights().items()}},
}


def _flattened():
    tensors = list(weights().values())
    flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
    return [piece.view(tensor.shape) for piece, tensor in zip(flat.split([t.numel() for t in tensors]), tensors, strict=True)]


def test_there_are_thirty():
    assert len(LAYOUTS) >= 30


@pytest.mark.filterwarnings("ignore")  # torch's, of quantisation and of memory formats
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout(layout, tmp_path):
    content = LAYOUTS[layout]()
    forms = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}, "newest": {"pickle_protocol": 5}}
    if layout == "what NumPy lacks beside":
        del forms["legacy"]  # which has no place for some of them
    for form, options in forms.items():
        torch.save(content, tmp_path / form, **options)
        model = load_pretrained(tmp_path / form, **CUT)
        for key, array in MODEL.state_dict().items():
            np.testing.assert_array_equal(model.state_dict()[key], array, err_msg=f"{form}: {key}")
    np.testing.assert_array_equal(model(PICTURE), MODEL(PICTURE))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "is quantised: in PyTorch, its dequantize"),
        (lambda tensor: tensor.to_sparse(), "is sparse: in PyTorch, its to_dense"),
        (lambda tensor: tensor.to_sparse_csr() if tensor.ndim == 2 else tensor.to_sparse(), "is sparse: in PyTorch, its to_d"),
        (lambda tensor: tensor.to("meta"), "has a shape and no numbers"),
        (lambda tensor: tensor.to(torch.float8_e4m3fn), "is a tensor of torch.float8_e4m3fn, which NumPy does not have"),
    ],
)
def test_a_needed_tensor_that_is_no_row_of_numbers(made, message, tmp_path):
    content = weights()
    content["head.weight"] = made(content["head.weight"].float())
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=f"w.pth: head.weight {message}"):
        load_pretrained(tmp_path / "w.pth", **CUT)


def test_a_tensor_alone(tmp_path):
    torch.save(torch.ones(3), tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"holds no state dict: nothing in it is a tensor with a name\. It is a tensor"):
        load_pretrained(tmp_path / "w.pth")


@pytest.mark.parametrize("layout", ["bare", "model", "a whole module", "arrays of NumPy", "arrays of NumPy beside"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_plain_pickle(layout, protocol, tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(LAYOUTS[layout](), protocol))
    model = load_pretrained(tmp_path / "a.pkl", **CUT)
    for key, array in MODEL.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[key], array)


def test_the_average_by_choice(tmp_path):
    torch.save(LAYOUTS["averaged beside"](), tmp_path / "a.ckpt")
    model = load_pretrained(tmp_path / "a.ckpt", ema=True, **CUT)
    np.testing.assert_array_equal(model.head.weight.data, OTHER.head.weight.data)


def test_several(tmp_path):
    torch.save({"student": weights(), "teacher": weights(OTHER, "module."), "epoch": 2}, tmp_path / "a.pt")
    with pytest.raises(
        CheckpointError, match=r"several state dicts, 'student' \(\d+ tensors\), 'teacher' \(\d+ tensors\); choose with entry="
    ):
        load_pretrained(tmp_path / "a.pt", **CUT)
    for entry, model in (("student", MODEL), ("teacher", OTHER), ("teacher.module", OTHER)):
        got = load_pretrained(tmp_path / "a.pt", entry=entry, **CUT)
        np.testing.assert_array_equal(got.head.weight.data, model.head.weight.data)
    with pytest.raises(CheckpointError, match=r"has no entry 'techer' \(did you mean 'teacher'\?\); it has 'student'"):
        load_pretrained(tmp_path / "a.pt", entry="techer", **CUT)


def test_a_model_with_more_around_it(tmp_path):
    torch.save({"state_dict": {**weights(prefix="backbone."), "decode.weight": torch.ones(2)}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"there is one under 'backbone', and other arrays.*entry='backbone' \(--entry"):
        load_pretrained(tmp_path / "a.pth", **CUT)
    for options in ({"entry": "backbone"}, {"strict": False}):
        got = read_pretrained(tmp_path / "a.pth", **options, **CUT)
        np.testing.assert_array_equal(got.model(PICTURE), MODEL(PICTURE))
    assert got.notes == (f"took the {len(weights())} arrays under 'backbone.', and passed over 1",)


def test_what_is_needed_and_cannot_be_read(tmp_path):
    state = weights()
    state["head.bias"] = state["head.bias"].to(torch.float8_e4m3fn)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(
        CheckpointError, match=r"a\.pth: head\.bias is a tensor of torch\.float8_e4m3fn, which NumPy does not have"
    ):
        load_pretrained(tmp_path / "a.pth", **CUT)
    bare = load_pretrained(tmp_path / "a.pth", num_classes=0, **CUT)  # where it is not needed
    np.testing.assert_array_equal(bare(PICTURE), MODEL.pooled(PICTURE))


@pytest.mark.filterwarnings("ignore")  # torch's, that TorchScript is old
def test_torchscript_is_named(tmp_path):
    class Plain(torch.nn.Module):
        def forward(self, x):
            return x

    torch.jit.save(torch.jit.script(Plain()), tmp_path / "a.pt")
    with pytest.raises(
        CheckpointError, match=r"a\.pt is a TorchScript archive.*torch\.save\(torch\.jit\.load\(path\)\.state_dict"
    ):
        load_pretrained(tmp_path / "a.pt")


@pytest.mark.parametrize("inside", ["list", "tuple"])
def test_in_a_list(tmp_path, inside):
    """As `torch.save([model.state_dict(), optimizer.state_dict()])` and fastai leave it."""
    state = {key: np.array(array) for key, array in MODEL.state_dict().items()}
    kind = {"list": list, "tuple": tuple}[inside]
    optimiser = {"state": {0: {"exp_avg": np.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps([{"epoch": 3}, kind([state, optimiser])], 2))
    read = load_pretrained(path, **CUT).state_dict()
    assert all(np.array_equal(read[key], array) for key, array in state.items())
    assert set(mvnp.load_checkpoint(path, entry="1.0")) == set(state)
    path.write_bytes(pickle.dumps([np.ones(3), [np.ones(2)]], 2))
    with pytest.raises(CheckpointError, match="holds no state dict: nothing in it is a tensor with a name"):
        mvnp.load_checkpoint(path)
