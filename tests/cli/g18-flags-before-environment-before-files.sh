# The command line, then SLMCTL_*, then the user's file; see test_cli for the
# system's file. An unknown key is an error with file and line.
mkdir -p "$XDG_CONFIG_HOME/slmctl"
conf=$XDG_CONFIG_HOME/slmctl/config
slmctl --list-commands | grep -qx status || { echo 'skip: no status'; exit 0; }
printf '# where\nstore = %s\n' "$PWD/from-file" >"$conf"
slmctl status 2>&1 | grep -o 'from-[a-z]*'
SLMCTL_STORE=$PWD/from-environment slmctl status 2>&1 | grep -o 'from-[a-z]*'
SLMCTL_STORE=$PWD/from-environment slmctl status --store "$PWD/from-flag" 2>&1 |
    grep -o 'from-[a-z]*'
printf 'status.store = %s\n' "$PWD/from-qualified" >"$conf"
slmctl status 2>&1 | grep -o 'from-[a-z]*'
CONFIGURATION_DIRECTORY=/nonexistent STATE_DIRECTORY=$PWD/from-service \
    slmctl status 2>&1 | grep -o 'from-[a-z]*'
