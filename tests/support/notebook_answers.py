"""Right answers to the notebooks' questions, in their order, as code; and one wrong answer to each."""

_MOVED = """(
    "A"
    if np.abs(np.log(-after.A) - np.log(-before.A)).mean()
    > np.abs(np.log(after.delta.mean(axis=(0, 1))) - np.log(before.delta.mean(axis=(0, 1)))).mean()
    else "delta"
)"""

RIGHT = {
    "1_selective_scan_by_hand": [
        "4.48",
        "0.25",
        "(1.0, 1e-4)",
        "160 * 8",
        """lambda dt, A, B, C, channel, delta=np.log1p(np.exp(dt)): np.tril(
            np.einsum(
                "tn,tsn,sn->ts",
                C,
                np.exp(np.subtract.outer(*2 * [np.cumsum(delta[:, channel])])[..., None] * A[channel]),
                delta[:, channel, None] * B,
            )
        )""",
        """(lambda source: [exec(source, globals()), backward(dy, x, dt, A, B, C, D, h)[1][0, 0] - dA[0, 0]][1])(
            __import__("inspect").getsource(backward).replace("g * before", "g * h")
        )""",
        "14",
    ],
    "2_derive_and_check_a_backward": [
        "lambda dy, x, W: (dy @ W, dy.T @ x, dy.sum(axis=0))",
        "'second'",
        "6e-6",
        "lambda x: 2 * (x - x.mean()) / x.size",
        """lambda dy, cache: cache[2] * (
            dy
            - dy.mean(axis=-1, keepdims=True)
            - standardise(cache[0])[0] * (dy * standardise(cache[0])[0]).mean(axis=-1, keepdims=True)
        )""",
        "'b'",
    ],
    "3_build_mambavision": ["(57, 78)", "(4, 464)", "'the last'", "lambda depth: math.ceil(depth / 2)", "31794248"],
    "4_train_and_watch_the_state": ["np.log(2)", "1.44", _MOVED, "'their neighbours'"],
    "5_where_it_looks": [
        "1 / 16",
        "lambda alpha, x, D: np.einsum('wdts,wsd->wtd', alpha, x) + D * x",
        "np.abs(alpha[0, :, 15]).mean(axis=0)[:11].sum() / np.abs(alpha[0, :, 15]).mean(axis=0).sum()",
        "int(np.argsort(rollout(level_matrices(seen, 'levels.2').values())[-1, 0, 5] * (np.arange(16) != 5))[-1])",
        "7",
        "'nothing but rounding'",
        "np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1]",
    ],
    "6_three_ways_to_scan": [
        "8",
        "4",
        "1",
        "30",
        "15",
        "64",
        "'attention'",
        "'upper'",
        """lambda scans: sum(
            np.einsum("wdts,wsd->wtd", hidden_attention_of([scan]), u) + scan.weight * scan.D * u
            for scan in scans
            for u in [scan.x[:, np.argsort(scan.order)]]
        )""",
        "'Vim'",
        "(4, 16)",
    ],
}

WRONG = {
    "1_selective_scan_by_hand": ["0.22", "0.5", "(1.0, 0.5)", "320 * 8", "hidden_attention", "0.0", "16384"],
    "2_derive_and_check_a_backward": [
        "lambda dy, x, W: (dy @ W, x.T @ dy, dy.sum(axis=0))",
        "'both'",
        "1e-16",
        "lambda x: 2 * (x - x.mean())",
        "lambda dy, cache: cache[2] * (dy - dy.mean(axis=-1, keepdims=True))",
        "'a'",
    ],
    "3_build_mambavision": ["(56, 77)", "(2, 0)", "'all'", "lambda depth: depth // 2", "28_000_000"],
    "4_train_and_watch_the_state": ["0.1", "8", "'neither'", "'everything before them'"],
    "5_where_it_looks": [
        "1 / 4",
        "lambda alpha, x, D: np.einsum('wdts,wsd->wtd', alpha, x)",
        "0.9",
        "5",
        "5",
        "'more'",
        "2.0",
    ],
    "6_three_ways_to_scan": [
        "1",
        "8",
        "8",
        "64",
        "16",
        "30",
        "'the MLP'",
        "'full'",
        """lambda scans: sum(
            np.einsum("wdts,wsd->wtd", hidden_attention_of([scan]), scan.x) + scan.weight * scan.D * scan.x for scan in scans
        )""",
        "'both'",
        "(2, 4)",
    ],
}
