"""AdamW: mvnp/training/adamw.py."""

import numpy as np
import pytest

from mvnp.core import Initializer, Param
from mvnp.errors import CheckpointError, InputError
from mvnp.layers.linear import Linear
from mvnp.training import AdamW
from support.checks import normal, relative
from support.tolerance import assert_close

SHAPES = {"weight": (4, 3), "bias": (3,), "scale": (), "kernel": (2, 3, 3, 3), "A_log": (5, 2)}


def make(dtype="float64", **settings):
    params = {name: Param(np.array(normal(shape, seed=len(name))).astype(dtype)) for name, shape in SHAPES.items()}
    return params, AdamW(params.items(), **settings)


def draw(step, dtype="float64"):
    return {name: np.array(normal(shape, seed=100 * step + len(name))).astype(dtype) for name, shape in SHAPES.items()}


def test_by_hand():
    # One weight, θ = 1, λ = 0.5, η = 0.1, β = (0.5, 0.75), ε = 0.
    # t = 1, g = 2:   m = 1, v = 1; m̂ = 1/0.5 = 2, v̂ = 1/0.25 = 4; θ = 1 − 0.05 − 0.1·2/2 = 0.85
    # t = 2, g = −4:  m = 0.5 − 2 = −1.5, v = 0.75 + 4 = 4.75; m̂ = −1.5/0.75 = −2, v̂ = 4.75/0.4375
    #                 θ = 0.85 (1 − 0.05) + 0.1·2/√(4.75/0.4375)
    param = Param(np.array([[1.0]]))
    optimizer = AdamW([("w", param)], betas=(0.5, 0.75), eps=1e-300, weight_decay=0.5)
    optimizer.step({"w": np.array([[2.0]])}, lr=0.1)
    assert_close(param.data, [[0.85]], terms=16)
    optimizer.step({"w": np.array([[-4.0]])}, lr=0.1)
    assert_close(param.data, [[0.85 * 0.95 + 0.2 / np.sqrt(4.75 / 0.4375)]], terms=16)


def test_first_step_is_the_sign_of_the_gradient():
    # m̂ = g and v̂ = g² at t = 1: every weight moves by η, however large its gradient.
    param = Param(np.zeros(3))
    AdamW([("b", param)], eps=1e-300).step({"b": np.array([1e-3, -5.0, 1e4])}, lr=0.01)
    assert_close(param.data, [-0.01, 0.01, -0.01])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-14), ("float32", 1e-6)])
def test_against_torch(dtype, tolerance):
    torch = pytest.importorskip("torch")
    params, optimizer = make(dtype, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1)
    theirs = {name: torch.nn.Parameter(torch.tensor(param.data)) for name, param in params.items()}
    groups = [
        {"params": [p for p in theirs.values() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in theirs.values() if p.ndim < 2], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-6)
    for step in range(12):
        gradients, lr = draw(step, dtype), 0.1 / (step + 1)
        optimizer.step(gradients, lr)
        for name, p in theirs.items():
            p.grad = torch.tensor(gradients[name])
        for group in groups:
            group["lr"] = lr
        reference.param_groups[0]["lr"] = reference.param_groups[1]["lr"] = lr
        reference.step()
        for name, p in theirs.items():
            assert params[name].dtype == dtype
            assert relative(params[name].data, p.detach().numpy()) <= tolerance, f"{name} after step {step + 1}"


def test_only_matrices_decay():
    params, optimizer = make(weight_decay=0.1)
    before = {name: param.data.copy() for name, param in params.items()}
    optimizer.step({name: np.zeros(shape) for name, shape in SHAPES.items()}, lr=0.5)
    for name, param in params.items():
        assert_close(param.data, before[name] * (0.95 if len(SHAPES[name]) >= 2 else 1.0), terms=16)


def test_gradients_are_left_alone_and_parameters_updated_in_place():
    params, optimizer = make()
    gradients = draw(1)
    kept = {name: gradient.copy() for name, gradient in gradients.items()}
    memory = {name: param.data for name, param in params.items()}
    optimizer.step(gradients, lr=0.1)
    for name, param in params.items():
        np.testing.assert_array_equal(gradients[name], kept[name])
        assert param.data is memory[name]


def test_memory_layout_does_not_matter():
    def run(layout):
        rng = np.random.default_rng(3)
        param = Param(layout(rng.standard_normal((7, 9))))
        optimizer = AdamW([("w", param)])
        for _ in range(3):
            optimizer.step({"w": layout(rng.standard_normal((7, 9)))}, lr=0.1)
        return param.data, optimizer.state_dict()["v.w"]

    want = run(np.ascontiguousarray)
    for layout in (np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2]):
        for got, expected in zip(run(layout), want, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_state_goes_on_bit_for_bit():
    params, optimizer = make("float32")
    for step in range(3):
        optimizer.step(draw(step, "float32"), lr=0.1)
    twin_params, twin = make("float32")
    twin.load_state_dict(optimizer.state_dict())
    for name, param in twin_params.items():
        param.data = params[name].data.copy()
    for step in range(3, 6):
        optimizer.step(draw(step, "float32"), lr=0.1)
        twin.step(draw(step, "float32"), lr=0.1)
    for name in params:
        np.testing.assert_array_equal(params[name].data, twin_params[name].data)


def test_state_is_a_copy():
    _, optimizer = make()
    optimizer.step(draw(1), lr=0.1)
    state = optimizer.state_dict()
    kept = {key: array.copy() for key, array in state.items()}
    optimizer.step(draw(2), lr=0.1)
    for key, array in state.items():
        np.testing.assert_array_equal(array, kept[key])
    optimizer.load_state_dict(state)
    optimizer.step(draw(2), lr=0.1)
    for key, array in state.items():
        np.testing.assert_array_equal(array, kept[key])


def test_states_that_do_not_fit():
    _, optimizer = make()
    state = optimizer.state_dict()
    state["m.weight"] = np.zeros((3, 4))
    state["m.other"] = np.zeros(2)
    del state["v.bias"]
    with pytest.raises(CheckpointError) as caught:
        optimizer.load_state_dict(state)
    assert "missing: v.bias" in str(caught.value)
    assert "unexpected: m.other" in str(caught.value)
    assert "misshapen: m.weight has shape (3, 4), expected (4, 3)" in str(caught.value)


def test_missing_and_misshapen_gradients_change_nothing():
    params, optimizer = make()
    before = {name: param.data.copy() for name, param in params.items()}
    gradients = draw(1)
    with pytest.raises(InputError, match="no gradient for A_log"):
        optimizer.step({name: gradient for name, gradient in gradients.items() if name != "A_log"}, lr=0.1)
    with pytest.raises(InputError, match=r"gradient of A_log has shape \(2, 5\), expected \(5, 2\)"):
        optimizer.step({**gradients, "A_log": np.zeros((2, 5))}, lr=0.1)
    for name, param in params.items():
        np.testing.assert_array_equal(param.data, before[name])
    assert optimizer.steps == 0


def test_parameters_left_out_stay():
    params, _ = make()
    optimizer = AdamW([("bias", params["bias"])])
    before = params["weight"].data.copy()
    optimizer.step(draw(1), lr=0.1)
    np.testing.assert_array_equal(params["weight"].data, before)


def test_placeholders_are_refused():
    with pytest.raises(InputError, match=r"weight is a placeholder without memory.*allocate=True"):
        AdamW(Linear(3, 4, init=Initializer(allocate=False)).named_parameters())


def test_flags_as_those_of_cupy():
    """They do not say whether an array may be written."""

    class Flagless(np.ndarray):
        flags = None

    param = Param(np.ones(2).view(Flagless))
    AdamW([("w", param)], eps=1e-300).step({"w": np.ones(2)}, lr=0.5)
    assert_close(np.asarray(param.data), [0.5, 0.5])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"betas": (1.0, 0.9)}, r"AdamW: betas is \(1.0, 0.9\), expected two numbers in \[0, 1\)"),
        ({"betas": (0.9, -0.1)}, "expected two numbers in"),
        ({"betas": (0.9,)}, "expected two numbers in"),
        ({"eps": 0.0}, "eps is 0.0, expected a number above 0"),
        ({"eps": np.inf}, "eps is inf, expected a number above 0"),
        ({"lr_scales": [0.5]}, r"lr_scales is \[0.5\], expected a dict of numbers of at least 0 by name"),
        ({"lr_scales": {"w": "half"}}, "lr_scales is {'w': 'half'}, expected a dict of numbers of at least 0 by name"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0, expected a number of at least 0"),
        ({"weight_decay": np.inf}, "weight_decay is inf"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(InputError, match=message):
        AdamW([], **settings)


def test_of_a_model():
    layer = Linear(3, 4)
    assert list(AdamW(layer).parameters) == ["weight", "bias"]
    with pytest.raises(InputError, match="AdamW: parameters holds a Param, expected a model, or"):
        AdamW([layer.weight])
    with pytest.raises(InputError, match="holds a str, expected a model"):
        AdamW(dict(layer.named_parameters()))
    with pytest.raises(InputError, match="holds a int, expected a model"):
        AdamW(3)


@pytest.mark.parametrize(
    "pair",
    [
        ["w", Param(np.ones(2))],
        ("w", Param(np.ones(2)), 0.5),
        ("w",),
        (1, Param(np.ones(2))),
        ("w", np.ones(2)),
    ],
    ids=["a list", "three", "one", "no name", "an array"],
)
def test_what_is_no_pair_of_a_name_and_a_parameter(pair):
    with pytest.raises(InputError, match=r"AdamW: parameters holds a (list|tuple), expected a model, or"):
        AdamW([pair])


def test_decays_of_0():
    assert AdamW([], betas=(0.0, 0.0), weight_decay=0.0).betas == (0.0, 0.0)


def test_two_dimensional_biases_do_not_decay():
    param = Param(np.array([[2.0]]))
    AdamW([("odd.bias", param)], weight_decay=0.1).step({"odd.bias": np.zeros((1, 1))}, lr=0.5)
    assert param.data == 2.0


def test_scales_of_the_learning_rate():
    # The named parameter moves as if the learning rate were half as high, its decay included.
    (halved, scaled), (alike, plain), (slow, low) = (make(lr_scales=scales) for scales in ({"weight": 0.5}, None, {}))
    for step in range(3):
        scaled.step(draw(step), lr=0.1)
        plain.step(draw(step), lr=0.1)
        low.step(draw(step), lr=0.05)
    for name in SHAPES:
        np.testing.assert_array_equal(halved[name].data, slow[name].data if name == "weight" else alike[name].data)


def test_scale_of_a_parameter_that_is_not_there():
    with pytest.raises(InputError, match="lr_scales names wieght, which is no parameter"):
        make(lr_scales={"wieght": 0.5})


def test_settings_unless_others_are_given():
    optimizer = AdamW([])
    assert (optimizer.betas, optimizer.eps, optimizer.weight_decay) == ((0.9, 0.999), 1e-8, 0.05)
