"""Whole steps of the official recipe, all its parts together: schedule, soft targets, MESA, clipping, LAMB, EMA."""

import numpy as np

from mvnp.core import Layer, Tape
from mvnp.layers.batchnorm import BatchNorm
from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from mvnp.layers.linear import Linear
from mvnp.layers.mesa import mesa_backward, mesa_forward
from mvnp.layers.relu import ReLU
from mvnp.training import EMA, LAMB, clipped, cosine_rate, global_norm
from support.recipe_cases import recipe_case, under
from support.tolerance import assert_close, near

SETTINGS, ARRAYS = recipe_case("steps")
TERMS = 15 * 15 * 256  # fifteen steps, each of which goes on from the numbers of all before it


class Network(Layer):
    def __init__(self):
        self.fc1, self.bn, self.relu, self.fc2 = Linear(5, 6, bias=False), BatchNorm(6), ReLU(), Linear(6, 4)
        for key, param in self.named_state():
            param.data = np.array(ARRAYS[f"start.{key}"])

    def forward(self, x, tape=None):
        for layer in (self.fc1, self.bn, self.relu, self.fc2):
            x = layer(x, tape)
        return x

    def backward(self, dy, tape):
        for layer in (self.fc2, self.relu, self.bn, self.fc1):
            dy = layer.backward(dy, tape)
        return dy


def test_fifteen_steps():
    run = SETTINGS["settings"]
    model, steps = Network(), run["steps_an_epoch"]
    options = {"betas": tuple(run["betas"]), "eps": run["eps"], "weight_decay": run["weight_decay"]}
    optimizer = LAMB(model, max_grad_norm=run["inner_max_norm"], **options)
    average = EMA(model, run["ema_decay"], buffers="average all")
    for number, (x, target, want) in enumerate(zip(ARRAYS["x"], ARRAYS["target"], SETTINGS["steps"], strict=True)):
        schedule = {"min_lr": run["min_lr"], "warmup": run["warmup_epochs"] * steps, "warmup_lr": run["warmup_lr"]}
        lr = cosine_rate(number + 1, run["epochs"] * steps, run["lr"], **schedule)
        assert lr == near(want["lr"])
        tape = Tape(training=True)
        logits = model(x, tape)
        loss, cache = cross_entropy_forward(logits, target)
        dlogits = cross_entropy_backward(1.0, cache)
        assert loss == near(want["cross_entropy"], TERMS)
        if want["epoch"] / run["epochs"] > run["mesa_start_ratio"]:
            mesa, mesa_cache = mesa_forward(logits, average.model(x), run["mesa_temperature"], run["mesa_factor"])
            dlogits = dlogits + mesa_backward(run["mesa"], mesa_cache)
            loss = loss + run["mesa"] * mesa
            assert mesa == near(want["mesa"], TERMS)
        assert loss == near(want["loss"], TERMS)
        model.backward(dlogits, tape)
        gradients = model.gradients(tape)
        norm = float(global_norm(gradients))
        assert norm == near(want["gradient_norm"], TERMS)
        optimizer.step(clipped(gradients, norm, run["outer_clip_norm"]), lr)
        tape.commit()
        average.update(model)
        for name, layer in (("model", model), ("ema", average.model)):
            for key, rows in under(name, ARRAYS).items():
                got = layer.state_dict()[key]
                assert_close(got, rows[number], terms=TERMS, message=f"{name}.{key} after step {number + 1}")
