"""The training loop.

A resumed run equals an uninterrupted one bit for bit: parameters, optimiser, running statistics, log. Nothing is drawn from
a generator that lives on from step to step; the seed and the position key all that is random, so the position is the state.
"""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import write_bytes
from ..backend import from_numpy, gpu_memory, to_numpy
from ..checkpoint import load_checkpoint
from ..checkpoint.load import AVERAGE
from ..core import Layer, Tape
from ..data import BatchLoader
from ..data.fingerprint import fingerprint
from ..data.held_out import held_out_table
from ..data.prefetch import Prefetch, WorkerError, workers_for
from ..errors import InputError, TrainingError, TrainingInterrupted, refusing
from ..execution.stopping import StopRequest
from ..version import __version__
from .class_weights import class_weights
from .config_file import to_toml
from .describe import describe
from .distributed import Ranks
from .epoch_result import EpochResult
from .evaluate import Evaluation, evaluate
from .feed import Feed
from .ingredients import digest_of, make_average, make_optimizer, rate_of, teacher_of
from .log import NoLog, RunLog
from .loss_scale import adapted
from .objective import Teacher
from .progress import Progress, Speed
from .restore import restore
from .run_checkpoint import Checkpoint, Position, write_checkpoint
from .run_folder import RunFolder, TrainingResult, known
from .step import HalfOverflowError, NonFiniteError, StepResult, train_step
from .words import duration, in_words, left_out

# The tape's generator is keyed by (seed, this, step). The loader's keys have other numbers in second place.
_TAPE = 3


class Trainer:
    """A run: a model, its data, and a folder from `open_run`. `train` makes one; a model of your own goes in here.

    test_loader  what chooses the best epoch; None: nothing does, and the last one is the best
    final_loader images that have chosen nothing, for a last word about the best epoch; None: there is none
    notes        what was found about the data, in words, said before the first step
    about        what to note in the checkpoints besides: ready for JSON. The model's config, the classes and how images are
                 prepared are noted in any case (describe.py), so that `mvnp.load_pretrained` needs nothing else
    lr_scales    factors of the learning rate of single parameters, by name
    teacher      who is learnt from besides the labels; None: nobody, or with `mesa` the average of the weights
    save_best    writes a model, this one or the average of its weights, after an epoch that was better than all before to
                 the path it is given; None: a checkpoint like the last
    ranks        the processes that train together (ranks.py), of which the first writes and shows all there is; None: this one
    """

    @refusing
    def __init__(
        self,
        model: Layer,
        train_loader: BatchLoader,
        test_loader: BatchLoader | None,
        folder: RunFolder,
        *,
        final_loader: BatchLoader | None = None,
        notes: tuple[str, ...] = (),
        quiet: bool = False,
        about: dict[str, Any] | None = None,
        lr_scales: Mapping[str, float] | None = None,
        teacher: Teacher | None = None,
        save_best: Callable[[Path, Layer], None] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        _check_kinds(model, folder, train_loader, test_loader, final_loader)
        self.model, self.folder, self.config = model, folder, folder.config
        self.train_loader, self.test_loader, self.final_loader = train_loader, test_loader, final_loader
        self.part = None if test_loader is None else test_loader.dataset.part
        self._called = "validation" if self.part == "val" else "test"
        self._notes = (*notes, *folder.notes)
        self._class_weights = class_weights(self.config, train_loader.dataset)
        self.batches = -(-len(train_loader) // self.config.accumulate)  # steps in an epoch
        self.total_steps = self.config.epochs * self.batches
        self.optimizer = make_optimizer(self.config, model, lr_scales)
        self.average = make_average(self.config, model, self.total_steps)
        self.teacher = teacher
        self._depth_of = getattr(getattr(model, "model", model), "depth_of", None)
        self.position = Position()
        described = describe(getattr(model, "model", model), train_loader)  # of a FrozenTrunk, the model in it
        self.about = {**described, **(about or {}), "batches_per_epoch": self.batches}
        self._data = {part: loader.dataset for part, loader in self._loaders().items()}
        self.about["data"] = {part: fingerprint(data) for part, data in self._data.items()}
        if teacher is not None:
            self.about["teacher"] = digest_of(teacher.model)
        self._write_best = save_best
        self.ranks = ranks or Ranks()
        self._source: Prefetch | Feed
        self._feed = Feed(train_loader, next(iter(model.named_state()))[1].data, self.ranks.shard)
        self.progress = Progress(quiet or not self.ranks.first)
        self._log: RunLog
        self._saved_step = 0
        if folder.resumed is not None:
            restore(folder, folder.resumed, self.about, model, self.optimizer, self.average)
            self.position = folder.resumed.position
            self._saved_step = self.position.step

    def run(self) -> TrainingResult:
        """Train to the end. Raises TrainingInterrupted, TrainingError, and InputError for images that do not fit the model."""
        with self.folder:
            return self._run()

    def _run(self) -> TrainingResult:
        # One image through the model: what does not fit shows now, before anything is written.
        self._check_fit()
        if self.ranks.first:
            self._list_held_out()
        if self.folder.resumed is None and self.ranks.first:
            # There is always something to go on from, and a full disk shows before the work, not after.
            write_checkpoint(self.folder.checkpoint, self._checkpoint())
        if self.ranks.first:
            write_bytes(self.folder.settings, to_toml(self.config, __version__).encode())
        self._log = RunLog(self.folder.log, keep=self.position.log_size) if self.ranks.first else NoLog()
        how = self._how_to_resume()
        self.ranks.watch(f"mvnp: a process of this training was killed or failed, and with it all. To go on: {how}")
        try:
            self._announce()
            workers = self.config.workers
            if workers is None:
                workers = 0 if self._feed.ahead else workers_for(self.train_loader)
            made = Prefetch(self.train_loader, workers, self.config.epochs, self.ranks.shard)
            self._source = made if workers else self._feed
            with StopRequest(announce=not self.progress.quiet) as stop, made as self._made:
                while not self._is_over():
                    self._train_epoch(stop)
                    self._finish_epoch(stop)
                self._finish(stop)
            peak = gpu_memory()
            if peak is not None:
                self.progress.say(f"peak GPU memory {peak / 1e6:.0f} MB")
        finally:
            self._feed.close()
            self.progress.close()
            self._log.close()
        return self.folder.result(self.position, self.part)

    def _loaders(self) -> dict[str, BatchLoader]:
        """By what they are for, as far as there are any."""
        loaders = [("training", self.train_loader), (self._called, self.test_loader), ("test", self.final_loader)]
        return {part: loader for part, loader in loaders if loader is not None}

    def _list_held_out(self) -> None:
        """Which pictures the run does not train on, for `mvnp validate RUN`."""
        table = held_out_table(data for part, data in self._data.items() if part != "training")
        if table is not None:
            write_bytes(self.folder.held_out, table)

    def _check_fit(self) -> None:
        image = from_numpy(self.train_loader.prepare(self.train_loader.dataset.images[:1]))
        self.model(image)
        if 1 in (self.train_loader.batch_length(number) for number in (0, len(self.train_loader) - 1)):
            try:
                self.model(image, Tape(training=True))
            except InputError as error:
                raise InputError(
                    f"a batch of one image cannot be trained on: {error}. Use a --batch-size of at least 2, or larger images"
                ) from error

    def _is_over(self) -> bool:
        """All epochs done, or none of the last `patience` better than the best before: read off the position alone."""
        config, position = self.config, self.position
        if position.epoch == config.epochs:
            return True
        tested = self.part is not None and position.epoch % config.eval_every == 0 and position.best_epoch is not None
        return bool(config.patience) and tested and position.epoch - known(position.best_epoch) >= config.patience

    def _train_epoch(self, stop: StopRequest) -> None:
        """What is left of the current epoch."""
        position = self.position
        self.progress.begin(f"epoch {position.epoch + 1}/{self.config.epochs}", self.batches, position.batch)
        self._speed = Speed()
        while position.batch < self.batches:
            with self._speed:
                batches = self._batches_of_step()
                self._speed.has_batches()
                lr = rate_of(self.config, position.step, self.batches)
                result = self._step(batches, lr)
                if self.average is not None:
                    self.average.update(self.model)
            self._speed.images += sum(total for *_, total in batches)
            position.batch += 1
            position.step += 1
            position.loss_sum += result.loss
            position.seconds += self._speed.last
            fields: dict[str, Any] = {"step": position.step, "epoch": position.epoch + 1, "lr": lr}
            fields |= {"loss": result.loss, "grad_norm": result.grad_norm}
            if result.apart is not None:
                fields["apart"] = result.apart
            if result.by_depth is not None:
                fields["grad_norm_by_depth"] = list(result.by_depth.values())
            self._log.write(event="step", **fields)
            self.progress.advance(f"loss {result.loss:.3f}, lr {lr:.1e}")
            self._stop_if_asked(stop)
            if self.config.checkpoint_every and position.step % self.config.checkpoint_every == 0:
                self._save(self.folder.checkpoint)

    def _batches_of_step(self) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """(images, labels, how many all ranks have) of the batches of this step: this rank's share of each."""
        position, each = self.position, self.config.accumulate
        found = []
        for number in range(each * position.batch, min(each * (position.batch + 1), len(self.train_loader))):
            total = self.train_loader.batch_length(number)
            try:
                found.append((*self._source.batch(position.epoch, number), total))
            except WorkerError as error:
                raise TrainingError(
                    f"stopped at step {position.step + 1}: {error}. {self._last_good()} To go on: {self._how_to_resume()}"
                ) from error
        return found

    def _finish_epoch(self, stop: StopRequest) -> None:
        """Evaluate where it is due, and write all down. Asked to stop in between, it leaves the epoch to be finished later."""
        position, epoch = self.position, self.position.epoch + 1
        last = epoch == self.config.epochs
        due = epoch % self.config.eval_every == 0 or last
        tested = self._evaluate(stop, self.test_loader) if due and self.test_loader is not None else None
        averaged = None
        if tested is not None and self.test_loader is not None and self.average is not None:
            averaged = self._evaluate(stop, self.test_loader, self.average.model)
        train_loss = position.loss_sum / self.batches
        found = EpochResult(tested, averaged)
        improved = last if self.test_loader is None else found.is_better(position, self.config.best_by)
        position.epoch, position.batch, position.loss_sum = epoch, 0, 0.0
        found.note(position, self.config.best_by, improved)
        self._log.write(
            event="epoch",
            step=position.step,
            epoch=epoch,
            train_loss=train_loss,
            **found.fields(self.average is not None),
            best_accuracy=position.best_accuracy,
            images_per_second=self._speed.rate(),
            waiting=self._speed.waiting(),
            seconds=position.seconds,
        )
        told = found.in_words(self._called, found.chosen(self.config.best_by) if improved and epoch > 1 else None)
        rest = position.seconds / epoch * (self.config.epochs - epoch)
        left = "" if last else f", {duration(rest)} left"
        self.progress.say(f"epoch {epoch}/{self.config.epochs}: loss {train_loss:.3f}{told}{self._speed}{left}")
        if improved:
            self._save_best()
        self._save(self.folder.checkpoint)
        if self._is_over() and epoch < self.config.epochs:
            waited = epoch - known(position.best_epoch)
            better = "test accuracy" if self.config.best_by == "accuracy" else self.config.best_by.replace("-", " ")
            better = better.replace("test", self._called)
            self.progress.say(f"no better {better} for {waited} epoch{'s' * (waited > 1)}: stopping early")

    def _finish(self, stop: StopRequest) -> None:
        """The last word: what the test part says of the best epoch, which it did not choose."""
        position = self.position
        if self.final_loader is None or position.final is not None:
            return
        last = {key: array.copy() for key, array in self.model.state_dict(copy=False).items()}
        if position.best_epoch != position.epoch or position.best_of == "average":
            best = self.ranks.from_first(lambda: load_checkpoint(self.folder.best))
            self.model.load_state_dict(best)
        try:
            tested = self._evaluate(stop, self.final_loader)
        finally:
            self.model.load_state_dict(last)
        position.final = [tested.accuracy, tested.mean_accuracy]
        fields = {"loss": tested.loss, "accuracy": tested.accuracy, "mean_accuracy": tested.mean_accuracy}
        self._log.write(event="test", step=position.step, epoch=position.best_epoch, **fields)
        self.progress.say(
            f"test accuracy {in_words(tested)} of the best epoch, on {tested.count} images that have chosen nothing"
        )
        self._save(self.folder.checkpoint)

    def _step(self, batches: list[tuple[np.ndarray, np.ndarray, int]], lr: float) -> StepResult:
        config, position = self.config, self.position
        (images, labels, total), *more = batches
        try:
            result = train_step(
                self.model,
                self.optimizer,
                images,
                labels,
                lr=lr,
                seed=[config.seed, _TAPE, position.step],
                clip_norm=config.clip_norm,
                loss=config.loss,
                label_smoothing=config.label_smoothing,
                class_weights=self._class_weights,
                bce_threshold=config.bce_threshold,
                teacher=teacher_of(config, self.average, self.teacher, position.epoch),
                ranks=self.ranks,
                total=total,
                more=more,
                micro_batch=config.micro_batch,
                loss_scale=position.loss_scale if config.precision == "mixed" else None,
                depth_of=self._depth_of if position.batch + 1 == self.batches else None,
            )
            self._adapt_scale(overflowed=False)
            return result
        except HalfOverflowError as error:
            self._adapt_scale(overflowed=True)
            return StepResult(error.loss, None)
        except NonFiniteError as error:
            where = f"step {position.step + 1} (epoch {position.epoch + 1}, batch {position.batch + 1} of {self.batches})"
            finite = all(bool(np.isfinite(to_numpy(each)).all()) for each, *_ in batches)
            if all(self.ranks.all_gather(finite)):
                advice = self._lower_rate(lr)
            else:
                advice = "The images of this batch hold values that are not finite: look at the data."
            raise TrainingError(f"stopped at {where}: {error}. {self._last_good()} {advice}") from error

    def _lower_rate(self, lr: float) -> str:
        return (
            f"A lower learning rate (it was {lr:.2g}) or a longer warm-up usually helps. To go on from there with one:"
            f" {self._how_to_resume()} --lr {self.config.lr / 3:.2g}"
        )

    def _adapt_scale(self, overflowed: bool) -> None:
        if self.config.precision == "mixed":
            position = self.position
            position.loss_scale, position.good_steps = adapted(position.loss_scale, position.good_steps, overflowed)

    def _evaluate(self, stop: StopRequest, loader: BatchLoader, model: Layer | None = None) -> Evaluation:
        self.progress.begin("testing" if model is None else "testing the average", len(loader))
        before = time.monotonic()

        def on_batch(number: int) -> None:
            self.progress.advance()
            self._stop_if_asked(stop)

        tested = evaluate(model or self.model, loader, on_batch, self.ranks)
        self.position.seconds += time.monotonic() - before
        if not math.isfinite(tested.loss):
            raise TrainingError(
                f"the test loss after epoch {self.position.epoch + 1} is {tested.loss}. {self._last_good()}"
                f" {self._lower_rate(self.config.lr)}"
            )
        return tested

    def _stop_if_asked(self, stop: StopRequest) -> None:
        # A signal reaches the ranks at different moments, if it reaches all: what one has heard, all act on.
        signals = [signal for signal in self.ranks.all_gather(stop.signal) if signal is not None]
        if not signals:
            return
        self._save(self.folder.checkpoint)
        cause = "Ctrl-C" if signals[0].name == "SIGINT" else signals[0].name
        raise TrainingInterrupted(
            f"stopped by {cause} after step {self.position.step} of {self.total_steps}; everything is saved in"
            f" {self.folder.path}. To go on: {self._how_to_resume()}",
            signals[0],
        )

    def _how_to_resume(self) -> str:
        many = f"mpiexec -n {self.ranks.size} " if self.ranks.size > 1 else ""
        command = "train" if self.config.weights is None else "finetune"
        return f"{many}mvnp {command} --resume --out {shlex.quote(str(self.folder.path))}"

    def _save(self, path: Path, weights: str = "model") -> None:
        if not self.ranks.first:
            self._saved_step = self.position.step
            return
        # The log reaches the disk first: a checkpoint never speaks of lines that a power cut has taken.
        self.position.log_size = self._log.sync()
        try:
            write_checkpoint(path, self._checkpoint(weights))
        except TrainingError as error:
            raise TrainingError(f"stopped after step {self.position.step}: {error}. {self._last_good()}") from error
        self._saved_step = self.position.step

    def _save_best(self) -> None:
        if not self.ranks.first:
            return
        if self._write_best is None:
            self._save(self.folder.best, self.position.best_of)
        else:
            averaged = self.average is not None and self.position.best_of == "average"
            self._write_best(self.folder.best, self.average.model if averaged and self.average else self.model)

    def _checkpoint(self, weights: str = "model") -> Checkpoint:
        arrays = {f"model.{key}": array for key, array in self.model.state_dict(copy=False).items()}
        arrays.update({f"optimizer.{key}": array for key, array in self.optimizer.state_dict(copy=False).items()})
        if self.average is not None:
            averages = self.average.model.state_dict(copy=False)
            arrays.update({f"{AVERAGE}{key}": array for key, array in averages.items()})
        return Checkpoint(arrays, self.config, self.position, self.about, weights)

    def _announce(self) -> None:
        for note in (*self._notes, *left_out(self.train_loader)):
            self.progress.say(note)
        if self._log.lost:
            self.progress.say(f"{self.folder.log} has lost {self._log.lost} bytes since the checkpoint; going on without them")
        if self.folder.resumed is not None:
            over = ": nothing left to do" if self._is_over() else ""
            self.progress.say(f"resuming {self.folder.path} after step {self.position.step} of {self.total_steps}{over}")

    def _last_good(self) -> str:
        return f"The last good checkpoint, after step {self._saved_step}, is {self.folder.checkpoint}."


def _check_kinds(model: Any, folder: Any, train: Any, *others: Any) -> None:
    """Raise InputError for what a Trainer cannot work with, in its own words."""
    for what, value, kind, called in (
        ("the model", model, Layer, "a layer, such as mvnp.create_model gives"),
        ("train_loader", train, BatchLoader, "an mvnp.data.BatchLoader"),
        *(("test_loader or final_loader", other, BatchLoader | None, "a BatchLoader, or None") for other in others),
        ("folder", folder, RunFolder, "what mvnp.training.open_run gives"),
    ):
        if not isinstance(value, kind):
            raise InputError(f"Trainer: {what} is a {type(value).__name__}, expected {called}")
