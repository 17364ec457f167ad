"""What each rule means, what other detectors report for the same fault, and how to fix it. Pure.

Only messages that their own source or documentation shows are cited. `None` stands where a
detector has nothing to say of the fault: that is why the rule is here. What the kernel's own
detectors did not see was measured on one 6.1 kernel with KASAN, kmemleak, page_owner, KFENCE
and DEBUG_VM together; the planted faults under `fault/` are those cases.
"""

from dataclasses import dataclass

from freeonce.audit.model import Rule

_BUG_CHECKS = "https://learn.microsoft.com/windows-hardware/drivers/debugger/"
_C1 = f"{_BUG_CHECKS}bug-check-0xc1--special-pool-detected-memory-corruption"
_C2 = f"{_BUG_CHECKS}bug-check-0xc2--bad-pool-caller"
_C4 = f"{_BUG_CHECKS}bug-check-0xc4--driver-verifier-detected-violation"
_D5 = f"{_BUG_CHECKS}bug-check-0xd5--driver-page-fault-in-freed-special-pool"
_FREE_CONTIGUOUS = (
    "https://learn.microsoft.com/windows-hardware/drivers/ddi/ntddk/"
    "nf-ntddk-mmfreecontiguousmemoryspecifycache"
)
_KASAN = "https://docs.kernel.org/dev-tools/kasan.html"
_KMEMLEAK = "https://docs.kernel.org/dev-tools/kmemleak.html"
_POISONING = "https://docs.kernel.org/admin-guide/kernel-parameters.html"

KASAN = "KASAN"
KMEMLEAK = "kmemleak"
VERIFIER = "Windows Driver Verifier"


@dataclass(frozen=True)
class Elsewhere:
    """What another detector says of this fault: its message, None for nothing, and its page."""

    detector: str
    message: str | None
    page: str
    remark: str = ""


@dataclass(frozen=True)
class Explanation:
    """One rule for people. `example`: code that breaks it; `witness`: what it is known by."""

    rule: str
    meaning: str
    example: str
    witness: str
    elsewhere: tuple[Elsewhere, ...]
    mend: str


_SILENT_KMEMLEAK = Elsewhere(KMEMLEAK, None, _KMEMLEAK, "it looks for what is never freed")
_SILENT_KASAN = Elsewhere(KASAN, None, _KASAN)
_SILENT_VERIFIER = Elsewhere(VERIFIER, None, _C4)

_ALL = (
    Explanation(
        Rule.LEAK,
        "An allocation that was not released by the end of the run.",
        "let bar = Box::try_new(Bar::default())?;\n"
        "core::mem::forget(bar); // or: a Drop that frees the storage and forgets the T in it",
        "the owner's account, and the guard in memory, which still says live",
        (
            Elsewhere(KASAN, None, _KASAN, "it judges accesses, not lifetimes"),
            Elsewhere(
                KMEMLEAK,
                "unreferenced object 0xffff888003b4f8c0 (size 64):",
                _KMEMLEAK,
                "pool memory only, after a scan, and only when no pointer to it is left; "
                "pages are not followed",
            ),
            Elsewhere(
                VERIFIER,
                "0xC4 with parameter 1 = 0x62: unloading without freeing its pool allocations",
                _C4,
                "needs Pool Tracking, and speaks when the driver is unloaded; 0x60 is the same "
                "by bytes. Contiguous memory is not counted",
            ),
        ),
        "Find the owner that should have dropped it. A hand-written Drop must call "
        "core::ptr::drop_in_place on the T before it frees the storage; Box<T, A> does. Do not "
        "overwrite an owner by ptr::write unless what was there is dropped or was never alive.",
    ),
    Explanation(
        Rule.DOUBLE_FREE,
        "A second release of the same allocation.",
        "hypervisor.teardown(); // frees the VMCB\ndrop(hypervisor);       // and so does its Drop",
        "the owner's account: two releases name one serial",
        (
            Elsewhere(
                KASAN,
                "BUG: KASAN: double-free in kfree+0x...",
                _KASAN,
                "pool memory. Pages freed twice end in a kernel BUG with DEBUG_VM, else nowhere",
            ),
            _SILENT_KMEMLEAK,
            Elsewhere(
                VERIFIER,
                "0xC4 with parameter 1 = 0x13 or 0x14; without it 0xC2 BAD_POOL_CALLER with 0x07",
                _C4,
                "0x06 is an older form of 0x07",
            ),
        ),
        "Give it one owner and one release path. Let Drop alone release, and make an explicit "
        "teardown take the owner by value (fn teardown(self)). In C set the pointer to NULL "
        "where it is released.",
    ),
    Explanation(
        Rule.NULL_FREE,
        "A release of null. kfree(NULL) does nothing, so Linux does not notice; other functions "
        "crash. It always means that something was dropped that never existed.",
        "let mut foo: Box<Foo> = Box::new_zeroed().assume_init();\n"
        "foo.bar = AllocatedMemory::alloc_contiguous(); // first drops the old, zeroed foo.bar",
        "the owner's account: the pointer of the release is 0",
        (
            Elsewhere(KASAN, None, _KASAN, "kfree() returns before it looks"),
            _SILENT_KMEMLEAK,
            Elsewhere(
                VERIFIER,
                "0xC4 with parameter 1 = 0x10: freeing what no allocate call returned; "
                "without it 0xC2 BAD_POOL_CALLER with 0x46, or with 0x60 for "
                "MmFreeContiguousMemory",
                _C2,
                "by their documentation of addresses that no allocator returned; the article's "
                "driver crashed here",
            ),
        ),
        "Zeroed memory is no valid owner. Build the value first and move it in, or store the "
        "first value with core::ptr::write (MaybeUninit::write), which drops nothing.",
    ),
    Explanation(
        Rule.INVALID_FREE,
        "A release of a pointer at which no allocation begins: never allocated, or inside one.",
        "freeonce_pool_free(buffer + 16, 64, 8); /* buffer is what was allocated */",
        "the owner's account: no allocation of this run begins at that pointer",
        (
            Elsewhere(KASAN, "BUG: KASAN: invalid-free in kfree+0x...", _KASAN, "pool memory"),
            _SILENT_KMEMLEAK,
            Elsewhere(
                VERIFIER,
                "0xC4 with parameter 1 = 0x10 or 0x16; without it 0xC2 BAD_POOL_CALLER with "
                "0x41 to 0x47 or 0x99; 0x60 for MmFreeContiguousMemory",
                _C2,
            ),
        ),
        "Keep the pointer that the allocator returned beside any that you move or align. In "
        "Rust hand on Box::into_raw's pointer and nothing derived from it.",
    ),
    Explanation(
        Rule.MISMATCHED_FREE,
        "A release by the call of the other kind: pool memory by the contiguous call, or the "
        "other way round. With the names of Windows also a release with another tag or cache type.",
        "let p = PhysicalAllocator.allocate(layout)?; // contiguous\n"
        "unsafe { Global.deallocate(p.cast(), layout) } // pool",
        "the owner's account: the kind of the release's call is not the allocation's",
        (
            Elsewhere(
                KASAN,
                None,
                _KASAN,
                "kmalloc memory freed as pages ends in a kernel BUG with DEBUG_VM, else nowhere",
            ),
            _SILENT_KMEMLEAK,
            Elsewhere(
                VERIFIER,
                "0xC2 BAD_POOL_CALLER with 0x60 (pool memory given to MmFreeContiguousMemory); "
                "0xC4 with 0x10 the other way round",
                _C2,
            ),
        ),
        "Let the type know its allocator: Box<T, PhysicalAllocator> cannot be released by "
        "another. A kind kept as a field of zeroed memory reads as the kind whose value is 0.",
    ),
    Explanation(
        Rule.WRONG_SIZE_FREE,
        "A release by the right call with another size or alignment than the allocation's. For "
        "pages, a wrong size releases a wrong number of them.",
        "let p = alloc(Layout::new::<[u64; 8]>());\ndealloc(p, Layout::new::<u64>());",
        "the owner's account: the layout of the release is not the allocation's",
        (
            Elsewhere(KASAN, None, _KASAN, "kfree() is told no size"),
            _SILENT_KMEMLEAK,
            Elsewhere(
                VERIFIER,
                None,
                _FREE_CONTIGUOUS,
                "MmFreeContiguousMemorySpecifyCache only documents that the size must match",
            ),
        ),
        "Release with the Layout of the allocation: keep it beside the pointer, or let Box and "
        "Vec do it. Vec::from_raw_parts wants the capacity, not the length. Do not cast a "
        "Box<T> to a Box<U> of another layout.",
    ),
    Explanation(
        Rule.MISPLACED,
        "An allocation whose place or cache type is not what was asked for (alignment, lowest or "
        "highest address, a boundary that must not be crossed, node, cache type), or not what the "
        "CPU needs that is given it; or a VMCB of two L2s that can both be entered. The CPU "
        "refuses such memory (VMRUN raises #GP for a VMCB that is not page-aligned) or uses "
        "the memory beside it.",
        "msrpm = freeonce_pool_alloc(8192, 4096, 'mprM'); /* pool memory gives 8 KiB somewhere */",
        "the owner's account: what was asked for, and what the CPU needs, against what was given",
        (_SILENT_KASAN, _SILENT_KMEMLEAK, _SILENT_VERIFIER),
        "Ask the allocator for what the structure needs: 4 KiB alignment for VMCB, host save "
        "area, IOPM (12 KiB) and MSRPM (8 KiB), contiguous (AMD manual volume 2, 15.10, 15.11). "
        "Put the alignment on the type (#[repr(align(4096))]) so that Layout carries it.",
    ),
    Explanation(
        Rule.NOT_RESTORED,
        "Something that the run changed and did not restore by its end: the cache type of a page, "
        "EFER, VM_HSAVE_PA or GIF of any CPU, or a host register that a VMRUN changed.",
        "set_memory_uc(page, 1);\nfree_pages(page, 0); /* without set_memory_wb() */",
        "the owner's account: cache type, MSRs and GIF as read back, and the host's registers on "
        "both sides of each VMRUN",
        (_SILENT_KASAN, _SILENT_KMEMLEAK, _SILENT_VERIFIER),
        "Undo changes in reverse order on every path, error paths too: use a guard type whose Drop "
        "restores. Clear EFER.SVME and VM_HSAVE_PA on each CPU that had them set, STGI after "
        "the last #VMEXIT, and save what VMRUN does not: FS, GS, TR, LDTR (VMSAVE) and the "
        "general registers but rax and rsp.",
    ),
    Explanation(
        Rule.USE_AFTER_FREE,
        "Memory was written to after its release: its poison is no longer intact.",
        "let p = Box::into_raw(value);\ndrop(Box::from_raw(p));\n(*p).count += 1;",
        "the memory, read from outside: released memory keeps its poison until the run is settled",
        (
            Elsewhere(
                KASAN,
                "BUG: KASAN: slab-use-after-free in ...",
                _KASAN,
                "use-after-free for pages, and on older kernels as 6.1. At the access, reads too; "
                "only by instrumented code, so never by the CPU itself",
            ),
            _SILENT_KMEMLEAK,
            Elsewhere(
                VERIFIER,
                "0xD5 DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL",
                _D5,
                "needs Special Pool",
            ),
        ),
        "Find who keeps the pointer: a raw pointer or a physical address outlives the owner. "
        "Let the user borrow from the owner, and stop timers, other CPUs and devices before "
        "the release.",
    ),
    Explanation(
        Rule.OUT_OF_BOUNDS,
        "Memory was written to behind its end, or in front of its begin, where a guard is.",
        "buffer = freeonce_pool_alloc(64, 8, tag);\nmemset(buffer, 0, 65);",
        "the memory, read from outside: the guard at the release and at the end of the run",
        (
            Elsewhere(
                KASAN,
                "BUG: KASAN: slab-out-of-bounds in ...",
                _KASAN,
                "at the access; of page memory only what lies in another freed page",
            ),
            _SILENT_KMEMLEAK,
            Elsewhere(
                VERIFIER,
                "0xC1 with parameter 4 = 0x24 or 0x23, 0xD6 "
                "DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION; 0xC4 with 0x51 to 0x54, 0x59",
                _C1,
                "needs Special Pool, or Pool Tracking for 0xC4; without them 0x19 BAD_POOL_HEADER "
                "at some later time",
            ),
        ),
        "Check the size against what is written: a structure that grew, a length in elements "
        "taken for bytes, a string without room for its end. In Rust index slices, not pointers.",
    ),
    Explanation(
        Rule.UNLEDGERED,
        "Memory of the pool or the contiguous allocator that was released by a function of the "
        "kernel, which bypasses the ledger; or memory that was allocated past every wrapper.",
        "p = freeonce_pool_alloc(64, 8, tag);\nkfree(p); /* not freeonce_pool_free() */",
        "the wrapper of the kernel's call, which withholds it; the kernel's tracepoints where "
        "there is none",
        (
            _SILENT_KASAN,
            Elsewhere(KMEMLEAK, None, _KMEMLEAK, "it knows no owners"),
            Elsewhere(VERIFIER, None, _C4, "it knows no owners; !verifier 3 lists pool by caller"),
        ),
        "Release memory by the call that matches its allocation. A helper that frees for you "
        "needs a helper that allocates for you.",
    ),
    Explanation(
        Rule.WITNESSES_DISAGREE,
        "Two accounts of one address that cannot both be true: the ledger contradicts itself, the "
        "kernel, the page tables or the memory. That address then has no other finding.",
        "/* the ledger says: released. Its guard in memory says: live. */",
        "whichever two the finding names",
        (_SILENT_KASAN, _SILENT_KMEMLEAK, _SILENT_VERIFIER),
        "Look for what wrote over the ledger or over the guard (a wild write, a page freed "
        "while in use), or for an allocator that does not record each event once. If neither "
        "is there, it is a bug of freeonce: please report it.",
    ),
    Explanation(
        "hardware-use-after-free",
        "The CPU is an owner too. An address given to it (the VMCB in rax at VMRUN, VMLOAD and "
        "VMSAVE, VM_HSAVE_PA, IOPM_BASE_PA, MSRPM_BASE_PA, nested CR3 and every page that its "
        "tables map) is not inside a live, large enough, aligned, contiguous allocation; or "
        "such memory is released while the CPU may still use it. After an L2 has lost a page, "
        "a CPU's TLB may keep the translation, by ASID, until TLB_CONTROL flushes it there "
        "(15.16): a VMRUN under that ASID before the flush uses released memory.",
        "wrmsrl(MSR_VM_HSAVE_PA, virt_to_phys(area));\n"
        "free_page(area); /* while VM_HSAVE_PA points at it: the next VMRUN writes there */",
        "the owner's account: each operand against the allocations that are live at that moment",
        (
            Elsewhere(
                KASAN,
                None,
                _KASAN,
                "#VMEXIT writes by physical address, which no instrumented code does",
            ),
            _SILENT_KMEMLEAK,
            Elsewhere(
                VERIFIER,
                None,
                _C4,
                "its DMA checks are for devices, not for VMRUN",
            ),
            Elsewhere(
                "page_poison=1",
                "pagealloc: memory corruption",
                _POISONING,
                "when the page is next allocated, without saying who wrote",
            ),
        ),
        "Take it from the CPU before you free it: no VMRUN of that VMCB on any CPU, "
        "VM_HSAVE_PA set to 0 and EFER.SVME cleared on each, then release. Let the owner that "
        "binds the page be the one whose Drop unbinds it, and keep page tables alive as long "
        "as a nested CR3 reaches them.",
    ),
)

EXPLANATIONS = {str(one.rule): one for one in _ALL}
"""By the rule's name."""
