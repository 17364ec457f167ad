#!/usr/bin/env bash
# A kernel from the distribution's packages, downloaded and unpacked, never installed.
# Usage: kernel-package.sh PACKAGE DEST     PACKAGE: linux-image-cloud-amd64, linux-image-6.12-cloud-amd64 ...
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"

package=$1 dest=$(realpath -m -- "$2")

command -v apt-get >/dev/null ||
    die "needs apt-get to download $package; without it use KERNEL=host or KERNEL=/path/to/built/tree"

# The first dependency of $1 whose name matches $2.
dependency() {
    apt-cache depends --important "$1" 2>/dev/null |
        awk -v want="$2" '$1 == "Depends:" && $2 ~ want && !found++ { print $2 }'
}

# A meta package names the real one; the real one names only others.
image=$(dependency "$package" '^linux-image-[0-9]')
image=${image:-$package}
release=${image#linux-image-}
headers=linux-headers-$release
common=$(dependency "$headers" '^linux-headers-.*common')
kbuild=$(dependency "$headers" '^linux-kbuild-')
if [ -z "$common" ] || [ -z "$kbuild" ]; then
    die "the package lists know no headers for $image; run 'apt-get update', or choose another KERNEL"
fi

scratch_beside "$dest"
mkdir "$scratch/packages" "$scratch/kernel"
# apt's own user may not reach our folder; then root downloads, as apt would by itself.
(cd "$scratch/packages" && apt-get download --quiet -o APT::Sandbox::User="$(id -un)" "$image" "$headers" "$common" "$kbuild" >/dev/null) ||
    die "could not download $image and its headers"
for file in "$scratch"/packages/*.deb; do
    dpkg-deb -x "$file" "$scratch/kernel/root"
done

cd "$scratch/kernel"
# One name for both layouts: newer distributions keep /lib in /usr/lib.
modules=root/lib/modules/$release
[ -d "$modules" ] || modules=root/usr/lib/modules/$release
mv "root/boot/vmlinuz-$release" bzImage
mv "root/boot/config-$release" config
printf '%s\n' "$release" >release
ln -s "$modules" modules
ln -s "root/usr/src/$headers" headers
ln -s "root/usr/src/$common" headers-source
publish "$scratch/kernel" "$dest"
