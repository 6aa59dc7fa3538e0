#!/bin/sh
# 2,000 simulated experiments a cell: how often the gate passes a true loss of
# its margin, and how often equals at the size that the power formula names;
# then the same on logs in which inputs come again and items stand for several
# calls; then a grid of effects, sizes, clusters and discordances as a table,
# beside the power of the formula, and whether the sizes that undecided gates
# name would have decided. SLMCTL_CELLS=i/N: a part of the grid; 0/1: all of
# it, two minutes and more.
set -eu
make -s build/release/test_scoring_gate build/release/test_scoring_repeats \
    build/release/test_scoring_grid
SLMCTL_SIMULATIONS=2000 build/release/test_scoring_gate
SLMCTL_SIMULATIONS=2000 build/release/test_scoring_repeats
SLMCTL_CELLS=${SLMCTL_CELLS:-0/4} SLMCTL_SIMULATIONS=2000 \
    build/release/test_scoring_grid
