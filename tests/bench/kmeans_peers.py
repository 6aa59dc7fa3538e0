#!/usr/bin/env python3
"""kmeans_peers.py DIR - points and centres for bench_kmeans, and others' time

Writes x.f32, centres-150.f32 and centres-1000.f32 to DIR, then times
scikit-learn and faiss from the same centres: iterations 2 to 11 of a run, the
median of three. One line each: name, k, iterations a second.
"""
import sys
import time
import warnings

import numpy as np

warnings.filterwarnings("ignore")
N, D = 100000, 256


def sklearn_run(x, start, n):
    from sklearn.cluster import KMeans
    begin = time.perf_counter()
    KMeans(len(start), init=start, n_init=1, max_iter=n, tol=0,
           algorithm="lloyd").fit(x)
    return time.perf_counter() - begin


def faiss_run(x, start, n):
    import faiss
    k = faiss.Kmeans(D, len(start), niter=n, spherical=True, seed=1,
                     max_points_per_centroid=10**9, min_points_per_centroid=1)
    begin = time.perf_counter()
    k.train(x, init_centroids=start)
    return time.perf_counter() - begin


def main():
    rng = np.random.default_rng(1)
    c = rng.standard_normal((200, D)).astype(np.float32)
    x = c[rng.integers(0, 200, N)]
    x = x + 2 * rng.standard_normal((N, D)).astype(np.float32)
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    x.tofile(sys.argv[1] + "/x.f32")
    for k in (150, 1000):
        start = x[rng.choice(N, k, replace=False)]
        start.tofile("%s/centres-%d.f32" % (sys.argv[1], k))
        for name, run in (("scikit-learn", sklearn_run), ("faiss", faiss_run)):
            try:
                run(x, start, 1)
                took = sorted(run(x, start, 11) - run(x, start, 1)
                              for _ in range(3))[1] / 10
            except ImportError as e:
                print("skip: %s: %s" % (name, e), file=sys.stderr)
                continue
            print("%s\t%d\t%.3f" % (name, k, 1 / took), flush=True)


main()
