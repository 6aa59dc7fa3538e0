# No option of any command takes an empty value but a system prompt, and the
# message names the option; an empty name or path as an operand is refused, too.
. "$TREE/tests/cli/lib/common.subr"
each_command >commands
while read -r command; do
    # shellcheck disable=SC2086
    slmctl $command -h | sed -n 's/^ .*--\([a-z-]*\) [A-Z].*/\1/p' |
        while read -r option; do
            [ "$command $option" = 'generate system' ] && continue
            # shellcheck disable=SC2086
            slmctl $command "--$option" '' >out 2>err
            code=$?
            if [ $code != 2 ] || ! grep -q -e "--$option: " err; then
                echo "$command --$option: $code: $(cat err)"
            fi
        done
done <commands
slmctl collect --import '' --import x
slmctl eval -t ''
slmctl cluster --store=
SLMCTL_STORE='' slmctl status 2>&1 | sed "s|$HOME|HOME|"
slmctl model show ''
slmctl model add ''
mkdir -p "$XDG_CONFIG_HOME/slmctl"
echo 'store =' >"$XDG_CONFIG_HOME/slmctl/config"
slmctl status 2>&1 | sed "s|$XDG_CONFIG_HOME|CONFIG|"
