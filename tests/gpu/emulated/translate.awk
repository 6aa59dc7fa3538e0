# translate.awk - CUDA C++ to C++ with emulated.cuh: launches become calls,
# extern shared arrays pointers, the two files of instructions their twins. One
# file in, one out.

{ sub(/"compute\/cuda\/cuda_ptx.cuh"/, "\"emulated_ptx.cuh\"")
  sub(/"compute\/cuda\/cuda_hopper.cuh"/, "\"emulated_hopper.cuh\"") }
{ text = text $0 "\n" }

# The place before p where the expression that ends there begins: a name, with
# template arguments and scopes.
function begins(s, p,    c, depth) {
    for (; p > 0; p--) {
        c = substr(s, p, 1)
        if (c == ">") depth++
        else if (c == "<") depth--
        else if (depth == 0 && c !~ /[A-Za-z0-9_: \n]/) break
    }
    p++
    while (substr(s, p, 1) ~ /[ \n]/) p++
    return p
}

# The place of the closing parenthesis of the opening one at p.
function closes(s, p,    c, depth) {
    for (; p <= length(s); p++) {
        c = substr(s, p, 1)
        if (c == "(") depth++
        else if (c == ")" && --depth == 0) return p
    }
    return 0
}

END {
    out = ""
    while ((at = index(text, "<<<")) > 0) {
        before = substr(text, 1, at - 1)
        p = begins(before, length(before))
        kernel = substr(before, p)
        rest = substr(text, at + 3)
        end = index(rest, ">>>")
        config = substr(rest, 1, end - 1)
        rest = substr(rest, end + 3)
        close_at = closes(rest, 1)
        arguments = substr(rest, 1, close_at)
        if (match(kernel, /^(else|return)[ \n]+/)) {
            p += RLENGTH
            kernel = substr(before, p)
        }
        # An attribute may have been set for it; else it needs none.
        id = (config ~ /, *[^,]*(bytes|BYTES|smem)[^,]*,/) ? "(const void *)(" kernel ")" : "nullptr"
        # Arguments are values of now: what they were read from may be gone
        # when a graph is launched.
        arguments = substr(arguments, 2, length(arguments) - 2)
        out = out substr(before, 1, p - 1) "emulated_call(emulated_config(" \
            config "), " id ", [=](auto &...emulated_argument) { " kernel \
            "(emulated_argument...); }" (arguments ~ /[^ \n]/ ? ", " : "") \
            arguments ")"
        text = substr(rest, close_at + 1)
    }
    out = out text
    # extern __shared__ [__align__(n)] T name[];
    while (match(out, /extern __shared__ [^;]*\[\];/)) {
        d = substr(out, RSTART, RLENGTH)
        head = substr(out, 1, RSTART - 1)
        tail = substr(out, RSTART + RLENGTH)
        sub(/extern __shared__ /, "", d)
        sub(/__align__\([0-9]+\) */, "", d)
        sub(/\[\];/, "", d)
        name = d; sub(/.*[ \n]/, "", name)
        type = d; sub(/[ \n]+[A-Za-z_0-9]+$/, "", type)
        out = head type " *" name " = (" type " *)emulated_dynamic();" tail
    }
    printf "%s", out
}
