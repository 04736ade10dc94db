"""Weights from the hub: mvnp/checkpoint/hub.py, on a cache that the tests make, with no network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import mvnp
from mvnp.checkpoint import hub
from mvnp.checkpoint.hub import RELEASED, REPOSITORIES, find_on_hub
from mvnp.errors import CheckpointError
from mvnp.models.variants import VARIANTS

SIZES = {"dim": 4, "in_dim": 2, "depths": [1, 1, 2, 1], "num_heads": [1, 1, 2, 4], "window_size": [2, 2, 2, 2]}
REVISION = "0123456789abcdef0123456789abcdef01234567"


def in_process(code, **environment):
    """What Python prints with these variables set: huggingface_hub reads them when it is imported."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **{key: str(value) for key, value in environment.items()}}
    code = f"try:\n    {code}\nexcept MvnpError as error:\n    print('refused:', error)"
    code = f"import mvnp\nfrom mvnp.errors import MvnpError\n{code}"
    child = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code], env=environment, capture_output=True, encoding="utf-8"
    )
    assert child.returncode == 0, child.stderr
    return child.stdout.strip()


@pytest.fixture
def cache(tmp_path):
    """A cache as huggingface_hub keeps it, with one repository: blobs by their digest, and links to them."""
    repository = tmp_path / "models--someone--little-mambavision"
    snapshot = repository / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(REVISION, encoding="utf-8")
    model = mvnp.MambaVision(**SIZES, num_classes=3, seed=5)
    save_file({f"model.{key}": array for key, array in model.state_dict().items()}, repository / "blobs" / "abc")
    (snapshot / "model.safetensors").symlink_to(Path("../../blobs/abc"))
    labels = {"0": "cat", "1": "dog", "2": "tench"}
    (snapshot / "config.json").write_text(
        json.dumps({"model_type": "mambavision", **SIZES, "id2label": labels}), encoding="utf-8"
    )
    return tmp_path


def test_from_the_cache(cache):
    pytest.importorskip("huggingface_hub", reason="pip install 'mvnp[hub]'")
    x = np.random.default_rng(1).standard_normal((1, 3, 32, 32)).astype("float32")
    expected = mvnp.MambaVision(**SIZES, num_classes=3, seed=5)(x)
    code = (
        "import numpy as np; from mvnp.checkpoint import read_pretrained;"
        "got = read_pretrained('someone/little-mambavision');"
        "x = np.random.default_rng(1).standard_normal((1, 3, 32, 32)).astype('float32');"
        "print(got.model.config['window_size'], got.classes, got.model(x).tolist())"
    )
    assert in_process(code, HF_HUB_CACHE=cache) == f"[2, 2, 2, 2] ('cat', 'dog', 'tench') {expected.tolist()}"


@pytest.mark.parametrize("source", ["nvidia/MambaVision-T-1K", "mamba_vision_T"])
def test_not_in_the_cache(source, cache):
    pytest.importorskip("huggingface_hub", reason="pip install 'mvnp[hub]'")
    said = in_process(f"mvnp.load_pretrained('{source}')", HF_HUB_CACHE=cache)
    assert said.startswith("refused: 'nvidia/MambaVision-T-1K' is no file here, model.safetensors of that repository is not in")
    assert "(HF_HUB_OFFLINE is set)" in said
    assert "download model.safetensors and config.json from https://huggingface.co/nvidia/MambaVision-T-1K in a browser" in said
    assert "did you mean" not in said


def test_a_name_that_is_nearly_right(cache):
    pytest.importorskip("huggingface_hub", reason="pip install 'mvnp[hub]'")
    said = in_process("mvnp.load_pretrained('nvidia/MambaVision-T-1k')", HF_HUB_CACHE=cache)
    assert "(did you mean 'nvidia/MambaVision-T-1K'?)" in said
    said = in_process("mvnp.load_pretrained('..a--b/c')", HF_HUB_CACHE=cache)
    assert "refused: '..a--b/c' is neither a file nor a name that a repository can have" in said


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        CheckpointError, match=r"looking on the Hugging Face hub needs huggingface_hub: pip install 'mvnp\[hub\]'"
    ):
        mvnp.load_pretrained("mamba_vision_T")
    with pytest.raises(CheckpointError, match=r"https://huggingface\.co/nvidia/MambaVision-T-1K in a browser"):
        mvnp.load_pretrained("nvidia/MambaVision-T-1K")


def test_the_package_is_imported_only_when_needed():
    reference = Path(__file__).parents[1] / "reference" / "tiny.safetensors"
    cut = "num_heads=(1, 2, 2, 4), window_size=(8, 8, 4, 2)"
    assert (
        in_process(f"import sys; mvnp.load_pretrained({str(reference)!r}, {cut}); print('huggingface_hub' in sys.modules)")
        == "False"
    )


def stub(monkeypatch, answers):
    """A huggingface_hub whose download gives or raises what `answers` says, by file and by whether it may use the network."""
    import types

    module, errors = types.ModuleType("huggingface_hub"), types.ModuleType("huggingface_hub.errors")
    errors.LocalEntryNotFoundError = type("LocalEntryNotFoundError", (FileNotFoundError,), {})
    errors.HFValidationError = type("HFValidationError", (ValueError,), {})
    asked = []

    def download(repository, filename, local_files_only=False):
        asked.append((filename, local_files_only))
        answer = answers.get((filename, local_files_only), errors.LocalEntryNotFoundError("not there"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    module.hf_hub_download, module.errors = download, errors
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return asked


def test_the_network_is_asked_last(monkeypatch):
    asked = stub(monkeypatch, {("model.safetensors", True): "/cache/model.safetensors"})
    assert find_on_hub("a/b") == Path("/cache/model.safetensors")
    assert asked == [("model.safetensors", True)]
    asked = stub(
        monkeypatch, {("model.safetensors", False): "/new/model.safetensors", ("config.json", False): "/new/config.json"}
    )
    assert find_on_hub("a/b") == Path("/new/model.safetensors")
    assert asked == [("model.safetensors", True), ("model.safetensors", False), ("config.json", False)]
    stub(monkeypatch, {("model.safetensors", False): "/new/model.safetensors", ("config.json", False): OSError("no such file")})
    assert find_on_hub("a/b") == Path("/new/model.safetensors")  # a repository need not have a config


def test_what_the_network_says(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    stub(monkeypatch, {("model.safetensors", False): ConnectionError("no route to host\n" + "x" * 5000)})
    with pytest.raises(
        CheckpointError, match=r"cannot be downloaded \(ConnectionError: no route to host\)\. Or download"
    ) as caught:
        find_on_hub("a/b")
    assert len(str(caught.value)) < 500


def test_every_variant_has_its_repository():
    assert [*REPOSITORIES, *RELEASED] == list(VARIANTS)
    # Vim's repositories have two files each, of patches that overlap or do not.
    assert len({(repository, hub.FILES.get(name)) for name, repository in REPOSITORIES.items()}) == len(REPOSITORIES)
    assert set(hub.FILES) == {name for name, variant in VARIANTS.items() if variant.family == "Vim"}
    assert hub.WEIGHTS == "model.safetensors"
