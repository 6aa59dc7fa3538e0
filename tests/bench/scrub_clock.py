#!/usr/bin/env python3
"""scrub_clock.py NAME MEGABYTES FILE COMMAND... - feeds the file again and
again through a pipe, and tells MB/s by the clock, CPU time and peak memory."""
import os
import resource
import subprocess
import sys
import threading
import time


def feed(pipe, data, size):
    try:
        while size > 0:
            pipe.write(data)
            size -= len(data)
        pipe.close()
    except BrokenPipeError:
        pass


def main():
    name, size, path, *command = sys.argv[1:]
    with open(path, "rb") as f:
        data = f.read()
    began = time.monotonic()
    p = subprocess.Popen(command, stdin=subprocess.PIPE,
                         stdout=subprocess.DEVNULL)
    total = -(-int(size) * 1000000 // len(data)) * len(data)
    t = threading.Thread(target=feed, args=(p.stdin, data, total))
    t.start()
    t.join()
    code = p.wait()
    seconds = time.monotonic() - began
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{name} --threads {command[-1]}: {total / 1e6 / seconds:.1f} MB/s "
          f"by the clock, {total / 1e6 / (use.ru_utime + use.ru_stime):.1f} "
          f"MB a CPU second, {total / 1e6:.0f} MB, peak "
          f"{use.ru_maxrss / 1000:.0f} MB, exit {code}, load "
          f"{os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
