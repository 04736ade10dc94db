"""Instructions for each number that a kernel works on, read off the machine code that NVIDIA's compiler makes.

    python benchmarks/instructions.py [--architecture sm_90] [--tree TREE] im2col:conv2d gelu_forward:gelu

Needs nvidia-cuda-nvrtc and nvidia-cuda-nvdisasm (pip), and no GPU. A loop is what lies between a jump back and its target; the
longest loop without another inside, or all of a kernel that has none, is divided by the numbers that it stores.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
STORED = {"128": 4, "64": 2}  # floats of a wide store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kernels", nargs="+", help="kernel:stem, and constants of its text: col2im:conv2d:STEP=4")
    parser.add_argument("--architecture", default="sm_90")
    parser.add_argument("--tree", type=Path, default=ROOT, help="another working copy, to compare with")
    arguments = parser.parse_args()
    sys.path[:0] = [str(arguments.tree), str(ROOT / "tests")]
    for named in arguments.kernels:
        kernel, stem, *constants = named.split(":")
        options = {name: int(value) for name, value in (constant.split("=") for constant in constants)}
        whole, body, stored = counted(kernel, stem, options, arguments.architecture)
        print(f"{named:50s} {whole:5d} instructions; {body:5d} in a loop that stores {stored}: {body / stored:6.1f} a number")


def counted(kernel: str, stem: str, constants: dict[str, int], architecture: str) -> tuple[int, int, int]:
    """Instructions of the kernel, those of its loop, and how many numbers the loop stores."""
    from mvnp.kernels.cuda.launch import OPTIONS, Kernels
    from support import nvrtc

    code, _ = nvrtc.compiled(Kernels(stem, **constants).source("float32"), architecture, OPTIONS)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.cubin")
        file.write_bytes(code)
        listing = subprocess.run([disassembler(), "-c", str(file)], capture_output=True, text=True, check=True).stdout
    section = listing.split(f".text.{kernel}:\n", 1)[1].split("\n.section", 1)[0].split("//----", 1)[0]
    return longest_loop(section)


def longest_loop(section: str) -> tuple[int, int, int]:
    """See `counted`. Of loops within loops the outer one is taken: what they do for a number belongs together."""
    instructions: list[str] = []
    labels: dict[str, int] = {}
    for line in section.splitlines():
        if label := re.match(r"\s*(\.L_\w+):", line):
            labels[label[1]] = len(instructions)
        elif instruction := re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(.+?);", line):
            instructions.append(instruction[1])
    end = max((i for i, text in enumerate(instructions) if "EXIT" in text), default=len(instructions) - 1)
    loops = []
    for i, text in enumerate(instructions):
        jump = re.search(r"BRA(?:\.\w+)* .*`\((\.L_\w+)\)", text)
        if jump and labels.get(jump[1], i + 1) < i:
            loops.append((labels[jump[1]], i + 1))
    stores = [(first, last, _stored(instructions[first:last])) for first, last in loops]
    stores = [loop for loop in stores if loop[2]] or [(0, end + 1, _stored(instructions) or 1)]
    first, last, stored = max(stores, key=lambda loop: (loop[2], loop[1] - loop[0]))
    return end + 1, last - first, stored


def _stored(instructions: list[str]) -> int:
    found = [re.search(r"\bSTG\.E(?:\.(\d+))?", text) for text in instructions]
    return sum(STORED.get(match[1] or "", 1) for match in found if match)


def disassembler() -> str:
    package = importlib.util.find_spec("nvidia")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for path in Path(folder).glob("*/bin/nvdisasm"):
            return str(path)
    raise SystemExit("needs NVIDIA's disassembler: pip install nvidia-cuda-nvdisasm")


if __name__ == "__main__":
    main()
