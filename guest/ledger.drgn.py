"""Walk the ledger in a core of `freeonce dump`: drgn -q -c FILE guest/ledger.drgn.py

The format is that of LEDGER.md. `prog` is drgn's; nothing of freeonce is needed.
"""

# ruff: noqa: F821
# mypy: ignore-errors

import struct

WINDOW = 0x8000000  # the guest's kernel command line reserves it: memmap=SIZE$ADDRESS
HEADER = struct.Struct("<8sIIQQ64sQQ")
RECORD = struct.Struct("<IIQQQQIIIIBBBBBBH")
ALLOCATE, RELEASE, STEP = 3, 6, 9
OWNER = 1

magic, version, size, capacity, appended, release, _, drained = HEADER.unpack(
    prog.read(WINDOW, HEADER.size, physical=True)
)
if (magic, version, size) != (b"FREEONCE", 4, RECORD.size):
    raise SystemExit("no ledger of version 4 in this core")
end = min(appended, drained + capacity)
print(f"kernel {release.rstrip(bytes(1)).decode()}, {end} records, {drained} of them drained")

live = {}
for index in range(drained, end):
    raw = prog.read(WINDOW + 4096 + index % capacity * size, size, physical=True)
    fields = RECORD.unpack(raw)
    pointer, physical, length, serial = fields[3:7]
    kind, witness = fields[10:12]
    if kind == STEP:
        print("step", raw[16:40].rstrip(bytes(1)).decode())
    if witness != OWNER:
        continue
    if kind == ALLOCATE:
        live[serial] = physical, length
    elif kind == RELEASE:
        live.pop(serial, None)

for serial, (physical, length) in live.items():
    begin = prog.read(physical, min(length, 16), physical=True).hex(" ")
    print(f"never released: serial {serial}, {length} bytes at {physical:#x}: {begin}")
