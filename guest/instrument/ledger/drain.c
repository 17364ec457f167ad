// SPDX-License-Identifier: GPL-2.0
// The host takes records while a run is on: so a run may be longer than the window.
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "ledger/ledger.h"

/* How long somebody waits for the host, and then nobody any more in that run. */
static unsigned int room_patience_ms = 60000;
module_param(room_patience_ms, uint, 0600);
MODULE_PARM_DESC(room_patience_ms, "how long a subject waits for the host to take records");

bool ledger_is_drained;
static DECLARE_WAIT_QUEUE_HEAD(room);
static DEFINE_MUTEX(one_at_a_time);
static u64 digest;   /* of what the host has, since the run began */
static u64 upto_now; /* and how far that is */

/* Who must not sleep has the last quarter of the window. */
static bool crowded(void)
{
	return READ_ONCE(ledger_is_drained) && ledger_waiting() >= ledger_capacity() / 4 * 3;
}

/*
 * Not where the kernel makes room in memory: the host is answered by a process, which may need some.
 * Nor between the two steps of somebody who goes to sleep. Without a count of its spin locks a kernel
 * does not know whether it may sleep, and preemptible() is false.
 */
static bool may_wait(void)
{
	return preemptible() && in_task() && !rcu_preempt_depth() &&
	       !(current->flags & PF_MEMALLOC) && READ_ONCE(current->__state) == TASK_RUNNING;
}

/* Nobody waits any more in this run, and who does goes on. */
void drain_give_up(void)
{
	struct ledger_record record = { .type = LEDGER_BLIND, .detail = BLIND_ROOM };

	if (xchg(&ledger_is_drained, false))
		ledger_append(&record);
	wake_up_all(&room);
}

void drain_await_room(void)
{
	if (likely(!crowded()) || !may_wait())
		return;
	if (!wait_event_idle_timeout(room, !crowded(), msecs_to_jiffies(READ_ONCE(room_patience_ms))))
		drain_give_up();
}

/* `on`: the host drains from now on. Otherwise who waits goes on. */
void drain_begin(bool on)
{
	mutex_lock(&one_at_a_time);
	if (on)
		digest = upto_now = 0;
	WRITE_ONCE(ledger_is_drained, on);
	mutex_unlock(&one_at_a_time);
	wake_up_all(&room);
}

/* The host has all records below. -EINVAL: it cannot have them. */
int drain_upto(u64 upto)
{
	int error;

	mutex_lock(&one_at_a_time);
	error = ledger_drained(upto, &digest);
	if (!error)
		upto_now = upto;
	mutex_unlock(&one_at_a_time);
	wake_up_all(&room);
	return error;
}

u64 drain_digest(u64 *upto)
{
	u64 found;

	mutex_lock(&one_at_a_time);
	found = digest;
	*upto = upto_now;
	mutex_unlock(&one_at_a_time);
	return found;
}
