"""The log of a run: mvnp/training/log.py; and what a person sees: progress.py."""

import errno
import io
import sys
from types import SimpleNamespace

import pytest

from mvnp.errors import TrainingError
from mvnp.training import progress, read_log
from mvnp.training.log import RunLog
from mvnp.training.progress import Progress


def test_lines_come_back(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    log.write(event="step", step=1, loss=0.1 + 0.2, lr=0.1, grad_norm=None)
    assert read_log(tmp_path / "log.jsonl") == [  # at once, to the last bit
        {"event": "step", "step": 1, "loss": 0.1 + 0.2, "lr": 0.1, "grad_norm": None}
    ]
    log.write(event="epoch", step=1, epoch=1, test_loss=None, test_accuracy=None)
    assert log.sync() == (tmp_path / "log.jsonl").stat().st_size
    log.close()
    assert len(read_log(tmp_path / "log.jsonl")) == 2


@pytest.mark.parametrize(
    "line",
    [
        *("", "nonsense", "[1]", "5", "{", '{"event": "step"}', "[" * 100_000, '{"a": NaN}'),
        *(
            f'{{"event": "step", "step": 1, "lr": 0.1, "grad_norm": 1, "loss": {loss}}}'
            for loss in ("null", '"1"', "[]", "1e999")
        ),
        '{"event": "step", "step": 1, "lr": 0.1, "grad_norm": 1, "loss": 1' + 400 * "0" + "}",
        '{"event": "epoch", "step": 1, "epoch": 1, "test_loss": "1", "test_accuracy": 0.5}',
    ],
)
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "log.jsonl"
    path.write_text('{"event": "other"}\n' + line + '\n{"event": "other"}\n', encoding="utf-8")
    with pytest.raises(TrainingError, match=r"log\.jsonl is damaged: line 2, .* is no line of a training log; put back a copy"):
        read_log(path)


def test_a_log_shows_no_control_characters(tmp_path):
    (tmp_path / "log.jsonl").write_bytes(b"\x1b[2J\xff\n")
    with pytest.raises(TrainingError) as caught:
        read_log(tmp_path / "log.jsonl")
    assert str(caught.value).isprintable()


def test_a_log_that_cannot_be_written_names_itself(tmp_path, monkeypatch):
    log = RunLog(tmp_path / "log.jsonl")
    full = OSError(errno.ENOSPC, "No space left on device")
    for name, function in (("fsync", log.sync), ("flush", lambda: log.write(step=1)), ("close", log.close)):
        where = "mvnp.training.log.os.fsync" if name == "fsync" else f"mvnp.training.log.RunLog._file.{name}"
        with monkeypatch.context() as patch:
            if name == "fsync":
                patch.setattr(where, raising(full))
            else:
                patch.setattr(log, "_file", SimpleNamespace(write=len, **{name: raising(full)}))
            with pytest.raises(OSError, match="No space left") as caught:
                function()
        assert caught.value.filename == str(tmp_path / "log.jsonl")
    log.close()


def raising(error):
    def function(*arguments):
        raise error

    return function


def test_a_terminal_that_is_closed_makes_progress_quiet(monkeypatch):
    """As after SIGHUP: what is worked out is to be saved all the same."""

    class Closed(io.StringIO):
        open = True

        def isatty(self):
            return True

        def write(self, text):
            if not self.open:
                raise OSError(errno.EIO, "Input/output error")
            return super().write(text)

    terminal = Closed()
    monkeypatch.setattr(sys, "stderr", terminal)
    seen = Progress()
    seen.begin("epoch 1/2", 3)
    terminal.open = False
    for _ in range(3):
        seen.advance("loss 1")
        seen.say("a line")
        seen.begin("epoch 2/2", 3)
    seen.close()
    assert seen.quiet
    terminal.open = True
    assert "a line" not in terminal.getvalue()


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


def test_control_characters_are_shown_as_escapes(capsys):
    Progress().say("a\x1b[31mb\nc\x07")
    assert capsys.readouterr().err == "a\\x1b[31mb\nc\\x07\n"


def test_what_is_kept_is_still_a_log(tmp_path):
    path = tmp_path / "log.jsonl"
    line = b'{"event": "other"}\n'
    path.write_bytes(line + b"garbage\n" + line)
    with pytest.raises(TrainingError, match=r"log.jsonl is damaged: line 2, 'garbage', is no line of a training log"):
        RunLog(path, keep=len(line) + 8)
    assert path.read_bytes() == line + b"garbage\n" + line
    RunLog(path, keep=len(line)).close()  # what a killed run wrote later is cut off, whatever it is
    assert path.read_bytes() == line
