#!/usr/bin/env bash
# Runs every fuzzer for some minutes under AddressSanitizer and UndefinedBehaviorSanitizer, as many at once as there are
# cores; fails if one finds a crash, a leak, an input that takes over 10 s or one that takes over 2 GB.
#
#   tests/fuzz/run.sh MINUTES [NAME...]     (names without _fuzzer; default: all)
#
# New inputs that reach new code are kept in build/fuzz-corpus/NAME/, crashes in build/fuzz-crashes/.
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=${1:?usage: tests/fuzz/run.sh MINUTES [NAME...]}
shift
command -v clang++-14 > /dev/null || scripts/setup-debian.sh --extra
cmake --preset fuzz > /dev/null
names=("$@")
if [ ${#names[@]} = 0 ]; then
  for f in tests/fuzz/*_fuzzer.cpp; do names+=("$(basename "$f" _fuzzer.cpp)"); done
fi
cmake --build --preset fuzz --target "${names[@]/%/_fuzzer}"
mkdir -p build/fuzz-crashes
one() {
  local name=$1 seconds=$2
  mkdir -p "build/fuzz-corpus/$name"
  local log=build/fuzz-crashes/$name.log dictionary=()
  [ ! -f "tests/fuzz/$name.dict" ] || dictionary=("-dict=tests/fuzz/$name.dict")
  if ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
    "build/fuzz/fuzz/${name}_fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
    "${dictionary[@]}" -artifact_prefix="build/fuzz-crashes/$name-" "build/fuzz-corpus/$name" "tests/fuzz/corpus/$name" > "$log" 2>&1; then
    echo "$name: clean, $(sed -n 's/stat::number_of_executed_units: *//p' "$log") inputs in $seconds s"
  else
    echo "$name: FAILED, see $log"
    grep -m 3 -E 'ERROR|runtime error|SUMMARY' "$log" || tail -n 3 "$log"
    return 1
  fi
}
# The fuzzers share the cores: each gets the whole time.
export -f one
printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I{} bash -c 'one {} '"$((minutes * 60))"
