#!/usr/bin/env bash
# in_tree.sh TREE NAME ARGS...: runs a test that another build tree (asan, tsan, fuzz) holds; 77, skipped, when that
# tree was not built. So one ctest run tells about all trees.
set -euo pipefail
root=$(dirname "${BASH_SOURCE[0]}")/../..
program=$root/build/$1/tests/$2
[[ -x $program ]] || program=$root/build/$1/tests/fuzz/$2
shift 2
[[ -x $program ]] || exit 77
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$root/tests/support/tsan.supp
exec "$program" "$@"
