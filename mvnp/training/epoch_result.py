"""What an epoch came to: the tests of the weights and of their average, which of both counts, and what is noted of them."""

from __future__ import annotations

from dataclasses import dataclass

from .evaluate import Evaluation
from .run_checkpoint import Position
from .words import in_words

FIELDS = ("loss", "accuracy", "mean_accuracy")


@dataclass(frozen=True)
class EpochResult:
    """`tested` the weights, `averaged` their average; None: not in this epoch, or there is none."""

    tested: Evaluation | None
    averaged: Evaluation | None = None

    def chosen(self, best_by: str) -> Evaluation | None:
        """The better of both."""
        if self.tested is None or self.averaged is None:
            return self.tested
        return self.averaged if score(self.averaged, best_by) > score(self.tested, best_by) else self.tested

    def is_better(self, position: Position, best_by: str) -> bool:
        """Than all epochs before."""
        best = position.best_score if position.best_score is not None else position.best_accuracy
        chosen = self.chosen(best_by)
        return chosen is not None and (best is None or score(chosen, best_by) > best)

    def note(self, position: Position, best_by: str, improved: bool) -> None:
        """Write into the position what the epoch that it has come to is like, and that it is the best, where it is."""
        if self.tested is not None:
            position.accuracy, position.mean_accuracy = self.tested.accuracy, self.tested.mean_accuracy
        if self.averaged is not None:
            position.ema_accuracy = self.averaged.accuracy
        if improved:
            chosen = self.chosen(best_by)
            position.best_epoch, position.final = position.epoch, None
            position.best_score = None if chosen is None else score(chosen, best_by)
            position.best_of = "average" if chosen is not None and chosen is self.averaged else "model"
            position.best_accuracy = position.accuracy if chosen is None else chosen.accuracy

    def fields(self, with_average: bool) -> dict[str, float | None]:
        """For the log."""
        found = {f"test_{name}": None if self.tested is None else getattr(self.tested, name) for name in FIELDS}
        if with_average:
            found |= {f"ema_{name}": None if self.averaged is None else getattr(self.averaged, name) for name in FIELDS}
        return found

    def in_words(self, called: str, best: Evaluation | None = None) -> str:
        """`, test loss 0.412, test accuracy 86.93% (best so far)`; `called`: what the part is, `best`: which of them."""
        if self.tested is None:
            return ""
        tested, averaged = (
            "" if each is None else in_words(each) + " (best so far)" * (each is best) for each in (self.tested, self.averaged)
        )
        told = f", {called} loss {self.tested.loss:.3f}, {called} accuracy {tested}"
        return f"{told}, of the average {averaged}" if averaged else told


def score(tested: Evaluation, best_by: str) -> float:
    """What epochs are compared by: the larger the better."""
    return {"accuracy": tested.accuracy, "mean-accuracy": tested.mean_accuracy, "loss": -tested.loss}[best_by]
