# Shared by the shell recipes: errors, and results that appear whole or not at all.
# shellcheck shell=bash
set -euo pipefail
# The make that called us has a job server that our own children cannot reach.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
# For recipes that need one: a Python that has the harness.
# shellcheck disable=SC2034
python=${PYTHON:-$(dirname "${BASH_SOURCE[0]}")/../.venv/bin/python}

die() {
    printf '%s: %s\n' "$(basename "$0")" "$1" >&2
    exit 1
}

# A scratch folder beside $1, removed however the recipe ends.
scratch_beside() {
    mkdir -p "$(dirname "$1")"
    scratch=$(mktemp -d "$1.XXXXXX")
    trap 'rm -rf -- "$scratch"' EXIT
}

# Puts $1 (inside the scratch folder) at $2 in one rename.
publish() {
    if [ -d "$2" ] && [ ! -L "$2" ]; then
        mv -T -- "$2" "$scratch/replaced"
    fi
    mv -T -- "$1" "$2"
}
