"""The command line: mvnp/cli."""

import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

import mvnp
from mvnp import backend
from mvnp.checkpoint import read_pretrained
from mvnp.cli import main
from mvnp.cli.entry import COMMANDS
from mvnp.cli.models import TOP_1
from mvnp.data import write_idx
from mvnp.models.variants import VARIANTS
from mvnp.training import TrainingConfig, read_checkpoint
from mvnp.training.presets import PRESETS, find_preset
from support.command_line import assert_refused, runner
from support.patience import HANGS

DEFAULTS = PRESETS["demo"].config()
NEEDED = {  # arguments that a command cannot do without
    "report": "run",
    "augment": "photos --out seen",
    "classify": "x.jpg --weights w.npz",
    "features": "x.jpg --weights w.npz --out f.npz",
    "validate": "photos --weights w.npz",
    "visualize": "x.jpg --weights w.npz --out page",
    "convert": "a.npz b.npz",
    "export": "--weights w.npz",
}
TINY = shlex.split("--dim 2 --in-dim 2 --heads 1 1 2 2 --windows 2 2 2 2 --image-size 16 --batch-size 8 --epochs 2")


@pytest.fixture
def call(capsys):
    return runner(capsys)


@pytest.fixture
def data(tmp_path):
    """A folder of IDX files: 40 images to train on and 16 to test, 8x8, two classes that are easily told apart."""
    folder = tmp_path / "data"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 16)):
        labels = np.arange(count, dtype=np.uint8) % 2
        images = generator.integers(0, 80, (count, 8, 8)) + 150 * labels[:, None, None]
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images.astype(np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return folder


def process(*arguments, **options):
    """A command line in a process of its own."""
    command = [sys.executable, "-m", "mvnp", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=HANGS, **options)


# Help


def test_help_names_every_command(call):
    status, out, err = call("--help")
    assert (status, err) == (0, "")
    assert call() == (status, out, err)
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.SUMMARY)}$", out, re.MULTILINE)
    package = Path(mvnp.__file__).parent
    texts = (file.read_text(encoding="utf-8") for file in package.rglob("*.py"))
    read = {name for text in texts for name in re.findall(r'"(MVNP_[A-Z]+)"', text)}
    assert {"MVNP_BACKEND", "MVNP_KERNELS", "MVNP_CONVOLUTION", "MVNP_THREADS"} <= read
    for name in (*read, "HF_HUB_OFFLINE", "NUMBA_CACHE_DIR", "VISUAL", "EDITOR"):
        assert name in out, f"mvnp --help does not name {name}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classify", "x.png", "--wieghts", "w"], "unexpected argument '--wieghts' (did you mean '--weights'?)"),
        (["visualize", "--ot", "x"], "unexpected argument '--ot' (did you mean '--out'?)"),
        (["features", "--bacth=3"], "unexpected argument '--bacth=3' (did you mean '--batch'?)"),
        (["train", "--epochs", "9" * 5000], "(5002 characters) is too large, expected at most 1000000000000"),
        (["train", "--dim", "1e5"], "'1e5' is not a whole number of at least 1"),
        (["train", "--mlp-ratio", "1e308"], "mlp_ratio is 1e+308, expected at most 1048576"),
        (["train", "--dim", "2000000"], "dim is 2000000, expected at most 1048576"),
        (
            ["train", "--windows", "8", "8", "99999999", "7"],
            "four integers of at least 1, one for each level, at most 4096",
        ),
        (["train", "--depths", "1", "1", "1", "1000000"], "1,000,003 blocks, expected at most 10,000"),
        (["train", "--dim", "100000"], "parameters, expected at most 1e+11"),
    ],
)
def test_typos_come_first_and_large_numbers_are_refused_at_once(arguments, message, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(call(*arguments), message)


def test_the_terminal_is_safe_from_names(call):
    result = call("classify", "\x1b[2Jgone\r\u202e.png", "--weights", "gone.safetensors")
    assert_refused(result, r"\x1b[2Jgone\r\u202e.png: there is no such file")


@pytest.mark.parametrize("value", ["²", "0", "-1", "1.5", "9" * 50, "two"])
def test_threads_that_cannot_be(value, call, monkeypatch):
    from mvnp.execution import parallel

    monkeypatch.setattr(parallel, "_chosen", None)
    monkeypatch.setenv("MVNP_THREADS", value)
    parallel._default_threads.cache_clear()
    assert_refused(call("info"), f"MVNP_THREADS is {value!r}, expected an integer from 1 to 1024")
    parallel._default_threads.cache_clear()


def test_a_switch_of_gpus_is_looked_at_without_one(monkeypatch, call):
    monkeypatch.setenv("MVNP_TF32", "yes")
    assert_refused(call("models", "demo"), "unknown value of MVNP_TF32 'yes'; choose one of off, on")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command(name, call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    status, out, err = call(name, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: mvnp {name}")
    assert re.search(rf"examples?:\n(  .*\n)*  .*mvnp {name}", out)
    assert max(len(line) for line in out.splitlines()) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_understood(name, monkeypatch):
    # Every line of the examples goes through the parser; `run` is told what came of it.
    command, seen = COMMANDS[name], []
    monkeypatch.setattr(command, "run", lambda arguments: seen.append(arguments) or 0)
    lines = re.findall(rf"^  (?:\w+=\w+ )?mvnp ({name}\b.*?)(?:  .*)?$", command.EXAMPLES, re.MULTILINE)
    assert lines
    assert [main(line.split()) for line in lines] == [0] * len(lines)
    assert len(seen) == len(lines)


def test_version(call):
    assert call("--version") == (0, f"mvnp {mvnp.__version__}\n", "")


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from mvnp.cli import main; main(['--help']);"
        "heavy = {'matplotlib', 'PIL', 'scipy', 'tqdm', 'huggingface_hub', 'cupy'} & set(sys.modules); sys.exit(bool(heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=HANGS).returncode == 0


# models, info, check, demo


def test_models(call):
    status, out, err = call("models")
    assert (status, err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in out.split("\n\n")[0].splitlines()[1:]}
    assert list(rows) == [*mvnp.list_models(), *PRESETS]
    assert rows["mamba_vision_T"] == ["31,794,248", "4.57", "224x224", "82.3"]
    assert rows["mamba_vision_L3_512_21k"] == ["739,570,472", "511.53", "512x512", "88.1"]
    for name, preset in PRESETS.items():
        model = preset.make(channels=1, classes=10)
        assert rows[name][0] == f"{model.parameter_count:,}"


def test_models_that_fit_a_pattern(call):
    status, out, err = call("models", "mamba_vision_t*", "demo", "--json", "--num-classes", 7, "--channels", 2)
    assert (status, err) == (0, "")
    found = [json.loads(line) for line in out.splitlines()]
    assert [each["model"] for each in found] == ["mamba_vision_T", "mamba_vision_T2", "demo"]
    for each in found:
        model = mvnp.create_model(each["model"], num_classes=7, in_chans=2, allocate=False)
        assert (each["parameters"], each["input"][0], each["num_classes"]) == (model.parameter_count, 2, 7)
    assert [each["top1"] for each in found] == [82.3, 82.7, None]
    assert_refused(call("models", "vit*"), "unknown model 'vit*'; choose one of mamba_vision_T, ")


def test_every_variant_has_its_accuracy():
    assert list(TOP_1) == list(VARIANTS)


def test_info(call, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    status, out, err = call("info")
    assert (status, err) == (0, "")
    rows = {line.split(maxsplit=1)[0]: line.split(maxsplit=1)[1] for line in out.splitlines()}
    assert rows["mvnp"].startswith(f"{mvnp.__version__}, {os.path.dirname(mvnp.__file__)}")
    assert rows["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert rows["numpy"].startswith(f"{np.__version__}, BLAS: ")
    assert rows["backend"] == "numpy (MVNP_BACKEND is not set)"
    assert "OMP_NUM_THREADS=3" in rows["cpus"]
    assert os.path.isfile(os.path.join(rows["fashion-mnist-small"], "train-images-idx3-ubyte.gz"))
    assert re.search(
        r" \S+, kernel \S+, threads \d+$", next(line for line in out.splitlines() if line.startswith("matrix library"))
    )
    assert "OMP_NUM_THREADS=3" in rows["switches"]
    assert {"scipy", "matplotlib", "pillow", "tqdm", "cupy", "system", "fashion-mnist"} <= set(rows)


def test_info_about_a_gpu(call, monkeypatch):
    cupy = types.ModuleType("cupy")
    runtime = types.SimpleNamespace(
        getDeviceProperties=lambda index: {"name": f"GPU number {index}".encode(), "totalGlobalMem": 24 << 30},
        getDeviceCount=lambda: 2,
    )
    cupy.cuda = types.SimpleNamespace(runtime=runtime, Device=lambda: types.SimpleNamespace(id=1))
    monkeypatch.setattr(backend, "_chosen", cupy)
    status, out, _ = call("info")
    assert status == 0
    assert re.search(r"^backend +cupy .*\ngpu +GPU number 1, 24 GiB, 2 in all$", out, re.MULTILINE)


def test_check_prints_a_line_a_layer(call):
    status, out, err = call("check", "linear", "softmax")
    assert (status, err) == (0, "")
    header, linear, softmax, _, last = out.splitlines()
    assert header.split() == ["layer", "worst", "of", "error", "ok"]
    assert re.fullmatch(r"linear +2 cases, 5 tensors +\d\.\de-1\d  yes", linear)
    assert re.fullmatch(r"softmax +1 case, 1 tensor +\d\.\de-1\d  yes", softmax)
    assert last.startswith("3 cases of 2 layers and parts, 6 tensors: all right; largest error ")


def test_check_of_each_tensor(call):
    status, out, err = call("check", "linear", "softmax", "--verbose")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["layer", "tensor", "error", "ok"]
    assert [line.split()[0] for line in lines[1:-2]] == ["linear"] * 3 + ["linear,"] * 2 + ["softmax"]
    assert all(re.search(r" \d\.\de-1\d  yes$", line) for line in lines[1:-2])
    assert lines[-1].startswith("3 cases of 2 layers and parts, 6 tensors: all right; largest error ")


def test_check_shows_the_worst_of_many_tensors_or_all(call):
    short, long = call("check", "block", "--verbose")[1], call("check", "block", "--all")[1]
    assert sum("(of 18)" in line for line in short.splitlines() if line.startswith("block, mixer")) == 1
    assert sum(line.startswith("block, mixer") for line in long.splitlines()) == 18


def test_check_that_finds_a_wrong_gradient(call, monkeypatch):
    from mvnp.check import layer_checks
    from mvnp.layers.silu import silu_backward, silu_forward

    def wrong(dy, cache):
        return silu_backward(dy, cache) + 0.01

    inputs = {"x": np.array([0.5, -1.0])}
    monkeypatch.setattr(layer_checks, "LAYER_CASES", [layer_checks._pair("silu", "", silu_forward, wrong, inputs)])
    status, out, err = call("check", "silu")
    assert (status, err) == (1, "")
    assert re.search(
        r"^silu +1 case, 1 tensor +\S+  WRONG\n    silu, x: ∂y\[\d\]/∂x\[\d\]: backward \S+, diff", out, re.MULTILINE
    )
    status, out, err = call("check", "silu", "--verbose")
    assert (status, err) == (1, "")
    assert re.search(r"^silu +x +\S+  WRONG\n    ∂y\[\d\]/∂x\[\d\]: backward \S+, differences \S+$", out, re.MULTILINE)
    assert "1 tensors: 1 WRONG" in out


def test_demo_is_told_everything(call, tmp_path, monkeypatch):
    seen = {}

    def run_demo(out, *, quick=False, seed=0, quiet=False):
        seen.update(out=out, quick=quick, seed=seed, quiet=quiet)
        return out / "index.html"

    monkeypatch.setattr(importlib.import_module("mvnp.visualize.pages.demo"), "run_demo", run_demo)
    status, out, err = call("demo", "--out", tmp_path, "--quick", "--seed", 3, "--quiet")
    assert (status, out, err) == (0, f"open {tmp_path / 'index.html'} in a browser\n", "")
    assert seen == {"out": tmp_path, "quick": True, "seed": 3, "quiet": True}


def test_demo(call, tmp_path):
    status, out, _ = call("demo", "--out", tmp_path / "demo", "--quick", "--quiet")
    assert status == 0
    assert out == f"open {tmp_path / 'demo' / 'index.html'} in a browser\n"
    assert (tmp_path / "demo" / "index.html").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


# train


def test_train_and_resume(call, data, tmp_path):
    out_folder = tmp_path / "run"
    status, out, err = call("train", "--data", data, "--out", out_folder, "--quiet", *TINY)
    assert (status, err) == (0, "")
    assert re.fullmatch(
        r"test accuracy \d+\.\d\d%( \(mean of classes \d+\.\d\d%\))? after epoch 2, trained in \d+ s\n"
        rf"the best was \d+\.\d\d% after epoch [12]: {re.escape(str(out_folder))}/best\.safetensors\n"
        r"the test images have chosen the best epoch, so its figure is a little too good for new ones\n",
        out,
    )
    files = ["best.safetensors", "checkpoint.safetensors", "config.toml", "log.jsonl"]
    assert sorted(path.name for path in out_folder.iterdir()) == files
    # The same command with --resume, and --resume alone, both find that nothing is left to do.
    for model in ([], ["--model", "demo"]):
        again = call("train", "--data", data, "--out", out_folder, "--quiet", "--resume", *TINY, *model)
        assert again == (0, out, "")
    status, alone, err = call("train", "--out", out_folder, "--resume")
    assert (status, alone) == (0, out)
    assert "nothing left to do" in err
    assert_refused(call("train", "--out", out_folder, "--resume", "--weight-decay", 0.5), "weight_decay is 0.5 and was")
    other = ["--model", "mamba_vision_T"]
    assert_refused(call("train", "--out", out_folder, "--resume", *other), "model.dim is 80 and was 2")


# finetune


def test_train_on_some_classes_and_finetune_on_others(call, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    common = ("--quiet", "--epochs", 1, "--batch-size", 100)
    assert call("train", "--classes", "Dress", 0, "--out", first, *TINY, *common)[0] == 0
    data = ("fashion-mnist-small", "--classes", "Bag", "Sandal", 9)
    status, out, err = call("finetune", *data, "--weights", first / "best.safetensors", "--out", second, *common)
    assert (status, err) == (0, "")
    assert re.search(rf"the best was \d+\.\d\d% after epoch 1: {re.escape(str(second))}/best\.safetensors\n", out)
    best = read_pretrained(second / "best.safetensors")
    assert best.classes == ("Bag", "Sandal", "Ankle boot")
    assert (best.images["size"], best.images["channels"]) == (16, 1)
    settings = read_checkpoint(second / "checkpoint.safetensors").config
    assert (settings.layer_decay, settings.patience, settings.frozen, settings.lr) == (0.8, 5, False, 1e-3)
    # Resuming: alone, with the same command, with another setting, and with the other command.
    assert call("finetune", "--resume", "--quiet", "--out", second) == (0, out, "")
    again = call("finetune", *data, "--weights", first / "best.safetensors", "--out", second, *common, "--resume")
    assert again == (0, out, "")
    assert_refused(
        call("finetune", "--resume", "--out", second, "--freeze"),
        "layer_decay is 0.8, but with frozen=True only the head is trained",
    )
    assert_refused(call("train", "--resume", "--out", second), "go on with mvnp finetune --resume")
    assert_refused(call("finetune", "--resume", "--out", first), "go on with mvnp train --resume")


def test_finetune_options_arrive(monkeypatch, tmp_path, data):
    seen = []

    def finetune(config, out, **options):
        seen.append((config, out, options))
        raise KeyboardInterrupt

    monkeypatch.setattr("mvnp.training.finetune", finetune)
    monkeypatch.chdir(data.parent)
    (tmp_path / "w.pth").touch()
    options = """
        --classes 1 0 --image-size 48 --held-out 0.3 --crop-padding 1 --no-flip --variant mamba_vision_T --ema --drop-path 0.1
        --heads 1 2 4 2 --windows 8 7 6 5 --freeze --patience 0 --epochs 3 --batch-size 5 --lr 0.1 --min-lr 0.01
        --warmup-epochs 0.25 --weight-decay 0.2 --clip-norm 0 --label-smoothing 0 --seed 9 --eval-every 2 --checkpoint-every 0
    """
    assert main(["finetune", "data", "--weights", "w.pth", "--out", "o", "--quiet", *options.split()]) == 130
    config, out, rest = seen.pop()
    assert rest.pop("ranks").size == 1
    assert (out, rest) == ("o", {"resume": False, "quiet": True})
    assert config == TrainingConfig(
        model={"drop_path_rate": 0.1, "num_heads": [1, 2, 4, 2], "window_size": [8, 7, 6, 5]},
        dataset=str(data),
        dataset_options={"image_size": 48, "held_out": 0.3, "classes": ["1", "0"]},
        loader_options={"image_size": 48, "crop_padding": 1, "flip": False},
        weights=str(tmp_path / "w.pth"),
        weights_options={"variant": "mamba_vision_T", "ema": True},
        frozen=True,
        patience=0,
        epochs=3,
        batch_size=5,
        lr=0.1,
        min_lr=0.01,
        warmup_epochs=0.25,
        weight_decay=0.2,
        clip_norm=None,
        label_smoothing=0.0,
        seed=9,
        eval_every=2,
        checkpoint_every=0,
    )
    assert main(["finetune", "data", "--weights", "nvidia/MambaVision-T-1K", "--freeze"]) == 130
    config = seen.pop()[0]
    assert (config.weights, config.lr, config.layer_decay) == ("nvidia/MambaVision-T-1K", 0.05, 1.0)


def test_finetune_weights_that_tell_too_little(call, tmp_path):
    weights = tmp_path / "w.npz"
    model = mvnp.MambaVision(2, 2, (1, 1, 2, 2), (1, 1, 2, 2), (2, 2, 2, 2), num_classes=2)
    np.savez(weights, **model.state_dict())
    command = ("finetune", "fashion-mnist-small", "--classes", 0, 1, "--weights", weights, "--out", tmp_path / "run", "--quiet")
    assert_refused(call(*command), "give num_heads=", "On the command line: --heads and --windows")
    known = (*command, "--heads", 1, 1, 2, 2, "--windows", 2, 2, 2, 2, "--epochs", 1)
    assert_refused(call(*known), "w.npz does not say what size of image it was trained on", "--image-size")
    assert call(*known, "--image-size", 16)[0] == 0


@pytest.fixture
def config_of(monkeypatch):
    """The TrainingConfig that `mvnp train` makes of its arguments."""
    seen = []

    def train(config, out, **options):
        seen.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr("mvnp.training.train", train)

    def run(*arguments):
        assert main(["train", *map(str, arguments)]) == 130
        return seen.pop()

    return run


def test_train_without_options_is_the_demo_preset(config_of):
    assert config_of() == PRESETS["demo"].config() == TrainingConfig.from_dict(PRESETS["demo"].config().to_dict())


def test_train_takes_a_variant_at_its_size(config_of):
    config = config_of("--model", "mamba_vision_L3_256_21k")
    assert config.loader_options["image_size"] == config.dataset_options["image_size"] == 256
    assert config.model == find_preset("mamba_vision_L3_256_21k").config().model
    assert (config.model["dim"], config.model["window_size"]) == (256, [8, 8, 16, 8])


def test_train_options_arrive(config_of, data, monkeypatch):
    monkeypatch.chdir(data.parent)
    options = """
        --data data --image-size 48 --channels 1 --held-out 0.3 --crop-padding 1 --no-flip
        --dim 8 --in-dim 4 --depths 1 2 3 4 --heads 1 2 4 2 --windows 8 7 6 5 --mlp-ratio 2 --drop-path 0.1 --dropout 0.2
        --d-state 4 --mixer mamba_wide --pattern random --pattern-seed 3
        --quirks corrected --epochs 3 --batch-size 5 --lr 0.1 --min-lr 0.01 --warmup-epochs 0.5 --weight-decay 0.2
        --clip-norm 0 --label-smoothing 0 --seed 9 --eval-every 2 --checkpoint-every 0
    """
    config = config_of(*options.split())
    assert config == TrainingConfig(
        model={
            "dim": 8,
            "in_dim": 4,
            "depths": [1, 2, 3, 4],
            "num_heads": [1, 2, 4, 2],
            "window_size": [8, 7, 6, 5],
            "mlp_ratio": 2.0,
            "drop_path_rate": 0.1,
            "drop_rate": 0.2,
            "d_state": 4,
            "mixer": "mamba_wide",
            "pattern": "random",
            "pattern_seed": 3,
            "quirks": "corrected",
        },
        dataset=str(data),
        dataset_options={"image_size": 48, "channels": 1, "held_out": 0.3},
        loader_options={"image_size": 48, "crop_padding": 1, "flip": False},
        epochs=3,
        batch_size=5,
        lr=0.1,
        min_lr=0.01,
        warmup_epochs=0.5,
        weight_decay=0.2,
        clip_norm=None,
        label_smoothing=0.0,
        seed=9,
        eval_every=2,
        checkpoint_every=0,
    )


def test_options_of_the_other_families_arrive(config_of):
    assert config_of("--pattern", "MS,SM").model["pattern"] == ["MS", "SM"]
    vim = "--patch-size 8 --stride 4 --embed-dim 8 --depth 2 --d-state 3 --class-token none --pool max --directions one"
    config = config_of("--model", "vim_demo", *vim.split())
    assert config.family == "Vim"
    assert config.model == {
        **PRESETS["vim_demo"].model,
        "patch_size": 8,
        "stride": 4,
        "embed_dim": 8,
        "depth": 2,
        "d_state": 3,
        "class_token": None,
        "pool": "max",
        "directions": "one",
    }
    vmamba = "--dims 8 16 --depths 1 2 --ssm-ratio 2 --vmamba-version v0 --forward-type v051d"
    config = config_of("--model", "vmamba_demo", *vmamba.split())
    assert config.model == {
        **PRESETS["vmamba_demo"].model,
        "dims": [8, 16],
        "depths": [1, 2],
        "ssm_ratio": 2.0,
        "version": "v0",
        "forward_type": "v051d",
    }
    assert config_of("--model", "vim_demo", "--class-token", "head").model["class_token"] == "head"


def test_ctrl_c_saves_and_the_run_goes_on(data, tmp_path):
    command = ["train", "--data", data, "--out", tmp_path / "run", *TINY, "--epochs", 200]
    running = subprocess.Popen([sys.executable, "-m", "mvnp", *map(str, command)], stderr=subprocess.PIPE, encoding="utf-8")
    log, begin = tmp_path / "run" / "log.jsonl", time.monotonic()
    while not (log.exists() and log.stat().st_size) and time.monotonic() - begin < HANGS:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=HANGS)
    assert running.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("mvnp: stopped by Ctrl-C after step ")
    how = re.search(r"mvnp (train --resume --out \S+)", err)
    assert how[1] == f"train --resume --out {tmp_path / 'run'}"
    assert read_checkpoint(tmp_path / "run" / "checkpoint.safetensors").position.step >= 1


# What is refused


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("modles", ["unknown command 'modles' (did you mean 'models'?)", ", ".join(COMMANDS)]),
        ("--versoin", ["'--versoin' (did you mean '--version'?)", "See mvnp --help."]),
        ("models extra", ["unknown model 'extra'; choose one of mamba_vision_T, "]),
        ("check selective-scan", ["unknown layer 'selective-scan' (did you mean 'selective_scan'?)", "conv2d"]),
        ("check --tolerance small", ["--tolerance", "'small' is not a number"]),
        ("check --tolerance nan", ["'nan' is not a number of at least 0"]),
        ("demo --sed 1", ["'--sed' (did you mean '--seed'?)"]),
        ("demo --seed -1", ["--seed", "'-1' is not a whole number of at least 0"]),
        ("train --epoch 3", ["'--epoch' (did you mean '--epochs'?)"]),
        ("train --epoch=3", ["'--epoch=3' (did you mean '--epochs'?)"]),
        ("train --epochs", ["--epochs: expected one argument"]),
        ("train --epochs 0", ["'0' is not a whole number of at least 1"]),
        ("train --epochs 2.5", ["'2.5' is not a whole number of at least 1"]),
        ("train --lr inf", ["'inf' is not a number of at least 0"]),
        ("train --lr 0", ["lr is 0.0, expected a number above 0"]),
        ("train --seed 4294967296", ["seed is 4294967296, expected less than 2**32"]),
        ("train --warmup-epochs 11", [f"warmup_epochs is 11.0, expected at most epochs, {DEFAULTS.epochs}"]),
        ("train --depths 1 2 3", ["depths is [1, 2, 3], expected four integers of at least 1, one for each level"]),
        ("train --mixer concatt", ["unknown mixer 'concatt' (did you mean 'concat'?)"]),
        ("train --pattern MMS,MS", ["pattern is ['MMS', 'MS'], expected one of last_half, ", "of 2 and 2 letters"]),
        ("train --model vim_demo --mixer gated", ["unknown option 'mixer'", "embed_dim"]),
        ("train --embed-dim 8", ["unknown option 'embed_dim'"]),
        ("train --windows 8 8 7 0", ["--windows", "'0' is not a whole number of at least 1"]),
        ("train --heads 1 1 3 1", ["num_heads[2] = 3 does not divide", "4·dim = 64"]),
        ("train --drop-path 1", ["drop_path_rate is 1.0, expected a probability in [0, 1)"]),
        ("train --mlp-ratio 0", ["mlp_ratio is 0.0, expected a positive number"]),
        ("train --quirks papper", ["unknown quirks 'papper' (did you mean 'paper'?)", "official, paper, corrected"]),
        ("train --model mambavision_T", ["unknown model 'mambavision_T' (did you mean 'mamba_vision_T'?)"]),
        ("train --image-size 0", ["'0' is no size; expected a side such as 384, or HxW"]),
        ("train --channels 0", ["'0' is not a whole number of at least 1"]),
        ("train --held-out 1", ["held_out=1.0", "held_out of at least 0 and below 1"]),
        ("train --data fashon-mnist", ["'fashon-mnist' (did you mean 'fashion-mnist'?)"]),
        ("train --resume", ["there is no run to resume in mvnp-train"]),
        ("train --classes Bag Shoe", ["has no class 'Shoe'", "0 T-shirt/top"]),
        ("train --classes 3", ["classes are 3; expected at least two"]),
        ("finetune --weights w.npz", ["finetune needs DATA", "See mvnp finetune --help."]),
        ("finetune fashion-mnist-small", ["finetune needs --weights", "See mvnp finetune --help."]),
        ("finetune fashion-mnist-small --weights w.npz", ["w.npz: No such file or directory"]),
        ("finetune fashion-mnist-small --weights mamba_vision", ["'mamba_vision'", "expected a file of weights"]),
        ("finetune fashion-mnist-small --weights w.npz --layer-decay 2", ["layer_decay is 2.0", "above 0 and at most 1"]),
        ("finetune fashion-mnist-small --weights w.npz --freeze --layer-decay 0.5", ["--freeze trains the head alone"]),
        ("finetune fashion-mnist-small --weights w.npz --patience x", ["--patience", "'x' is not a whole number"]),
        ("finetune --resume", ["there is no run to resume in mvnp-finetune"]),
    ],
)
def test_refused(arguments, parts, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(call(*arguments.split()), *parts)


def test_refused_by_a_process(tmp_path):
    result = process("train", "--epochs", "ten", cwd=tmp_path)
    assert_refused((result.returncode, result.stdout, result.stderr), "'ten' is not a whole number")


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_backend(command, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backend, "_chosen", None)
    monkeypatch.setenv("MVNP_BACKEND", "numpi")
    assert_refused(call(command, *NEEDED.get(command, "").split()), "unknown backend 'numpi'", "numpy, cupy")
    assert list(tmp_path.iterdir()) == []
    assert call(command, "--help")[0] == 0  # which needs none


def test_cupy_that_is_not_installed(call, monkeypatch):
    monkeypatch.setattr(backend, "_chosen", None)
    monkeypatch.setenv("MVNP_BACKEND", "cupy")
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert_refused(call("info"), "needs CuPy", "pip install 'cupy-cuda12x[ctk]'", "MVNP_BACKEND=numpy")


def test_cupy_without_a_gpu(call, monkeypatch):
    def no_driver():
        raise RuntimeError("cudaErrorInsufficientDriver")

    cupy = types.ModuleType("cupy")
    cupy.__version__ = "14.2.0"
    cupy.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=no_driver))
    monkeypatch.setattr(backend, "_chosen", None)
    monkeypatch.setenv("MVNP_BACKEND", "cupy")
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert_refused(call("models"), "no usable GPU", "cudaErrorInsufficientDriver", "nvidia-smi")


def test_damaged_idx_file(call, data, tmp_path):
    file = data / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-200])
    assert_refused(call("train", "--data", data, "--out", tmp_path / "run"), file, "cut off", "again")


def test_idx_file_that_is_missing(call, data, tmp_path):
    (data / "t10k-labels-idx1-ubyte.gz").unlink()
    assert_refused(call("train", "--data", data, "--out", tmp_path / "run"), data, "t10k-labels-idx1-ubyte.gz")


@pytest.mark.parametrize(("folders", "part"), [([], "expected a folder for each class"), (["cat", "dog"], "no pictures")])
def test_empty_image_folder(folders, part, call, tmp_path):
    pictures = tmp_path / "pictures"
    for name in ["", *folders]:
        (pictures / name).mkdir()
    assert_refused(call("train", "--data", pictures, "--out", tmp_path / "run"), pictures, part)


def test_file_in_place_of_a_data_folder(call, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert_refused(call("train", "--data", tmp_path / "file", "--out", tmp_path / "run"), "is a file")


@pytest.mark.parametrize("command", ["train", "demo"])
def test_output_folder_that_cannot_be_written(command, call, tmp_path):
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    assert_refused(call(command, "--out", tmp_path / "file"), tmp_path / "file", "choose another folder")
    assert_refused(call(command, "--out", tmp_path / "file" / "run"), tmp_path / "file", "choose another folder")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "kept"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_output_folder_without_permission(call, tmp_path):
    tmp_path.chmod(0o500)
    assert_refused(call("train", "--out", tmp_path / "run"), tmp_path / "run", "Permission denied")


def test_run_that_is_there_already(call, data, tmp_path):
    run = ["train", "--data", data, "--out", tmp_path / "run", "--quiet", *TINY]
    assert call(*run)[0] == 0
    assert_refused(call(*run), tmp_path / "run", "already holds a run", "resume")


@pytest.mark.parametrize("damage", [lambda content: content[:1000], lambda content: b"", lambda content: b"\xff" * 64])
def test_damaged_checkpoint(damage, call, data, tmp_path):
    run = ["train", "--data", data, "--out", tmp_path / "run", "--quiet", *TINY]
    assert call(*run)[0] == 0
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    assert_refused(call(*run, "--resume"), checkpoint)


def test_loss_that_is_not_finite(call, data, tmp_path):
    hot = ["--lr", "1e6", "--warmup-epochs", 0, "--clip-norm", 0, "--optimizer", "sgd"]
    result = call("train", "--data", data, "--out", tmp_path / "run", "--quiet", *TINY, *hot)
    assert_refused(result, "step ", "checkpoint.safetensors", "learning rate")
    state = read_checkpoint(tmp_path / "run" / "checkpoint.safetensors")
    assert all(np.isfinite(array).all() for array in state.arrays.values())


# What else can happen to a program


def raising(error):
    def run(arguments):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "mvnp: interrupted\n"),
        (PermissionError(13, "Permission denied", "/some/file"), 2, "mvnp: error: /some/file: Permission denied\n"),
        (OSError("no reason given"), 2, "mvnp: error: no reason given\n"),
        (TimeoutError(), 2, "mvnp: error: TimeoutError\n"),
        (MemoryError("1 EiB"), 2, "mvnp: error: not enough memory (1 EiB); use a smaller batch, image or model\n"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_what_is_raised_becomes_a_message(error, status, message, call, monkeypatch):
    monkeypatch.setattr(COMMANDS["info"], "run", raising(error))
    assert call("info") == (status, "", message)


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr(COMMANDS["info"], "run", raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["info"])


def run_into(stdout, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "mvnp", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=HANGS,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )


@pytest.mark.parametrize("arguments", [["models"], ["--help"], ["check", "linear"]])
def test_closed_pipe_is_quiet(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    result = run_into(writing, *arguments)
    os.close(writing)
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk():
    with open("/dev/full", "w") as full:
        result = run_into(full, "models")
    assert (result.returncode, result.stderr) == (2, "mvnp: error: No space left on device\n")


def test_closed_streams():
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        command = f"{sys.executable} -m mvnp models {closed}"
        assert subprocess.run(command, shell=True, capture_output=True, timeout=HANGS).returncode == 0


def test_terminal_that_lacks_letters():
    # At this tolerance the table names derivatives, ∂y/∂x.
    result = process("check", "relu", "--tolerance", 1e-300, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (result.returncode, result.stderr) == (1, "")
    assert "?y" in result.stdout


def test_as_a_process():
    result = process("models")
    assert (result.returncode, result.stderr) == (0, "")
    assert "mamba_vision_T " in result.stdout
