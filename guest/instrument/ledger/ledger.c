// SPDX-License-Identifier: GPL-2.0
// The ledger: append only, lock-free, usable from any context. Format: ../../LEDGER.md.
#include <linux/atomic.h>
#include <linux/build_bug.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>

#include "ledger/ledger.h"

static struct ledger_header *header;
static struct ledger_record *records;
static u64 capacity;
static u64 drained; /* how many records the host has; the header repeats it */
static u32 current_run; /* of the next records; 0: outside of any */

static_assert(sizeof(struct ledger_record) == 64);
static_assert(sizeof(struct ledger_header) <= LEDGER_HEADER_SIZE);
static_assert(sizeof(struct ledger_guard) == GUARD_SIZE);
static_assert(GUARD_SIZE <= LEDGER_TEXT_SIZE);
static_assert(offsetof(struct ledger_record, cpu) == 62);

static atomic64_t *appended(void)
{
	return (atomic64_t *)&header->appended;
}

void ledger_open(void)
{
	header = freeonce_window_address();
	records = freeonce_window_address() + LEDGER_HEADER_SIZE;
	capacity = (window_size() - LEDGER_HEADER_SIZE) / sizeof(struct ledger_record);
	header->version = LEDGER_VERSION;
	header->record_size = sizeof(struct ledger_record);
	header->capacity = capacity;
	header->page_offset = PAGE_OFFSET;
	strscpy(header->release, utsname()->release, sizeof(header->release));
	/* The magic comes last: without it the host does not take the header. */
	smp_wmb();
	memcpy(header->magic, LEDGER_MAGIC, sizeof(header->magic));
}

void ledger_set_run(u32 run)
{
	WRITE_ONCE(current_run, run);
}

u32 ledger_run(void)
{
	return READ_ONCE(current_run);
}

static void set_drained(u64 count)
{
	WRITE_ONCE(drained, count);
	WRITE_ONCE(header->drained, count);
}

/* Called while nobody appends. Old records are cleared before the count is. */
void ledger_rewind(void)
{
	u64 used = min_t(u64, atomic64_read(appended()), capacity);

	memset(records, 0, used * sizeof(*records));
	atomic64_set(appended(), 0);
	set_drained(0);
}

/* Records that stand in the window and that the host has not taken. */
u64 ledger_waiting(void)
{
	return atomic64_read(appended()) - READ_ONCE(drained);
}

u64 ledger_capacity(void)
{
	return capacity;
}

static struct ledger_record *slot_of(u64 index)
{
	return &records[index % capacity];
}

/* Writes all but the first word, which makes it a record. Returns its check. */
static u32 write(struct ledger_record *slot, const struct ledger_record *record)
{
	const u64 *word = (const u64 *)record;
	u64 hash = LEDGER_CHECK_PRIME;
	int i;

	hash = (hash ^ record->sequence) * LEDGER_CHECK_PRIME;
#pragma GCC unroll 8
	for (i = 1; i < sizeof(*record) / sizeof(*word); i++) {
		hash = (hash ^ word[i]) * LEDGER_CHECK_PRIME;
		((u64 *)slot)[i] = word[i];
	}
	return hash >> 32;
}

/* A type of record, with its witness << 8, that this build never writes. 0: it writes all. */
#ifndef LEDGER_LEAVES_OUT
#define LEDGER_LEAVES_OUT 0
#endif

/*
 * The index comes from the window itself. The code under test can write over it;
 * a wrong index then lands inside the window or nowhere, and the host sees it.
 */
static void append_on(u32 cpu, enum ledger_witness witness, struct ledger_record *record, u32 run)
{
	struct ledger_record *slot;
	u64 index;

	if (LEDGER_LEAVES_OUT == (record->type | witness << 8))
		return;
	index = atomic64_fetch_inc(appended());
	/* A sequence has 32 bits. */
	if (index - READ_ONCE(drained) >= capacity || index >= U32_MAX)
		return;
	slot = slot_of(index);
	record->sequence = index + 1;
	record->time = ktime_get_mono_fast_ns();
	record->run = run;
	record->witness = witness;
	record->cpu = cpu;
	record->check = write(slot, record);
	smp_store_release((u64 *)slot, *(u64 *)record);
}

static void append(enum ledger_witness witness, struct ledger_record *record, u32 run)
{
	append_on(raw_smp_processor_id(), witness, record, run);
}

void ledger_append_as(enum ledger_witness witness, struct ledger_record *record)
{
	append(witness, record, ledger_run());
}

/* What happens after a run's end belongs to no run. */
void ledger_append_late(enum ledger_witness witness, struct ledger_record *record)
{
	append(witness, record, 0);
}

/* `cpu`: the one that did it, where another has to tell. */
void ledger_append_on(u32 cpu, struct ledger_record *record)
{
	switch (lie_about(record->type)) {
	case LIE_DROP:
		return;
	case LIE_DUPLICATE:
		append_on(cpu, WITNESS_LEDGER, record, ledger_run());
		break;
	case LIE_NONE:
		break;
	}
	append_on(cpu, WITNESS_LEDGER, record, ledger_run());
}

void ledger_append(struct ledger_record *record)
{
	ledger_append_on(raw_smp_processor_id(), record);
}

/* A long text takes several records, whose `detail` says which piece each is. */
void ledger_append_text(enum ledger_type type, u32 serial, const char *text, size_t length)
{
	size_t at = 0;

	length = min_t(size_t, length, LEDGER_TEXT_MOST);
	do {
		struct ledger_record record = {
			.type = type, .serial = serial, .detail = at / LEDGER_TEXT_SIZE,
		};

		memcpy(record.text, text + at, min_t(size_t, length - at, LEDGER_TEXT_SIZE));
		ledger_append(&record);
		at += LEDGER_TEXT_SIZE;
	} while (at < length);
}

/* The digest of a record as it stands now. The host compares the sum of all with what it read. */
static u64 digest_of(const struct ledger_record *record)
{
	const u64 *word = (const u64 *)record;
	u64 hash = LEDGER_CHECK_PRIME;
	int i;

	for (i = 0; i < sizeof(*record) / sizeof(*word); i++)
		hash = (hash ^ word[i]) * LEDGER_CHECK_PRIME;
	return hash;
}

/* The host has all records below `upto`: they may be overwritten. One caller at a time. */
int ledger_drained(u64 upto, u64 *digest)
{
	u64 index;

	if (upto < drained || upto > atomic64_read(appended()) || upto - drained > capacity)
		return -EINVAL;
	for (index = drained; index < upto; index++)
		*digest += digest_of(slot_of(index));
	/* Read before they may be overwritten. */
	smp_mb();
	set_drained(upto);
	return 0;
}

/* The header, then each record at the place of its index. -ENODATA: of one that the host has. */
ssize_t ledger_read(char __user *buffer, size_t count, loff_t *at)
{
	u64 lap = capacity * sizeof(*records), behind, from;
	loff_t in_lap;
	ssize_t done;

	if (*at < LEDGER_HEADER_SIZE)
		return simple_read_from_buffer(buffer, count, at, header, LEDGER_HEADER_SIZE);
	from = *at - LEDGER_HEADER_SIZE;
	if (from < drained * sizeof(*records))
		return -ENODATA;
	behind = min_t(u64, atomic64_read(appended()), drained + capacity) * sizeof(*records);
	if (from >= behind)
		return 0;
	in_lap = from % lap;
	done = simple_read_from_buffer(buffer, count, &in_lap, records,
				       min(behind - (from - in_lap), lap));
	if (done > 0)
		*at += done;
	return done;
}
