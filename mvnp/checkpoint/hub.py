"""Files of the Hugging Face hub, through `huggingface_hub`: from its cache first, and over the network if need be.

The package is optional (`pip install 'mvnp[hub]'`) and is imported only when a repository is asked for. With
HF_HUB_OFFLINE=1 nothing but the cache is looked into.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, nearest

REPOSITORIES = {
    "mamba_vision_T": "nvidia/MambaVision-T-1K",
    "mamba_vision_T2": "nvidia/MambaVision-T2-1K",
    "mamba_vision_S": "nvidia/MambaVision-S-1K",
    "mamba_vision_B": "nvidia/MambaVision-B-1K",
    "mamba_vision_B_21k": "nvidia/MambaVision-B-21K",
    "mamba_vision_L": "nvidia/MambaVision-L-1K",
    "mamba_vision_L_21k": "nvidia/MambaVision-L-21K",
    "mamba_vision_L2": "nvidia/MambaVision-L2-1K",
    "mamba_vision_L2_512_21k": "nvidia/MambaVision-L2-512-21K",
    "mamba_vision_L3_256_21k": "nvidia/MambaVision-L3-256-21K",
    "mamba_vision_L3_512_21k": "nvidia/MambaVision-L3-512-21K",
    "vim_tiny": "hustvl/Vim-tiny-midclstok",
    "vim_tiny_stride8": "hustvl/Vim-tiny-midclstok",
    "vim_small": "hustvl/Vim-small-midclstok",
    "vim_small_stride8": "hustvl/Vim-small-midclstok",
    "vim_base": "hustvl/Vim-base-midclstok",
}

WEIGHTS, CONFIG = "model.safetensors", "config.json"

# Where it is another file: what torch.save wrote of a training.
FILES = {
    "vim_tiny": "vim_t_midclstok_76p1acc.pth",
    "vim_tiny_stride8": "vim_t_midclstok_ft_78p3acc.pth",
    "vim_small": "vim_s_midclstok_80p5acc.pth",
    "vim_small_stride8": "vim_s_midclstok_ft_81p6acc.pth",
    "vim_base": "vim_b_midclstok_81p9acc.pth",
}

# Variants that no repository has: the files of their release.
RELEASE = "https://github.com/MzeroMiko/VMamba/releases"
RELEASED = {
    "vmamba_tiny_s1l8": "vssm1_tiny_0230s_ckpt_epoch_264.pth",
    "vmamba_small_s2l15": "vssm_small_0229_ckpt_epoch_222.pth",
    "vmamba_base_s2l15": "vssm_base_0229_ckpt_epoch_237.pth",
    "vmamba_tiny_s2l5": "vssm_tiny_0230_ckpt_epoch_262.pth",
    "vmamba_small_s1l20": "vssm1_small_0229s_ckpt_epoch_240.pth",
    "vmamba_base_s1l20": "vssm1_base_0229s_ckpt_epoch_225.pth",
    "vanilla_vmamba_tiny": "vssmtiny_dp01_ckpt_epoch_292.pth",
    "vanilla_vmamba_small": "vssmsmall_dp03_ckpt_epoch_238.pth",
    "vanilla_vmamba_base": "vssmbase_dp06_ckpt_epoch_241.pth",
}


def find_on_hub(repository: str, file: str = WEIGHTS) -> Path:
    """The path of a repository's file of weights, with its config.json beside it where it has one.

    Raises CheckpointError where `huggingface_hub` is not installed, and where the file is neither in its cache nor can be
    downloaded; the message says how to do without.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise CheckpointError(
            f"{repository!r} is no file here, and looking on the Hugging Face hub needs huggingface_hub:"
            f" pip install 'mvnp[hub]'. {_by_hand(repository, file)}"
        ) from error
    try:
        path = _from_cache(hf_hub_download, repository, file, LocalEntryNotFoundError)
        return Path(path or _downloaded(hf_hub_download, repository, file))
    except HFValidationError as error:
        raise CheckpointError(f"{repository!r} is neither a file nor a name that a repository can have") from error


def _from_cache(download: Callable[..., str], repository: str, file: str, missing: type[Exception]) -> str | None:
    try:
        return download(repository, file, local_files_only=True)
    except missing:
        return None


def _downloaded(download: Callable[..., str], repository: str, file: str) -> str:
    try:
        path = download(repository, file)
    except Exception as error:  # the package's own errors, those of its HTTP library, and OSError
        raise CheckpointError(_not_found(repository, file, error)) from error
    try:
        download(repository, CONFIG)
    except Exception:  # a repository need not have one, and what it says is only a help
        return path
    return path


def _not_found(repository: str, file: str, error: Any) -> str:
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    reason = "HF_HUB_OFFLINE is set" if offline else f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
    known = list(REPOSITORIES.values())
    hint = "" if repository in known else nearest(repository, known)
    return (
        f"{repository!r} is no file here, {file} of that repository is not in the cache of huggingface_hub, and it cannot"
        f" be downloaded ({reason}){hint}. {_by_hand(repository, file)}"
    )


def _by_hand(repository: str, file: str) -> str:
    return (
        f"Or download {file} and {CONFIG} from https://huggingface.co/{repository} in a browser, put both in one folder,"
        " and give that folder"
    )
