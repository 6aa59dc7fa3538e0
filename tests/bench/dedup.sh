#!/bin/sh
# dedup.sh BENCH_DEDUP FILE - shingles and signatures beside datasketch
#
# FILE has one document a line. Both make 112 hashes of five-word shingles on
# one core; datasketch is a Python package, taken from $PYTHON's site.
set -eu
"$1" "$2"
"${PYTHON:-python3}" - "$2" <<'END'
import re, sys, time
try:
    from datasketch import MinHash
except ImportError:
    print("skip: no datasketch")
    sys.exit()
docs = open(sys.argv[1], encoding="utf-8", errors="replace").read().splitlines()
size = took = 0
for text in docs:
    start = time.perf_counter()
    words = re.findall(r"\w+", text.lower())
    shingles = {" ".join(words[i:i + 5]).encode()
                for i in range(max(1, len(words) - 4))}
    MinHash(num_perm=112).update_batch(list(shingles))
    took += time.perf_counter() - start
    size += len(text.encode())
    if took > 20:
        break
print("datasketch, with shingles    %8.1f MB/s of %.1f MB" % (size / 1e6 / took, size / 1e6))
END
