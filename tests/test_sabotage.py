"""Every planted fault is caught by the tests of the layer that it is in."""

import pytest
from sabotage import ROOT, noticed
from sabotage_faults import FAULTS


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_caught(fault):
    caught, output = noticed(fault)
    assert caught, f"{fault.test} stays green although {fault.module} has {fault.wrong!r}\n{output}"


def test_faults_are_many_and_everywhere():
    assert len(FAULTS) >= 30
    stems = {path.stem for path in (ROOT / "mvnp" / "layers").glob("*.py")} - {"__init__"}
    sabotaged = {fault.module.removeprefix("layers/").removesuffix(".py") for fault in FAULTS}
    assert stems <= sabotaged, f"no fault is planted in {sorted(stems - sabotaged)}"
