"""Files whole or not at all: mvnp/atomic.py."""

import errno
import os
import subprocess
import sys

import pytest

from mvnp.atomic import remove_stale, write_bytes
from support.patience import HANGS

# Writes b"old", then dies at a chosen moment while b"new new" is being written over it.
DIE = """
import os, signal, sys
from mvnp.atomic import write_bytes

path, moment = sys.argv[1:]

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

write_bytes(path, b"old")
if moment == "half":
    def fsync(descriptor):
        os.ftruncate(descriptor, 3)   # what a disk has of a file that is being written
        die()
    os.fsync = fsync
elif moment == "synced":
    os.replace = die
elif moment == "renamed":
    replace = os.replace
    def replace_and_die(*arguments):
        replace(*arguments)
        die()
    os.replace = replace_and_die
write_bytes(path, b"new new")
"""


def test_writes_and_overwrites(tmp_path):
    target = tmp_path / "file"
    write_bytes(target, b"one")
    assert target.read_bytes() == b"one"
    write_bytes(target, b"second")
    assert target.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [target]


def test_what_can_be_made_again_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    write_bytes(tmp_path / "file", b"one", lasting=False)
    assert (tmp_path / "file").read_bytes() == b"one"
    assert not synced
    write_bytes(tmp_path / "file", b"second")
    assert synced


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(("moment", "left"), [("half", b"old"), ("synced", b"old"), ("renamed", b"new new")])
def test_killed_while_writing(tmp_path, moment, left):
    target = tmp_path / "file"
    child = subprocess.run([sys.executable, "-c", DIE, str(target), moment], timeout=HANGS)
    assert child.returncode == -9
    assert target.read_bytes() == left
    stale = [path for path in tmp_path.iterdir() if path != target]
    assert len(stale) == (moment != "renamed")
    write_bytes(target, b"later")  # what was left behind is in nobody's way
    assert target.read_bytes() == b"later"
    remove_stale(target)
    assert list(tmp_path.iterdir()) == [target]


def test_stale_files_of_others_are_left_alone(tmp_path):
    others = [tmp_path / ".other.1-ab.mvnp-tmp", tmp_path / "file.tmp", tmp_path / "file"]
    for other in others:
        other.write_bytes(b"")
    remove_stale(tmp_path / "file")
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_full_disk(tmp_path, monkeypatch):
    target = tmp_path / "file"
    write_bytes(target, b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device; the file that was there before is untouched: .*file'"):
        write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing was written: .*nowhere/file'"):
        write_bytes(tmp_path / "nowhere" / "file", b"")
