#!/bin/sh
# Check every #include in lib/ and cmd/ against lib/DEPS:
#  - a module uses only the modules on its own line, all listed above it;
#  - another module is entered through module/module.h (base: any header);
#  - a library's header is included in its one home.
set -u
out=$(awk '
    function complain(text) { print "layers: " text; }
    FILENAME == "lib/DEPS" {
        if (/^#/ || !NF) next
        m = $1; sub(":", "", m)
        for (i = 2; i <= NF; i++) {
            if (!($i in known)) complain(m " uses " $i ", not above it")
            may[m, $i] = 1
        }
        known[m] = 1
        next
    }
    FNR == 1 {
        split(FILENAME, part, "/")
        module = part[1] == "lib" ? part[2] : ""
        folder = part[3]
        if (module && !(module in known))
            complain(FILENAME ": " module " is not in lib/DEPS")
    }
    /^ *# *include *"/ {
        split($0, q, "\""); target = q[2]
        n = split(target, part, "/")
        other = part[1]
        if (n == 1) { # cmd.h beside a command
            if (module) complain(FILENAME ": " target " is not rooted at lib/")
            next
        }
        if (other == module) next
        if (!(other in known))
            complain(FILENAME " includes " target ": no such module")
        else if (module && !((module, other) in may))
            complain(FILENAME " includes " target ": " module \
                     " may not use " other)
        if (other != "base" && target != other "/" other ".h")
            complain(FILENAME " includes the private header " target)
    }
    BEGIN {
        home["sqlite3.h"] = "sql"; home["zstd.h"] = "codec"
        home["zdict.h"] = "codec"; home["pcre2.h"] = "regex"
        home["cblas.h"] = "linalg"; home["lapacke.h"] = "linalg"
        home["sodium.h"] = "crypto"; home["curl/curl.h"] = "upstream"; home["zlib.h"] = "wire"
        n = split("cuda.h cuda_runtime.h cuda_bf16.h cuda_fp16.h " \
                  "cudaTypedefs.h mma.h", cuda, " ")
        for (i = 1; i <= n; i++) home[cuda[i]] = "compute"
    }
    /^ *# *include *</ {
        split($0, q, "[<>]")
        if ((q[2] in home) && home[q[2]] != module)
            complain(FILENAME " includes " q[2] ", whose home is lib/" \
                     home[q[2]])
        if ((q[2] in home) && home[q[2]] == "compute" && folder != "cuda")
            complain(FILENAME " includes " q[2] ", whose home is " \
                     "lib/compute/cuda")
    }
' lib/DEPS $(git ls-files 'lib/*.[ch]' 'lib/*.cu' 'lib/*.cuh' 'cmd/*.[ch]'))
[ -z "$out" ] || { printf '%s\n' "$out"; exit 1; }
