#!/bin/sh
# units.sh - systemd units: what a service could do beyond its work, as
# systemd-analyze counts it, is at most 1.5 of 10
set -u
command -v systemd-analyze >/dev/null || {
    echo 'skip: systemd-analyze is not installed'
    exit 0
}
systemd-analyze security --help 2>/dev/null | grep -q -- --offline || {
    echo 'skip: this systemd-analyze reads no unit that is not loaded'
    exit 0
}
bad=0
for unit in data/systemd/*.service; do
    systemd-analyze security --offline=yes --threshold=15 "$unit" \
        >/dev/null 2>&1 && continue
    systemd-analyze security --offline=yes "$unit" 2>&1 | tail -n 1
    bad=1
done
exit $bad
