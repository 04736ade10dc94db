"""What the public functions, data sets and switches say to what they cannot take: an error of ours, never another."""

import importlib
import inspect
import itertools

import numpy as np
import pytest

import mvnp
from mvnp import data, inference, kernels, layers, training, visualize
from mvnp.data import BatchLoader, Dataset, ImageTransform
from mvnp.errors import MvnpError
from mvnp.execution import parallel
from support.tiny import tiny

NOTHING = {
    "None": None,
    "text": "abc",
    "bytes": b"x",
    "a digit that is none": "²",
    "a fraction": -0.3,
    "NaN": float("nan"),
    "a huge number": 10**400,
    "numbers": [1, 2],
    "a dict": {},
    "an array of text": np.array(["a"]),
    "an object": object(),
}
SET = {
    "name": "mine",
    "part": "train",
    "images": np.arange(6 * 64, dtype=np.uint8).reshape(6, 8, 8, 1),
    "labels": np.array([0, 1] * 3),
    "classes": ("a", "b"),
    "mean": (0.3,),
    "std": (0.2,),
}

CALLS = {
    "images of a data set": lambda value: Dataset(**{**SET, "images": value}),
    "labels of a data set": lambda value: Dataset(**{**SET, "labels": value}),
    "mean of a data set": lambda value: Dataset(**{**SET, "mean": value}),
    "a loader's data set": lambda value: BatchLoader(value, 2, train=True),
    "a loader's size": lambda value: BatchLoader(Dataset(**SET), value, train=True),
    "a transform's crop": lambda value: ImageTransform(crop_pct=value),
    "a transform's std": lambda value: ImageTransform(std=value),
    "deviations of a data set": lambda value: Dataset(**{**SET, "std": value}),
    "a trainer's model": lambda value: training.Trainer(value, None, None, None),
    "a trainer's batches": lambda value: training.Trainer(tiny(), value, None, None),
    "a trainer's folder": lambda value: training.Trainer(tiny(), BatchLoader(Dataset(**SET), 2, train=True), None, value),
    "a run's learning rate": lambda value: training.TrainingConfig({}, lr=value),
    "an optimiser's parameters": lambda value: training.AdamW([value]),
    "LAMB's clip": lambda value: training.LAMB(tiny(), max_grad_norm=value if value is not None else "x"),
    "an average's decay": lambda value: training.EMA(tiny(), decay=value),
    "a schedule's cycle": lambda value: training.cosine_rate(1, value, 0.1),
    "a rate for a batch": lambda value: training.scaled_rate(0.1, 64, value if value is not None else 0),
    "an optimiser's betas": lambda value: training.AdamW(tiny(), betas=value),
    "a picture": lambda value: tiny()(value),
    "a name": mvnp.create_model,
    "weights": mvnp.load_pretrained,
    "a state dict": lambda value: tiny().load_state_dict(value),
    "a folder of data": data.load_dataset,
    "a share": lambda value: data.load_dataset(held_out=value),
    "the backend": mvnp.use_backend,
    "the kernels": kernels.use_kernels,
    "the convolution": kernels.use_convolution,
    "threads": parallel.use_threads,
    "a forward to check": lambda value: mvnp.gradcheck(value, value, {"x": np.ones(2)}),
}


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("value", NOTHING)
def test_what_it_cannot_take_is_refused_in_our_words(what, value):
    with pytest.raises(MvnpError):
        CALLS[what](NOTHING[value])


def test_a_pattern_and_a_seed():
    with pytest.raises(MvnpError, match=r"list_models: None is no pattern|list_models: the pattern is None"):
        mvnp.list_models(None)
    with pytest.raises(MvnpError, match=r"Tape: seed is 'abc', expected an integer of at least 0, or several"):
        mvnp.Tape(seed="abc")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: mvnp.VMamba(dims=None), "VMamba: dims is None, expected 4 integers"),
        (lambda: mvnp.VMamba(num_classes=None), "VMamba: num_classes is None, expected an integer"),
        (lambda: mvnp.VMamba(dims=10**400), "VMamba: dims is .* at most 1048576"),
        (lambda: mvnp.VMamba(ssm_ratio=1e308), "VMamba: ssm_ratio is 1e.308, expected at most 1048576"),
        (lambda: mvnp.VMamba(depths=(1, 1, 1, 10**6)), "VMamba: dims .* 1,000,003 blocks, expected at most 10,000"),
        (lambda: mvnp.Vim(depth=10**6), "Vim: embed_dim 192, depth 1000000: 1,000,000 blocks, expected at most 10,000"),
        (lambda: mvnp.Vim(embed_dim=10**6), "Vim: embed_dim 1000000, depth 24 and what else was given make about 2e.14 param"),
        (lambda: mvnp.Vim(patch_size=10**7), "Vim: patch_size is 10000000, expected at most 1048576"),
        (lambda: tiny(depths=(1, 1, 1, 10**6)), "MambaVision: dim .* 1,000,003 blocks, expected at most 10,000"),
    ],
)
def test_a_model_that_no_machine_holds(model, message):
    with pytest.raises(MvnpError, match=message):
        model()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: data.ImageTransform(value_range=(0, 10**400)), "value_range is .*, expected two numbers"),
        (lambda: data.load_dataset(channels=10**11), "channels=100000000000, .* expected .* channels from 1 to 65536"),
        (lambda: data.augment.Augmentation(repeats=1e300), "repeats is 1e.300, expected a number from 1 to 1000"),
        (lambda: training.TrainingConfig({}, lr=1e308), "lr is 1e.308, expected a number above 0, at most 1e.06"),
    ],
)
def test_numbers_that_no_machine_can_serve(call, message):
    with pytest.raises(MvnpError, match=message):
        call()


@pytest.mark.parametrize("value", [None, "abc", 10**400, float("nan"), [], 1j])
def test_what_a_schedule_is_made_of(value):
    with pytest.raises(MvnpError, match=r"cosine_rate: lr is .*, expected a number"):
        training.cosine_rate(1, 10, value)
    with pytest.raises(MvnpError, match=r"learning_rate: step is .*, expected a number"):
        training.learning_rate(value, 10, 2, 0.1)


def test_what_is_neither_true_nor_false():
    with pytest.raises(MvnpError, match="load_pretrained: strict is 'no', expected True or False"):
        mvnp.load_pretrained("w.npz", strict="no")
    with pytest.raises(MvnpError, match="load_pretrained: ema is 1, expected True or False"):
        mvnp.load_pretrained("w.npz", ema=1)
    model = mvnp.create_model("demo")
    for make, name in (
        (training.SGD, "nesterov"),
        *((training.LAMB, each) for each in ("trust_clip", "always_adapt", "bias_correction", "grad_averaging", "decoupled")),
        (training.EMA, "warmup"),
    ):
        with pytest.raises(MvnpError, match=f"{make.__name__}: {name} is 'yes', expected True or False"):
            make(model, **{name: "yes"})


def test_options_of_a_backbone():
    with pytest.raises(MvnpError, match=r"unknown option 'img_size' of a Backbone \(images may have any size"):
        mvnp.Backbone("mamba_vision_T", img_size=256)
    with pytest.raises(MvnpError, match=r"unknown option 'pretrained' of a Backbone \(load_pretrained\(name\)"):
        mvnp.Backbone("mamba_vision_T", pretrained=True)


def test_values_of_a_picture_without_a_range():
    with pytest.raises(MvnpError, match=r"from 0 to 9, expected 0 to 1; say which are black and white, with value_range"):
        ImageTransform(8)(np.array([[[0.0, 1.0, 9.0]]]))
    with pytest.raises(MvnpError, match=r"from 0 to 9, expected 0 to 1; say which are black and white, with value_range"):
        ImageTransform(8, channels=4, mean=(0,) * 4, std=(1,) * 4)(np.array([[[0.0, 1.0, 9.0, 2.0]]]))


# Every public name, so that a new one is asked too

ROOMS = ("mvnp", *(f"mvnp.{room}" for room in ("checkpoint", "check", "export", "inference", "layers", "models", "training")))
ROOMS += ("mvnp.visualize.arrays", "mvnp.visualize.figures", "mvnp.visualize.pages")
JUNK = {"None": None, "text": "x", "below 0": -3, "huge": 10**400, "NaN": float("nan"), "a dict": {}, "an object": object()}
JUNK |= {"no number": np.zeros(0), "text in an array": np.array(["a"])}
# Those that run for long with any argument (VMamba and Vim build their whole size: asked above), what changes a switch of the
# process, and what layers hand to each other.
LEFT_OUT = {"VMamba", "Vim", "run_demo", "use_backend", "Optimizer", "window_mask", "selective_scan_states"}
MODEL_OF_SET = tiny(in_chans=1, num_classes=2)
MODEL = tiny(in_chans=1, num_classes=3)
FINE = {  # what the other arguments are
    "image": np.random.default_rng(0).random((1, 32, 32), np.float32),
    "channels": 8,
    "inputs": 8,
    "outputs": 4,
    "hidden": 8,
    "name": "demo",
    "heads": 2,
    "num_heads": 2,
    "kernel_size": 3,
    "labels": np.array([0, 1]),
    "path": "x.npz",
    "out": "o",
}


def public() -> dict[str, object]:
    """{name: function or class} of all public names that take something."""
    found: dict[int, tuple[str, object]] = {}
    for room in map(importlib.import_module, ROOMS):
        for name in getattr(room, "__all__", vars(room)):
            what = getattr(room, name)
            ours = str(getattr(what, "__module__", "")).startswith("mvnp.") and callable(what)
            error = isinstance(what, type) and issubclass(what, BaseException)
            if ours and not error and not name.startswith("_") and name not in LEFT_OUT:
                found.setdefault(id(what), (name, what))
    return dict(found.values())


PUBLIC = public()


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_refuses_junk_in_our_words(name, tmp_path, monkeypatch):
    """Each argument in turn is one thing that it cannot be; the call goes well, or an error of ours says why it does not."""
    monkeypatch.chdir(tmp_path)
    parameters = inspect.signature(PUBLIC[name]).parameters.values()
    asked = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    for wrong, (label, junk) in itertools.product(asked, JUNK.items()):
        needed = [p for p in asked if p is wrong or p.default is p.empty]
        values = {p.name: junk if p is wrong else FINE.get(p.name, MODEL if p.name == "model" else junk) for p in needed}
        before = [values.pop(p.name) for p in needed if p.kind is p.POSITIONAL_ONLY]
        try:
            PUBLIC[name](*before, **values)
        except (MvnpError, FileNotFoundError):
            continue
        except Exception as error:
            pytest.fail(f"{name}({wrong.name}={label}) raises {type(error).__name__}: {error}")


LOADER = BatchLoader(Dataset(**SET), 2, train=False)
X, W = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: layers.Linear("a", 3),
            r"a parameter cannot have shape \(3, 'a'\); give sizes that are integers of at least 1",
        ),
        (lambda: layers.LayerNorm(-1), r"a parameter cannot have shape \(-1,\)"),
        (lambda: layers.Linear(10**7, 10**7), r"a parameter of shape \(10000000, 10000000\) has over 1e\+11 numbers"),
        (lambda: layers.Conv2d(None, 3, 3), "Conv2d: inputs is None, expected an integer"),
        (lambda: layers.Linear(3, 3, init=7), r"Linear: init is 7 \(int\), expected Initializer or None"),
        (lambda: layers.LayerNorm(3, eps="x")(X), r"layernorm_forward: eps is 'x' \(str\), expected a finite number"),
        (
            lambda: layers.linear_backward(X, (X, W)),
            r"linear_backward: cache is a tuple of 2: an array .*, none of linear_forward; g",
        ),
        (
            lambda: layers.linear_backward(X, None),
            "linear_backward: cache is None, none of linear_forward; give what linear_for",
        ),
        (
            lambda: layers.relu_backward(X, "x"),
            r"relu_backward: y is 'x' \(str\), none of relu_forward; give what relu_forward",
        ),
        (lambda: layers.Conv2d(1, 1, 3, stride=0), "Conv2d: stride is 0, expected an integer from 1"),
        (
            lambda: layers.conv2d_forward(np.ones((1, 4, 4, 1)), np.ones((1, 1, 3, 3)), None, (0, 0)),
            r"Conv2d: stride is \(0, 0\), padding \(0, 0\), expected at least 1, and at least 0",
        ),
        (
            lambda: training.evaluate(None, LOADER),
            r"evaluate: model is None, expected a model \(mvnp.create_model\) or a layer",
        ),
        (
            lambda: training.train_step("m", None, X, [0, 1], lr=0.1),
            r"train_step: model is 'm' \(str\), expected a model",
        ),
        (
            lambda: visualize.grad_cam(3, X),
            r"grad_cam: model is 3 \(int\), expected a model \(mvnp.create_model, mvnp.load_pretr",
        ),
        (lambda: inference.transform_of(None), "transform_of: pretrained is None, expected"),
        (lambda: mvnp.Backbone("demo"), r"unknown model 'demo'; .*Backbone.of\(mvnp.create_model\('demo'\)\) is one"),
        (
            lambda: mvnp.Backbone(dim=8),
            "Backbone: without a name, MambaVision needs in_dim, depths, num_heads, window_size; give",
        ),
    ],
)
def test_what_it_says(call, message):
    with pytest.raises(MvnpError, match=message):
        call()


def test_an_error_of_another_cause_stays_what_it_is():
    """That of a caller's own function, and a call that lacks an argument, which Python names."""

    def on_batch(number):
        raise ZeroDivisionError("of the caller")

    with pytest.raises(ZeroDivisionError, match="of the caller"):
        training.evaluate(MODEL_OF_SET, LOADER, on_batch)
    with pytest.raises(TypeError, match="missing"):
        layers.Linear(3)
