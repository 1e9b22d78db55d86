"""Every merge method written down plainly, whole dense arrays, float64, loops; and small models to compare on.

The references use no code of the package. `run` merges the same models through files with the engine.
"""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.random import Philox

from tests.unit.helpers import NAMES, Rows, read_vector, write_vector
from workflow_scripts.merging.engine import Source, merge_files
from workflow_scripts.merging.pieces import Layout

SHAPES = {
    "enc.embeddings.word.weight": (6, 4),
    "enc.layer.0.dense.weight": (5, 4),
    "enc.layer.0.dense.bias": (5,),
    "enc.layer.1.dense.weight": (4, 6),
    "enc.layer.2.dense.bias": (3,),
    "enc.layer.3.dense.weight": (4, 4),
    "head.weight": (3, 4),
}
EMBEDDING = "enc.embeddings.word.weight"
LAYOUT = Layout(EMBEDDING, frozenset({"head.weight"}), layers=4, shapes=SHAPES)

Vector = dict[str, np.ndarray]  # tensor name → full dense array


def flat(vectors: list[Vector], name: str) -> np.ndarray:
    return np.stack([np.asarray(v[name], np.float64).ravel() for v in vectors])


def per_tensor(rule: Callable[..., np.ndarray]) -> Callable[..., Vector]:
    """Turn a rule for (K, n) arrays into a merge of models."""

    def merge(vectors: list[Vector], weights: np.ndarray, **parameters) -> Vector:
        merged = {name: rule(flat(vectors, name), np.asarray(weights), **parameters) for name in vectors[0]}
        return {name: value.reshape(vectors[0][name].shape) for name, value in merged.items()}

    return merge


def descending(values: np.ndarray) -> np.ndarray:
    """Positions of the non-zero elements by falling magnitude, equal ones by position."""
    nonzero = np.flatnonzero(values)
    return nonzero[np.argsort(-np.abs(values[nonzero]), kind="stable")]


def share(fraction: float, count: int) -> int:
    return max(1, int(fraction * count))


def keep(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    kept = np.zeros_like(values)
    kept[positions] = values[positions]
    return kept


def agreeing_sum(tau, weights, votes, normalize):
    merged = np.zeros(tau.shape[1])
    for i, column in enumerate(tau.T):
        sign = -1 if votes @ column < -1e-12 else 1  # less is rounding
        agree = (column != 0) & (np.sign(column) == sign)
        mass = weights[agree].sum()
        merged[i] = weights[agree] @ column[agree] / (mass if normalize and mass else 1)
    return merged


# --- sums


@per_tensor
def average(tau, weights):
    return tau.mean(0)


@per_tensor
def similarity(tau, weights):
    return weights @ tau


@per_tensor
def task_arithmetic(tau, weights, scaling=0.3):
    return scaling * len(tau) * (weights @ tau)


@per_tensor
def breadcrumbs(tau, weights, density=0.9, gamma=0.01, scaling=0.3):
    trimmed = []
    for values in tau:
        order = descending(values)
        if len(order):
            kept = share(density, len(order))
            top = min(int(gamma * len(order)), len(order) - kept)
            order = order[top : top + kept]
        trimmed.append(keep(values, order))
    return scaling * len(tau) * (weights @ np.array(trimmed))


@per_tensor
def consensus(tau, weights, mask_threshold=0.4, min_agree=2, scaling=0.3):
    masks = [np.abs(t) > mask_threshold * np.abs(tau.sum(0) - t) for t in tau]
    return np.where(np.sum(masks, 0) >= min_agree, scaling * len(tau) * (weights @ tau), 0)


def ties(vectors, weights, density=0.2, trim="global", vote="weighted", scaling=1.0) -> Vector:
    weights, names, merged = np.asarray(weights), sorted(vectors[0]), {}
    votes = weights if vote == "weighted" else np.ones_like(weights)
    for scope in [names] if trim == "global" else [[n] for n in names]:
        whole = np.concatenate([flat(vectors, n) for n in scope], axis=1)
        trimmed = np.array([keep(v, descending(v)[: share(density, np.count_nonzero(v))]) for v in whole])
        merged |= split(scaling * agreeing_sum(trimmed, weights, votes, normalize=True), vectors[0], scope)
    return merged


def split(whole: np.ndarray, like: Vector, names: list[str]) -> Vector:
    parts = np.split(whole, np.cumsum([like[n].size for n in names])[:-1])
    return {n: part.reshape(like[n].shape) for n, part in zip(names, parts, strict=True)}


# --- random masks


def random_bytes(seed: int, source: str, tensor: str, count: int) -> np.ndarray:
    """The first bytes of Philox, keyed by seed, source and tensor."""
    key = hashlib.sha256(f"{seed}\x1f{source}\x1f{tensor}".encode()).digest()[:16]
    return Philox(key=int.from_bytes(key, "little")).random_raw(count // 8 + 1).view(np.uint8)[:count]


def dare(vectors, weights, names, drop_rate, seed, merge) -> Vector:
    """`drop_rate` must be a multiple of 1/256."""
    merged = {}
    for tensor, first in vectors[0].items():
        tau = flat(vectors, tensor)
        for source, name in enumerate(names):
            kept = random_bytes(seed, name, tensor, first.size) < round((1 - drop_rate) * 256)
            tau[source] *= kept / (1 - drop_rate)
        merged[tensor] = merge(tau, np.asarray(weights)).reshape(first.shape)
    return merged


def dare_linear(vectors, weights, names, drop_rate=0.5, seed=0, scaling=1.0) -> Vector:
    return dare(vectors, weights, names, drop_rate, seed, lambda tau, w: scaling * (w @ tau))


def dare_ties(vectors, weights, names, drop_rate=0.5, seed=0, scaling=1.0, normalize=False) -> Vector:
    return dare(vectors, weights, names, drop_rate, seed, lambda tau, w: scaling * agreeing_sum(tau, w, w, normalize))


def della(vectors, weights, names, density=0.5, epsilon=0.1, seed=0, scaling=1.0, normalize=False) -> Vector:
    merged = {}
    for tensor, first in vectors[0].items():
        tau = flat(vectors, tensor)
        for source, name in enumerate(names):
            words = random_bytes(seed, name, tensor, 2 * first.size).view(np.uint16)
            rows = np.arange(first.size).reshape(len(first) if first.ndim > 1 else 1, -1)
            for row in rows:
                ranked = row[descending(tau[source, row])][::-1]  # the smallest first
                for rank, place in enumerate(ranked):
                    p = density + (epsilon * (2 * rank / (len(ranked) - 1) - 1) if len(ranked) > 1 else 0)
                    cut = round(p * 65536)
                    tau[source, place] *= 65536 / cut if words[place] < cut else 0
        merged[tensor] = scaling * agreeing_sum(tau, np.asarray(weights), np.asarray(weights), normalize)
        merged[tensor] = merged[tensor].reshape(first.shape)
    return merged


# --- directions


@per_tensor
def karcher(tau, weights):
    """Fixed-point iteration on explicit vectors."""
    norms = np.linalg.norm(tau, axis=1)
    used = (norms > 0) & (weights > 0)
    units, shares = tau[used] / norms[used, None], weights[used] / max(weights[used].sum(), 1e-300)
    cosines = [abs(units[i] @ units[j]) for i in range(len(units)) for j in range(i)]
    if all(c > 0.9995 for c in cosines):
        return weights @ tau
    mean = shares @ units
    mean /= np.linalg.norm(mean)
    for _ in range(1000):
        step = np.zeros_like(mean)
        for unit, weight in zip(units, shares, strict=True):
            across = unit - (unit @ mean) * mean
            if (length := np.linalg.norm(across)) > 1e-14:
                step += weight * np.arctan2(length, unit @ mean) * across / length
        if (length := np.linalg.norm(step)) < 1e-14:
            break
        mean = np.cos(length) * mean + np.sin(length) * step / length
    return weights @ norms * mean


@per_tensor
def slerp(tau, weights):
    norms = np.linalg.norm(tau, axis=1)
    if 0 in norms or abs(cosine := tau[0] @ tau[1] / norms.prod()) > 0.9995:
        return weights @ tau
    angle = np.arccos(cosine)
    return (weights @ norms) * (np.sin(weights * angle) / np.sin(angle) / norms) @ tau


@per_tensor
def model_stock(tau, weights):
    k = len(tau)
    if k == 1:
        return tau[0]
    norms = np.linalg.norm(tau, axis=1)
    pairs = [(i, j) for i in range(k) for j in range(i)]
    c = np.mean([tau[i] @ tau[j] / (norms[i] * norms[j]) if norms[i] * norms[j] else 0 for i, j in pairs])
    return np.clip(k * c / (1 + (k - 1) * c), 0, 1) * tau.mean(0) if c > -1 / (k - 1) else np.zeros_like(tau[0])


@per_tensor
def directional_consensus(tau, weights):
    direction = tau.sum(0)
    if not direction.any():
        return direction
    direction = direction / np.linalg.norm(direction)
    return sum(w * (t @ direction) * direction for w, t in zip(weights, tau, strict=True))


# --- scores


@per_tensor
def sce(tau, weights, ratio=None):
    if ratio is not None:
        variance = tau.var(0)
        variance[(tau == tau[0]).all(0)] = 0
        selected = descending(variance.astype(np.float32))
        selected = selected[: share(ratio, len(selected))]
        tau = np.array([keep(t, selected) for t in tau])
    return agreeing_sum(tau, np.square(tau).mean(1), np.ones(len(tau)), normalize=True)


def pcb(vectors, weights, ratio=0.1, scaling=1.0) -> Vector:
    names = sorted(vectors[0])
    tau = np.concatenate([flat(vectors, n) for n in names], axis=1)
    scores = np.zeros_like(tau)
    for t, score in zip(tau, scores, strict=True):
        used = np.flatnonzero(t)
        if not len(used):
            continue
        size = np.abs(t[used])
        spread = (size - size.min()) / (np.ptp(size) or 1)
        balance = np.exp(len(tau) * spread**2) * np.tanh(t[used] * tau.sum(0)[used])
        floor = np.sort(balance)[-share(ratio, len(used))]
        raised = np.maximum(balance, floor)
        score[used] = (raised - floor) / np.ptp(raised) if np.ptp(raised) else balance >= floor
    total = scores.sum(0)
    merged = scaling * np.divide((scores * tau).sum(0), total, out=np.zeros_like(total), where=total > 0)
    return split(merged, vectors[0], names)


# --- matrices


def polar(matrix: np.ndarray) -> np.ndarray:
    u, sigma, vt = np.linalg.svd(matrix, full_matrices=False)
    used = sigma > 1e-6 * sigma.max()
    return u[:, used] @ vt[used]


def tsv_matrix(matrices: list[np.ndarray]) -> np.ndarray:
    triples = [np.linalg.svd(m, full_matrices=False) for m in matrices]
    r = max(1, min(matrices[0].shape) // len(matrices))
    left, right = np.hstack([u[:, :r] for u, _, _ in triples]), np.hstack([vt[:r].T for _, _, vt in triples])
    return polar(left) @ np.diag(np.concatenate([s[:r] for _, s, _ in triples])) @ polar(right).T


def iso_matrix(matrices: list[np.ndarray]) -> np.ndarray:
    u, sigma, vt = np.linalg.svd(sum(matrices), full_matrices=False)
    return sigma.mean() * u @ vt


def score_matrix(matrices: list[np.ndarray]) -> np.ndarray:
    triples = [np.linalg.svd(m, full_matrices=False) for m in matrices]
    r = max(1, min(matrices[0].shape) // len(matrices))
    left = polar(np.hstack([u[:, :r] for u, _, _ in triples]))
    right = polar(np.hstack([vt[:r].T for _, _, vt in triples]))
    for j in range(left.shape[1]):
        if max(left[:, j], key=abs) < 0:
            left[:, j], right[:, j] = -left[:, j], -right[:, j]
    merged = np.zeros(matrices[0].shape)
    for matrix in matrices:
        inside = left.T @ matrix @ right
        places = [(i, j) for i in range(len(inside)) for j in range(len(inside)) if i != j]
        beside = [inside[p] for p in places]
        bound = 1.96 * np.std(beside) / len(matrices) if beside else 0
        for p in places:
            if abs(inside[p] - np.mean(beside)) > bound:
                inside[p] = 0
        merged += left @ inside @ right.T
    return merged


def calibrated_matrix(merged: np.ndarray, matrices: list[np.ndarray], alpha: float = 0.25) -> np.ndarray:
    u, sigma, vt = np.linalg.svd(merged, full_matrices=False)
    result = np.zeros(merged.shape)
    for r in range(len(sigma)):
        parts = [u[:, r] @ m for m in matrices]
        shares = [max(alpha, u[:, r] @ merged @ a / (a @ a)) for a in parts]
        result += sigma[r] * len(matrices) / sum(shares) * np.outer(u[:, r], vt[r])
    return result


def free_regmean_matrix(matrices, weights, ridge=0.1, anchor=None) -> np.ndarray:
    """The least squares problem that it solves: Σ wᵢ‖(T − τᵢ)τᵢᵀ‖²/‖τᵢ‖² + ε‖T − A‖², its rows stacked."""
    present = [(w / np.sum(m**2), m) for w, m in zip(weights, matrices, strict=True) if m.any()]
    side = matrices[0].shape[1]
    epsilon = ridge * sum(w * np.sum(m**2) for w, m in present) / side
    rows = [np.sqrt(w) * m for w, m in present] + [np.sqrt(epsilon) * np.eye(side)]
    wanted = [np.sqrt(w) * m @ m.T for w, m in present]
    wanted.append(np.zeros((side, len(matrices[0]))) if anchor is None else np.sqrt(epsilon) * anchor.T)
    return np.linalg.lstsq(np.vstack(rows), np.vstack(wanted), rcond=None)[0].T


def by_matrix(rule, vectors, is_matrix, weights=None) -> Vector:
    weights = np.full(len(vectors), 1 / len(vectors)) if weights is None else np.asarray(weights)
    return {
        name: rule([np.asarray(v[name], np.float64) for v in vectors])
        if is_matrix(name, vectors[0][name])
        else (weights @ flat(vectors, name)).reshape(vectors[0][name].shape)
        for name in vectors[0]
    }


# --- the engine


def by_rows(vector: Vector) -> dict:
    """Store only the rows of the embedding that changed."""
    changed = np.flatnonzero(vector[EMBEDDING].any(1))
    return {**vector, EMBEDDING: Rows(changed.tolist(), vector[EMBEDDING][changed])}


def run(vectors, method, weights=None, *, names=None, sparse=False, **more) -> Vector:
    """Merge models with the engine; `layout`, `groups` and `base` (a model) go to it, the rest is parameters."""
    names = names or NAMES[: len(vectors)]
    weights = weights if weights is not None else [1 / len(vectors)] * len(vectors)
    layout, groups, base = more.pop("layout", LAYOUT), more.pop("groups", None), more.pop("base", None)
    with tempfile.TemporaryDirectory() as folder:
        start = write_vector(Path(folder) / "base.safetensors", base) if base is not None else None
        stored = [by_rows(v) if sparse else v for v in vectors]
        paths = [write_vector(Path(folder) / f"{i}.safetensors", v) for i, v in enumerate(stored)]
        out = Path(folder) / "merged.safetensors"
        merged = [Source(n, p, w, (groups or {}).get(n)) for n, p, w in zip(names, paths, weights, strict=True)]
        merge_files(merged, method, more, out, {"base": "b"}, layout=layout, base=start, durable=False)
        return read_vector(out, {EMBEDDING: SHAPES[EMBEDDING][0]})
