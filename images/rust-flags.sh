# Flags for all Rust code that goes into this kernel. Sourced; needs $toolchain and $config.
# shellcheck shell=bash disable=SC2034,SC2154

# A field of the toolchain's description.
toolchain_field() {
    sed -n "s/^ \"$1\": \"\(.*\)\",\{0,1\}$/\1/p" "$toolchain"
}

rustc=$(toolchain_field rustc)
library=$(toolchain_field library)
edition=$(toolchain_field edition)
# Unstable flags and features with a stable compiler, as the kernel's own Rust build does.
export RUSTC_BOOTSTRAP=1

rust_target=x86_64-unknown-none
# Without the target: cargo has a word of its own for that.
rust_flags=(
    -C panic=abort
    # The module loader knows no GOT: absolute addresses in the kernel's half, calls not through it.
    -C relocation-model=static
    -C code-model=kernel
    -Z plt=yes
    # An interrupt may come at any instruction and uses the same stack.
    -C no-redzone=y
    -C force-frame-pointers=y
)
if grep -q '^CONFIG_X86_KERNEL_IBT=y' "$config"; then
    rust_flags+=(-Z cf-protection=branch)
    # objtool takes the entries of a jump table for indirect branch targets without ENDBR.
    if "$rustc" -C help | grep jump-tables >/dev/null; then
        rust_flags+=(-C jump-tables=n)
    else
        rust_flags+=(-Z no-jump-tables)
    fi
fi
if grep -q -E '^CONFIG_(MITIGATION_)?RETPOLINE=y' "$config"; then
    # Older compilers have it only as an LLVM feature of which they warn each time.
    if "$rustc" -Z help | grep retpoline-external-thunk >/dev/null; then
        rust_flags+=(-Z retpoline-external-thunk)
    fi
fi
if grep -q -E '^CONFIG_(MITIGATION_)?RETHUNK=y' "$config"; then
    rust_flags+=(-Z function-return=thunk-extern)
fi
