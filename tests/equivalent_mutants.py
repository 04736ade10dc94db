"""The mutants that no test can notice, as they compute the same, each with the reason.

{module: {(function, operator, statement before, statement after): reason}}, as `python tests/mutants.py --list` prints them.
"""

LONGER = "of zeros behind the end only as many are read as are needed"
BOTH_NORMS = "there are both norms or neither"
MLP_AND_NORM = "there is an MLP behind its norm, or neither of them"
CACHE_IS_Y = "the cache of softplus is its y"
WHOLE = "the largest part of a picture that has the ratio itself is the whole picture"
STEPS = "the end is a multiple of the step, which is longer than one"
TIME = "it decides about time alone"
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
    "kernels/cpu/mathematics": {
        (
            "_normal_cdf32",
            "change constant",
            "s = min(x * x, F(1000000.0))",
            "s = min(x * x, F(2000000.0))",
        ): "Φ is 0 or 1 long before either, and the cube of either is a number",
    },
    "kernels/cpu/tiles": {
        (
            "_in_all_lanes",
            "off by one",
            "first = builder.insert_element(undefined, number, ir.IntType(32)(0))",
            "first = builder.insert_element(undefined, number, ir.IntType(33)(0))",
        ): "an index may be an integer of any size",
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
    "kernels/cpu/attention": {
        (
            "_attend",
            "off by one",
            "sums, s, wide = (new_sums(q[0, 0], panel), np.empty((1, L, L), q.dtype), panel.shape[1])",
            "sums, s, wide = (new_sums(q[0, 0], panel), np.empty((2, L, L), q.dtype), panel.shape[1])",
        ): SPARE,
        (
            "attention_forward",
            "off by one",
            "hidden = np.zeros((B, 1), bool) if mask is None else ~mask",
            "hidden = np.zeros((B, 2), bool) if mask is None else ~mask",
        ): "it hides no key, however long it is",
    },
    "kernels/cpu/batchnorm": {
        (
            "_parameter_gradients",
            "drop term",
            "fours = begin + in_whole(end - begin, 4)",
            "fours = begin",
        ): "the same sums, a row at a time",
        (
            "_parameter_gradients",
            "off by one",
            "for i in range(begin, fours, 4):",
            "for i in range(begin, fours - 1, 4):",
        ): STEPS,
        (
            "moments",
            "off by one",
            "of_blocks = np.zeros((blocks_of(len(rows)), 2, C), x.dtype)",
            "of_blocks = np.zeros((blocks_of(len(rows)), 3, C), x.dtype)",
        ): SPARE,
    },
    "kernels/cpu/selective_scan": {
        (
            "_backward",
            "drop term",
            "n, blocks = (len(AT), (l + K - 1) // K)",
            "n, blocks = (len(AT), (l + K) // K)",
        ): "a block of no tokens adds nothing",
        (
            "_backward",
            "flip sign",
            "n, blocks = (len(AT), (l + K - 1) // K)",
            "n, blocks = (len(AT), (l + K + 1) // K)",
        ): "a block of no tokens adds nothing",
        (
            "_backward",
            "off by one",
            "h = np.empty((K + 1, n, d), x.dtype)",
            "h = np.empty((K + 2, n, d), x.dtype)",
        ): SPARE,
        (
            "_backward",
            "off by one",
            "total = np.empty((n + 2, d), x.dtype)",
            "total = np.empty((n + 3, d), x.dtype)",
        ): SPARE,
    },
    "kernels/cpu/product": {
        (
            "multiply",
            "drop statement",
            "panel[i, c] = 0",
            "pass",
        ): "the sums of columns that there are not are not read",
        (
            "",
            "off by one",
            "MOST_COLUMNS = 144",
            "MOST_COLUMNS = 145",
        ): "no number of rows is turned into 145 columns: that is one more than fills vectors",
        (
            "_by_columns",
            "off by one",
            "for row in range(0, squares, lanes):",
            "for row in range(0, squares - 1, lanes):",
        ): STEPS,
        (
            "_by_columns",
            "off by one",
            "for n in range(0, along, lanes):",
            "for n in range(0, along - 1, lanes):",
        ): STEPS,
        (
            "_by_rows",
            "off by one",
            "for row in range(0, whole, TALL):",
            "for row in range(0, whole - 1, TALL):",
        ): STEPS,
        (
            "_by_tiles",
            "off by one",
            "for row in range(0, by_many, ROWS):",
            "for row in range(0, by_many - 1, ROWS):",
        ): STEPS,
        (
            "_by_tiles",
            "off by one",
            "for row in range(by_many, by_few, FEW):",
            "for row in range(by_many, by_few - 1, FEW):",
        ): STEPS,
        (
            "_make_panel",
            "off by one",
            "for i in range(0, done, lanes):",
            "for i in range(0, done - 1, lanes):",
        ): STEPS,
        (
            "add_turned",
            "off by one",
            "for column in range(0, y.shape[1], VECTOR // x.itemsize):",
            "for column in range(0, y.shape[1] - 1, VECTOR // x.itemsize):",
        ): STEPS,
        (
            "multiply",
            "comparison",
            "narrow = wide > N",
            "narrow = wide >= N",
        ): "the numbers of a panel are those of w",
        (
            "multiply",
            "off by one",
            "panel[i, c] = 0",
            "panel[i, c] = 1",
        ): "the sums of columns that there are not are not read",
    },
    "kernels/cpu/team": {
        (
            "",
            "off by one",
            "NEXT, JOB, ARGUMENTS, DONE, FAILED = range(0, 40, 8)",
            "NEXT, JOB, ARGUMENTS, DONE, FAILED = range(0, 39, 8)",
        ): "the same five numbers",
        (
            "",
            "off by one",
            "LOOKS = 200",
            "LOOKS = 201",
        ): TIME,
        (
            "",
            "off by one",
            "PATIENCE = 250",
            "PATIENCE = 251",
        ): TIME,
        (
            "",
            "off by one",
            "WORD, BYTES = (ir.IntType(64), ir.IntType(8).as_pointer())",
            "WORD, BYTES = (ir.IntType(64), ir.IntType(9).as_pointer())",
        ): "an address is one, whatever lies there",
        (
            "_until_asleep",
            "change constant",
            "time.sleep(0.0001)",
            "time.sleep(0.0002)",
        ): TIME,
        (
            "_serve",
            "off by one",
            "idle = 0",
            "idle = 1",
        ): TIME,
        (
            "_serve",
            "comparison",
            "while idle < PATIENCE:",
            "while idle <= PATIENCE:",
        ): TIME,
        (
            "_serve",
            "off by one",
            "for _ in range(LOOKS):",
            "for _ in range(LOOKS - 1):",
        ): TIME,
        (
            "_serve",
            "off by one",
            "for _ in range(LOOKS):",
            "for _ in range(1, LOOKS):",
        ): TIME,
        (
            "_serve",
            "off by one",
            "idle += 1",
            "idle += 2",
        ): TIME,
        (
            "_serve",
            "drop statement",
            "_let_others()",
            "pass",
        ): TIME,
        (
            "_failed",
            "off by one",
            "looks = 0",
            "looks = 1",
        ): TIME,
        (
            "_failed",
            "drop term",
            "looks += 1",
            "looks = 1",
        ): TIME,
        (
            "_failed",
            "drop statement",
            "looks += 1",
            "pass",
        ): TIME,
        (
            "_failed",
            "flip sign",
            "looks += 1",
            "looks -= 1",
        ): TIME,
        (
            "_failed",
            "off by one",
            "looks += 1",
            "looks += 2",
        ): TIME,
        (
            "_failed",
            "comparison",
            "if looks % LOOKS == 0:",
            "if looks % LOOKS != 0:",
        ): TIME,
        (
            "_failed",
            "lose factor",
            "if looks % LOOKS == 0:",
            "if looks == 0:",
        ): TIME,
        (
            "_failed",
            "swap operands",
            "if looks % LOOKS == 0:",
            "if LOOKS % looks == 0:",
        ): TIME,
        (
            "_failed",
            "off by one",
            "if looks % LOOKS == 0:",
            "if looks % LOOKS == 1:",
        ): TIME,
        (
            "_failed",
            "drop statement",
            "_let_others()",
            "pass",
        ): TIME,
        (
            "_let_others.code",
            "comparison",
            "if os.name == 'posix':",
            "if os.name != 'posix':",
        ): TIME,
        (
            "_let_others.code",
            "off by one",
            "function = ir.FunctionType(ir.IntType(32), [])",
            "function = ir.FunctionType(ir.IntType(33), [])",
        ): "what it gives is not read",
        (
            "_let_others.code",
            "drop statement",
            "builder.call(cgutils.get_or_insert_function(builder.module, function, 'sched_yield'), [])",
            "pass",
        ): TIME,
    },
    "kernels/cpu/conv2d": {
        (
            "",
            "off by one",
            "LINES = 16",
            "LINES = 17",
        ): "the same sums in another order",
        (
            "_Geometry.blocks",
            "off by one",
            "edges = [len(self) * block // number for block in range(number + 1)]",
            "edges = [len(self) * block // number for block in range(number + 2)]",
        ): "an edge more than is used",
        (
            "_gradient_of_short_patches",
            "lose factor",
            "rows = -(-geometry.patch // FEW) * FEW",
            "rows = --geometry.patch * FEW",
        ): SPARE,
        (
            "_col2im",
            "comparison",
            "if first < last:",
            "if first <= last:",
        ): "where they are the same, nothing is added",
        (
            "_inputs_first",
            "off by one",
            "stop = min(O, start + U(16))",
            "stop = min(O, start + U(17))",
        ): "one more is written, and then once more",
    },
}
