#!/bin/sh
# kvm and kvm-amd: a QEMU boots our own image as an L2, in which the scenarios of hypervisors run.
set -e
mkdir -p over/etc
cat >over/etc/rc <<'EOF'
#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t debugfs debug /sys/kernel/debug
exec >/dev/console 2>&1
insmod /lib/freeonce.ko window_base=0x8000000 window_bytes=0x800000
insmod /lib/specimens.ko
cd /sys/kernel/debug/freeonce
tab=$(printf '\t')
while IFS=$tab read -r line name section language needs ends lesson; do
    case "$line $name $needs $ends" in
        "scenario hypervisor/"*" svm -" | "scenario svm/"*" svm -") ;;
        *) continue ;;
    esac
    echo 1 >rewind
    echo "$name" >run
    echo "L2: ran $name"
done <scenarios
echo "L2: over"
poweroff -f
EOF
chmod +x over/etc/rc
# Of two archives the later one's files stay.
(cd over && find . | cpio -o -H newc) | cat initramfs - >both
timeout 800 qemu-system-x86_64 -L firmware -nodefaults -no-user-config -display none \
    -accel kvm -cpu host -machine q35,i8042=off,sata=off,smbus=off,hpet=off -m 256 -no-reboot \
    -kernel boot -initrd both -serial stdio -append "console=ttyS0 quiet oops=panic panic=-1 \
cryptomgr.notests lsm= ipv6.disable=1 no_timer_check memmap=0x800000\$0x8000000" </dev/null |
    tee console
grep -q "L2: ran hypervisor/virtualize" console
grep -q "L2: over" console
