#!/bin/sh
# Sets another commit's figures beside this tree's: compare.sh REVISION. Builds the benchmark of both, the other commit's in a
# worktree under target/, and runs them in turn. $ROUNDS says how often (5), $ONLY which lines (those that are soon measured),
# $JOBS how many compilers run at once (2).
set -eu

cd "$(dirname "$0")/.."
if [ -z "${1:-}" ]; then
    echo "$0: expected a commit, got none: make bench-compare REV=abc123" >&2
    exit 2
fi
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
commit=$(git rev-parse --verify --quiet --short=12 "$1^{commit}") || {
    echo "$0: expected a commit, got $1" >&2
    exit 2
}
tree=$target/bench/tree

remove_tree() {
    git worktree remove --force "$tree" 2>/dev/null || true
}

# Builds the benchmark of the tree in $1 into the folder $2 and prints where it lies. Two trees must not share a folder: cargo
# tells them apart by nothing but the times of their files.
built() {
    said=$(cd "$1" && CARGO_TARGET_DIR=$2 "${CARGO:-cargo}" bench --jobs "${JOBS:-2}" --no-run --bench budgets 2>&1) || {
        echo "$said" >&2
        echo "$0: the benchmark of $1 does not build" >&2
        return 1
    }
    echo "$said" | sed -n 's/.*Executable .*(\(.*\))$/\1/p'
}

remove_tree
trap remove_tree EXIT
git worktree add --quiet --detach "$tree" "$commit"
echo "building the benchmark of $commit, then this tree's" >&2
other=$(built "$tree" "$target/bench/other")
this=$(built . "$target")
CARGO_TARGET_DIR=$target "$this" --compare "$other" --rounds "${ROUNDS:-5}" --only "${ONLY:-}"
