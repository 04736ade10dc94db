"""One measurement in a process of its own: takes a request as JSON, prints the answer as JSON on its last line.

So peak memory is that of one engine, and no library's threads get in another's way. `compare.py` starts it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from cases import CASES
from measure import matrix_rate, peak_mb, time_calls


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What the request asks for under "do"."""
    match request["do"]:
        case "rate":
            return {"rate": matrix_rate()}
        case "machine":
            from machine import machine

            return machine(request["threads"])
        case "weights":
            from engine_torch import save_weights

            save_weights(request["model"], Path(request["weights"]))
            return {}
        case "export":
            from engine_onnx import exported

            return {"onnx": str(exported(CASES[request["case"]], Path(request["weights"]), request["writer"]))}
        case "case":
            seconds, result = time_calls(make_call(request))
            np.save(request["result"], result)
            return {"seconds": seconds, "peak_mb": peak_mb(), "compiled": compiled()}
        case "layers":
            if request["engine"] == "mvnp":
                from layers_mvnp import time_layers
            else:
                from layers_torch import time_layers
            return {"layers": time_layers(request["layers"], request["threads"]), "compiled": compiled()}
    raise ValueError(f"unknown request {request['do']!r}")


def compiled() -> int:
    """How many CPU kernels this process had to compile: its memory and its first calls are not those of the next one."""
    jit = sys.modules.get("mvnp.kernels.cpu.jit")
    return jit.progress.kernels if jit else 0


def make_call(request: dict[str, Any]) -> Any:
    """The engine's function for the case."""
    case, threads = CASES[request["case"]], request["threads"]
    match request["engine"]:
        case "mvnp" | "kernels" | "former":
            from engine_mvnp import make

            return make(case)
        case "onnx" | "own":
            from engine_onnx import make as make_onnx

            return make_onnx(case, Path(request["onnx"]), threads)
        case "openvino":
            from engine_onnx import make_openvino

            return make_openvino(case, Path(request["onnx"]), threads)
        case engine:
            from engine_torch import make as make_torch

            return make_torch(case, Path(request["weights"]), threads, compiled=engine == "compile")


if __name__ == "__main__":
    print(json.dumps(answer(json.loads(sys.argv[1]))))
