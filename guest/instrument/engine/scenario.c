// SPDX-License-Identifier: GPL-2.0
// The table of scenarios, and one run of one of them.
#include <linux/cpumask.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/string.h>

#include "books/books.h"
#include "engine/engine.h"
#include "engine/run.h"
#include "ledger/ledger.h"
#include "subjects/subjects.h"

static const struct scenario_table *table; /* NULL: none is registered */
static bool unload_wanted;

static const struct scenario *scenario_at(size_t index)
{
	return table ? table->at(index) : NULL;
}

static const struct scenario *scenario_named(const char *name, u32 *index)
{
	const struct scenario *scenario;

	for (*index = 0; (scenario = scenario_at(*index)); ++*index)
		if (!strcmp(scenario->name, name))
			return scenario;
	return NULL;
}

u32 scenario_cpus(const struct scenario *scenario)
{
	return scenario->cpus ?: 1;
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
	char cpus[sizeof("64 CPUs")];

	if (scenario_cpus(scenario) > num_online_cpus()) {
		snprintf(cpus, sizeof(cpus), "%u CPUs", scenario_cpus(scenario));
		lacks = cpus;
	}
	if (!lacks)
		return table->run(scenario);
	freeonce_unsupported(lacks, strlen(lacks), 0);
	return 0;
}

/* Called after the host has looked at the memory that the run left. */
void scenario_settle(void)
{
	mutex_lock(&run_mutex);
	run_settle();
	mutex_unlock(&run_mutex);
}

void scenario_rewind(void)
{
	mutex_lock(&run_mutex);
	run_settle();
	ledger_rewind();
	mutex_unlock(&run_mutex);
}

/* -EBUSY: another module has its scenarios here. -ENOMEM. */
int freeonce_register_scenarios(const struct scenario_table *theirs)
{
	int error;

	mutex_lock(&run_mutex);
	error = table ? -EBUSY : own_memory_open(theirs->owner);
	if (!error) {
		table = theirs;
		subject_brings_scenarios(theirs->owner);
	}
	mutex_unlock(&run_mutex);
	return error;
}
EXPORT_SYMBOL_GPL(freeonce_register_scenarios);

/* Called before the module goes: stops what it left running, and calls nothing of it again. */
void freeonce_unregister_scenarios(void)
{
	mutex_lock(&run_mutex);
	run_settle();
	subject_goes(table->owner);
	own_memory_close(table->owner);
	table = NULL;
	mutex_unlock(&run_mutex);
}
EXPORT_SYMBOL_GPL(freeonce_unregister_scenarios);

/* Tells each scenario, until `tell` returns an error, which is returned. */
int scenario_each(int (*tell)(const struct scenario *scenario, void *to), void *to)
{
	const struct scenario *scenario;
	int error = 0;
	size_t i;

	mutex_lock(&run_mutex);
	for (i = 0; !error && (scenario = scenario_at(i)); i++)
		error = tell(scenario, to);
	mutex_unlock(&run_mutex);
	return error;
}

int scenario_bench(int (*measure)(const struct scenario_table *table, void *into), void *into)
{
	int error;

	mutex_lock(&run_mutex);
	run_settle();
	ledger_rewind();
	error = measure(table, into);
	ledger_rewind();
	mutex_unlock(&run_mutex);
	return error;
}

static void begin(const struct scenario *scenario, u32 index, const struct run_options *options)
{
	struct ledger_record record = {
		.serial = index,
		.flags = options->act_real ? FLAG_REAL : 0,
	};

	unload_wanted = false;
	memcpy(record.text, scenario->name,
	       min_t(size_t, strlen(scenario->name), LEDGER_TEXT_SIZE));
	run_begin(&record, options);
}

/* -ENOENT: no scenario of that name. */
int scenario_run(const char *name, const struct run_options *options)
{
	const struct scenario *scenario;
	int error = -ENOENT;
	u32 index;

	mutex_lock(&run_mutex);
	scenario = scenario_named(name, &index);
	if (scenario) {
		begin(scenario, index, options);
		one_cpu_only(scenario_cpus(scenario) == 1);
		error = run(scenario);
		one_cpu_only(false);
		run_end(error, unload_wanted ? FLAG_UNLOAD : 0);
		/* Before the host looks at the memory, to which deferred work may still write. */
		if (!rest_awaited())
			books_blind(BLIND_REST, 0);
		error = 0;
	}
	mutex_unlock(&run_mutex);
	return error;
}

/* The host is to unload both modules once this run is settled, and judges what they leave. */
void freeonce_unload_after(void)
{
	unload_wanted = true;
}
EXPORT_SYMBOL_GPL(freeonce_unload_after);

/* Whether the last run asked for it. */
bool freeonce_unload_wanted(void)
{
	return unload_wanted;
}
EXPORT_SYMBOL_GPL(freeonce_unload_wanted);
