# With standard output closed a file must not get its number.
slmctl completion bash >&-
echo $?
slmctl --version <&- 2>&-
