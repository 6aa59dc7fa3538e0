#!/bin/sh
# 2,000 simulated experiments a cell: how often the gate passes a true loss of
# its margin, and how often equals at the size that the power formula names.
set -eu
make -s build/release/test_scoring_gate
SLMCTL_SIMULATIONS=2000 build/release/test_scoring_gate
