# What all Rust code for specimens.ko has in common, whoever compiles it. Sourced after lib.sh; needs $scratch.
# shellcheck shell=bash disable=SC2154

# A file of scenarios is a module, and nobody lists it. $1: their folder; $2: the list to write.
list_scenarios() {
    local file name
    for file in "$1"/*.rs; do
        [ -e "$file" ] || continue
        name=$(basename "$file" .rs)
        name=${name//-/_}
        [[ $name =~ ^[a-z_][a-z0-9_]*$ ]] || die "$file: a module of Rust cannot be called '$name'"
        printf '#[warn(unused)]\n#[path = "%s"]\nmod r#%s;\n' "$file" "$name"
    done >"$2"
}

# $scratch/object from the archive $1, by the linker script $2.
rust_object() {
    # Only what C enters by, the table, and what these need.
    ld -r --gc-sections -T "$2" -u freeonce_rust_run -u freeonce_rust_bench -o "$scratch/object" "$1"

    # Bitcode that came along with core is nothing for the kernel.
    objcopy -R .llvmbc -R .llvmcmd "$scratch/object"

    # Without optimization parts of core stay that format floating point and divide 128-bit numbers.
    # The kernel has no such functions and we never call them; should one be called, it says so.
    readelf -sW "$scratch/object" |
        awk '$7 == "UND" && $8 ~ /^__[a-z]+[sdht][fi][a-z0-9]*$/ { print ".globl " $8 "\n" $8 ":" }' >"$scratch/never.s"
    if [ -s "$scratch/never.s" ]; then
        printf '\tud2\n.section .note.GNU-stack,"",@progbits\n' >>"$scratch/never.s"
        as -o "$scratch/never.o" "$scratch/never.s"
        ld -r -o "$scratch/whole" "$scratch/object" "$scratch/never.o"
        mv "$scratch/whole" "$scratch/object"
    fi
}
