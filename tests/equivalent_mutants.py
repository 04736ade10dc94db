"""The mutants that no test can notice, as they compute the same, each with the reason.

{module: {(function, operator, statement before, statement after): reason}}, as `python tests/mutants.py --list` prints them.
"""

LONGER = "of zeros behind the end only as many are read as are needed"
BOTH_NORMS = "there are both norms or neither"
MLP_AND_NORM = "there is an MLP behind its norm, or neither of them"
CACHE_IS_Y = "the cache of softplus is its y"
WHOLE = "the largest part of a picture that has the ratio itself is the whole picture"
SPARE = "memory for one more than is used"
NO_STEP = "an update of length 0 is no step, whatever it is multiplied by"

EQUIVALENT: dict[str, dict[tuple[str, str, str, str], str]] = {
    "models/vss_stages": {
        (
            "VSSBlock.forward",
            "and for or",
            "if self.mlp is None or self.norm2 is None:",
            "if self.mlp is None and self.norm2 is None:",
        ): MLP_AND_NORM,
        (
            "VSSBlock.forward",
            "drop operand",
            "if self.mlp is None or self.norm2 is None:",
            "if self.norm2 is None:",
        ): MLP_AND_NORM,
        (
            "VSSBlock.forward",
            "drop operand",
            "if self.mlp is None or self.norm2 is None:",
            "if self.mlp is None:",
        ): MLP_AND_NORM,
        (
            "VSSBlock.backward",
            "and for or",
            "if self.mlp is not None and self.norm2 is not None:",
            "if self.mlp is not None or self.norm2 is not None:",
        ): MLP_AND_NORM,
        (
            "VSSBlock.backward",
            "drop operand",
            "if self.mlp is not None and self.norm2 is not None:",
            "if self.norm2 is not None:",
        ): MLP_AND_NORM,
        (
            "VSSBlock.backward",
            "drop operand",
            "if self.mlp is not None and self.norm2 is not None:",
            "if self.mlp is not None:",
        ): MLP_AND_NORM,
    },
    "models/vim": {
        (
            "Patches.__init__",
            "change constant",
            "self.proj = Conv2d(in_chans, dim, patch, stride, init=Initializer(allocate=False))",
            "self.proj = Conv2d(in_chans, dim, patch, stride, init=Initializer(allocate=True))",
        ): "weight and bias are others a few lines below",
    },
    "models/backbone": {
        (
            "Backbone.of",
            "change constant",
            "backbone = cls(family=type(model).__name__, out_indices=out_indices, out_norm=out_norm, allocate=False,"
            " **{**arguments, **changes})",
            "backbone = cls(family=type(model).__name__, out_indices=out_indices, out_norm=out_norm, allocate=True,"
            " **{**arguments, **changes})",
        ): "the weights are the classifier's on the next line",
    },
    "models/vim_mixer": {
        (
            "_linear",
            "change constant",
            "linear = Linear(inputs, outputs, bias=False, init=Initializer(allocate=False))",
            "linear = Linear(inputs, outputs, bias=False, init=Initializer(allocate=True))",
        ): "the weight is another one on the next line",
    },
    "layers/depthwise_conv2d": {
        (
            "_taps",
            "flip sign",
            "pads = ((0, 0), (top, Kh - 1 - top), (left, Kw - 1 - left), (0, 0))",
            "pads = ((0, 0), (top, Kh - 1 + top), (left, Kw - 1 - left), (0, 0))",
        ): LONGER,
        (
            "_taps",
            "flip sign",
            "pads = ((0, 0), (top, Kh - 1 - top), (left, Kw - 1 - left), (0, 0))",
            "pads = ((0, 0), (top, Kh + 1 - top), (left, Kw - 1 - left), (0, 0))",
        ): LONGER,
        (
            "_taps",
            "drop term",
            "pads = ((0, 0), (top, Kh - 1 - top), (left, Kw - 1 - left), (0, 0))",
            "pads = ((0, 0), (top, Kh - 1), (left, Kw - 1 - left), (0, 0))",
        ): LONGER,
        (
            "_taps",
            "drop term",
            "pads = ((0, 0), (top, Kh - 1 - top), (left, Kw - 1 - left), (0, 0))",
            "pads = ((0, 0), (top, Kh - top), (left, Kw - 1 - left), (0, 0))",
        ): LONGER,
        (
            "_taps",
            "flip sign",
            "pads = ((0, 0), (top, Kh - 1 - top), (left, Kw - 1 - left), (0, 0))",
            "pads = ((0, 0), (top, Kh - 1 - top), (left, Kw - 1 + left), (0, 0))",
        ): LONGER,
        (
            "_taps",
            "flip sign",
            "pads = ((0, 0), (top, Kh - 1 - top), (left, Kw - 1 - left), (0, 0))",
            "pads = ((0, 0), (top, Kh - 1 - top), (left, Kw + 1 - left), (0, 0))",
        ): LONGER,
        (
            "_taps",
            "drop term",
            "pads = ((0, 0), (top, Kh - 1 - top), (left, Kw - 1 - left), (0, 0))",
            "pads = ((0, 0), (top, Kh - 1 - top), (left, Kw - 1), (0, 0))",
        ): LONGER,
        (
            "_taps",
            "drop term",
            "pads = ((0, 0), (top, Kh - 1 - top), (left, Kw - 1 - left), (0, 0))",
            "pads = ((0, 0), (top, Kh - 1 - top), (left, Kw - left), (0, 0))",
        ): LONGER,
    },
    "layers/conv1d": {
        (
            "conv1d_forward",
            "flip sign",
            "x_padded = xp.pad(x, ((0, 0), (p, K - 1 - p), (0, 0)))",
            "x_padded = xp.pad(x, ((0, 0), (p, K - 1 + p), (0, 0)))",
        ): LONGER,
        (
            "conv1d_forward",
            "flip sign",
            "x_padded = xp.pad(x, ((0, 0), (p, K - 1 - p), (0, 0)))",
            "x_padded = xp.pad(x, ((0, 0), (p, K + 1 - p), (0, 0)))",
        ): LONGER,
        (
            "conv1d_forward",
            "drop term",
            "x_padded = xp.pad(x, ((0, 0), (p, K - 1 - p), (0, 0)))",
            "x_padded = xp.pad(x, ((0, 0), (p, K - 1), (0, 0)))",
        ): LONGER,
        (
            "conv1d_forward",
            "drop term",
            "x_padded = xp.pad(x, ((0, 0), (p, K - 1 - p), (0, 0)))",
            "x_padded = xp.pad(x, ((0, 0), (p, K - p), (0, 0)))",
        ): LONGER,
        (
            "conv1d_backward",
            "flip sign",
            "x_padded = xp.pad(x, ((0, 0), (p, K - 1 - p), (0, 0)))",
            "x_padded = xp.pad(x, ((0, 0), (p, K - 1 + p), (0, 0)))",
        ): LONGER,
        (
            "conv1d_backward",
            "flip sign",
            "x_padded = xp.pad(x, ((0, 0), (p, K - 1 - p), (0, 0)))",
            "x_padded = xp.pad(x, ((0, 0), (p, K + 1 - p), (0, 0)))",
        ): LONGER,
        (
            "conv1d_backward",
            "drop term",
            "x_padded = xp.pad(x, ((0, 0), (p, K - 1 - p), (0, 0)))",
            "x_padded = xp.pad(x, ((0, 0), (p, K - 1), (0, 0)))",
        ): LONGER,
        (
            "conv1d_backward",
            "drop term",
            "x_padded = xp.pad(x, ((0, 0), (p, K - 1 - p), (0, 0)))",
            "x_padded = xp.pad(x, ((0, 0), (p, K - p), (0, 0)))",
        ): LONGER,
        (
            "conv1d_backward",
            "drop term",
            "dx = sum((weight[:, 0, K - 1 - k] * dy_padded[:, k:k + L] for k in range(K)))",
            "dx = sum((weight[:, 0, -1 - k] * dy_padded[:, k:k + L] for k in range(K)))",
        ): "an index from the end, which is K further, is the same place",
    },
    "layers/cross_entropy": {
        (
            "cross_entropy_forward",
            "off by one",
            "loss = -(p * array_module(p).where(p == 0, 0, log_q)).sum() / len(logits)",
            "loss = -(p * array_module(p).where(p == 0, 1, log_q)).sum() / len(logits)",
        ): "any finite number will do where it is multiplied by p = 0",
    },
    "training/lamb": {
        (
            "LAMB._trust",
            "drop operand",
            "r = xp.where((norm_p > 0) & (norm_u > 0), norm_p / xp.where(norm_u > 0, norm_u, 1), 1).astype(p.dtype)",
            "r = xp.where(norm_p > 0, norm_p / xp.where(norm_u > 0, norm_u, 1), 1).astype(p.dtype)",
        ): NO_STEP,
        (
            "LAMB._trust",
            "comparison",
            "r = xp.where((norm_p > 0) & (norm_u > 0), norm_p / xp.where(norm_u > 0, norm_u, 1), 1).astype(p.dtype)",
            "r = xp.where((norm_p > 0) & (norm_u >= 0), norm_p / xp.where(norm_u > 0, norm_u, 1), 1).astype(p.dtype)",
        ): NO_STEP,
        (
            "LAMB._trust",
            "off by one",
            "r = xp.where((norm_p > 0) & (norm_u > 0), norm_p / xp.where(norm_u > 0, norm_u, 1), 1).astype(p.dtype)",
            "r = xp.where((norm_p > 0) & (norm_u > 0), norm_p / xp.where(norm_u > 0, norm_u, 2), 1).astype(p.dtype)",
        ): NO_STEP,
    },
    "training/schedule": {
        (
            "learning_rate",
            "off by one",
            "cycle = max(total_steps - warmup_steps, 1)",
            "cycle = max(total_steps - warmup_steps, 2)",
        ): "of a cycle of one step only the beginning is asked for, which is the highest rate however long it is",
    },
    "data/augment/crop": {
        (
            "whole_crop",
            "comparison",
            "if width / height < ratio[0]:",
            "if width / height <= ratio[0]:",
        ): WHOLE,
        (
            "whole_crop",
            "comparison",
            "if width / height > ratio[1]:",
            "if width / height >= ratio[1]:",
        ): WHOLE,
    },
    "data/augment/mixing": {
        (
            "Mixing._one",
            "change constant",
            "by_mixup, by_cutmix = (rng.beta(alpha, alpha) if alpha else 1.0 for alpha in (self.mixup, self.cutmix))",
            "by_mixup, by_cutmix = (rng.beta(alpha, alpha) if alpha else 2.0 for alpha in (self.mixup, self.cutmix))",
        ): "the share of what is never drawn is not used",
        (
            "mixed",
            "drop term",
            "own, partner = (images[index], images[len(images) - 1 - index])",
            "own, partner = (images[index], images[-1 - index])",
        ): "an index from the end is the same place",
    },
    "layers/mesa": {
        (
            "mesa_forward",
            "off by one",
            "apart = xp.where(p == 0, 0, log_p) - xp.where(p == 0, 0, log_q)",
            "apart = xp.where(p == 0, 1, log_p) - xp.where(p == 0, 0, log_q)",
        ): "any finite number will do where it is multiplied by p = 0",
        (
            "mesa_forward",
            "off by one",
            "apart = xp.where(p == 0, 0, log_p) - xp.where(p == 0, 0, log_q)",
            "apart = xp.where(p == 0, 0, log_p) - xp.where(p == 0, 1, log_q)",
        ): "any finite number will do where it is multiplied by p = 0",
    },
    "layers/binary_cross_entropy": {
        (
            "binary_cross_entropy_forward",
            "off by one",
            "loss = (p * where(p == 0, 0, yes) + (1 - p) * where(p == 1, 0, no)).sum() / n",
            "loss = (p * where(p == 0, 1, yes) + (1 - p) * where(p == 1, 0, no)).sum() / n",
        ): "any finite number will do where it is multiplied by p = 0",
        (
            "binary_cross_entropy_forward",
            "off by one",
            "loss = (p * where(p == 0, 0, yes) + (1 - p) * where(p == 1, 0, no)).sum() / n",
            "loss = (p * where(p == 0, 0, yes) + (1 - p) * where(p == 1, 1, no)).sum() / n",
        ): "any finite number will do where it is multiplied by 1 − p = 0",
    },
    "layers/gelu": {
        (
            "",
            "off by one",
            "FAR = 100",
            "FAR = 101",
        ): "tanh is 1 to the last digit from far below it, and the cube of either is finite",
    },
    "layers/selective_scan": {
        (
            "selective_scan_forward",
            "off by one",
            "delta = softplus_forward(delta)[0] if softplus else delta",
            "delta = softplus_forward(delta)[1] if softplus else delta",
        ): CACHE_IS_Y,
    },
    "layers/checkpointed_scan": {
        (
            "checkpointed_scan_forward",
            "off by one",
            "delta = softplus_forward(delta)[0] if softplus else delta",
            "delta = softplus_forward(delta)[1] if softplus else delta",
        ): CACHE_IS_Y,
    },
    "layers/winograd": {
        (
            "matrices",
            "swap operands",
            "G[i] = point ** np.arange(TAPS) / np.prod([point - other for other in others])",
            "G[i] = point ** np.arange(TAPS) / np.prod([other - point for other in others])",
        ): "of four differences each may have the other sign",
        (
            "_map_of_tiles",
            "swap operands",
            "X, whole = (tiles.swapaxes(0, 1).reshape(-1, TILE ** 2 * O), (B, H + -H % TILE, W + -W % TILE, O))",
            "X, whole = (tiles.swapaxes(0, 1).reshape(-1, 2 ** TILE * O), (B, H + -H % TILE, W + -W % TILE, O))",
        ): "4 ** 2 is 2 ** 4",
    },
    "kernels/cpu/relu": {
        (
            "_forward",
            "comparison",
            "y[i] = zero if x[i] <= zero else x[i]",
            "y[i] = zero if x[i] < zero else x[i]",
        ): "x = 0 is itself the zero",
    },
    "kernels/cpu/gelu": {
        (
            "",
            "off by one",
            "FAR = 100",
            "FAR = 101",
        ): "tanh is 1 to the last digit from far below it",
    },
    "models/mixer": {
        ("", "change constant", "NO_STEP = -10000.0", "NO_STEP = -20000.0"): "softplus of either is exactly 0",
    },
    "models/attention": {
        (
            "MultiHeadAttention.forward",
            "off by one",
            "check_array('MultiHeadAttention', 'x', x, ('B', 'L', self.proj.weight.shape[0]))",
            "check_array('MultiHeadAttention', 'x', x, ('B', 'L', self.proj.weight.shape[1]))",
        ): "the projection is square",
        (
            "MultiHeadAttention.forward",
            "and for or",
            "if self.q_norm is not None and self.k_norm is not None:",
            "if self.q_norm is not None or self.k_norm is not None:",
        ): BOTH_NORMS,
        (
            "MultiHeadAttention.forward",
            "drop operand",
            "if self.q_norm is not None and self.k_norm is not None:",
            "if self.k_norm is not None:",
        ): BOTH_NORMS,
        (
            "MultiHeadAttention.forward",
            "drop operand",
            "if self.q_norm is not None and self.k_norm is not None:",
            "if self.q_norm is not None:",
        ): BOTH_NORMS,
        (
            "MultiHeadAttention.backward",
            "and for or",
            "if self.q_norm is not None and self.k_norm is not None:",
            "if self.q_norm is not None or self.k_norm is not None:",
        ): BOTH_NORMS,
        (
            "MultiHeadAttention.backward",
            "drop operand",
            "if self.q_norm is not None and self.k_norm is not None:",
            "if self.k_norm is not None:",
        ): BOTH_NORMS,
        (
            "MultiHeadAttention.backward",
            "drop operand",
            "if self.q_norm is not None and self.k_norm is not None:",
            "if self.q_norm is not None:",
        ): BOTH_NORMS,
    },
    "layers/window": {
        (
            "window_mask",
            "off by one",
            "return window_partition(array_module(like).ones((B, H, W, 1)), P)[..., 0] > 0",
            "return window_partition(array_module(like).ones((B, H, W, 2)), P)[..., 0] > 0",
        ): "of the channels, which are all alike, the first is taken",
    },
    "kernels/cpu/selective_scan": {
        (
            "_backward",
            "off by one",
            "total = np.empty((n + 2, d), x.dtype)",
            "total = np.empty((n + 3, d), x.dtype)",
        ): SPARE,
    },
}
