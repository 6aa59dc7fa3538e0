# proxy.awk - the table of proxy.sh: medians, and what was to be reached
function median(who, what, name,    n, i, j, v, x) {
    n = count[who, what, name]
    if (!n)
        return none
    for (i = 1; i <= n; i++)
        v[i] = value[who, what, name, i]
    for (i = 2; i <= n; i++) {
        x = v[i]
        for (j = i - 1; j >= 1 && v[j] > x; j--)
            v[j + 1] = v[j]
        v[j + 1] = x
    }
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function show(format, x) {
    printf " | %9s", x == none ? "" : sprintf(format, x)
}
# One row; base is taken off where it is given.
function row(title, what, name, format, base,    i, x) {
    printf "| %-36s", title
    for (i = 1; i <= n_all; i++) {
        x = median(who[i], what, name)
        if (base && x != none && who[i] != "direct")
            x -= median("direct", what, name)
        show(format, x)
    }
    print " |"
}
function goal(title, x, format, limit, least,    good) {
    good = least ? x >= limit : x <= limit
    printf "%-36s %9s  %s\n", title, sprintf(format, x),
        good ? "reached" : "MISSED"
}
BEGIN { none = -1e9 }
{
    for (i = 3; i <= NF; i++) {
        split($i, pair, "=")
        value[$1, $2, pair[1], ++count[$1, $2, pair[1]]] = pair[2]
    }
}
END {
    n_all = split(all, who, " ")
    printf "| %-36s", ""
    for (i = 1; i <= n_all; i++)
        printf " | %9s", who[i]
    print " |"
    row("p50 at 1,000 req/s, added, us", "paced", "p50_us", "%.0f", 1)
    row("p99 at 1,000 req/s, added, us", "paced", "p99_us", "%.0f", 1)
    row("CPU us a request at 1,000 req/s", "paced", "cpu_us_request", "%.1f")
    row("req/s at 32 connections", "most", "rate", "%.0f")
    row("CPU us a request at most req/s", "most", "cpu_us_request", "%.1f")
    row("p99 at most req/s, us", "most", "p99_us", "%.0f")
    row("400 streams, 10 ms: CPU us a chunk", "fast", "cpu_us_chunk", "%.2f")
    row("1,000 streams, 50 ms: CPU us a chunk", "streams", "cpu_us_chunk",
        "%.2f")
    row("1,000 streams: chunks passed", "streams", "chunks", "%.0f")
    row("1,000 streams: MB resident", "streams", "rss_mb", "%.1f")
    row("the same, after most req/s", "after", "rss_mb", "%.1f")
    row("requests that failed, all kinds", "most", "failed", "%.0f")
    print "Times at 1,000 req/s are less direct's; litellm had 20 req/s instead."
    print ""
    rate = median("slmctl", "most", "rate")
    cpu = median("slmctl", "most", "cpu_us_request")
    x = median("slmctl", "paced", "p50_us") - median("direct", "paced", "p50_us")
    goal("added p50, us, <= 150", x, "%.0f", 150, 0)
    goal("req/s >= 10,000", rate, "%.0f", 10000, 1)
    x = median("slmctl", "fast", "cpu_us_chunk")
    goal("CPU us a chunk <= 10", x, "%.2f", 10, 0)
    x = median("slmctl", "streams", "rss_mb")
    goal("MB with 1,000 streams <= 100", x, "%.1f", 100, 0)
    x = median("litellm", "most", "rate")
    if (x > 0)
        goal("times the req/s of LiteLLM >= 50", rate / x, "%.0f", 50, 1)
    x = median("nginx", "most", "rate")
    if (x > 0)
        printf "beside nginx: %.2f of its req/s, %.1f times its CPU time\n",
            rate / x, cpu / median("nginx", "most", "cpu_us_request")
}
