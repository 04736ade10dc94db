"""The mutants that no test can notice, as they compute the same, each with the reason.

{module: {(function, operator, statement before, statement after): reason}}, as `python tests/mutants.py --list` prints them.
"""

EQUIVALENT: dict[str, dict[tuple[str, str, str, str], str]] = {
    "layers/cross_entropy": {
        (
            "cross_entropy_forward",
            "off by one",
            "loss = -(p * xp.where(p == 0, 0, log_q)).sum() / len(logits)",
            "loss = -(p * xp.where(p == 0, 1, log_q)).sum() / len(logits)",
        ): "any finite number will do where it is multiplied by p = 0",
    },
}
