"""The log of a run: mvnp/training/log.py; and what a person sees: progress.py."""

import sys

from mvnp.training import progress, read_log
from mvnp.training.log import RunLog
from mvnp.training.progress import Progress


def test_lines_come_back(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    log.write(event="step", loss=0.1 + 0.2)
    assert read_log(tmp_path / "log.jsonl") == [{"event": "step", "loss": 0.1 + 0.2}]  # at once, to the last bit
    log.write(event="epoch", test_loss=None)
    assert log.sync() == (tmp_path / "log.jsonl").stat().st_size
    log.close()
    assert len(read_log(tmp_path / "log.jsonl")) == 2


def test_cut_back(tmp_path):
    path = tmp_path / "log.jsonl"
    log = RunLog(path)
    log.write(step=1)
    kept = log.sync()
    log.write(step=2)
    log.close()
    log = RunLog(path, keep=kept)
    log.write(step=3)
    log.close()
    assert read_log(path) == [{"step": 1}, {"step": 3}]
    assert log.lost == 0


def test_a_log_that_has_lost_lines(tmp_path):
    log = RunLog(tmp_path / "log.jsonl", keep=100)
    assert log.lost == 100
    log.write(step=1)
    log.close()
    assert read_log(tmp_path / "log.jsonl") == [{"step": 1}]


def test_a_line_that_is_not_whole(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"st', encoding="utf-8")
    assert read_log(tmp_path / "log.jsonl") == [{"step": 1}]
    (tmp_path / "log.jsonl").write_text("", encoding="utf-8")
    assert read_log(tmp_path / "log.jsonl") == []


def test_lines_where_there_is_no_terminal(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    shown = Progress()
    shown.begin("epoch 1/2", 100, done=10)
    for _ in range(50):
        clock[0] += 1.0
        shown.advance("loss 2.000")
    shown.say("done")
    assert capsys.readouterr().err == "epoch 1/2: batch 41 of 100, loss 2.000\ndone\n"


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = Progress()
    shown.begin("epoch 1/2", 4, done=1)
    shown.advance("loss 2.000")
    shown.say("done")
    written = capsys.readouterr().err
    assert "epoch 1/2:  25%" in written
    assert "1/4" in written
    assert written.endswith("done\n")


def test_quiet(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = Progress(quiet=True)
    shown.begin("epoch", 2)
    shown.advance()
    shown.say("done")
    shown.close()
    assert capsys.readouterr().err == ""


def test_without_a_console(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    shown = Progress()
    shown.begin("epoch", 2)
    shown.advance()
    shown.say("done")
