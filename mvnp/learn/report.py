"""An outcome in words: what `mvnp learn check` prints of each backward."""

from __future__ import annotations

from .answer import Outcome
from .examine import Finding


def told(outcome: Outcome) -> list[str]:
    """Lines: what the answer has printed, why it could not be checked, and the verdict of each backward with its hints."""
    lines = [f"  | {line}" for line in outcome.printed.splitlines()]
    if outcome.failed:
        lines.append(f"  could not be checked: {outcome.failed}")
    return [*lines, *(line for finding in outcome.findings for line in _told(finding))]


def _told(finding: Finding) -> list[str]:
    name = f"{finding.backward}{f' ({finding.setting})' if finding.setting else ''}"
    if finding.unwritten:
        lines = [f"  {name}: is still to be written"]
    elif finding.raised:
        lines = [f"  {name}: {finding.raised}"]
    elif finding.so_far:
        written = ", ".join(f"d{each}" for each in finding.errors)
        lines = [f"  {name}: right so far ({written}), largest error {max(finding.errors.values()):.0e}"]
    elif finding.ok:
        lines = [f"  {name}: right, largest error {max(finding.errors.values()):.0e}"]
    else:
        lines = [f"  {name}: wrong"]
    return lines + [f"    {finding.note}"] * bool(finding.note) + [f"    hint: {hint}" for hint in finding.hints]
