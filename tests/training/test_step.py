"""One step of training, and evaluation: mvnp/training/step.py and evaluate.py."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from mvnp.core import Layer, Tape
from mvnp.errors import InputError
from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from mvnp.layers.mesa import mesa_backward, mesa_forward
from mvnp.training import SGD, AdamW, Teacher, evaluate, train_step
from mvnp.training.distributed import Ranks
from mvnp.training.step import NonFiniteError
from support.tolerance import adamw_noise, assert_close, near
from support.toy_training import CLASSES, SIDE, ToyModel, toy_config, toy_data, toy_loaders


def batch(dtype=np.float64, seed=5):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((6, 1, SIDE, SIDE)).astype(dtype), np.arange(6) % CLASSES


def state(model, optimizer):
    return {**model.state_dict(), **{f"optimizer {key}": array for key, array in optimizer.state_dict().items()}}


def assert_equal(one, other):
    for key in one.keys() | other.keys():
        np.testing.assert_array_equal(one[key], other[key])


def test_is_what_its_parts_are():
    """Forward, loss, backward, clip, update, statistics: written out once more, by hand where it is short."""
    images, labels = batch()
    model, twin = ToyModel(dtype="float64"), ToyModel(dtype="float64")
    optimizer, twins = (AdamW(m.named_parameters(), weight_decay=0.1) for m in (model, twin))
    noise = adamw_noise(lr=0.1, steps=3, gradient=0.05, terms=SIDE**2)  # so large are all together, clipped
    for number in range(3):
        result = train_step(model, optimizer, images, labels, lr=0.1, seed=[1, number], clip_norm=0.05, label_smoothing=0.1)
        tape = Tape(training=True, seed=[1, number])
        loss, cache = cross_entropy_forward(twin(images, tape), labels, 0.1)
        twin.backward(cross_entropy_backward(1.0, cache), tape)
        gradients = twin.gradients(tape)
        norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
        assert norm > 0.05
        twins.step({name: g * (0.05 / (norm + 1e-6)) for name, g in gradients.items()}, 0.1)
        tape.commit()
        assert result.loss == loss
        assert result.grad_norm == near(norm)
    for key, array in model.state_dict().items():
        # The bias in front of the norm is noise, and the running mean takes it up.
        assert_close(array, twin.state_dict()[key], noise=noise, message=key)
    assert not np.array_equal(model.norm.running_mean.data, np.zeros(8))


@pytest.mark.parametrize(("seed", "seeds"), [(3, (3, [3, 1], [3, 2])), ([3, 7], ([3, 7], [3, 7, 1], [3, 7, 2]))])
def test_gradients_of_more_batches_are_their_mean(seed, seeds):
    """Each has draws of its own, and the running statistics go from one to the next; so with a teacher beside the labels."""
    batches = [batch(seed=number) for number in range(3)]
    model, twin = ToyModel(dtype="float64"), ToyModel(dtype="float64")
    before, taught = model.state_dict(), Teacher(ToyModel(3, dtype="float64"), 0.25)
    first, *more = [(images, labels, None) for images, labels in batches]
    result = train_step(model, SGD(model, momentum=0.0), *first[:2], lr=1.0, seed=seed, more=more, teacher=taught)
    losses, apart, sums = [], [], {}
    for own, (images, labels) in zip(seeds, batches, strict=True):
        tape = Tape(training=True, seed=own)
        logits = twin(images, tape)
        (loss, cache), (mesa, mesa_cache) = cross_entropy_forward(logits, labels), mesa_forward(logits, taught.model(images))
        twin.backward(cross_entropy_backward(1 / 3, cache) + mesa_backward(0.25 / 3, mesa_cache), tape)
        tape.commit()
        losses.append(loss + 0.25 * mesa)
        apart.append(mesa)
        sums = {name: sums.get(name, 0) + gradient for name, gradient in twin.gradients(tape).items()}
    assert (result.loss, result.apart) == (near(np.mean(losses)), near(np.mean(apart)))
    for name, array in model.state_dict().items():
        want = before[name] - sums[name] if name in sums else twin.state_dict()[name]
        assert_close(array, want, scale=1.0, message=name)


class Thread(Ranks):
    """One of two ranks that are threads of this process."""

    size = 2

    def __init__(self, rank, values, barrier):
        self.rank, self.values, self.barrier = rank, values, barrier

    def all_gather(self, value):
        self.values[self.rank] = value
        self.barrier.wait()
        found = list(self.values)
        self.barrier.wait()
        return found

    def all_reduce(self, arrays):
        one, other = self.all_gather(arrays)
        return {name: one[name] + other[name] for name in arrays}


def test_two_ranks_do_what_one_does_with_the_whole_batch():
    """Of seven images the first has three; so in each of two batches."""
    rng = np.random.default_rng(7)
    (x, y), (x2, y2) = ((rng.standard_normal((7, 1, SIDE, SIDE)), rng.integers(0, CLASSES, 7)) for _ in range(2))
    whole, *shared = (ToyModel(dtype="float64") for _ in range(3))
    barrier, values = Barrier(2), [None, None]

    def step(rank):
        rows = slice(0, 3) if rank == 0 else slice(3, 7)
        options = {"lr": 0.5, "seed": 3, "total": 7, "more": [(x2[rows], y2[rows], 7)], "ranks": Thread(rank, values, barrier)}
        try:
            return train_step(shared[rank], SGD(shared[rank]), x[rows], y[rows], **options)
        except BaseException:
            barrier.abort()
            raise

    want = train_step(whole, SGD(whole), x, y, lr=0.5, seed=3, more=[(x2, y2, None)])
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(step, range(2)))
    for model, result in zip(shared, results, strict=True):
        assert (result.loss, result.grad_norm) == (near(want.loss), near(want.grad_norm))
        for name, array in model.state_dict().items():
            assert_close(array, whole.state_dict()[name], scale=1.0, message=name)


@pytest.mark.parametrize(("total", "second"), [(None, None), (None, 6), (6, None)])
def test_ranks_need_the_size_of_every_batch(total, second):
    images, labels = batch()
    ranks, model = Ranks(), ToyModel(dtype="float64")
    ranks.size = 2
    with pytest.raises(InputError, match="train_step: 2 ranks share the batch; give total, the number of images"):
        train_step(model, SGD(model), images, labels, lr=0.1, total=total, ranks=ranks, more=[(images, labels, second)])


def test_norms_at_each_depth():
    depths = {"outer": 0, "norm": 1, "inner": 4}
    model, twin, (images, labels) = ToyModel(dtype="float64"), ToyModel(dtype="float64"), batch()
    result = train_step(model, SGD(model), images, labels, lr=0.0, depth_of=lambda key: depths[key.split(".")[0]])
    tape = Tape(training=True, seed=0)
    _, cache = cross_entropy_forward(twin(images, tape), labels)
    twin.backward(cross_entropy_backward(1.0, cache), tape)
    squares = {name: (gradient**2).sum() for name, gradient in twin.gradients(tape).items()}
    want = {d: np.sqrt(squares[f"{layer}.weight"] + squares[f"{layer}.bias"]) for layer, d in depths.items()}
    assert list(result.by_depth) == [0, 1, 4]
    for depth, norm in result.by_depth.items():
        assert norm == near(want[depth])
    assert train_step(model, SGD(model), images, labels, lr=0.0).by_depth is None


def test_learns():
    model, config = ToyModel(), toy_config()
    optimizer = AdamW(model.named_parameters())
    train, test = toy_loaders(config, images=300)
    before = evaluate(model, test)
    for epoch in range(3):
        for index, (images, labels) in enumerate(train.epoch(epoch)):
            train_step(model, optimizer, images, labels, lr=0.01, seed=[epoch, index])
    after = evaluate(model, test)
    assert after.loss < before.loss / 2
    assert after.accuracy > 0.9


def test_seed_decides():
    def losses(seed):
        model = ToyModel()
        optimizer = AdamW(model.named_parameters())
        return [train_step(model, optimizer, *batch(np.float32), lr=0.1, seed=[seed, i]).loss for i in range(3)]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_arguments_are_left_alone():
    images, labels = batch(np.float32)
    kept = images.copy(), labels.copy()
    model = ToyModel()
    train_step(model, AdamW(model.named_parameters()), images, labels, lr=0.1)
    np.testing.assert_array_equal(images, kept[0])
    np.testing.assert_array_equal(labels, kept[1])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_changes_nothing(value):
    images, labels = batch(np.float32)
    model = ToyModel()
    optimizer = AdamW(model.named_parameters())
    train_step(model, optimizer, images, labels, lr=0.1)
    before = state(model, optimizer)
    images[2, 0, 1, 1] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one message, no flood of warnings before it
        with pytest.raises(NonFiniteError, match=r"the (loss|norm of the gradients) is (nan|inf)"):
            train_step(model, optimizer, images, labels, lr=0.1)
    assert_equal(state(model, optimizer), before)


def test_gradient_that_is_not_finite_behind_a_loss_that_is():
    class Exploding(ToyModel):
        def backward(self, dy, tape):
            return super().backward(dy * np.float32(1e38) * np.float32(1e38), tape)

    images, labels = batch(np.float32)
    model = Exploding()
    optimizer = AdamW(model.named_parameters())
    before = state(model, optimizer)
    with pytest.raises(NonFiniteError, match=r"the norm of the gradients is (nan|inf)"):
        train_step(model, optimizer, images, labels, lr=0.1)
    assert_equal(state(model, optimizer), before)


class Failing(ToyModel):
    """Its second batch gives a loss that is not finite, with gradients that are, or gradients, with a loss that is."""

    def __init__(self, what):
        super().__init__()
        self.what, self.batches = what, 0

    def forward(self, x, tape=None):
        self.batches += 1
        far = np.array([3e38, -3e38, 0.0], np.float32) if (self.what, self.batches) == ("loss", 2) else 0
        return super().forward(x, tape) + far

    def backward(self, dy, tape):
        return super().backward(dy * np.float32(np.inf) if (self.what, self.batches) == ("gradients", 2) else dy, tape)


@pytest.mark.parametrize(
    ("what", "message"), [("loss", "the loss is inf"), ("gradients", "the norm of the gradients is nan"), ("nothing", None)]
)
def test_a_step_that_fails_in_its_second_batch_changes_nothing(what, message):
    """Nor the running statistics, which have taken up the first batch by then."""
    images, labels = batch(np.float32)
    labels = np.full_like(labels, 1)
    model = Failing(what)
    optimizer = AdamW(model)
    before = state(model, optimizer)
    step = {"lr": 0.1, "more": [(images[::-1], labels, None)] * 2}
    if message is None:
        train_step(model, optimizer, images, labels, **step)
        assert model.norm.num_batches_tracked.data == 3
        return
    with pytest.raises(NonFiniteError, match=message):
        train_step(model, optimizer, images, labels, **step)
    assert_equal(state(model, optimizer), before)


def test_what_a_model_is_told():
    """No gradient of the images is wanted, and the batch is not cut unless somebody asks for it."""

    class Watched(ToyModel):
        def backward(self, dy, tape):
            told.append((tape.training, tape.inputs, tape.micro_batch))
            return super().backward(dy, tape)

    told, model = [], Watched()
    train_step(model, AdamW(model), *batch(np.float32), lr=0.1)
    train_step(model, AdamW(model), *batch(np.float32), lr=0.1, micro_batch=4)
    assert told == [(True, False, 0), (True, False, 4)]


def test_evaluation_by_hand():
    class Fixed(Layer):
        """Logits that ignore the image: class 1, with odds e² to 1 to 1."""

        def forward(self, x, tape=None):
            assert tape is None
            return np.tile(np.array([0.0, 2.0, 0.0], np.float32), (len(x), 1))

    _, test = toy_loaders(toy_config(batch_size=4))  # 18 images: four full batches and one of two
    seen = []
    found = evaluate(Fixed(), test, seen.append)
    assert found.count == 18
    assert found.accuracy == near(6 / 18, terms=16)
    log_sum = np.log(np.exp(2) + 2)
    assert found.loss == near((12 * log_sum + 6 * (log_sum - 2)) / 18, terms=16, dtype="float32")
    assert seen == [0, 1, 2, 3, 4]


def test_evaluation_leaves_the_model_alone():
    model, (_, test) = ToyModel(), toy_loaders(toy_config())
    before = model.state_dict()
    assert evaluate(model, test) == evaluate(model, test)
    assert_equal(model.state_dict(), before)


def test_evaluation_without_batches():
    class Empty:
        def __len__(self):
            return 0

    with pytest.raises(InputError, match="no batches"):
        evaluate(ToyModel(), Empty())


def test_toy_data_has_its_classes():
    assert len(toy_data(30, "train")) == 30
