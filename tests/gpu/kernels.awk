# kernels.awk - joins what a plugin's machine code needs with what is launched
#
# usage: awk -F '\t' -v out=TABLE.md -f kernels.awk SPILLS CODE LAUNCHES STEPS
# CODE is gpu_code's output and LAUNCHES what dry_runtime.c wrote, both
# through c++filt; STEPS what one training step asks for. SPILLS allows some kernels to keep values in local memory:
# target, the beginning of a name, most bytes, why, with tabs between. Prints a line for
# each check, ok or FAIL; writes a table with a line for each family and tile.

function fail(check, text) {
    failures[check]++
    if (failures[check] <= 8)
        print "FAIL " check ": " text
}

# "void f<128, 2u, false, __nv_bfloat16>(args)": name and numbers of a tile.
function short_name(full,    s, base, list, n, i, parts, out) {
    s = full
    sub(/^void /, "", s)
    base = s
    sub(/[<(].*/, "", base)
    if (!(base in tiled) || s !~ /^[a-z_]+</)
        return base
    list = s
    sub(/^[^<]*</, "", list)
    sub(/>\(.*/, "", list)
    n = split(list, parts, /, */)
    for (i = 1; i <= n; i++)
        if (parts[i] ~ /^[0-9]+u?$/) {
            sub(/u$/, "", parts[i])
            out = out (out == "" ? "" : ",") parts[i]
        }
    return base "<" out ">"
}

function ceil_to(x, step) {
    return int((x + step - 1) / step) * step
}

function min(a, b) {
    return a < b ? a : b
}

# Blocks that are resident on a multiprocessor. Every block has 1 KiB of the
# system's own, which Hopper's code counts as static.
function resident(arch, registers, threads, shared,    warps, by_registers) {
    warps = int((threads + 31) / 32)
    by_registers = registers == 0 ? 64 : \
        int(65536 / ceil_to(registers * 32, 256) / 4) * 4
    shared = ceil_to(shared + (arch == "sm_80" ? 1024 : 0), 128)
    return min(min(32, int(64 / warps)), min(int(by_registers / warps), \
        shared > 0 ? int((arch == "sm_80" ? 167936 : 233472) / shared) : 32))
}

# Ranges, as text: "32" or "32-64".
function widen(list, at, value,    part) {
    if (!(at in list)) {
        list[at] = value
        return
    }
    split(list[at] "-" list[at], part, "-")
    if (value < part[1] + 0)
        part[1] = value
    else if (value > part[2] + 0)
        part[2] = value
    list[at] = part[1] + 0 == part[2] + 0 ? part[1] : part[1] "-" part[2]
}

BEGIN {
    split("mma_kernel wgmma_kernel simt_kernel gemv_kernel forward_mma " \
          "forward_exact forward_wgmma keys_mma keys_exact keys_wgmma " \
          "queries_mma queries_exact queries_wgmma part_mma", names, " ")
    for (i in names)
        tiled[names[i]]
}

FILENAME == ARGV[1] {
    if ($0 !~ /^#/ && NF == 4) {
        allowed++
        allow_arch[allowed] = $1
        allow_name[allowed] = $2
        allow_bytes[allowed] = $3
    }
    next
}

$1 == "ptx" {
    ptx[$2]++
    next
}

$1 == "code" {
    arch = $2 == "sm_90a" ? "sm_90" : $2
    key = arch "\t" $3
    archs[arch] = $2
    codes++
    registers[key] = $4
    static[key] = $5
    stack[key] = $6
    bound[key] = $7
    tensor[key] = $8
    group[key] = $9
    copies[key] = $10
    local[key] = $11
    order[codes] = key
    next
}

$1 == "refused" {
    fail("launches", $2)
    next
}

# The batch goes in (ids, labels and positions are 12 bytes a token; where its
# documents begin is known from the step before), loss and norm come out. A
# decoding step takes ids, positions, the rows to choose from and one copy of
# tables, gives tokens, their log p and whether all is finite, and is one graph.
# What decoding allocates is the cache, which is larger for more tokens.
$1 == "step" {
    steps++
    if ($4 > 4 || $5 > 65536 || $6 > ($2 ~ /decode/ ? 3 : 2) || $7 > 4096 || \
        ($9 > 0 && $2 !~ /decode/))
        fail("steps", $2 ": " $4 " copies in, " $5 " bytes; " $6 " out, " \
             $7 " bytes; " $9 " allocations")
    if ($2 ~ /decode/ && $11 != 1)
        fail("steps", $2 ": " $11 " graphs, not 1")
    step_list = step_list "\n" "| " $2 " | " $3 " | " $11 " | " $4 " | " $5 \
        " | " $6 " | " $7 " | " $8 " | " $9 " | " $10 " |"
    next
}

$1 == "launch" {
    launches++
    key = $2 "\t" $3
    name = short_name($3)
    shape = name (name ~ /</ ? "\t" $4 "\t" $5 : "\t\t" $5)
    seen[key] = 1
    if (!(key in registers)) {
        if ($2 in archs)
            fail("launches", $3 " has no code for " archs[$2])
        next
    }
    if (bound[key] > 0 && $4 > bound[key])
        fail("launches", $3 ": " $4 " threads, built for " bound[key])
    blocks = resident($2, registers[key], $4, static[key] + $5)
    if (blocks < 1)
        fail("launches", archs[$2] " " $3 ": no block fits")
    if (!(shape in instances))
        shapes[++shape_count] = shape
    if (!((shape, $3) in counted)) {
        counted[shape, $3]
        instances[shape]++
    }
    at = shape "\t" $2
    widen(used_registers, at, registers[key])
    widen(fitting, at, blocks)
    widen(threads, shape, $4)
    widen(warps, shape, int(blocks * int(($4 + 31) / 32) * 100 / 64))
    if (static[key] > still[at])
        still[at] = static[key]
    if (local[key] > spills[shape])
        spills[shape] = local[key]
}

END {
    for (i = 1; i <= codes; i++) {
        key = order[i]
        split(key, k, "\t")
        where = archs[k[1]] " " k[2]
        if (stack[key] > 0 || local[key] > 0) {
            why = 0
            name = k[2]
            sub(/^void /, "", name)
            for (j = 1; j <= allowed; j++)
                if (allow_arch[j] == archs[k[1]] && \
                    index(name, allow_name[j]) == 1) {
                    used[j] = 1
                    if (stack[key] <= allow_bytes[j])
                        why = j
                }
            if (!why)
                fail("spills", where ": " stack[key] " bytes of stack, " \
                     local[key] " loads and stores of them")
            else
                excused++
        }
        if (k[2] ~ /wgmma/ && k[1] == "sm_90") {
            hopper++
            if (group[key] == 0)
                fail("wgmma", where " has none")
            if (k[2] ~ /wgmma_kernel/ && copies[key] == 0)
                fail("tensor copies", where " has none")
        } else if (k[2] ~ /mma/ && k[2] !~ /wgmma/) {
            portable[k[1]]++
            if (tensor[key] == 0)
                fail("mma", where " has none")
        }
        if (!("sm_90\t" k[2] in seen) && !("sm_80\t" k[2] in seen) && \
            !(k[2] in told)) {
            told[k[2]] = 1
            unseen++
            name = k[2]
            sub(/^void /, "", name)
            sub(/[<(].*/, "", name)
            if (unlaunched[name]++ == 0)
                families[++family_count] = name
        }
    }
    for (j = 1; j <= allowed; j++)
        if (!(j in used))
            print "note: spills.txt excuses " allow_arch[j] " " \
                allow_name[j] ", which does not need it"
    if (!launches)
        fail("launches", "there are none")
    if ("sm_90" in archs && !hopper)
        fail("wgmma", "there is none")
    if ("sm_80" in archs && !portable["sm_80"])
        fail("mma", "there is none")
    result("launches", launches " kinds, all within the limits")
    if (!steps)
        fail("steps", "there are none")
    result("steps", steps + 0 " ask for nothing but the batch and the loss")
    result("spills", codes " kernels, " excused + 0 " of them excused")
    result("mma", portable["sm_80"] + 0 " kernels of sm_80, " \
           portable["sm_90"] + 0 " of sm_90a")
    result("wgmma", hopper + 0 " kernels of sm_90a")
    result("tensor copies", "in every product by wgmma")
    for (i in archs)
        list = list " " archs[i]
    for (i in ptx)
        list = list " " i
    print "targets:" list "; " unseen + 0 " kernels that no case launches"
    table()
    exit failed > 0
}

function result(check, text) {
    if (check in failures) {
        failed++
        if (failures[check] > 8)
            print "FAIL " check ": " failures[check] " in all"
    } else
        print "ok " check ": " text
}

# One line for each family, tile and size of block.
function table(    i, j, shape, part, command) {
    print "# The plugin's kernels\n\nWritten by tests/gpu/kernels.sh. A line " \
          "for each family and tile: registers,\nshared memory in bytes, " \
          "resident blocks of a multiprocessor, its warps in per\ncent of " \
          "64, loads and stores of local memory. Below: what a step asks " \
          "for.\n" >out
    print "| kernel | variants | threads | registers, sm_80 | sm_90a | " \
          "static | dynamic | blocks, sm_80 | sm_90a | warps | spills |" >out
    print "|---|---|---|---|---|---|---|---|---|---|---|" >out
    command = "LC_ALL=C sort >>" out
    close(out)
    for (i = 1; i <= shape_count; i++) {
        shape = shapes[i]
        split(shape, part, "\t")
        print "| `" part[1] "` | " instances[shape] " | " threads[shape] \
              " | " cell(used_registers, shape, "sm_80") " | " \
              cell(used_registers, shape, "sm_90") " | " static_of(shape) \
              " | " part[3] + 0 " | " cell(fitting, shape, "sm_80") " | " \
              cell(fitting, shape, "sm_90") " | " warps[shape] " % | " \
              spills[shape] + 0 " |" | command
    }
    close(command)
    if (unseen) {
        print "\nNo quick case of gpu_parity and no model of gpu_bench " \
              "launches " unseen " variants more,\nso their launches are " \
              "not checked here and have no line (machine code and spills " \
              "are\nchecked of all):\n" >>out
        for (i = 2; i <= family_count; i++)
            for (j = i; j > 1 && families[j] < families[j - 1]; j--) {
                shape = families[j]
                families[j] = families[j - 1]
                families[j - 1] = shape
            }
        for (i = 1; i <= family_count; i++)
            print "- `" families[i] "`: " unlaunched[families[i]] >>out
    }
    print "\n| step | launches | graphs | copies in | bytes | " \
          "copies out | bytes | waits | allocations | GB at most |\n" \
          "|---|---|---|---|---|---|---|---|---|---|" \
          step_list >>out
}

function cell(list, shape, arch) {
    return shape "\t" arch in list ? list[shape "\t" arch] : "-"
}

# Without the 1 KiB that Hopper's code counts.
function static_of(shape,    at) {
    at = shape "\tsm_80"
    if (at in fitting)
        return still[at] + 0
    at = shape "\tsm_90"
    return still[at] < 1024 ? 0 : still[at] - 1024
}
