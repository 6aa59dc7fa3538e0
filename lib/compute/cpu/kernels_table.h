/* kernels_table.h - private: the entries that each instruction set fills in */
#ifndef KERNELS_TABLE_H
#define KERNELS_TABLE_H

#include "compute/cpu/kernels_act.h"
#include "compute/cpu/kernels_attend.h"
#include "compute/cpu/kernels_gemm.h"
#include "compute/cpu/kernels_int.h"
#include "compute/cpu/kernels_peak.h"
#include "compute/cpu/kernels_rows.h"
#include "compute/cpu/kernels_state.h"

#define KERNELS_TABLE(label)                                                   \
    {                                                                          \
        .name = label, .mr = MR, .nr = NR, .block = gemm_block,                \
        .narrow = gemm_narrow, .pack_strips = gemm_pack_strips,                \
        .pack_rows = gemm_pack_rows, .pack_cols = gemm_pack_cols,              \
        .widen = gemm_widen, .int_mr = IMR, .int_odd = INT_ODD,                \
        .int_bytes = int_bytes, .int_rows = int_rows, .int_tile = int_tile,    \
        .axpy = row_axpy, .add_bias = row_add_bias,                            \
        .sum_squares = row_sum_squares, .rmsnorm = row_rmsnorm,                \
        .rmsnorm_grad = row_rmsnorm_grad, .rope = row_rope,                    \
        .swiglu = row_swiglu, .swiglu_grad = row_swiglu_grad,                  \
        .softmax_part = row_softmax_part, .softmax_back = attend_back,         \
        .times = attend_times, .block_thin = attend_block_thin,                \
        .thin = attend_thin, .dot = row_dot, .scale = row_scale,               \
        .cross_entropy = row_cross_entropy, .argmax = row_argmax,              \
        .adamw = row_adamw, .activate = row_activate,                          \
        .activate_grad = row_activate_grad, .glu = row_glu,                    \
        .glu_grad = row_glu_grad, .softcap = row_softcap,                      \
        .softcap_grad = row_softcap_grad, .layernorm = row_layernorm,          \
        .layernorm_grad = row_layernorm_grad, .conv_row = state_conv,          \
        .conv_row_grad = state_conv_grad, .scan_step = state_scan,             \
        .scan_step_grad = state_scan_grad, .delta_step = state_delta,          \
        .delta_step_grad = state_delta_grad, .peak_fma = peak_fma,             \
        .peak_int8 = peak_int8, .peak_read = peak_read,                        \
    }

#endif
