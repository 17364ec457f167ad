// SPDX-License-Identifier: GPL-2.0
// Scenarios that lose the guest, each in its own way. Only run when named.
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/panic.h>
#include <linux/string.h>
#include <asm/desc.h>

#include "scenarios.h"

#define SIZE 64
#define ALIGN_OF 8

/* What is proven before the guest is lost must stand in the report. */
static void leak_first(void)
{
	void *pointer = freeonce_pool_alloc(SIZE, ALIGN_OF, TAG);

	LABEL(pointer, "before the end");
	freeonce_pool_free(NULL, SIZE, ALIGN_OF);
}

static int kernel_panic(void)
{
	leak_first();
	panic("freeonce: planted panic");
}

static int oops(void)
{
	leak_first();
	WRITE_ONCE(*(volatile int *)8, 1);
	return 0;
}

static bool forever = true;

static int hang(void)
{
	leak_first();
	local_irq_disable();
	while (READ_ONCE(forever))
		cpu_relax();
	return 0;
}

/* With an empty IDT the first exception is a double fault and then a triple fault. */
static int triple_fault(void)
{
	static const struct desc_ptr empty;

	leak_first();
	local_irq_disable();
	load_idt(&empty);
	/* Not ud2, behind which objtool expects nothing. */
	asm volatile("int3");
	return 0;
}

static int window_overwritten(void)
{
	leak_first();
	memset(freeonce_window_address(), 0xa5, 2 * LEDGER_HEADER_SIZE);
	return 0;
}

/* With act=real the kernel suffers it: SLUB's hardened freelist finds the second release. */
static int double_free(void)
{
	void *pointer = freeonce_pool_alloc(SIZE, ALIGN_OF, TAG);

	freeonce_pool_free(pointer, SIZE, ALIGN_OF);
	STEP("second release");
	freeonce_pool_free(pointer, SIZE, ALIGN_OF);
	return 0;
}

/* What follows the lesson: the findings that are proven before. */
#define LOSES(NAME, LOSS, RUN, LESSON, ...) \
	SCENARIO("postmortem/" NAME, "Guests that are lost", LESSON, RUN, ENDS(LOSS), __VA_ARGS__)

#define NULL_FREE EXPECT(FINDING("null-free", "pool"))

static const struct scenario postmortem_scenarios[] = {
	LOSES("panic", "panic", kernel_panic, "A kernel that panics leaves its memory to read.",
	      NULL_FREE),
	LOSES("oops", "oops", oops, "After an oops nothing that the guest says is believed.",
	      NULL_FREE),
	LOSES("hang", "hang", hang, "A scenario that never ends is ended at its deadline.",
	      NULL_FREE),
	LOSES("triple-fault", "reset", triple_fault, "A CPU that resets leaves the ledger behind.",
	      NULL_FREE),
	LOSES("window-overwritten", "ledger", window_overwritten,
	      "A ledger that was written over is no evidence."),
	LOSES("double-free-real", "oops", double_free,
	      "With --act real the kernel itself suffers the second release.",
	      /* The kernel's witness takes the second one for memory that nobody gave out. */
	      EXPECT(FINDING("double-free", "pool", .at = "second release"),
		     FINDING("unledgered", "pool"))),
};
SCENARIOS(postmortem_scenarios);
