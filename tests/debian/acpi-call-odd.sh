#!/bin/sh
# acpi_call: a buffer of one and a half bytes, which the module refuses, as it says.
printf '%s' '\_SB.NONE b123' >/proc/acpi/call
