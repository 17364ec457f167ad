#!/usr/bin/env bash
# An SSH key pair for us and a host key for the guest, made for this image only.
# Usage: keys.sh DEST
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
dest=$(realpath -m -- "$1")

scratch_beside "$dest"
mkdir -m 700 "$scratch/keys"
cd "$scratch/keys"
for name in client host; do
    ssh-keygen -q -t ed25519 -N '' -C "freeonce $name" -f "$name"
done
dropbearconvert openssh dropbear host host.dropbear 2>/dev/null || die "dropbearconvert refused the host key"
rm host
publish "$scratch/keys" "$dest"
