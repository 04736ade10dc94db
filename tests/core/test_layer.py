"""Layer, Param and Tape: mvnp/core/layer.py."""

import pickle
import threading

import numpy as np
import pytest

from mvnp import Layer, Param, Tape, gradcheck_layer
from mvnp.core import Buffer, Initializer, TapeError
from mvnp.errors import CheckpointError, InputError, MvnpError
from mvnp.layers.batchnorm import BatchNorm
from mvnp.layers.dropout import Dropout
from mvnp.layers.gelu import GELU
from mvnp.layers.layer_scale import LayerScale
from mvnp.layers.layernorm import LayerNorm
from mvnp.layers.linear import Linear
from mvnp.layers.relu import ReLU
from support.checks import normal
from support.patience import HANGS
from support.randomise import randomised
from support.tolerance import assert_close


class Branch(Layer):
    """x + γ · drop(W₂ gelu(W₁ norm(x))): every kind of child."""

    key_of = {"norm": "norm1", "scale": "gamma"}  # noqa: RUF012

    def __init__(self, channels=4, rate=0.0):
        self.norm = LayerNorm(channels)
        self.steps = [Linear(channels, 2 * channels), GELU(), Linear(2 * channels, channels, bias=False)]
        self.drop = Dropout(rate)
        self.scale = LayerScale(channels, 0.5)
        self.rate = rate  # neither a parameter nor a layer

    def forward(self, x, tape=None):
        y = self.norm(x, tape)
        for step in self.steps:
            y = step(y, tape)
        return x + self.scale(self.drop(y, tape), tape)

    def backward(self, dy, tape):
        d = self.drop.backward(self.scale.backward(dy, tape), tape)
        for step in reversed(self.steps):
            d = step.backward(d, tape)
        return dy + self.norm.backward(d, tape)


class Net(Layer):
    """Branches in a list, a tuple for the rest, a statistic."""

    def __init__(self, channels=4, depth=2, rate=0.0):
        self.branches = [Branch(channels, rate) for _ in range(depth)]
        self.rest = (BatchNorm(channels), Linear(channels, 3))

    def forward(self, x, tape=None):
        for layer in [*self.branches, *self.rest]:
            x = layer(x, tape)
        return x

    def backward(self, dy, tape):
        for layer in reversed([*self.branches, *self.rest]):
            dy = layer.backward(dy, tape)
        return dy


BRANCH = {"norm1.weight": (4,), "norm1.bias": (4,), "steps.0.weight": (8, 4), "steps.0.bias": (8,), "steps.2.weight": (4, 8)}
BRANCH["gamma"] = (4,)
PARAMETERS = {f"branches.{i}.{key}": shape for i in range(2) for key, shape in BRANCH.items()}
PARAMETERS |= {"rest.0.weight": (4,), "rest.0.bias": (4,), "rest.1.weight": (3, 4), "rest.1.bias": (3,)}
BUFFERS = {"rest.0.running_mean": (4,), "rest.0.running_var": (4,), "rest.0.num_batches_tracked": ()}


def net(**options):
    return randomised(Net(**options))


# Names


def test_keys_and_shapes():
    """Attributes give names, lists give positions, `key_of` renames: an empty name stands for the layer itself (gamma)."""
    assert {key: param.shape for key, param in net().named_parameters()} == PARAMETERS
    assert {key: np.shape(array) for key, array in net().state_dict().items()} == PARAMETERS | BUFFERS
    assert {key for key, param in net().named_state() if not param.trainable} == set(BUFFERS)


def test_order_of_the_keys_is_fixed():
    assert list(net().state_dict()) == list(net().state_dict()) == [key for key, _ in net().named_state()]
    assert [key for key in net().state_dict() if key in PARAMETERS] == [key for key, _ in net().named_parameters()]


def test_a_renamed_list():
    class Renamed(Layer):
        key_of = {"parts": "blocks"}  # noqa: RUF012

        def __init__(self):
            self.parts = [Linear(2, 2, bias=False), Linear(2, 2, bias=False)]

    assert list(Renamed().state_dict()) == ["blocks.0.weight", "blocks.1.weight"]


def test_lists_of_lists():
    class Nested(Layer):
        key_of = {"levels": ""}  # noqa: RUF012

        def __init__(self):
            self.levels = [[LayerScale(2, 1.0)], (LayerScale(2, 1.0), [LayerScale(2, 1.0)], "no layer")]

    assert list(Nested().state_dict()) == ["0.0", "1.0", "1.1.0"]


def test_named_layers_and_paths():
    model = net(depth=1)
    paths = [path for path, _ in model.named_layers()]
    branch = ["branches.0", *(f"branches.0.{name}" for name in ("norm1", "steps.0", "steps.1", "steps.2", "drop", "gamma"))]
    assert paths == ["", *branch, "rest.0", "rest.1"]
    assert model.branches[0].norm.label == "LayerNorm"
    model.name_paths()
    assert model.branches[0].norm.label == "LayerNorm (branches.0.norm1)"
    assert [layer.path for _, layer in model.named_layers()] == paths
    assert model.label == "Net"


def test_parameter_count():
    assert net().parameter_count == sum(int(np.prod(shape)) for shape in PARAMETERS.values())


def test_param():
    param = Param(np.arange(6, dtype=np.float32).reshape(2, 3))
    assert (param.shape, param.dtype, param.ndim, param.size) == ((2, 3), np.float32, 2, 6)
    assert repr(param) == "Param((2, 3), float32)"
    assert repr(Buffer(np.zeros(2))) == "Buffer((2,), float64)"
    np.testing.assert_array_equal(np.asarray(param), param.data)
    assert np.asarray(param, dtype="float64").dtype == np.float64
    copied = np.array(param)
    copied += 1
    assert param.data[0, 0] == 0
    assert (Param.trainable, Buffer.trainable) == (True, False)


def test_layer_without_a_forward():
    with pytest.raises(NotImplementedError):
        Layer()(np.zeros(3))
    with pytest.raises(NotImplementedError):
        Layer().backward(np.zeros(3), Tape())


# State dict


def test_state_dict_round_trip():
    source, target = randomised(Net(), seed=1), randomised(Net(), seed=2)
    target.load_state_dict(source.state_dict())
    for key, array in source.state_dict().items():
        np.testing.assert_array_equal(target.state_dict()[key], array)
        assert target.state_dict()[key].dtype == array.dtype
    x = normal((2, 3, 4), seed=1).astype(np.float32)
    np.testing.assert_array_equal(target(x), source(x))


def test_state_dict_is_a_copy():
    model = net()
    state = model.state_dict()
    for array in state.values():
        array += 1
    for key, param in model.named_state():
        assert (np.asarray(param) != state[key]).all()


def test_state_dict_without_a_copy_shares_memory():
    model = net()
    for key, array in model.state_dict(copy=False).items():
        assert array is dict(model.named_state())[key].data


def test_loading_copies():
    """Neither the mapping nor another model moves along when the loaded one is trained."""
    source, target = net(), Net()
    state = source.state_dict(copy=False)
    before = source.state_dict()
    target.load_state_dict(state)
    for _, param in target.named_state():
        param.data += 1
    for key, array in source.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def test_arrays_are_taken_over_where_nothing_speaks_against_it():
    layer = Linear(2, 3)
    fitting, fixed = np.ones((3, 2), np.float32), np.ones(3, np.float32)
    fixed.flags.writeable = False
    layer.load_state_dict({"weight": fitting, "bias": fixed}, copy=False)
    assert np.shares_memory(layer.weight.data, fitting)
    assert layer.bias.data.flags.writeable  # an optimiser will write to it
    for other in (np.ones((3, 2)), np.ones((2, 3), np.float32).T):
        layer.load_state_dict({"weight": other, "bias": fixed}, copy=False)
        assert not np.shares_memory(layer.weight.data, other)
        assert layer.weight.dtype == np.float32
        assert layer.weight.data.flags.c_contiguous


def test_loading_keeps_the_dtype_of_the_layer():
    model, source = Net().astype("float64"), net()
    model.load_state_dict(source.state_dict())
    assert model.rest[1].weight.dtype == np.float64
    assert model.rest[0].num_batches_tracked.dtype == np.int64
    np.testing.assert_array_equal(model.rest[1].weight, source.rest[1].weight)


def test_loading_lists_and_params():
    layer = Linear(2, 2)
    layer.load_state_dict({"weight": [[1, 2], [3, 4]], "bias": Param(np.array([5.0, 6.0]))})
    np.testing.assert_array_equal(layer.weight, np.array([[1, 2], [3, 4]], np.float32))
    np.testing.assert_array_equal(layer.bias, np.array([5, 6], np.float32))


def test_loading_torch_tensors():
    torch = pytest.importorskip("torch")
    source, target = net(), Net()
    target.load_state_dict({key: torch.tensor(array) for key, array in source.state_dict().items()})
    for key, array in source.state_dict().items():
        np.testing.assert_array_equal(target.state_dict()[key], array)
    with pytest.raises(CheckpointError, match=r"misshapen: weight has shape \(5,\)"):
        Linear(2, 3, bias=False).load_state_dict({"weight": torch.zeros(5)})
    with pytest.raises(CheckpointError, match=r"mistyped: bias is a Tensor that makes no array \(.*requires grad"):
        Linear(2, 3).load_state_dict({"weight": np.zeros((3, 2)), "bias": torch.zeros(3, requires_grad=True)})


def test_a_ragged_list_makes_no_array():
    with pytest.raises(CheckpointError, match="mistyped: weight is a list that makes no array"):
        Linear(2, 2, bias=False).load_state_dict({"weight": [[1, 2], [3]]})


def test_a_state_dict_of_another_network_is_called_that():
    state = {"head.weight": net().state_dict()["branches.0.norm1.weight"], "layers.0.mixer.D": np.zeros(3)}
    with pytest.raises(CheckpointError, match=r"It has 0 of the \d+ keys of Net: are the weights of another network\?"):
        net().load_state_dict(state)


def test_load_errors_are_listed_all_at_once_and_nothing_is_loaded():
    model = net()
    before = model.state_dict()
    state = {key: array + 1 for key, array in before.items()}
    del state["rest.1.bias"], state["branches.1.gamma"]
    state["head.weight"] = np.zeros((2, 5))
    state["rest.1.weight"] = np.zeros((7, 4))
    state["rest.0.running_mean"] = np.zeros((4, 1))
    state["branches.0.norm1.bias"] = np.array(["a", "b", "c", "d"])
    state["branches.0.norm1.weight"] = np.zeros(4, complex)
    with pytest.raises(CheckpointError) as caught:
        model.load_state_dict(state)
    first, *problems, last = str(caught.value).splitlines()
    assert first == "this state dict does not fit Net: 7 entries differ"
    assert {problem.strip() for problem in problems} == {
        "missing: rest.1.bias (3,)",
        "missing: branches.1.gamma (4,)",
        "unexpected: head.weight (2, 5)",
        "misshapen: rest.1.weight has shape (7, 4), expected (3, 4)",
        "misshapen: rest.0.running_mean has shape (4, 1), expected (4,)",
        "mistyped: branches.0.norm1.bias has dtype <U1, expected real numbers",
        "mistyped: branches.0.norm1.weight has dtype complex128, expected real numbers",
    }
    assert last.startswith("Were the weights made for another variant or number of classes? strict=False")
    assert last.endswith("strict=False passes over missing and unexpected keys.")
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def test_strict_false_passes_over_keys_but_not_shapes():
    model = net()
    before = model.state_dict()
    model.load_state_dict({"rest.1.bias": np.ones(3), "head.weight": np.zeros((2, 5))}, strict=False)
    np.testing.assert_array_equal(model.rest[1].bias, np.ones(3, np.float32))
    np.testing.assert_array_equal(model.rest[1].weight, before["rest.1.weight"])
    with pytest.raises(CheckpointError, match=r"1 entries differ\n  misshapen: rest.1.bias has shape \(5,\), expected \(3,\)"):
        model.load_state_dict({"rest.1.bias": np.ones(5), "rest.1.weight": np.zeros((3, 4))}, strict=False)
    np.testing.assert_array_equal(model.rest[1].weight, before["rest.1.weight"])


def test_a_shape_that_would_broadcast_is_refused():
    with pytest.raises(CheckpointError, match=r"misshapen: bias has shape \(\), expected \(3,\)"):
        Linear(2, 3).load_state_dict({"weight": np.zeros((3, 2)), "bias": np.float32(1)})


# Other dtypes, other processes


def test_astype():
    model = net()
    twin = model.astype("float64")
    assert type(twin) is Net
    for key, param in twin.named_state():
        kept = dict(model.named_state())[key]
        assert param.dtype == (np.int64 if key.endswith("num_batches_tracked") else np.float64)
        assert kept.dtype == (np.int64 if key.endswith("num_batches_tracked") else np.float32)
        np.testing.assert_array_equal(np.asarray(param), np.asarray(kept))
        param.data += 1
        assert (np.asarray(param) != np.asarray(kept)).all(), "a copy, not a view"
    x = normal((2, 3, 4), seed=1)
    assert model(x.astype(np.float32)).dtype == np.float32
    assert model.astype("float64")(x).dtype == np.float64
    assert_close(model(x.astype(np.float32)), model.astype("float64")(x))


def test_astype_to_the_same_dtype_is_a_copy():
    model = net()
    model.astype("float32").rest[1].bias.data += 1
    np.testing.assert_array_equal(model.rest[1].bias, net().rest[1].bias)


@pytest.mark.parametrize("dtype", ["float16", "int32", "flaot64"])
def test_astype_to_what_is_not_known(dtype):
    with pytest.raises(InputError, match=f"astype: dtype is '{dtype}', expected one of float32, float64"):
        net().astype(dtype)


def test_a_layer_can_be_pickled():
    """So that it can be sent to another process."""
    model, x = net(), normal((2, 3, 4), seed=1).astype(np.float32)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model))(x), model(x))


# Tape


def test_gradients_of_a_network():
    gradcheck_layer(net(rate=0.3), normal((3, 2, 4), seed=1), jacobian=False).raise_for_error()


def test_gradients_have_every_key_and_shape():
    model, tape = net(), Tape()
    y = model(normal((2, 3, 4), seed=1).astype(np.float32), tape)
    with pytest.raises(TapeError, match=r": this tape holds no gradient of its parameters; run forward and backward with"):
        model.gradients(tape)
    model.backward(np.ones_like(y), tape)
    assert {key: gradient.shape for key, gradient in model.gradients(tape).items()} == PARAMETERS
    assert tape.entries == [], "all that was recorded is used up"


def test_gradients_of_a_part_only():
    model, tape = net(), Tape()
    last = model.rest[1]
    last.backward(np.ones_like(last(np.ones((2, 4), np.float32), tape)), tape)
    assert set(model.gradients(tape)) == {"rest.1.weight", "rest.1.bias"}
    assert tape.gradient(model.rest[0].weight) is None


def test_a_tape_knows_nothing_of_another():
    layer, first, second = Linear(2, 3), Tape(), Tape()
    layer.backward(layer(np.ones((1, 2), np.float32), first), first)
    with pytest.raises(TapeError, match="Linear: this tape holds no gradient of its parameters"):
        layer.gradients(second)
    assert ReLU().gradients(second) == {}, "there is none to be missed"


@pytest.mark.parametrize("tape", [None, "training", True])
def test_what_is_no_tape_says_so(tape):
    layer, x = Linear(2, 3), np.ones((1, 2), np.float32)
    with pytest.raises(InputError, match=f"^Linear: gradients are on the mvnp.Tape of a backward, and this is {tape!r}"):
        layer.gradients(tape)
    with pytest.raises(InputError, match=f"^Linear: its backward takes the mvnp.Tape of its forward, and got {tape!r}"):
        layer.backward(np.ones((1, 3), np.float32), tape)
    if tape is not None:
        with pytest.raises(InputError, match=f"^Linear: tape is {tape!r}, expected an mvnp.Tape to record on, or None"):
            layer(x, tape)


def test_a_layer_without_values_says_so():
    hollow = Linear(2, 3, init=Initializer(allocate=False))
    message = "Linear: it has no weights yet to convert: it was made with allocate=False, and 2 of its arrays, such as weight"
    with pytest.raises(InputError, match=message):
        hollow.astype("float64")
    assert {key: array.shape for key, array in hollow.state_dict().items()} == {"weight": (3, 2), "bias": (3,)}
    hollow.load_state_dict({"weight": np.ones((3, 2)), "bias": np.ones(3)})
    assert hollow.astype("float64").weight.dtype == np.float64


class Twice(Layer):
    """W (W x): one layer, two uses."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x, tape=None):
        return self.inner(self.inner(x, tape), tape)

    def backward(self, dy, tape):
        return self.inner.backward(self.inner.backward(dy, tape), tape)


def test_gradients_accumulate_when_a_layer_is_used_twice():
    # y = w (w x + b) + b: dw = 2 w x + b, db = w + 1, dx = w². With w = 3, b = 5, x = 2: 17, 4, 9.
    layer = Linear(1, 1).astype("float64")
    layer.load_state_dict({"weight": [[3.0]], "bias": [5.0]})
    model, tape = Twice(layer), Tape()
    np.testing.assert_array_equal(model(np.array([[2.0]]), tape), [[38.0]])
    np.testing.assert_array_equal(model.backward(np.array([[1.0]]), tape), [[9.0]])
    np.testing.assert_array_equal(tape.gradient(layer.weight), [[17.0]])
    np.testing.assert_array_equal(tape.gradient(layer.bias), [4.0])
    gradcheck_layer(Twice(randomised(Linear(3, 3))), normal((2, 3), seed=1)).raise_for_error()


def test_adding_up_changes_no_array_that_was_given():
    param, first, tape = Param(np.zeros(2)), np.ones(2), Tape()
    tape.accumulate(param, first)
    tape.accumulate(param, np.full(2, 10.0))
    np.testing.assert_array_equal(tape.gradient(param), [11.0, 11.0])
    np.testing.assert_array_equal(first, [1.0, 1.0])


def test_a_layer_hands_over_what_its_backward_function_gave():
    layer, tape = Linear(3, 2), Tape()
    dx, dweight, dbias = normal((4, 3), seed=0), normal((2, 3), seed=1), normal((2,), seed=2)
    assert layer.accumulate(tape, (dx, dweight, dbias), layer.weight, layer.bias) is dx
    np.testing.assert_array_equal(tape.gradient(layer.weight), dweight)
    np.testing.assert_array_equal(tape.gradient(layer.bias), dbias)


def test_an_absent_parameter_has_no_gradient():
    layer, tape = Linear(3, 2, bias=False), Tape()
    assert layer.accumulate(tape, (None, np.ones((2, 3)), None), layer.weight, layer.bias) is None
    assert list(layer.gradients(tape)) == ["weight"]
    with pytest.raises(ValueError, match="zip"):  # a parameter was forgotten
        layer.accumulate(tape, (None, np.ones((2, 3)), None), layer.weight)


def test_gradient_of_the_wrong_shape():
    with pytest.raises(TapeError, match=r"a gradient of shape \(3,\) for a parameter of shape \(2, 3\)"):
        Tape().accumulate(Param(np.zeros((2, 3))), np.zeros(3))
    with pytest.raises(TapeError, match=r"no gradient for a parameter of shape \(2,\)"):
        Tape().accumulate(Param(np.zeros(2)), None)


def test_wrong_order_names_both_layers():
    model, tape = net(), Tape()
    model.name_paths()
    x = np.ones((2, 4), np.float32)
    first, second = model.branches[0].norm, model.rest[1]
    first(x, tape), second(x, tape)
    with pytest.raises(TapeError) as caught:
        first.backward(x, tape)
    assert str(caught.value) == (
        "backward of LayerNorm (branches.0.norm1), but the tape's last record is of Linear (rest.1):"
        " backwards run in the reverse order of the forwards"
    )
    assert isinstance(caught.value, MvnpError)


def test_two_layers_of_the_same_class_are_told_apart():
    a, b, tape = Linear(2, 2), Linear(2, 2), Tape()
    x = np.ones((1, 2), np.float32)
    a(x, tape), b(x, tape)
    with pytest.raises(TapeError, match="the reverse order"):
        a.backward(x, tape)


def test_empty_tape():
    layer, tape = Linear(2, 2), Tape()
    x = np.ones((1, 2), np.float32)
    message = "^backward of Linear, but the tape is empty: run forward with this tape first, once for each backward$"
    with pytest.raises(TapeError, match=message):
        layer.backward(x, tape)
    layer(x, tape)
    layer.backward(x, tape)
    with pytest.raises(TapeError, match=message):
        layer.backward(x, tape)


def test_defer_pending_and_commit():
    buffer, other, tape = Buffer(np.array(1.0)), Buffer(np.array(10.0)), Tape()
    tape.defer(buffer, tape.pending(buffer) + 1)
    tape.defer(other, np.array(20.0))
    tape.defer(buffer, tape.pending(buffer) * 5)  # builds on the value that waits, not on the old one
    assert (buffer.data, tape.pending(buffer)) == (1.0, 10.0)
    assert (other.data, tape.pending(other)) == (10.0, 20.0)
    tape.commit()
    assert (buffer.data, other.data) == (10.0, 20.0)
    buffer.data = np.array(3.0)
    tape.commit()
    assert buffer.data == 3.0, "a second commit has nothing left to apply"
    assert tape.pending(buffer) == 3.0


def test_forward_alone_changes_no_layer():
    model, tape = net(rate=0.5), Tape()
    before = model.state_dict()
    y = model(normal((2, 3, 4), seed=1).astype(np.float32), tape)
    model.backward(y, tape)
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])
    tape.commit()
    changed = {key for key, array in model.state_dict().items() if (array != before[key]).any()}
    assert changed == set(BUFFERS)


def state_of(layer):
    """Everything that hangs on the layers below, as bytes and names."""
    return [(path, sorted(vars(part))) for path, part in layer.named_layers()], pickle.dumps(layer.state_dict())


def test_evaluation_keeps_nothing():
    model, x = net(rate=0.5), normal((2, 3, 4), seed=1).astype(np.float32)
    before, given = state_of(model), x.copy()
    first = model(x)
    np.testing.assert_array_equal(model(x), first)
    assert state_of(model) == before
    np.testing.assert_array_equal(x, given)


def test_evaluation_on_a_tape_is_the_same_and_can_be_differentiated():
    model, x, tape = net(rate=0.5), normal((2, 3, 4), seed=1).astype(np.float32), Tape(training=False)
    before = state_of(model)
    np.testing.assert_array_equal(model(x, tape), model(x))
    assert [type(layer).__name__ for layer, _ in tape.entries][:3] == ["LayerNorm", "Linear", "GELU"]
    assert model.backward(np.ones((2, 3, 3), np.float32), tape).shape == x.shape
    tape.commit()
    assert state_of(model) == before


def test_seed_of_a_tape():
    assert Tape().training is True
    assert Tape().rng.random() == Tape(seed=0).rng.random() != Tape(seed=1).rng.random()
    assert Tape(seed=[1, 2]).rng.random() == Tape(seed=[1, 2]).rng.random() != Tape(seed=[2, 1]).rng.random()


def test_two_threads_share_a_model():
    """Forward of both, then backward of both: whatever a layer kept in itself would be the other thread's by then."""
    model = net(rate=0.3).astype("float64")
    inputs = [normal((5, 4), seed=seed) for seed in (1, 2)]
    cotangents = [normal((5, 3), seed=seed) for seed in (3, 4)]

    def run(number, meet):
        tape = Tape(seed=number)
        meet()
        y = model(inputs[number], tape)
        meet()
        dx = model.backward(cotangents[number], tape)
        meet()
        return {"y": y, "dx": dx, **model.gradients(tape)}

    barrier, results, failures = threading.Barrier(2, timeout=HANGS), {}, []

    def work(number):
        try:
            for _ in range(5):
                results[number] = run(number, barrier.wait)
        except Exception as error:
            barrier.abort()
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for number in (0, 1):
        alone = run(number, lambda: None)
        assert alone.keys() == results[number].keys()
        for name, value in alone.items():
            np.testing.assert_array_equal(results[number][name], value, err_msg=name)
