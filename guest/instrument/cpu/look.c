// SPDX-License-Identifier: GPL-2.0
// A look at where a vcpu leads: what is new and what is gone since the last one is told.
#include <linux/errno.h>
#include <linux/minmax.h>

#include "cpu/binding.h"
#include "ledger/ledger.h"

/*
 * Whether another look is due. The tables are read each time: an entry that was not
 * present takes effect without a flush and without a fault.
 */
bool look_is_due(const struct binding *binding, const struct reached *reached)
{
	return binding->again || !binding->told.count || !operand_same_reached(&binding->reached, reached) ||
	       !page_walk_is_current(&binding->told);
}

static void append_bind(const struct binding *binding, const struct reached *reached)
{
	struct ledger_record record = {
		.type = LEDGER_BIND,
		.serial = binding->number,
		.pointer = reached->paging.root,
		.physical = reached->vmcb,
		.flags = reached->foreign ? FLAG_FOREIGN : 0,
	};

	ledger_append(&record);
}

static bool same(const struct operand *one, const struct operand *other)
{
	return one->gpa == other->gpa && one->size == other->size &&
	       one->mapped_at == other->mapped_at && one->structure == other->structure &&
	       one->level == other->level && one->cache == other->cache &&
	       one->identity == other->identity;
}

/* As all operands are in order. Of those that are not tables or pages the place is enough. */
static int order(const struct operands *operands, unsigned int place)
{
	return (place >= operands->tables) + (place >= operands->pages);
}

static bool comes_first(const struct operands *these, unsigned int i,
			const struct operands *those, unsigned int j)
{
	const struct operand *one, *other;

	if (i == these->count || j == those->count)
		return j == those->count;
	if (order(these, i) != order(those, j))
		return order(these, i) < order(those, j);
	one = &these->list[i];
	other = &those->list[j];
	if (one->mapped_at != other->mapped_at)
		return one->mapped_at < other->mapped_at;
	return order(these, i) ? one->level > other->level : one->structure < other->structure;
}

enum changes {
	NEW = 1,
	GONE = 2,
};

/* What is gone, and what is new: both lists are in order. */
static void append_changes(u32 number, const struct operands *told, const struct operands *found,
			   enum changes which)
{
	const struct operand more = { .structure = STRUCTURE_MORE };
	unsigned int i = 0, j = 0;

	while (i < told->count || j < found->count) {
		const struct operand *gone = &told->list[i], *new = &found->list[j];

		if (i < told->count && j < found->count && same(gone, new)) {
			i++, j++;
		} else if (!comes_first(told, i, found, j) && comes_first(found, j, told, i)) {
			if (which & NEW)
				operand_tell(number, new, false);
			j++;
		} else {
			if (which & GONE)
				operand_tell(number, gone, true);
			i++;
		}
	}
	if (which & NEW && found->more && !told->more)
		operand_tell(number, &more, false);
}

/*
 * An entry was noted some time ago, and its tables were looked at before it: what has gone since
 * may have gone while the L2 was running, so it counts as reached by this VMRUN.
 */
static void append_entry(struct binding *binding, const struct entry *entry)
{
	append_changes(binding->number, &binding->told, &binding->found,
		       entry->looked ? NEW : NEW | GONE);
	ledger_append_on(entry->cpu, entry->record);
	if (entry->looked)
		append_changes(binding->number, &binding->told, &binding->found, GONE);
}

static void tell(struct binding *binding, const struct reached *reached, const struct entry *entry)
{
	const struct reached *before = &binding->reached;
	unsigned long flags = claims_lock();

	if (!binding->told.count || before->vmcb != reached->vmcb ||
	    !operand_same_paging(&before->paging, &reached->paging)) {
		append_bind(binding, reached);
		binding->told.count = 0;
		binding->told.more = false;
	}
	if (entry)
		append_entry(binding, entry);
	else
		append_changes(binding->number, &binding->told, &binding->found, NEW | GONE);
	swap(binding->told, binding->found);
	binding->reached = *reached;
	binding->again = false;
	claims_unlock(flags);
}

/*
 * Looks where the VMCB leads. -ENOBUFS: there is no room for all, and nothing was told; `final`:
 * then what there is no room for is told as `more`. `entry` may be NULL.
 */
int look(struct binding *binding, const struct reached *reached, bool final,
	 const struct entry *entry)
{
	operand_gather(&binding->found, reached, binding->identity);
	binding->grow = binding->found.full && binding->found.room < MOST_OPERANDS;
	if (binding->grow && !final)
		return -ENOBUFS;
	binding->found.more |= binding->found.full;
	tell(binding, reached, entry);
	binding->refused = !operand_may_be_given(reached->vmcb) ||
			   !operand_may_be_given(reached->host_vmcb);
	return 0;
}
