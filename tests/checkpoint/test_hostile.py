"""Files that are damaged or made to do harm: refused in words, soon, with little memory, and with nothing run.

They are made in tests/support/hostile_files.py. Random damage is in test_fuzz.py.
"""

import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from mvnp.checkpoint import load_checkpoint
from mvnp.errors import CheckpointError
from support.hostile_files import good_files, harmless_files, hostile_files
from support.patience import HANGS

PEAK = 16 * 2**20  # bytes for one file, beside those of the file itself

# A million instructions of a pickle are admitted, and take a second and 100 MB. Python counts memory slowly: here the limits of
# `test_nothing_is_run` must do.
NOT_COUNTED = {"many-instructions.pth", "many-tuples.pth"}

# Loads every file of a folder under limits, and notes whatever Python itself sees run.
CHILD = """
import json, os, resource, sys
from pathlib import Path
from mvnp.checkpoint import load_checkpoint
from mvnp.errors import CheckpointError

files = sorted(Path("files").iterdir())
for path in sorted(Path("good").iterdir()):
    load_checkpoint(path)  # imports all that reading imports
seen = []
# Of these nothing belongs to reading a file. A class that pickle looks up, code that is run, a process, a file that is written.
events = {"pickle.find_class", "exec", "os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "os.remove",
          "os.rename", "os.mkdir", "shutil.rmtree", "socket.connect", "ctypes.dlopen", "import"}
def watch(event, arguments):
    if event in events or (event == "open" and set(str(arguments[1])) & set("wax+")):
        seen.append([event, str(arguments[0])[:80]])
sys.addaudithook(watch)
in_use = int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (in_use + 512 * 2**20,) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (300, 300))
loaded, wrong = [], []
for path in files:
    try:
        load_checkpoint(path)
        loaded.append(path.name)
    except CheckpointError:
        pass
    except BaseException as error:
        wrong.append([path.name, repr(error)[:200]])
print(json.dumps({"count": len(files), "loaded": loaded, "wrong": wrong, "seen": seen}))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    made = list(hostile_files(tmp_path_factory.mktemp("making")))
    assert len({name for name, _ in made}) == len(made)
    assert len(made) >= 200
    return made


def test_good_ones_are_read(tmp_path):
    for name, data in good_files(tmp_path).items():
        (tmp_path / name).write_bytes(data)
        assert set(load_checkpoint(tmp_path / name)) == {"a.weight", "b"}


def test_each_is_refused(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    problems = []
    for name, data in files:
        path = tmp_path / name
        path.write_bytes(data)
        if name not in NOT_COUNTED:
            tracemalloc.start()
        try:
            load_checkpoint(path)
            problems.append(f"{name} was read")
        except CheckpointError as error:
            message = str(error)
            if name not in message or len(message) > 1000:
                problems.append(f"{name}: the message does not name it, or is too long: {message[:300]}")
        except Exception as error:
            problems.append(f"{name}: {error!r}"[:300])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        if peak > PEAK + len(data):
            problems.append(f"{name}: {peak / 2**20:.0f} MiB")
        path.unlink()
    assert not problems, "\n".join(problems)
    assert list(tmp_path.iterdir()) == []  # no CANARY, and nothing else


def test_what_does_nothing_rides_along(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, data in list(harmless_files(tmp_path)):
        (tmp_path / "t.pth").write_bytes(data)
        got = load_checkpoint(tmp_path / "t.pth")
        assert list(got) == ["w"], name
        np.testing.assert_array_equal(got["w"], np.arange(6))
    assert [path.name for path in tmp_path.iterdir()] == ["t.pth"]


@pytest.mark.skipif(sys.platform != "linux", reason="the limits and /proc are Linux's")
def test_nothing_is_run(files, tmp_path):
    for folder, content in (("files", files), ("good", good_files(tmp_path).items())):
        (tmp_path / folder).mkdir()
        for name, data in content:
            (tmp_path / folder / name).write_bytes(data)
    before = sorted(os.listdir(tmp_path))
    child = subprocess.run([sys.executable, "-c", CHILD], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=HANGS)
    assert child.returncode == 0, child.stderr[-2000:]
    found = json.loads(child.stdout)
    assert found == {"count": len(files), "loaded": [], "wrong": [], "seen": []}
    assert sorted(os.listdir(tmp_path)) == before
