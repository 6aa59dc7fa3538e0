# With no descriptor left for a connection the proxy waits without being busy,
# and serves again as soon as there is one.
. "$TREE/tests/cli/lib/wait.subr"
if ! command -v python3 >/dev/null || ! command -v prlimit >/dev/null; then
    echo "skip: python3 or prlimit is not installed"
    exit 0
fi
slmctl collect --store store --listen 127.0.0.1:0 --admin 127.0.0.1:0 \
    --threads 2 --upstream http://127.0.0.1:9 2>said &
pid=$!
await said admin
cat >crowd.py <<'END'
import socket, sys, time, urllib.request

port, admin, pid = int(sys.argv[1]), sys.argv[2], sys.argv[3]

def ticks():
    f = open("/proc/%s/stat" % pid).read().rsplit(") ", 1)[1].split()
    return int(f[11]) + int(f[12])

crowd = [socket.create_connection(("127.0.0.1", port)) for i in range(60)]
time.sleep(1)
before = ticks()
time.sleep(2)
print("busy" if ticks() - before > 20 else "calm")
late = crowd[-1]
late.sendall(b"GET /nowhere HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n")
late.settimeout(0.5)
try:
    print("answered", late.recv(12))
except socket.timeout:
    print("the last one waits")
for s in crowd[:-1]:
    s.close()
late.settimeout(5)
print(late.recv(12).decode())
text = urllib.request.urlopen("http://%s/metrics" % admin, timeout=5).read()
count = [l for l in text.decode().splitlines()
         if l.startswith("slmctl_accept_pauses_total ")]
print("pauses" if float(count[0].split()[1]) > 5 else text.decode())
END
port=$(address said)
prlimit --pid $pid --nofile=45:45
python3 crowd.py "$port" "$(sed -n 's/^admin on //p' said)" $pid
kill $pid
wait $pid
echo "exit $?"
