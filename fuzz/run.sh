#!/bin/sh
# Runs fuzz targets, two at a time, each with the corpus that it has and seeds from the tests.
#
#     fuzz/run.sh SECONDS [TARGET...]
#
# Without targets it runs all of them. Logs are fuzz/corpus/TARGET.log, findings fuzz/artifacts/.
set -eu
cd "$(dirname "$0")"
seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET...]}
shift
[ $# -gt 0 ] || set -- parse expand mounts flags ignore reference policy \
    layer unpack decode contents documents answers challenge headers logins registries

# Each case of the tests is a seed: the Dockerfile for `parse`, its lines for the others.
seed() {
    mkdir -p "corpus/$1"
    cp -n seeds/"$1"/* "corpus/$1" 2> /dev/null || true
    case $1 in
    parse) pattern='.' && tool=case ;;
    mounts) pattern='s/^RUN --mount=\([^ ]*\).*/\1/p' && tool=line ;;
    flags) pattern='s/^[A-Z]* \(--.*\)/\1/p' && tool=line ;;
    expand) pattern='s/^[A-Z]* \(.*[$].*\)/\1/p' && tool=line ;;
    reference) pattern='s/^FROM \([^ ]*\).*/\1/p' && tool=line ;;
    *) return 0 ;;
    esac
    set -- "corpus/$1" "$pattern" ../crates/rbuild-dockerfile/tests/data/*.txt
    if [ "$tool" = case ]; then
        out=$1 && shift 2
        cat "$@" | awk -v out="$out/seed-" '
            /^--- / { close(file); file = sprintf("%s%04d", out, ++n); body = 1; next }
            /^=>/ { body = 0 }
            n && body && !/^#~ / { print > file }'
    else
        out=$1 && expression=$2 && shift 2
        cat "$@" | sed -n "$expression" | sort -u | awk -v out="$out/seed-" '
            { file = sprintf("%s%04d", out, NR); printf "%s", $0 > file; close(file) }'
    fi
}

# `unpack` makes and removes files all the time: in memory it is thirty times as fast.
if [ -z "${TMPDIR-}" ] && [ -d /dev/shm ]; then
    TMPDIR=$(mktemp -d /dev/shm/rbuild-fuzz-XXXXXX)
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
fi

# A tar of a few members has some kilobytes.
longest() {
    case $1 in
    layer | unpack) echo 16384 ;;
    *) echo 4096 ;;
    esac
}

# `nice`, because a fuzzer takes all it can get.
lane() {
    for target in "$@"; do
        nice -n 19 cargo +nightly fuzz run --sanitizer none "$target" -- \
            -max_total_time="$seconds" -rss_limit_mb=3000 -timeout=20 -max_len="$(longest "$target")" \
            -dict=dockerfile.dict > "corpus/$target.log" 2>&1 || echo "$target: see corpus/$target.log"
    done
}

one='' two=''
for target; do
    seed "$target"
    one="$one $target"
    swap=$one one=$two two=$swap
done
cargo +nightly fuzz build --sanitizer none
lane $one &
lane $two
wait
