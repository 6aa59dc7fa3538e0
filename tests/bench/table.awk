# table.awk - rows of benchmarks as a table, and as JSON into the file `json`
function text(s) {
    gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); gsub(/[\001-\037]/, " ", s)
    return "\"" s "\""
}
function number(s) { return s + 0 > 0 ? s + 0 : "null" }
function median(list,    n, i, j, t, v) {
    n = split(list, v, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) {
            t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
        }
    if (n == 0) return 0
    return n % 2 ? v[(n + 1) / 2] + 0 : (v[n / 2] + v[n / 2 + 1]) / 2
}
function short(x) {
    if (x == 0) return "-"
    return sprintf(x >= 1000 ? "%.0f" : x >= 10 ? "%.1f" : "%.3g", x)
}
function share(x) { return x > 0 ? sprintf("%.0f %%", 100 * x) : "-" }
function cut(s, n) { return length(s) > n ? substr(s, 1, n - 1) "~" : s }

$1 == "row" && NF >= 9 {
    key = $2 "\t" $3 "\t" $4 "\t" $5 "\t" $7
    if (!(key in seen)) { keys[++rows] = key; seen[key] = 1 }
    if ($6 + 0 > 0) ours[key] = ours[key] " " $6
    if ($8 + 0 > 0) peers[key] = peers[key] " " $8
    if ($8 + 0 > 0 && $6 + 0 > 0) ratios[key] = ratios[key] " " $6 / $8
    if ($9 + 0 > 0) goal[key] = $9 + 0
    if ($10 + 0 > 0) limits[key] = limits[key] " " $10
    next
}
$1 == "run" { runs[++run_count] = $0; next }
/^skip: / { skips[++skip_count] = substr($0, 7); next }
/^failed: / { fails[++fail_count] = substr($0, 9); next }

END {
    printf "%s\n\n%-22s %-30s %-8s %9s %9s %-14s %6s %6s %7s\n", machine,
        "path", "shape", "unit", "slmctl", "peer", "", "ratio", "goal", "limit"
    printf "{\"schema\":\"slmctl.bench/1\",\"machine\":%s,\"rows\":[",
        text(machine) > json
    for (i = 1; i <= rows; i++) {
        split(keys[i], f, "\t")
        o = median(ours[keys[i]]); p = median(peers[keys[i]])
        l = median(limits[keys[i]]); r = median(ratios[keys[i]])
        # ratios of pairs that were measured by turns say more than medians'
        of = l > 0 ? o / l : 0
        g = goal[keys[i]] + 0
        reached = p > 0 ? r : of
        verdict = g > 0 && reached > 0 ? (reached >= g ? "" : " below") : ""
        printf "%-22s %-30s %-8s %9s %9s %-14s %6s %6s %7s%s\n", cut(f[2], 22),
            cut(f[3], 30), cut(f[4], 8), short(o), short(p),
            cut((f[5] == "-" ? "" : f[5]), 14), (r > 0 ? sprintf("%.2f", r) : "-"),
            (g > 0 ? sprintf("%.2f", g) : "-"), share(of), verdict
        printf "%s\n{\"bench\":%s,\"path\":%s,\"shape\":%s,\"unit\":%s," \
            "\"slmctl\":%s,\"peer_name\":%s,\"peer\":%s,\"ratio\":%s," \
            "\"goal\":%s,\"limit\":%s,\"of_limit\":%s}", (i > 1 ? "," : ""),
            text(f[1]), text(f[2]), text(f[3]), text(f[4]), number(o),
            (f[5] == "-" ? "null" : text(f[5])), number(p), number(r), number(g),
            number(l), number(of) > json
    }
    printf "],\n\"runs\":[" > json
    printf "\n%-14s %8s %12s %12s %7s\n", "benchmark", "CPU s", "load before",
        "after", "stolen"
    for (i = 1; i <= run_count; i++) {
        split(runs[i], f, "\t")
        printf "%-14s %8.1f %12s %12s %6.1f%%\n", f[2], f[3], f[4], f[5], f[6]
        printf "%s\n{\"bench\":%s,\"cpu_s\":%s,\"load_before\":%s," \
            "\"load_after\":%s,\"steal_percent\":%s}", (i > 1 ? "," : ""),
            text(f[2]), f[3] + 0, f[4] + 0, f[5] + 0, f[6] + 0 > json
    }
    printf "],\n\"skipped\":[" > json
    for (i = 1; i <= skip_count; i++) {
        print "skip: " skips[i]
        printf "%s%s", (i > 1 ? "," : ""), text(skips[i]) > json
    }
    printf "],\"failed\":[" > json
    for (i = 1; i <= fail_count; i++) {
        print "failed: " fails[i]
        printf "%s%s", (i > 1 ? "," : ""), text(fails[i]) > json
    }
    print "]}" > json
}
