#!/bin/sh
# acpi_call: methods that are there and that are not, with arguments of each kind.
set -e
call() {
    printf '%s' "$1" >/proc/acpi/call
    cat /proc/acpi/call >/dev/null
}
call '\_SB.PCI0._STA'
call '\_SB.NONE'
call '\_SB.NONE 1 0x20 "text" b00ff {0x01, 2, 3}'
call '\_OSI "Linux"'
