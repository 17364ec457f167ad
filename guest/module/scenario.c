// SPDX-License-Identifier: GPL-2.0
// The table of scenarios, and one run of one of them.
#include <linux/delay.h>
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/panic.h>
#include <linux/string.h>

#include "freeonce.h"

/* One run at a time: inject.c, cpu_state.c, on_cpu.c and the run number rely on it. */
static DEFINE_MUTEX(run_mutex);
static u32 last_run;
static u32 current_run; /* until it is settled */

static const struct scenario *scenario_named(const char *name, u32 *index)
{
	const struct scenario *scenario;

	for (*index = 0; (scenario = scenario_at(*index)); ++*index)
		if (!strcmp(scenario->name, name))
			return scenario;
	return NULL;
}

static const char *missing(const struct scenario *scenario)
{
	/* "svm:" and a part of it that the scenario itself looks for. */
	if (scenario->needs && str_has_prefix(scenario->needs, "svm"))
		return svm_missing();
	return scenario->needs;
}

static int run(const struct scenario *scenario)
{
	const char *lacks = missing(scenario);

	if (!lacks)
		return scenario->run ? scenario->run() : freeonce_rust_run(scenario);
	freeonce_unsupported(lacks, strlen(lacks), 0);
	return 0;
}

/* With run_mutex held. What the run left goes back to the kernel, leaked memory too. */
static void settle(void)
{
	struct ledger_record record = { .type = LEDGER_SETTLED };

	if (!current_run)
		return;
	virtualize_leave_all();
	cpu_state_restore_all();
	operand_unbind_all();
	record.detail = allocation_reclaim_all();
	ledger_append(&record);
	witness_look_away();
	WRITE_ONCE(current_run, 0);
}

/* Not at the run's end, but when the host has looked at the memory that the run left. */
void scenario_settle(void)
{
	mutex_lock(&run_mutex);
	settle();
	mutex_unlock(&run_mutex);
}

void scenario_rewind(void)
{
	mutex_lock(&run_mutex);
	settle();
	ledger_rewind();
	mutex_unlock(&run_mutex);
}

int scenario_bench(int (*measure)(void *into), void *into)
{
	int error;

	mutex_lock(&run_mutex);
	settle();
	ledger_rewind();
	error = measure(into);
	ledger_rewind();
	mutex_unlock(&run_mutex);
	return error;
}

int scenario_run(const char *name, const struct run_options *options)
{
	static const struct run_options nothing;
	struct ledger_record begin = { .type = LEDGER_BEGIN };
	struct ledger_record end = { .type = LEDGER_END };
	const struct scenario *scenario;
	u32 index;

	scenario = scenario_named(name, &index);
	if (!scenario)
		return -ENOENT;
	mutex_lock(&run_mutex);
	settle();
	inject_reset(options);
	unload_reset();
	WRITE_ONCE(current_run, ++last_run);
	begin.serial = index;
	begin.flags = options->act_real ? FLAG_REAL : 0;
	memcpy(begin.text, name, min_t(size_t, strlen(name), LEDGER_TEXT_SIZE));
	ledger_append(&begin);
	witness_watch();
	cpu_state_append_all();
	end.detail = run(scenario);
	cpu_state_append_all();
	end.flags = unload_wanted() ? FLAG_UNLOAD : 0;
	ledger_append(&end);
	inject_reset(&nothing);
	mutex_unlock(&run_mutex);
	return 0;
}

u32 scenario_current_run(void)
{
	return READ_ONCE(current_run);
}

void freeonce_step(const char *text, size_t length)
{
	ledger_append_text(LEDGER_STEP, 0, text, length);
}

/* kind: 1 + the exit code of the #VMEXIT that could not be had; 0: of none. */
void freeonce_unsupported(const char *text, size_t length, u32 kind)
{
	struct ledger_record record = { .type = LEDGER_UNSUPPORTED, .detail = kind };

	memcpy(record.text, text, min_t(size_t, length, LEDGER_TEXT_SIZE));
	ledger_append(&record);
}

u64 freeonce_nanoseconds(void)
{
	return ktime_get_mono_fast_ns();
}

void freeonce_sleep(u32 milliseconds)
{
	msleep(milliseconds);
}

void freeonce_label(const void *pointer, const char *text, size_t length)
{
	ledger_append_text(LEDGER_LABEL, allocation_serial(pointer), text, length);
}

/* RtlZeroMemory's part: a call that the compiler of the scenario cannot see into. */
void freeonce_zero(void *pointer, size_t size)
{
	memset(pointer, 0, size);
}

u64 freeonce_gpa(const void *pointer)
{
	return virt_to_phys((void *)pointer);
}

/* A Rust panic. Its whole text is in the ledger before the kernel stops. */
void __noreturn freeonce_panic(const char *text, size_t length)
{
	size_t at;

	for (at = 0; at < length; at += LEDGER_TEXT_SIZE)
		ledger_append_text(LEDGER_PANIC, at / LEDGER_TEXT_SIZE, text + at, length - at);
	panic("freeonce: Rust panic: %.*s", (int)length, text);
}
