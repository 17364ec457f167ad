# How kbuild makes a module of ours against $kernel, in a scratch copy so that the source stays clean.
# Sourced after lib.sh; needs $kernel and $scratch. If `users` is set, it is a folder in the copy,
# what debug info calls it, and where a user has the same.
# shellcheck shell=bash disable=SC2154

# The module in $scratch/guest/$1 stands beside it afterwards. Further arguments are kbuild's.
build_module() {
    local folder=$scratch/guest/$1 prefix arguments
    shift
    # No BTF of our types: it would need pahole. Debug info names our files as in /freeonce.
    prefix=-fdebug-prefix-map=$scratch/guest=/freeonce/guest
    # Of two that fit gcc takes the last.
    [ -z "${users:-}" ] || prefix+=" -fdebug-prefix-map=${users[0]}/=${users[1]}/"
    arguments=(-C "$kernel/headers")
    if [ -e "$kernel/headers-source" ]; then
        # Unpacked packages: their Makefile names the place where they would be installed.
        arguments=(-C "$(realpath "$kernel/headers-source")" "O=$(realpath "$kernel/headers")")
    fi
    arguments+=("M=$folder" CONFIG_DEBUG_INFO_BTF_MODULES= "KCFLAGS=$prefix" "KAFLAGS=$prefix" "$@")
    if ! make -s -k -j"$(nproc)" "${arguments[@]}" modules >"$scratch/log" 2>&1; then
        told >&2
        die "the module does not build"
    fi
    # Warnings are worth a look; kbuild's other notes are not.
    grep -E 'warning:|WARNING:' <(told) >&2 || true
}

# What kbuild said; to a user with the names that he knows, and without what make says of it.
told() {
    if [ -n "${users:-}" ]; then
        sed "s|${users[0]}/|${users[2]}/|g; s|$scratch/|/freeonce/|g; /^make/d" "$scratch/log"
    else
        cat "$scratch/log"
    fi
}
