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

/* How long anybody waits for the host. After the first timeout nobody waits again in that run. */
static unsigned int room_patience_ms = 60000;
module_param(room_patience_ms, uint, 0600);
MODULE_PARM_DESC(room_patience_ms, "how long a subject waits for the host to take records");

bool ledger_is_drained;
static DECLARE_WAIT_QUEUE_HEAD(room);
static DEFINE_MUTEX(one_at_a_time);
static u64 digest;   /* of the records that the host has taken since the run began */
static u64 upto_now; /* and how far that is */

/* The last quarter of the window is for writers that must not sleep. */
static bool crowded(void)
{
	return READ_ONCE(ledger_is_drained) && ledger_waiting() >= ledger_capacity() / 4 * 3;
}

/*
 * Not during memory reclaim: a process answers the host, and may need memory. Nor by a task that
 * has set its state and is about to sleep. A kernel that does not count its spin locks cannot
 * tell whether it may sleep, and its preemptible() is false.
 */
static bool may_wait(void)
{
	return preemptible() && in_task() && !rcu_preempt_depth() &&
	       !(current->flags & PF_MEMALLOC) && READ_ONCE(current->__state) == TASK_RUNNING;
}

/* Wakes all who wait; nobody waits again in this run. */
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

/* `on`: the host drains from now on. Otherwise wakes all who wait. */
void drain_begin(bool on)
{
	mutex_lock(&one_at_a_time);
	if (on)
		digest = upto_now = 0;
	WRITE_ONCE(ledger_is_drained, on);
	mutex_unlock(&one_at_a_time);
	wake_up_all(&room);
}

/* The host says that it has all records below this one. -EINVAL: it cannot have them. */
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
