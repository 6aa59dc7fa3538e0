#!/usr/bin/env python3
"""stats.golden.jsonl: what scikit-learn and scipy say of drawn numbers.

usage: stats_golden.py >stats.golden.jsonl
(needs numpy, scipy, scikit-learn)

A line is one problem with its inputs and the reference's answers. Areas of
curves are numpy's trapezoids over the points as RouteLLM's evaluation defines
them (all thresholds instead of eleven); the hull is scipy's.
"""
import json

import numpy as np
from scipy.special import rel_entr
from scipy.spatial import ConvexHull
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss


def put(what, **values):
    def plain(v):
        if isinstance(v, np.ndarray):
            return plain(v.tolist())
        if isinstance(v, (list, tuple)):
            return [plain(x) for x in v]
        return float(v) if isinstance(v, (float, np.floating)) else int(v)
    print(json.dumps({"what": what, **{k: plain(v) for k, v in values.items()}}))


def isotonic(rng, n, ties, weighted):
    x = np.round(rng.normal(size=n), 1 if ties else 6)
    y = (rng.random(n) < 1 / (1 + np.exp(-x))).astype(float)
    w = rng.integers(1, 5, n).astype(float) if weighted else np.ones(n)
    fitted = IsotonicRegression().fit(x, y, sample_weight=w).predict(x)
    blocks = [(np.average(x[fitted == v], weights=w[fitted == v]), v,
               w[fitted == v].sum()) for v in np.unique(fitted)]
    bx, by, bn = map(np.array, zip(*blocks))
    at = np.linspace(-3, 3, 13)
    put("isotonic", x=x, y=y, w=w, bx=bx, by=by, bn=bn, at=at,
        value=np.interp(at, bx, by))


def logit(rng, n, d, strength, soft):
    x = (rng.normal(size=(n, d)) * rng.uniform(0.1, 4, d) +
         rng.normal(size=d)).astype(np.float32)
    if d > 2:
        x[:, 2] = 1.5  # a constant column
    truth = rng.normal(size=d) / 2
    p = 1 / (1 + np.exp(-(x - x.mean(0)) @ truth))
    y = (rng.random(n) < p).astype(float)
    mean, sd = x.astype(float).mean(0), x.astype(float).std(0)
    z = np.divide(x - mean, sd, out=np.zeros((n, d)), where=sd > 1e-9)
    rows, labels, weights = z, y, np.ones(n)
    if soft:  # a part of each outcome, as two weighted rows
        y = np.round(0.8 * y + 0.2 * rng.random(n), 3)
        rows = np.vstack([z, z])
        labels = np.r_[np.ones(n), np.zeros(n)]
        weights = np.r_[y, 1 - y]
    m = LogisticRegression(C=1 / strength, tol=1e-12, max_iter=10000,
                           solver="newton-cholesky")
    m.fit(rows, labels, sample_weight=weights)
    put("logit", x=x.astype(float), y=y, d=d, strength=float(strength),
        p=m.predict_proba(z)[:, 1])


def errors(rng, n, bins):
    p = rng.random(n)
    y = (rng.random(n) < p ** 2).astype(float)
    true, mean = calibration_curve(y, p, n_bins=bins)
    count = np.histogram(p, np.linspace(0, 1, bins + 1))[0]
    put("error", p=p, y=y, bins=bins, brier=brier_score_loss(y, p),
        ece=(np.abs(true - mean) * count[count > 0]).sum() / n)


def psi(rng, n, m, bins, shift):
    e = rng.multinomial(n, np.ones(bins) / bins)
    q = np.arange(bins) * shift + 1
    a = rng.multinomial(m, q / q.sum())
    pe, pa = (e + 0.5) / (e + 0.5).sum(), (a + 0.5) / (a + 0.5).sum()
    put("psi", expected=e, actual=a,
        psi=rel_entr(pe, pa).sum() + rel_entr(pa, pe).sum())


def chance(rng, n, m, bins, level):
    """The quantile under no change, by many permutations."""
    e, a = np.full(bins, n // bins), np.full(bins, m // bins)
    row = np.repeat(np.r_[np.arange(bins), np.arange(bins)], np.r_[e, a])
    values = []
    for _ in range(20000):
        rng.shuffle(row)
        pe = np.bincount(row[:e.sum()], minlength=bins) + 0.5
        pa = np.bincount(row[e.sum():], minlength=bins) + 0.5
        pe, pa = pe / pe.sum(), pa / pa.sum()
        values.append(((pa - pe) * np.log(pa / pe)).sum())
    put("chance", expected=e, actual=a, level=level,
        psi=np.quantile(values, level))


def quantile(rng, n):
    x = rng.normal(size=n)
    q = np.array([0, 0.1, 0.25, 0.5, 0.77, 1])
    put("quantile", x=x, q=q, value=np.quantile(x, q))


def wilson(k, n, level):
    i = binomtest(k, n).proportion_ci(2 * level - 1, "wilson")
    put("wilson", k=k, n=n, level=level, low=i.low, high=i.high)


def hull_area(cost, quality):
    """Under the non-decreasing upper hull, over the range of costs."""
    base = quality.min() - 1
    points = np.c_[np.r_[cost, cost.min(), cost.max()],
                   np.r_[quality, base, base]]
    hull = ConvexHull(points).vertices
    upper = sorted((points[i][0], points[i][1]) for i in hull
                   if points[i][1] > base)
    x, y = map(np.array, zip(*upper))
    y = np.maximum.accumulate(y)
    grid = np.unique(np.r_[x, cost.max()])
    return np.trapezoid(np.interp(grid, x, y), grid) / np.ptp(cost)


def curve(rng, n, signal):
    weak = (rng.random(n) < 0.6).astype(float)
    strong = (rng.random(n) < 0.85).astype(float)
    score = np.round(signal * (strong - weak) + rng.normal(size=n), 1)
    weak_cost, strong_cost = rng.random(n), 5 + 5 * rng.random(n)
    share, cost, quality = [], [], []
    for t in [np.inf, *sorted(set(score), reverse=True)]:
        up = score >= t
        share.append(up.mean())
        cost.append(np.where(up, strong_cost, weak_cost).mean())
        quality.append(np.where(up, strong, weak).mean())
    share, cost, quality = map(np.array, (share, cost, quality))
    gap = quality[-1] - quality[0]
    apgr = (np.trapezoid(quality, share) - quality[0]) / gap
    parts = np.array([0.2, 0.5, 0.8])
    cpt = []
    for part in parts:
        i = int(np.argmax(quality >= quality[0] + part * gap))
        cpt.append(np.interp(quality[0] + part * gap, quality[i - 1:i + 1],
                             share[i - 1:i + 1]))
    put("curve", score=score, weak=weak, strong=strong, weak_cost=weak_cost,
        strong_cost=strong_cost, points=len(share), apgr=apgr, parts=parts,
        cpt=cpt, aiq=hull_area(cost, quality))


def main():
    rng = np.random.default_rng(7)
    for n, ties, weighted in ((40, False, False), (200, True, True)):
        isotonic(rng, n, ties, weighted)
    for n, d, strength, soft in ((60, 1, 1.0, False), (120, 5, 0.1, False),
                                 (90, 7, 10.0, True), (30, 40, 1.0, False)):
        logit(rng, n, d, strength, soft)
    errors(rng, 150, 10)
    errors(rng, 90, 15)
    psi(rng, 1000, 300, 10, 0.2)
    psi(rng, 50, 60, 6, 0.0)
    chance(rng, 100, 100, 10, 0.99)
    chance(rng, 600, 120, 5, 0.95)
    quantile(rng, 37)
    for k, n, level in ((0, 20, 0.975), (7, 20, 0.975), (20, 20, 0.95),
                        (300, 1000, 0.995)):
        wilson(k, n, level)
    curve(rng, 80, 1.0)
    curve(rng, 200, 0.3)


main()
