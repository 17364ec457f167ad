// SPDX-License-Identifier: GPL-2.0
// Who called: each stack is told once, with the names of the kernel's functions in it.
#include <linux/hash.h>
#include <linux/jhash.h>
#include <linux/kallsyms.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <asm/unwind.h>

#include "books/holding.h"
#include "subjects/subjects.h"

#define DEPTH 15
#define FRAMES_A_RECORD 3
#define STACKS 8192
#define SYMBOLS 8192
#define BUCKET_BITS 11
#define MOST_TRIES 8 /* stacks of one call site that are compared with what stands there */

/*
 * To unwind costs as much as to allocate. A stack remembers where each of its return addresses
 * stood, counted from the innermost one: if they all stand there again, it is the same stack.
 */
struct stack {
	struct hlist_node by_caller;
	struct hlist_node by_hash;
	u32 hash;
	u8 depth;
	bool regular; /* all on one stack, and no interrupt in between: `at` holds */
	u16 at[DEPTH]; /* in words */
	unsigned long ip[DEPTH];
};

static struct stack *stacks;
static unsigned long *symbols; /* that were told; open addressing, 0: free */
static u32 stack_count;
static u32 symbol_count;
static bool full;
static struct hlist_head by_caller[1 << BUCKET_BITS];
static struct hlist_head by_hash[1 << BUCKET_BITS];
static DEFINE_RAW_SPINLOCK(lock);

int stacks_open(void)
{
	stacks = vzalloc(array_size(STACKS, sizeof(*stacks)));
	symbols = vzalloc(array_size(SYMBOLS, sizeof(*symbols)));
	return stacks && symbols ? 0 : -ENOMEM;
}

void stacks_close(void)
{
	vfree(symbols);
	vfree(stacks);
}

static struct hlist_head *caller_bucket(unsigned long ip)
{
	return &by_caller[hash_long(ip, BUCKET_BITS)];
}

static struct hlist_head *hash_bucket(u32 hash)
{
	return &by_hash[hash >> (32 - BUCKET_BITS)];
}

/* A run tells everything anew. */
void stacks_begin(void)
{
	unsigned long flags;
	u32 i;

	raw_spin_lock_irqsave(&lock, flags);
	for (i = 0; i < stack_count; i++) {
		INIT_HLIST_HEAD(caller_bucket(stacks[i].ip[0]));
		INIT_HLIST_HEAD(hash_bucket(stacks[i].hash));
	}
	if (symbol_count)
		memset(symbols, 0, array_size(SYMBOLS, sizeof(*symbols)));
	stack_count = 0;
	symbol_count = 0;
	full = false;
	raw_spin_unlock_irqrestore(&lock, flags);
}

/* Words from `slot` to the end of the task's stack; 0: it is another stack. */
static unsigned long words_left(const unsigned long *slot)
{
	unsigned long start = (unsigned long)task_stack_page(current);
	unsigned long at = (unsigned long)slot - start;

	return at < THREAD_SIZE ? (THREAD_SIZE - at) / sizeof(*slot) : 0;
}

static bool stands_at(const struct stack *stack, const unsigned long *slot, unsigned long words)
{
	int i;

	for (i = 0; i < stack->depth; i++)
		if (stack->at[i] >= words || slot[stack->at[i]] != stack->ip[i])
			return false;
	return stack->regular;
}

/*
 * A stack whose return addresses all stand where they stood. Without the lock: a stack is whole
 * before it can be found, and never goes; only where its addresses stand may change meanwhile, and
 * whatever is seen of that is compared.
 */
static struct stack *remembered(const unsigned long *slot)
{
	unsigned long words = words_left(slot);
	struct stack *stack;
	int tries = 0;

	if (!words)
		return NULL;
	hlist_for_each_entry_rcu_notrace(stack, caller_bucket(*slot), by_caller) {
		if (stands_at(stack, slot, words))
			return stack;
		if (++tries == MOST_TRIES)
			break;
	}
	return NULL;
}

/* Where the return address of a state of the unwinder stands; NULL: an interrupt was there. */
static unsigned long *slot_of(const struct unwind_state *state)
{
#ifdef CONFIG_UNWINDER_ORC
	return state->regs ? NULL : (unsigned long *)state->sp - 1;
#else
	return NULL;
#endif
}

static void add_frame(struct stack *into, const unsigned long *first, const unsigned long *slot,
		      unsigned long ip)
{
	if (slot < first || slot - first >= words_left(first) || *slot != ip)
		into->regular = false;
	else
		into->at[into->depth] = slot - first;
	into->ip[into->depth++] = ip;
}

/*
 * The unwinder ends at a subject's Rust, of which it has no tables. That keeps frame pointers; whoever
 * called it does not, and is the last.
 */
static void by_frame_pointers(struct stack *into, const unsigned long *first, unsigned long frame)
{
	const unsigned long *slot = first, *next;

	while (into->depth && into->depth < DEPTH && subject_loaded_at(into->ip[into->depth - 1])) {
		next = (const unsigned long *)frame + 1;
		if (frame % sizeof(long) || next <= slot || next - first >= words_left(first))
			return;
		slot = next;
		frame = slot[-1];
		if (!subject_loaded_at(*slot) && !instrument_has(*slot))
			return;
		add_frame(into, first, slot, *slot);
	}
}

static void unwind(struct stack *into, void *frame)
{
	const unsigned long *first = frame + sizeof(long);
	struct unwind_state state;
	unsigned long ip;

	into->depth = 0;
	into->regular = words_left(first) > 0;
	for (unwind_start(&state, current, NULL, frame); !unwind_done(&state) && into->depth < DEPTH;
	     unwind_next_frame(&state)) {
		ip = unwind_get_return_address(&state);
		if (!ip)
			break;
		add_frame(into, first, slot_of(&state), ip);
	}
#ifdef CONFIG_UNWINDER_ORC
	by_frame_pointers(into, first, state.bp);
#endif
	/* Unwinding failed at once: the caller at least is known. */
	if (!into->depth) {
		into->ip[into->depth++] = *first;
		into->regular = false;
	}
	into->hash = jhash(into->ip, into->depth * sizeof(*into->ip), 0);
}

static struct stack *same(const struct stack *as)
{
	struct stack *stack;

	hlist_for_each_entry(stack, hash_bucket(as->hash), by_hash)
		if (stack->hash == as->hash && stack->depth == as->depth &&
		    !memcmp(stack->ip, as->ip, as->depth * sizeof(*as->ip)))
			return stack;
	return NULL;
}

static u32 number_of(const struct stack *stack)
{
	return stack - stacks + 1;
}

/* "name+0xoffset [module]"; the address behind a call may already be another function's. */
static int name_of(unsigned long address, char *name)
{
	unsigned long offset;
	char *plus, *rest;

	sprint_symbol(name, address - 1);
	plus = strrchr(name, '+');
	if (!plus)
		return sprintf(name, "0x%lx", address);
	rest = strchr(name, '/');
	rest = rest ? strchr(rest, ' ') : NULL;
	if (sscanf(plus, "+0x%lx", &offset) == 1) {
		char tail[MODULE_NAME_LEN + 4] = "";

		if (rest)
			strscpy(tail, rest, sizeof(tail));
		sprintf(plus, "+0x%lx%s", offset + 1, tail);
	}
	return strlen(name);
}

static void tell_symbol(unsigned long address)
{
	static char name[KSYM_SYMBOL_LEN + MODULE_NAME_LEN]; /* by the lock */
	int length = name_of(address, name), at;

	for (at = 0; at < length; at += LEDGER_TEXT_SIZE) {
		struct ledger_record record = {
			.type = LEDGER_SYMBOL,
			.serial = lower_32_bits(address),
			.site = upper_32_bits(address),
			.detail = at / LEDGER_TEXT_SIZE,
		};

		memcpy(record.text, name + at, min(length - at, LEDGER_TEXT_SIZE));
		books_append(WITNESS_LEDGER, &record);
	}
}

/* Subjects are named by the host, which has their files. */
static void name_once(unsigned long address)
{
	u32 i = hash_long(address, ilog2(SYMBOLS));

	if (subject_loaded_at(address) || symbol_count == SYMBOLS / 2)
		return;
	for (; symbols[i]; i = (i + 1) % SYMBOLS)
		if (symbols[i] == address)
			return;
	symbols[i] = address;
	symbol_count++;
	tell_symbol(address);
}

static void tell(const struct stack *stack)
{
	int i;

	for (i = 0; i < stack->depth; i++)
		name_once(stack->ip[i]);
	for (i = 0; i < stack->depth; i += FRAMES_A_RECORD) {
		struct ledger_record record = {
			.type = LEDGER_STACK,
			.site = number_of(stack),
			.detail = i,
			.pointer = stack->ip[i],
			.physical = i + 1 < stack->depth ? stack->ip[i + 1] : 0,
			.size = i + 2 < stack->depth ? stack->ip[i + 2] : 0,
		};

		books_append(WITNESS_LEDGER, &record);
	}
}

/* NULL: there is no room. */
static struct stack *add(const struct stack *like)
{
	struct stack *stack;

	if (stack_count == STACKS) {
		if (!full)
			books_blind(BLIND_STACKS, 0);
		full = true;
		return NULL;
	}
	stack = &stacks[stack_count++];
	/* Whoever looks for it without the lock may stand at its node: that is not touched. */
	stack->hash = like->hash;
	stack->depth = like->depth;
	stack->regular = like->regular;
	memcpy(stack->at, like->at, sizeof(stack->at));
	memcpy(stack->ip, like->ip, sizeof(stack->ip));
	hlist_add_head(&stack->by_hash, hash_bucket(stack->hash));
	/* It is told before anybody names it. */
	tell(stack);
	hlist_add_head_rcu(&stack->by_caller, caller_bucket(stack->ip[0]));
	return stack;
}

static u32 unwound(void *frame)
{
	struct stack now, *stack;
	unsigned long flags;

	unwind(&now, frame);
	raw_spin_lock_irqsave(&lock, flags);
	stack = same(&now);
	if (!stack)
		stack = add(&now);
	else if (now.regular)
		memcpy(stack->at, now.at, sizeof(now.at)), stack->regular = true;
	raw_spin_unlock_irqrestore(&lock, flags);
	return stack ? number_of(stack) : 0;
}

/* The number of the stack above the function that has `frame`; 0: none. From any context. */
u32 stack_of(void *frame)
{
	struct stack *stack = remembered(frame + sizeof(long));

	return stack ? number_of(stack) : unwound(frame);
}
