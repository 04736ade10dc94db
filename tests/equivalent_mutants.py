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
    "layers/layernorm": {
        (
            "layernorm_forward",
            "swap operands",
            "rstd = 1 / xp.sqrt(row_mean((rows - mean) ** 2) + eps)",
            "rstd = 1 / xp.sqrt(row_mean((mean - rows) ** 2) + eps)",
        ): "a square does not know the sign",
    },
    "layers/window": {
        (
            "window_mask",
            "off by one",
            "of_one_image = moved_to(like, window_partition(np.ones((1, H, W, 1)), P)[..., 0] > 0)",
            "of_one_image = moved_to(like, window_partition(np.ones((1, H, W, 2)), P)[..., 0] > 0)",
        ): "of the channels, which are all alike, the first is taken",
    },
}
