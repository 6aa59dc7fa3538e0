# roofline.awk - what an H200 should reach, as formulas, before it is measured
#
# usage: awk -F '\t' -f roofline.awk STEPS
# Prints the tables of tests/bench/results/h200.md. STEPS is what
# tests/gpu/kernels.sh counted: how many kernels a step launches, and what
# memory it takes, which is known and not estimated. Every figure is a sum of
# work divided by a rate; all rates are here. Those that are not the maker's
# are estimates that a measurement corrects: change them here, and the tables
# tell what else should then be seen.

BEGIN {
    # The machine.
    sms = 132
    clock = 1.755e9          # under load; 1.98 without (a product is limited
                             # by power)
    peak = 989e12            # bf16 dense, at the maker's clock
    sustained = 790e12       # of a library's product on random data, as seen
    memory = 4.8e12
    streaming = 0.88 * memory # of a kernel that only moves
    l2 = 7.2e12              # from L2 to all multiprocessors, at most
    gap = 1.5e-6             # between two kernels of one stream, drain and
                             # fill; with a graph 1.0e-6
    follow_gap = 0.6e-6      # there, where a kernel comes before the last one
                             # ends, and a product has its first weights then
    launch = 3.5e-6          # of one kernel alone, seen from the host

    # Ours: share of mma.sync's ceiling, of what wgmma sustains.
    mma_ceiling = 0.62 * sustained
    mma_share = 0.85
    wgmma_share = 0.97
    epilogue = 3000          # clocks a tile of 256 columns, not hidden

}

$1 == "step" {
    launches[$2] = $3
    gigabytes[$2] = $10
}

END {
    print "# What an H200 should reach\n\nWritten by tests/gpu/roofline.awk, " \
          "which has the formulas; nothing here was measured,\nbut kernels " \
          "of a step and its memory were counted.\n"
    products()
    attention()
    steps()
    decoding()
}

function ceil(x) {
    return x == int(x) ? x : int(x) + 1
}

function max(a, b) {
    return a > b ? a : b
}

# Seconds of a product by wgmma: tiles in waves; a tile takes as long as its
# multiply-adds (2048 a clock and multiprocessor, less what power takes) or as
# its operands from L2, with its epilogue; the pipeline's start. As
# cuda_product_clocks in cuda_layout.h, with the rates above.
function tile_time(m, n, k, columns, pair, parts,    units, waves, busy, mul, load, part, end, s) {
    units = ceil(m / (128 * pair)) * ceil(n / columns) * pair * parts
    waves = ceil(units / sms)
    busy = units < sms ? units : sms
    mul = 128 * columns * 64 / (sustained * wgmma_share / sms / 2)
    # Few multiprocessors have more of L2 each, up to 62 bytes a clock.
    load = (128 + columns / pair) * 128 / min(l2 / busy, 62 * clock)
    end = (600 + (epilogue - 600) * columns / 256) / clock
    part = 128 * columns * 4
    s = waves * ceil(ceil(k / 64) / parts) * max(mul, load) + 1500 / clock
    if (parts == 1)
        return s + waves * end
    # Parts are written by all, read by half of the blocks; the last of two
    # adds, and goes on to the next two.
    s += waves * (part / (l2 / sms) + 600 / clock) + end
    for (; parts > 1; parts /= 2)
        s += (part / 62 + 700 + (parts > 2 ? part / 62 + 600 : 0)) / clock
    return s
}

function min(a, b) {
    return a < b ? a : b
}

# In how many parts the sum is cut (cuda_splits_choose), for pairs or not.
function parts_of(m, n, k,    best, parts, t, least) {
    least = best = 0
    for (parts = 1; parts <= 16 && (parts == 1 || parts * 4 <= k / 64 && \
         ceil(m / 128) * ceil(n / 128) * parts <= 4 * sms); parts *= 2) {
        t = tiles_time(m, n, k, 2, parts)
        if (best == 0 || t < least) {
            least = t
            best = parts
        }
    }
    return best
}

# With the best tile; single blocks where pairs do not suit.
function tiles_time(m, n, k, most, parts,    pair, columns, best, t) {
    best = 0
    for (pair = most; pair >= 1; pair--)
        for (columns = 256; columns >= 64 * pair; columns /= 2) {
            t = tile_time(m, n, k, columns, pair, parts)
            if (best == 0 || t < best)
                best = t
        }
    return best
}

function wgmma(m, n, k, pair) {
    return tiles_time(m, n, k, pair, parts_of(m, n, k)) + launch / 2
}

# By mma.sync: 128 x 256 or smaller tiles, waves, a share of the ceiling.
function mma(m, n, k,    tile, waves, t) {
    tile = m * n >= 128 * 256 * sms ? 256 : 128
    waves = ceil(m / 128) * ceil(n / tile) / sms
    t = 2 * 128 * tile * k / (mma_ceiling * mma_share / sms)
    return ceil(waves) * (t + 2500 / clock) + launch / 2
}

# A library's, as torch calls it: its best tile and number of parts, no
# epilogue to be seen.
function library(m, n, k,    columns, parts, best, t) {
    best = 0
    for (columns = 256; columns >= 64; columns /= 2)
        for (parts = 1; parts <= 16 && parts * 4 <= k / 64; parts *= 2) {
            t = ceil(ceil(m / 128) * ceil(n / columns) * parts / sms) * \
                (ceil(ceil(k / 64) / parts) * \
                    max(128 * columns * 64 / (sustained / sms / 2), \
                    (64 + columns / 2) * 128 / (l2 / sms)) + 2500 / clock)
            if (parts > 1)
                t += 2 * 4 * parts * m * n / l2 + 2000 / clock
            if (best == 0 || t < best)
                best = t
        }
    return best + launch / 2
}

function product_row(name, m, n, k,    f, w, c, p, lib) {
    f = 2 * m * n * k
    w = f / wgmma(m, n, k, 1)
    c = f / wgmma(m, n, k, 2)
    p = f / mma(m, n, k)
    lib = f / library(m, n, k)
    printf "| %s | %d, %d, %d | %.0f | %.0f | %.0f | %.0f | %.2f | %.2f |\n",
        name, m, n, k, w / 1e12, c / 1e12, p / 1e12, lib / 1e12,
        max(w, c) / lib, p / lib
}

function products(    n) {
    print "### Products, TFLOP/s\n"
    print "| | m, n, k | K2 `wgmma` | K2 `cluster` | K1 `mma` | cuBLAS | " \
          "K2 of it (goal .85) | K1 (goal .6) |"
    print "|---|---|---|---|---|---|---|---|"
    for (n = 1024; n <= 8192; n *= 2)
        product_row("cube", n, n, n)
    product_row("1B q, o", 4096, 2048, 2048)
    product_row("1B k, v", 4096, 512, 2048)
    product_row("1B gate, up", 4096, 8192, 2048)
    product_row("1B down", 4096, 2048, 8192)
    product_row("1B k, v, dW", 512, 2048, 4096)
    product_row("8B q, o", 4096, 4096, 4096)
    product_row("8B k, v", 4096, 1024, 4096)
    product_row("8B gate, up", 4096, 14336, 4096)
    product_row("8B down", 4096, 4096, 14336)
    product_row("8B k, v, dW", 1024, 4096, 4096)
    product_row("8B down, 256 rows", 256, 4096, 14336)
    product_row("long k", 512, 512, 8192)
}

# Rates over causal flops: forward two products, backward five; a document of
# 1,024 has half of its tiles on the diagonal.
function attention(    i, d, l) {
    rate["64", 0] = 290e12; rate["64", 1] = 200e12
    rate["128", 0] = 400e12; rate["128", 1] = 250e12
    long["64", 0] = 350e12; long["64", 1] = 250e12
    long["128", 0] = 480e12; long["128", 1] = 320e12
    sdpa["64", 0] = 300e12; sdpa["64", 1] = 210e12
    sdpa["128", 0] = 350e12; sdpa["128", 1] = 260e12
    print "\n### Attention, TFLOP/s over causal flops, 32 heads on 8\n"
    print "| dim | tokens | forward | SDPA | ratio (goal .8) | backward | " \
          "SDPA | ratio (goal .7) |"
    print "|---|---|---|---|---|---|---|---|"
    for (d = 64; d <= 128; d *= 2)
        for (l = 4096; l <= 16384; l *= 4) {
            i = l > 4096
            f = i ? long[d "", 0] : rate[d "", 0]
            b = i ? long[d "", 1] : rate[d "", 1]
            sf = sdpa[d "", 0] * (i ? 1.1 : 1)
            sb = sdpa[d "", 1] * (i ? 1.15 : 1)
            printf "| %d | %d | %.0f | %.0f | %.2f | %.0f | %.0f | %.2f |\n",
                d, l, f / 1e12, sf / 1e12, f / sf, b / 1e12, sb / 1e12, b / sb
        }
}

function shape(name) {
    if (name == "1B") {
        h = 2048; f = 8192; kv = 512; layers = 16; dim = 64; tied = 1
    } else {
        h = 4096; f = 14336; kv = 1024; layers = 32; dim = 128; tied = 0
    }
    vocab = 128256
    matrices = layers * (2 * h * h + 2 * h * kv + 3 * h * f)
    head = vocab * h
}

# One step: 4 documents of 1,024 tokens, the second half of each trained,
# rank 16 everywhere. launches: as tests/gpu/kernels.sh counts them.
function step(name, kernels, blocks, pair,    t, flops, ins, outs, s) {
    shape(name)
    t = 4096
    # Forward and the input's gradient of every matrix; of the lowest block
    # the input needs none, which is 1 % and left out.
    part["products"] = 4 * matrices * t / (0.97 * rate_of_layers(pair))
    part["head"] = 4 * head * t / 2 / 560e12 + \
        3 * t / 2 * vocab * 2 / streaming
    flops = 4 * h * 4 * 1024 * 1025 / 2 * layers
    part["attention"] = flops / rate[dim "", 0] + 2.5 * flops / rate[dim "", 1]
    # Every x and dy is read twice for the adapter's products.
    ins = 4 * h + 2 * h + f
    outs = 2 * h + 2 * kv + 2 * f + h
    part["adapters"] = layers * 2 * t * 2 * (ins + outs) / streaming
    # Norms, rotation, SwiGLU, residuals, both ways.
    part["rows"] = layers * t * 2 * (18 * h + 8 * f) / streaming
    # NF4: half a byte and its factors in, bf16 out and in again, twice.
    part["unpacking"] = blocks ? 2 * matrices * (0.53 + 2 + 2) / streaming : 0
    part["gaps"] = kernels * gap
    s = 0
    for (p in part)
        s += part[p]
    return s
}

function rate_of_layers(pair,    s) {
    s = 2 * wgmma(4096, h, h, pair) + 2 * wgmma(4096, kv, h, pair) + \
        2 * wgmma(4096, f, h, pair) + wgmma(4096, h, f, pair)
    return 2 * 4096 * matrices / layers / s
}

function library_rate(    s) {
    s = 2 * library(4096, h, h) + 2 * library(4096, kv, h) + \
        2 * library(4096, f, h) + library(4096, h, f)
    return 2 * 4096 * matrices / layers / s
}

# torch.compile of PEFT: the same products at a library's rate, a head over
# all rows with logits in f32, rows fused but adapters not, some gaps.
function peer(name,    s) {
    shape(name)
    s = 4 * matrices * 4096 / library_rate()
    s += 4 * head * 4096 / 650e12 + 4096 * vocab * 4 * 5 / streaming
    s += 4 * h * 4 * 1024 * 1025 / 2 * layers * \
        (1 / sdpa[dim "", 0] + 2.5 / sdpa[dim "", 1])
    s += layers * 4096 * 2 * (3 * (9 * h + 3 * f + 2 * kv) + 20 * h + 9 * f) / \
        streaming
    return s + layers * 110 * gap
}

function step_row(name, what,    c, s, q, key) {
    key = name " " tolower(what)
    if (!(key in launches))
        return
    c = step(name, launches[key], what == "QLoRA", 2)
    s = step(name, launches[key], what == "QLoRA", 1)
    q = what == "LoRA" ? peer(name) : 0
    printf "| %s %s | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | " \
        "%.1f | %.1f k | %.1f k | %s | %s | %s |\n", name, what,
        1e3 * part["products"], 1e3 * part["head"], 1e3 * part["attention"],
        1e3 * part["adapters"], 1e3 * part["rows"], 1e3 * part["unpacking"],
        1e3 * part["gaps"], 1e3 * s, 4.096 / s, 4.096 / c,
        q ? sprintf("%.1f k", 4.096 / q) : "-",
        q ? sprintf("%.2f, %.2f", q / s, q / c) : "-", gigabytes[key]
}

function steps() {
    print "\n### A LoRA step, 4 x 1,024 tokens, rank 16, ms\n"
    print "| | products | head | attention | adapters | rows | unpacking | " \
          "gaps | step | tok/s | `cluster` | compiled peer | ratios (goal 1.2) | GB |"
    print "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    step_row("1B", "LoRA")
    step_row("1B", "QLoRA")
    step_row("8B", "LoRA")
    step_row("8B", "QLoRA")
}

# Every matrix once a token; kernels of a token one after another.
function decode_row(name, batch,    bytes, s, share, kernels) {
    kernels = launches[name " decode " batch]
    if (!kernels)
        return
    shape(name)
    bytes = 2 * (matrices + head)
    # Few rows are read at what streaming gives; 64 rows by tiles, with their
    # operands in flight for less of the time.
    share = batch == 1 ? 0.85 : 0.70
    s = bytes / (share * memory) + kernels * follow_gap
    if (batch > 1)
        s += layers * batch * 2 * 2 * kv * 64 / streaming
    printf "| %s | %d | %.2f | %d | %.2f | %.0f | %.0f %% |\n", name, batch,
        bytes / 1e9, kernels, 1e3 * s, batch / s, 100 * bytes / s / memory
}

function decoding() {
    print "\n### Decoding, with a graph\n"
    print "| | batch | GB a step | kernels | ms | tok/s | of bandwidth " \
          "(goal 70 % at 1) |"
    print "|---|---|---|---|---|---|---|"
    decode_row("1B", 1)
    decode_row("1B", 64)
    decode_row("8B", 1)
    decode_row("8B", 64)
}
