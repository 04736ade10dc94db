import numpy as np

from ..internals import ScanRecord


def hidden(scan):
    cum = np.cumsum(scan.delta.astype(np.float64), axis=1)  # nW,L,D
    diff = cum[:, :, None] - cum[:, None]  # nW,t,s,D
    L = diff.shape[1]
    mask = np.tril(np.ones((L, L), bool))[None, :, :, None]
    out = 0
    for n in range(scan.A.shape[1]):
        out = (
            out
            + np.where(mask, np.exp(np.where(mask, diff, 0) * scan.A[:, n]), 0)
            * (scan.C[:, :, None, n] * scan.B[:, None, :, n])[..., None]
        )
    return np.moveaxis(out * scan.delta[:, None], -1, 1)


def hidden_views(scan):
    a = hidden(scan)
    order = np.argsort(scan.timescale.mean(axis=1))
    groups = np.stack([np.abs(a[:, part]).mean(axis=1) for part in np.array_split(order, 4)])
    return np.abs(a).mean(axis=1), a.mean(axis=1), groups, ["fastest quarter", "second", "third", "slowest quarter"]


def rollouts(seen, records):
    out = {}
    level = {}
    for path, r in records.items():
        m = np.abs(hidden(r)).mean(axis=1) if isinstance(r, ScanRecord) else r.weights.mean(axis=1)
        m = m / np.maximum(m.sum(-1, keepdims=True), 1e-30) + np.eye(m.shape[-1]) * (m.sum(-1, keepdims=True) == 0)
        m = (m + np.eye(m.shape[-1])) / 2
        key = path.split(".blocks")[0]
        level[key] = m @ level[key] if key in level else m
        out[path] = level[key]
    return out


def entropy(p):
    return -(p * np.log(np.maximum(p, 1e-30))).sum(-1)
