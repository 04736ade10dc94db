"""One process to a folder: mvnp/training/run_lock.py."""

import os
import pickle
import re
import signal
import subprocess
import sys

import pytest

from mvnp.errors import TrainingError
from mvnp.training import open_run
from mvnp.training.run_lock import NAME, hold
from support.patience import HANGS
from support.toy_training import assert_same_outcome, toy_config, toy_run

HOLD = "import sys; from pathlib import Path; from mvnp.training.run_lock import hold; {}; print('held', flush=True); {}"


def other(folder, before="lock = hold(Path(sys.argv[1]))", after="sys.stdin.read()"):
    command = [sys.executable, "-c", HOLD.format(before, after), str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def end(process):
    process.communicate("", timeout=HANGS)


def test_a_second_process_is_refused_with_who_is_the_first(whole, tmp_path):
    first = other(tmp_path)
    try:
        for resume in (False, True):
            if resume:
                for path in whole.iterdir():
                    (tmp_path / path.name).write_bytes(path.read_bytes())
            with pytest.raises(TrainingError, match=rf"in use: process {first.pid}, since 20[-\d]+ [\d:]+, trains there;"):
                toy_run(tmp_path, resume=resume)
    finally:
        end(first)
    assert not (tmp_path / NAME).exists()
    toy_run(tmp_path, resume=True)
    assert_same_outcome(tmp_path, whole)


def test_of_another_machine_its_name_is_told(tmp_path):
    first = other(tmp_path, "import platform; platform.node = lambda: 'far\x1baway'; lock = hold(Path(sys.argv[1]))")
    try:
        with pytest.raises(TrainingError, match=re.escape(rf"process {first.pid} on 'far\x1baway', since")):
            hold(tmp_path)
        for damaged in (
            b"",
            b"[",
            b"[" * 1000,
            b'{"process": "x"}',
            b'{"process": 1, "machine": 1, "since": "\x1b[2J"}',
            b"\xff",
        ):
            (tmp_path / NAME).write_bytes(damaged)
            with pytest.raises(TrainingError, match="is in use: another process trains there"):
                hold(tmp_path)
    finally:
        end(first)


def test_a_dead_process_holds_nothing(tmp_path):
    first = other(tmp_path)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=HANGS)
    assert (tmp_path / NAME).exists()
    lock = hold(tmp_path)
    assert str(os.getpid()) in (tmp_path / NAME).read_text(encoding="utf-8")
    del lock
    assert not (tmp_path / NAME).exists()


def test_within_a_process_it_is_had_twice_and_given_up_with_the_last(tmp_path):
    folder, again = open_run(tmp_path, toy_config()), open_run(tmp_path, toy_config())
    assert folder.lock is again.lock
    assert pickle.loads(pickle.dumps(folder.lock)).release.alive  # for another rank: it holds nothing
    del folder
    assert (tmp_path / NAME).exists()
    with again:
        pass
    assert not (tmp_path / NAME).exists()
    with open_run(tmp_path, toy_config()):
        assert (tmp_path / NAME).exists()
    assert not (tmp_path / NAME).exists()


def test_a_finished_run_is_given_up(tmp_path):
    toy_run(tmp_path)
    files = ["best.safetensors", "checkpoint.safetensors", "config.toml", "log.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    end(other(tmp_path))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
def test_a_fork_that_ends_gives_nothing_up(tmp_path):
    before = "import os; lock = hold(Path(sys.argv[1])); pid = os.fork() or sys.exit(); os.waitpid(pid, 0)"
    first = other(tmp_path, before)
    try:
        with pytest.raises(TrainingError, match=f"process {first.pid}"):
            hold(tmp_path)
    finally:
        end(first)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
def test_a_lock_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(TrainingError, match="is no file, expected a run's lock"):
        hold(tmp_path)


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("mvnp.training.run_lock._take", refuse)
    toy_run(tmp_path)
