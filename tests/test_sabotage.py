"""Planted faults are caught by the tests of the module that they are in (see sabotage.py)."""

import pytest
from sabotage import ROOT, faults, noticed
from sabotage_faults import FAULTS

from support.cuda_on_cpu import COMPILER, NEEDS_COMPILER


@pytest.mark.slow(reason="a process for each planted fault, hundreds of them")
@pytest.mark.parametrize("fault", faults(at_most=2), ids=str)
def test_fault_is_caught(fault):
    if fault.module.startswith("export/"):  # whose tests are skipped without these
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    if fault.module.startswith("kernels/") and COMPILER is None:
        pytest.skip(NEEDS_COMPILER)
    caught, output = noticed(fault)
    assert caught, f"{fault.test.name} stays green with this fault: {fault}\n{output}"


def test_every_fault_still_fits_its_module():
    for fault in faults():
        text = (ROOT / "mvnp" / fault.module).read_text(encoding="utf-8")
        assert text.count(fault.right) == 1, f"{fault.right!r} occurs {text.count(fault.right)} times in {fault.module}"
        assert fault.wrong != fault.right
        assert fault.test.exists()


def test_every_layer_is_sabotaged():
    stems = {path.stem for path in (ROOT / "mvnp" / "layers").glob("*.py")} - {"__init__"}
    sabotaged = {module.removeprefix("layers/").removesuffix(".py") for module, rows in FAULTS.items() if len(rows) >= 2}
    assert stems <= sabotaged, f"fewer than two faults are planted in {sorted(stems - sabotaged)}"
