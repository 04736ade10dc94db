"""Ctrl-C at any moment, the first imports among them: mvnp/cli/__init__.py."""

import subprocess
import sys

import pytest

import mvnp

# Ctrl-C while a module is imported, as if it came right then.
WHEN = """
import sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
{start}
"""
SCRIPT = "from mvnp.cli import main; sys.exit(main(['info']))"  # as the command that is installed
MODULE = "import runpy; sys.argv = ['mvnp', 'info']; runpy.run_module('mvnp', run_name='__main__', alter_sys=True)"


@pytest.mark.parametrize("start", [SCRIPT, MODULE])
@pytest.mark.parametrize("name", ["numpy", "mvnp.cli.entry", "mvnp.backend", "mvnp.kernels", "mvnp.cli.visualize"])
def test_while_all_is_imported(name, start):
    done = subprocess.run(
        [sys.executable, "-c", WHEN.format(name=name, start=start)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "mvnp: interrupted\n")


def test_while_a_class_is_made():
    """Python 3.11 gives a RuntimeError of what interrupts `__set_name__`."""
    name = """
class Asks:
    def __set_name__(self, owner, name):
        raise KeyboardInterrupt
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "mvnp.cli.entry":
            try:
                type("Made", (), {"it": Asks()})
            except KeyboardInterrupt as error:
                raise RuntimeError("Error calling __set_name__") from error
"""
    start = f"import sys\n{name}\nsys.meta_path.insert(0, Interrupted())\n{SCRIPT}"
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "mvnp: interrupted\n")


def test_every_public_name_has_a_home():
    for name in mvnp.__all__:
        assert getattr(mvnp, name) is not None
    homes = [name for names in mvnp._HOMES.values() for name in names.split()]
    assert sorted(homes) == sorted(mvnp.__all__)
    assert issubclass(mvnp.errors.InputError, ValueError)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mvnp.nothing  # noqa: B018
