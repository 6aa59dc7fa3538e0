mkdir -p "$XDG_CONFIG_HOME/slmctl"
printf '\nstroe = x\n' >"$XDG_CONFIG_HOME/slmctl/config"
slmctl completion bash 2>&1 | sed "s,$HOME,HOME,"
printf 'completion.store = x\n' >"$XDG_CONFIG_HOME/slmctl/config"
slmctl completion bash 2>&1 | sed "s,$HOME,HOME,"
# Help never depends on a configuration.
slmctl completion -h >/dev/null
