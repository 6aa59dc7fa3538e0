# An nvcc that was named and is not there is not replaced by another.
unset MAKEFLAGS MFLAGS MAKELEVEL
for how in argument environment; do
    case $how in
    argument) set -- NVCC=/nonexistent/nvcc ;;
    *) set -- && export NVCC=/nonexistent/nvcc ;;
    esac
    make -s --no-print-directory -C "$TREE" cuda "$@" 2>err
    echo "exit $?"
done
