"""Small kernel modules for tests: what kbuild makes, without a kernel's headers."""

import struct
import subprocess
from pathlib import Path

RELEASE = "6.1.0-test"

SOURCE = """
#define INFO(n, text) __attribute__((section(".modinfo"), used)) static const char info##n[] = text
INFO(0, "vermagic={release} SMP preempt mod_unload modversions ");
INFO(1, "name={name}");
INFO(2, "depends={depends}");
INFO(3, "softdep=pre: {before} post: later");
INFO(4, "license=GPL");
INFO(5, "alias=other-{name}");
INFO(6, "parmtype=max_part:int");
INFO(7, "parm=rd_size:Size of each in KiB");
__attribute__((section(".gnu.linkonce.this_module"), used)) char __this_module[896] = {{1}};
struct version {{ unsigned long crc; char name[56]; }};
__attribute__((section("__versions"), used)) static const struct version versions[] = {{
    {{ 0x11, "module_layout" }}, {{ 0x22, "kfree" }}, {{ 0x33, "kmalloc_trace" }},
}};
extern void *kmalloc_trace(void *cache, unsigned int flags, unsigned long size);
extern void *kmem_cache_create(const char *name);
extern void kfree(const void *);
extern void _printk(const char *);
void (*release_later)(const void *) = kfree;
static inline void *inlined(unsigned long size)
{{
    return kmalloc_trace(0, 0, size);
}}
__attribute__((noinline)) void *takes(unsigned long size)
{{
    void *taken = inlined(size);
    _printk("taken");
    return taken;
}}
__attribute__((section(".init.text"))) int starts(void)
{{
    kfree(takes(kmem_cache_create("x") != 0));
    return 0;
}}
"""


def compiled(
    folder: Path,
    name: str = "sample",
    *,
    release: str = RELEASE,
    depends: str = "",
    before: str = "",
    flags: tuple[str, ...] = ("-g",),
    more: str = "",
) -> Path:
    """A module's file, as the compiler and linker make one. `more`: source behind the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"{name}.c"
    text = SOURCE.format(name=name, release=release, depends=depends, before=before)
    source.write_text(text + more)
    made = folder / f"{name}.ko"
    options = ["-O1", "-mcmodel=kernel", "-fno-pic", "-fcf-protection=none", *flags]
    subprocess.run(["gcc", *options, "-c", str(source), "-o", str(made)], check=True)
    return made


def signed(module: bytes) -> bytes:
    """The module with a signature behind it, as scripts/sign-file puts it there."""
    signature = b"s" * 100
    tail = struct.pack(">8BI", 0, 0, 2, 0, 0, 0, 0, 0, len(signature))
    return module + signature + tail + b"~Module signature appended~\n"
