"""The mutants that no test can notice, as they compute the same, each with the reason.

{module: {(function, operator, statement before, statement after): reason}}, as `python tests/mutants.py --list` prints them.
"""

EQUIVALENT: dict[str, dict[tuple[str, str, str, str], str]] = {}
