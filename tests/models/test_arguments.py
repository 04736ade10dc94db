"""The checks of a model's arguments: mvnp/models/arguments.py."""

import math

import pytest

from mvnp import MambaVision, Vim, VMamba
from mvnp.errors import InputError
from mvnp.models.arguments import check_arguments, check_count, check_integer
from support.tiny import TINY


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depths": (1, 1, 2)}, r"depths is \[1, 1, 2\], expected four integers of at least 1, one for each level"),
        ({"depths": (1, 1, 2, 0)}, r"depths is \[1, 1, 2, 0\], expected four integers of at least 1"),
        ({"depths": (1, 1, 1.5, 2)}, r"depths is \[1, 1, 1\.5, 2\], expected four integers"),
        ({"depths": ("1", 1, 2, 2)}, r"depths is \['1', 1, 2, 2\], expected four integers"),
        ({"depths": 4}, r"depths is 4, expected four integers"),
        ({"depths": (0, 0, 0, 0)}, r"depths is \[0, 0, 0, 0\], expected four integers of at least 1"),
        ({"window_size": (8, 8, 14)}, r"window_size is \[8, 8, 14\], expected four integers"),
        ({"window_size": 7}, r"window_size is 7, expected four integers"),
        ({"num_heads": (1, 1, 2)}, r"num_heads is \[1, 1, 2\], expected four integers"),
        ({"num_heads": (1, 1, 3, 2)}, r"num_heads\[2\] = 3 does not divide the width of level 2, 4·dim = 16; choose a divisor"),
        ({"num_heads": (1, 1, 2, 5)}, r"num_heads\[3\] = 5 does not divide the width of level 3, 8·dim = 32"),
        (
            {"window_size": (8, 8, 10**9, 7)},
            r"window_size is .*, expected four integers .*, at most 4096",
        ),
        ({"depths": (1, 1, 2, 10**400)}, r"depths is \[1, 1, 2, 1000.* \(\d+ characters\), expected four .*, at most 1048576"),
        ({"dim": 10**5000}, r"dim is an integer of 16610 bits, expected at most 1048576"),
        (
            {"dim": 10**5},
            r"dim 100000, depths \[1, 1, 2, 2\] and .* make about \d.*e\+\d+ parameters, expected",
        ),
        ({"num_classes": 10**12}, r"num_classes is 1000000000000, expected at most 16777216"),
        ({"mlp_ratio": 1e308}, r"mlp_ratio is 1e\+308, expected at most 1048576"),
        ({"mlp_ratio": 10**400}, r"mlp_ratio is 1000.*, expected a number"),
        ({"dim": 0}, r"dim is 0, expected an integer of at least 1"),
        ({"dim": 4.0}, r"dim is 4\.0, expected an integer of at least 1"),
        ({"in_chans": 0}, r"in_chans is 0, expected an integer of at least 1"),
        ({"num_classes": -1}, r"num_classes is -1, expected an integer of at least 0"),
        ({"num_classes": None}, r"num_classes is None, expected an integer of at least 0"),
        ({"d_conv": 0}, r"d_conv is 0, expected an integer of at least 1"),
        ({"pattern_seed": -1}, r"pattern_seed is -1, expected an integer of at least 0"),
        ({"pattern": ("MM", "S")}, r"pattern is \['MM', 'S'\], expected one of last_half, "),
        ({"seed": -1}, r"seed is -1, expected an integer of at least 0"),
        ({"mlp_ratio": 0}, r"mlp_ratio is 0, expected a positive number"),
        ({"mlp_ratio": "4"}, r"mlp_ratio is '4', expected a number"),
        ({"dim": 1, "mlp_ratio": 0.2, "num_heads": (1, 1, 1, 1)}, r"mlp_ratio is 0\.2, expected a positive number"),
        ({"mlp_ratio": math.nan}, r"mlp_ratio is nan, expected a number"),
        ({"drop_path_rate": 1.0}, r"drop_path_rate is 1\.0, expected a probability in \[0, 1\)"),
        ({"drop_path_rate": None}, r"drop_path_rate is None, expected a number"),
        ({"drop_rate": -0.1}, r"drop_rate is -0\.1, expected a probability in \[0, 1\)"),
        ({"attn_drop_rate": "a"}, r"attn_drop_rate is 'a', expected a number"),
        ({"layer_scale": "x"}, r"layer_scale is 'x', expected a number, or None for no layer scale"),
        ({"dtype": "float16"}, r"dtype is 'float16', expected one of float32, float64"),
        ({"dtype": "floaty"}, r"dtype is 'floaty', expected one of float32, float64"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(InputError, match="^MambaVision: " + message):
        MambaVision(**{**TINY, **options})


def test_unknown_names():
    with pytest.raises(InputError, match=r"^unknown mixer 'mambo' \(did you mean 'mamba'\?\)"):
        MambaVision(**{**TINY, "mixer": "mambo"})
    with pytest.raises(InputError, match=r"^unknown pattern 'last_haf' \(did you mean 'last_half'\?\)"):
        MambaVision(**{**TINY, "pattern": "last_haf"})


def test_an_mlp_is_as_wide_as_one_number_at_least():
    """4·dim·mlp_ratio, rounded down, is the narrowest hidden width."""
    assert MambaVision(**{**TINY, "mlp_ratio": 1 / (4 * TINY["dim"])}).levels[2].blocks[0].mlp.fc1.weight.shape[0] == 1


def test_the_least_of_each_will_do():
    least = {"dim": 1, "in_dim": 1, "in_chans": 1, "num_classes": 0, "d_state": 1, "d_conv": 1, "pattern_seed": 0, "seed": 0}
    model = MambaVision(**{**TINY, **least, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)})
    assert {name: model.config[name] for name in least} == least


@pytest.mark.parametrize("options", [{"depths": (1, 1, True, 2)}, {"mlp_ratio": True}])
def test_true_is_no_number(options):
    with pytest.raises(InputError, match=r"True.*, expected"):
        MambaVision(**{**TINY, **options})


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("in_chans", 2**20),
        ("d_state", 2**20),
        ("d_conv", 2**20),
        ("mlp_ratio", 2**20),
        ("num_classes", 2**24),
        ("seed", 2**64 - 1),
        ("pattern_seed", 2**64 - 1),
    ],
)
def test_the_most_of_each(name, most):
    config = MambaVision(**TINY, allocate=False).config
    check_arguments({**config, name: most})
    with pytest.raises(InputError, match=f"MambaVision: {name} is {most + 1}, expected at most {most}"):
        check_arguments({**config, name: most + 1})


@pytest.mark.parametrize(
    ("name", "values", "most"),
    [("window_size", [8, 8, 4096, 2], 4096), ("num_heads", [2**20, 1, 2, 2], 2**20)],
)
def test_the_most_of_each_level(name, values, most):
    config = MambaVision(**TINY, allocate=False).config
    check_arguments({**config, name: values})
    with pytest.raises(InputError, match=f"expected four integers of at least 1, one for each level, at most {most}"):
        check_arguments({**config, name: [value + (value == most) for value in values]})
    with pytest.raises(InputError, match=r"one for each level$"):
        check_arguments({**config, name: [0, *values[1:]]})


def test_a_pattern_is_looked_at_with_the_others():
    config = MambaVision(**TINY, allocate=False).config
    with pytest.raises(InputError, match="MambaVision: pattern is"):
        check_arguments({**config, "pattern": ["MM", "MSS"]})


def test_the_most_of_an_integer_unless_another_is_given():
    check_integer("Owner", "size", 2**31 - 1, least=0)
    with pytest.raises(InputError, match="Owner: size is 2147483648, expected at most 2147483647"):
        check_integer("Owner", "size", 2**31, least=0)


def test_the_most_blocks_and_parameters():
    check_count("Owner", "dim 8", 10**4, 10**11)
    with pytest.raises(InputError, match="Owner: dim 8: 10,001 blocks, expected at most 10,000"):
        check_count("Owner", "dim 8", 10**4 + 1, 1)
    message = r"Owner: dim 8 and what else was given make about 1e\+11 parameters, expected at most 1e\+11"
    with pytest.raises(InputError, match=message):
        check_count("Owner", "dim 8", 1, 10**11 + 1)


VIM = {"img_size": 16, "patch_size": 4, "embed_dim": 64, "depth": 2, "num_classes": 3}
VMAMBA = {"dims": 64, "depths": (1, 1), "num_classes": 3}


@pytest.mark.parametrize(
    ("kind", "arguments", "most"),
    [
        (MambaVision, {**TINY, "num_classes": 10**6}, 1.05),
        (MambaVision, {**TINY, "in_chans": 3000, "in_dim": 1000}, 1.05),
        (MambaVision, {**TINY, "dim": 64, "in_dim": 10**5}, 1.05),
        (MambaVision, {**TINY, "dim": 64, "depths": (99, 1, 1, 1)}, 1.05),
        (MambaVision, {**TINY, "dim": 64}, 1.05),
        (MambaVision, {**TINY, "dim": 64, "depths": (1, 1, 40, 20)}, 1.05),
        (MambaVision, {**TINY, "dim": 64, "mlp_ratio": 1000}, 1.05),
        (MambaVision, {**TINY, "d_state": 10**5}, 1.6),  # not all blocks have a mixer
        (Vim, {**VIM, "num_classes": 10**6}, 1.05),
        (Vim, {**VIM, "patch_size": 16, "in_chans": 10**4}, 1.05),
        (Vim, {**VIM, "img_size": (5, 50_000), "patch_size": 1, "stride": 2}, 1.05),
        (Vim, {**VIM, "embed_dim": 512, "depth": 4, "d_state": 1}, 1.05),
        (Vim, {**VIM, "d_state": 10**4}, 1.05),
        (VMamba, {**VMAMBA, "depths": (1, 1, 1), "num_classes": 10**6}, 1.05),
        (VMamba, {**VMAMBA, "dims": 256, "depths": (50,), "mlp_ratio": 0, "ssm_ratio": 8.0, "forward_type": "v05"}, 1.2),
        (VMamba, {**VMAMBA, "mlp_ratio": 500.0}, 1.05),
    ],
)
def test_parameters_are_estimated(kind, arguments, most, monkeypatch):
    """Before anything is made. What there is most of differs from row to row."""
    seen = []
    module = {MambaVision: "arguments", Vim: "vim", VMamba: "vmamba"}[kind]
    monkeypatch.setattr(f"mvnp.models.{module}.check_count", lambda *given: seen.append(given))
    model = kind(**arguments, allocate=False)
    ((owner, _, blocks, estimate),) = seen
    assert (owner, blocks) == (kind.__name__, sum(arguments["depths"]) if "depths" in arguments else arguments["depth"])
    assert 1 / 1.05 < estimate / model.parameter_count < most
