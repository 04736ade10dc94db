"""Examines a file of the reader's: is each backward right, and where not, what is the mistake?

The verdict is gradcheck's, central differences of the forward with random cotangents in float64. Hints are sought only for
what it found wrong.
"""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass, field, replace
from types import ModuleType
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..check.gradcheck import GradientError, gradcheck
from ..errors import refusing
from . import moves, structure
from .exercise import Exercise, Part, Setting
from .form import form_hints, shape_error_hints
from .hint import Evidence, Hint, Probe, as_tuple, listed, same
from .neighbours import changed_at_some_entries, changed_ingredient, coefficients, two_mistakes
from .theirs import Local, Raised, Theirs
from .wire import Strange

TOLERANCE = 1e-7  # of gradcheck

# The first that recognises something has the word: the surest first, the vaguest last.
DETECTORS = (
    structure.not_finite,
    structure.zero,
    structure.rounded,
    structure.sign,
    lambda evidence: coefficients(evidence, usual=True),
    changed_ingredient,
    structure.of_another,
    structure.independent_of_dy,
    structure.constant,
    moves.turned,
    moves.of_another_dy,
    lambda evidence: coefficients(evidence, usual=False),
    structure.not_linear,
    two_mistakes,
    changed_at_some_entries,
    structure.where_wrong,
    structure.unknown,
)


VAGUE = ("unknown", "partly wrong")


@dataclass
class Finding:
    """One backward at one setting: the error of each gradient (None: it could not be compared), hints, what was raised, and in
    an exercise of several steps the gradients that are still to come."""

    backward: str
    setting: str
    errors: dict[str, float] = field(default_factory=dict)
    hints: list[Hint] = field(default_factory=list)
    raised: str = ""
    unwritten: bool = False
    note: str = ""
    left: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the backward is right at this setting."""
        return not (self.hints or self.raised or self.unwritten or self.left)

    @property
    def so_far(self) -> bool:
        """Whether what is written is right, and some is still to come."""
        return bool(self.left) and not (self.hints or self.raised or self.unwritten)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Finding:
        """The reverse of `to_dict`."""
        return cls(**{**data, "hints": [Hint(**hint) for hint in data["hints"]]})


@refusing
def examine(module: ModuleType, exercise: Exercise, file: str = "") -> list[Finding]:
    """The findings for every backward of an exercise, at each setting until one fails. `file`: whose lines are told."""
    return findings_of(Local(module, file), exercise)


def findings_of(theirs: Theirs, exercise: Exercise) -> list[Finding]:
    """The same of functions that may run elsewhere."""
    real = importlib.import_module(f"mvnp.layers.{exercise.stem}")
    findings = []
    for part in exercise.parts:
        for setting in part.settings:
            findings.append(_examine(exercise, part, setting, theirs, real))
            if not findings[-1].ok:
                break
    helps = {part.backward for part in exercise.parts if part.help}
    others = [finding for finding in findings if finding.backward not in helps]
    # Without a function that is a help alone, what is right is right.
    return others if all(finding.ok for finding in others) and any(finding.unwritten for finding in findings) else findings


def differs(theirs: Theirs, exercise: Exercise, seed: int) -> Finding | None:
    """At other inputs, in another order: the first backward that gives something else there than the layer's own.

    For an answer that was right, in a process that has not seen it yet.
    """
    real = importlib.import_module(f"mvnp.layers.{exercise.stem}")
    places = [(part, setting) for part in exercise.parts for setting in part.settings]
    for place in np.random.default_rng(seed).permutation(len(places)):
        part, setting = places[place]
        probe, finding = Probe(part, setting, theirs, real, seed=seed), Finding(part.backward, setting.what)
        try:
            with np.errstate(all="ignore"):
                finding.raised = _forward_problem(probe)
                hints = [] if finding.raised else _hints(probe)
        except Raised as raised:
            if part.help and raised.unwritten:
                continue
            finding.raised, hints = raised.described, []
        if hints:
            where = ", ".join(dict.fromkeys(hint.where for hint in hints if hint.where))
            finding.hints = [Hint("other inputs", where, OTHER_INPUTS)]
        if not finding.ok:
            return finding
    return None


OTHER_INPUTS = (
    "right at the first inputs, and wrong at others in another order: the result hangs on something else than dy and cache,"
    " such as numbers that were noted down or how often it was called"
)


def _examine(exercise: Exercise, part: Part, setting: Setting, theirs: Theirs, real: ModuleType) -> Finding:
    finding = Finding(part.backward, setting.what)
    name = theirs.missing((part.forward, part.backward))
    if part.help and name == part.backward:
        finding.unwritten = True
        return finding
    if name is not None:
        finding.raised = f"the file has no function {name}; it is to be called so, at the top level"
        return finding
    probe = Probe(part, setting, theirs, real, in_steps=bool(exercise.steps) and not part.help)
    try:
        if problem := _forward_problem(probe):
            finding.raised = problem
            return finding
        with np.errstate(all="ignore"):  # NaN and infinity get a hint
            finding.hints = _hints(probe)
            if not finding.hints:
                _note_what_is_left(exercise, probe, finding)
                _compare(probe, finding)
    except Raised as raised:
        finding.unwritten = raised.unwritten
        finding.raised = "" if raised.unwritten else raised.described
        if raised.of_shapes:
            finding.hints = _hints_with_equal_sizes(probe)
            if finding.hints:
                finding.note = "with all sizes equal to 3 the shapes fit together, and what comes out shows:"
            else:
                finding.hints = shape_error_hints(raised)
    return finding


def _forward_problem(probe: Probe) -> str:
    tried = probe.got(None)
    if not tried.pair:
        return f"{probe.part.forward} no longer returns the pair (y, cache); put back the forward as it was"
    if tried.y is None or isinstance(tried.y, Strange) or not same(to_numpy(np.asarray(tried.y)), probe.y):
        return f"{probe.part.forward} no longer gives the y of the layer; put back the forward as it was"
    return ""


def _hints(probe: Probe) -> list[Hint]:
    """What is wrong; nothing where all is right."""
    results = []
    for trial in probe.trials:
        tried = probe.got(trial.dy)
        if tried.changed:
            text = f"{', '.join(tried.changed)} is changed in place, and whoever gave it needs it as it was; make a copy first"
            return [Hint("in place", "", text)]
        results.append(form_hints(probe, tried.result, trial.right))
    hints, arrays = list(results[0][0]), [arrays for _, arrays in results]
    for name in probe.present():
        if all(name in found for found in arrays):
            evidence = Evidence(name, [found[name] for found in arrays], probe)
            if not evidence.fits(evidence.right):
                hints.append(next(hint for detect in DETECTORS if (hint := detect(evidence)) is not None))
    return _merged(_followers(hints))


def _followers(hints: list[Hint]) -> list[Hint]:
    """Beside a mistake that has a name, a gradient that is just wrong is likely wrong for the same reason."""
    vague = [hint for hint in hints if hint.kind in VAGUE]
    if not vague or len(vague) == len(hints):
        return hints
    text = "is wrong too, perhaps by the same mistake"
    return [Hint("follows", hint.where, text) if hint in vague else hint for hint in hints]


def _merged(hints: list[Hint]) -> list[Hint]:
    """The same mistake in several gradients is told once."""
    where: dict[tuple[str, str], list[str]] = {}
    for hint in hints:
        where.setdefault((hint.kind, hint.text), []).append(hint.where)
    return [Hint(kind, ", ".join(names), text) for (kind, text), names in where.items()]


def _note_what_is_left(exercise: Exercise, probe: Probe, finding: Finding) -> None:
    """The gradients that are None where there are steps, and which step is next."""
    if not probe.in_steps:
        return
    result = as_tuple(probe.got(probe.trials[0].dy, quiet=True).result)
    given = dict(zip(probe.part.returns, result, strict=True))
    finding.left = [name for name in probe.present() if given[name] is None]
    finding.unwritten = len(finding.left) == len(probe.present())
    following = next((each for each in exercise.steps_of(probe.part) if set(each[1].gradients) & set(finding.left)), None)
    if following is not None:
        number, step = following
        told = listed(f"d{name}" for name in step.gradients if name in probe.present())
        finding.note = f"next is step {number} of {len(exercise.steps)}, {told}: {step.text}"


def _compare(probe: Probe, finding: Finding) -> None:
    """The verdict, by differences of the layer's own forward: that theirs gives the same y is known by now."""
    names, wanted = probe.part.returns, [name for name in probe.present() if name not in finding.left]
    if not wanted:
        return

    def forward(*inputs: np.ndarray) -> Any:
        return probe.forward(*{**probe.inputs, **dict(zip(wanted, inputs, strict=True))}.values())

    def backward(dy: np.ndarray, cache: Any) -> tuple[Any, ...]:
        result = as_tuple(probe.got(dy, quiet=True).result)  # what it prints was shown when hints were sought
        given = dict(zip(names, result, strict=False))
        return tuple(given.get(name) for name in wanted)

    try:
        moved = {name: probe.inputs[name] for name in wanted}
        report = gradcheck(forward, backward, moved, jacobian=False, directions=4, tolerance=TOLERANCE)
    except GradientError as error:
        finding.hints = [Hint("gradcheck", "", str(error))]
        return
    finding.errors = {row.tensor: row.error for row in report.comparisons}
    finding.hints = [
        Hint("unknown", f"d{row.tensor}", f"{row.where}: {row.analytic:.6g}, differences give {row.numeric:.6g}")
        for row in report.comparisons
        if row.error > report.tolerance
    ]


def _hints_with_equal_sizes(probe: Probe) -> list[Hint]:
    """Where shapes did not fit together: with equal sizes all products can be taken, and the values tell what is wrong."""
    try:
        return _hints(replace(probe, square=True, trials=[]))
    except (Raised, ValueError):  # other sizes do not mend it, or this layer cannot have equal ones
        return []
