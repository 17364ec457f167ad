// SPDX-License-Identifier: GPL-2.0
// Load and unload. The guest testifies, the host judges: no rule lives here, and nothing that is judged.
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>

#include "books/books.h"
#include "control/control.h"
#include "cpu/cpu.h"
#include "engine/engine.h"
#include "families/families.h"
#include "ledger/ledger.h"
#include "subjects/subjects.h"
#include "witness/witness.h"

static unsigned long long window_base;
static unsigned long long window_bytes;
module_param(window_base, ullong, 0400);
module_param(window_bytes, ullong, 0400);
MODULE_PARM_DESC(window_base, "guest-physical address of the reserved ledger window");
MODULE_PARM_DESC(window_bytes, "its size in bytes");

static int __init freeonce_init(void)
{
	const char *missing = svm_missing();
	int error = window_open(window_base, window_bytes);

	if (error)
		return error;
	error = allocation_open();
	if (error)
		goto close_window;
	error = books_open();
	if (error)
		goto close_allocation;
	error = guarded_open();
	if (error)
		goto close_books;
	error = subjects_open();
	if (error)
		goto close_guarded;
	error = rest_open();
	if (error)
		goto close_subjects;
	error = host_state_open();
	if (error)
		goto close_rest;
	error = hooked_open();
	if (error)
		goto close_host_state;
	operand_open();
	ledger_open();
	witness_open();
	cpu_state_append_all();
	error = control_open();
	if (error)
		goto close_witness;
	if (missing)
		pr_info("freeonce: no SVM on this CPU: %s\n", missing);
	return 0;

close_witness:
	witness_close();
	hooked_close();
	operand_close();
close_host_state:
	host_state_close();
close_rest:
	rest_close();
close_subjects:
	subjects_close();
close_guarded:
	guarded_close();
close_books:
	books_close();
close_allocation:
	allocation_close();
close_window:
	window_close();
	return error;
}

static void __exit freeonce_exit(void)
{
	struct ledger_record record = { .type = LEDGER_MODULE_EXIT };

	control_close();
	cpu_state_append_all();
	ledger_append(&record);
	witness_close();
	hooked_close();
	operand_close();
	host_state_close();
	subjects_close();
	/* Callbacks of deferred releases are functions of ours. */
	rcu_barrier();
	rest_close();
	guarded_close();
	books_close();
	allocation_close();
	window_close();
}

module_init(freeonce_init);
module_exit(freeonce_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("freeonce: every allocation released exactly once, seen from outside");
