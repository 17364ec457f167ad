// SPDX-License-Identifier: GPL-2.0
// Whether the CPU may use memory that its owner releases.
#include <linux/lockdep.h>
#include <linux/spinlock.h>

#include "books/books.h"
#include "cpu/operand.h"
#include "ledger/ledger.h"

/* Of what the CPUs were given. Raw: the books ask inside of their own lock, interrupts off. */
static DEFINE_RAW_SPINLOCK(lock);

unsigned long claims_lock(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	return flags;
}

void claims_unlock(unsigned long flags)
{
	raw_spin_unlock_irqrestore(&lock, flags);
}

bool claims_trylock(unsigned long *flags)
{
	return raw_spin_trylock_irqsave(&lock, *flags);
}

void claims_assert_locked(void)
{
	lockdep_assert_held(&lock);
}

static void take_lock(void)
{
	raw_spin_lock(&lock);
}

static void drop_lock(void)
{
	raw_spin_unlock(&lock);
}

static bool hold(u64 gpa, size_t size)
{
	return given_hold(gpa, size) || binding_holds(gpa, size);
}

static bool let_go(u64 gpa, size_t size)
{
	unsigned long flags;
	bool held;

	hooked_read();
	binding_let_go(gpa, size);
	flags = claims_lock();
	given_let_go(gpa, size);
	held = hold(gpa, size);
	claims_unlock(flags);
	return held;
}

/* Most lives are no hypervisor's. */
static bool any_given(void)
{
	hooked_read();
	return operand_any_told();
}

static void tell_freed(u64 gpa, size_t size, void *frame)
{
	struct ledger_record record = {
		.type = LEDGER_PAGE_FREED, .physical = gpa, .size = size, .site = stack_of(frame),
	};

	ledger_append(&record);
}

/* Of every page of the kernel's. */
static void freed(u64 gpa, size_t size, void *frame)
{
	/* What it was given since is not known yet. */
	hooked_read();
	if (!leaves_any(gpa, size))
		return;
	let_go(gpa, size);
	if (leaves_take(gpa, size))
		tell_freed(gpa, size, frame);
}

static const struct claims claims = {
	.look = binding_look, .lock = take_lock, .unlock = drop_lock, .hold = hold,
	.any = hooked_any, .given = any_given, .let_go = let_go, .freed = freed,
	.taken = leaves_taken,
};

void operand_open(void)
{
	allocation_heed(&claims);
}

void operand_close(void)
{
	binding_close();
	leaves_close();
}

/* After a run: nothing of it can be entered any more. */
void operand_unbind_all(void)
{
	hooked_forget();
	given_forget();
	binding_forget();
	leaves_forget();
	operand_forget();
}
