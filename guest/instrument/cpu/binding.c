// SPDX-License-Identifier: GPL-2.0
// The vcpus that can be entered, and what the CPU may use of each: told when it changes.
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "cpu/host_state.h"
#include "cpu/operand.h"
#include "ledger/ledger.h"

#define ROOM 64         /* operands, at first */
#define FOREIGN_ROOM 2048
#define RESERVE 8       /* bindings for VMRUNs of others, where none can be made */
#define MOST (1U << 19) /* more than the ledger has records */

/*
 * One that is unbound serves the next vcpu, and none is freed before the module goes: a CPU may
 * look for one from below Linux, where no lock can be waited for.
 */
struct binding {
	struct binding *next;
	u32 number;    /* by the lock of claims.c; 0: unbound */
	atomic_t busy; /* 1 + the CPU that looks where the VMCB leads; 0: none does */
	/* By the CPU that looks; by the lock too: what is told, and unbinding. */
	bool identity;
	bool refused;  /* the CPU must not be given this VMCB */
	bool running;  /* a CPU is in guest mode with it */
	bool grow;     /* before the next look */
	bool foreign;  /* of a VMRUN in a subject's code, by its VMCB */
	bool again;    /* another look is due, whatever it would find */
	struct reached reached;
	struct operands told;
	struct operands found;
	void *fpu;     /* of the CPU that enters it */
};

static struct binding *first; /* none is taken out */
static u32 last_number;

static struct binding *binding_of(const struct vcpu *vcpu)
{
	struct binding *binding = smp_load_acquire(&first);

	for (; vcpu->number && binding; binding = binding->next)
		if (READ_ONCE(binding->number) == vcpu->number)
			return binding;
	return NULL;
}

static bool operands_hold(const struct operands *operands, u64 gpa, size_t size)
{
	unsigned int i;

	for (i = 0; i < operands->count; i++) {
		const struct operand *one = &operands->list[i];

		if (!one->identity && operand_overlap(gpa, size, one->gpa, one->size))
			return true;
	}
	return false;
}

static bool holds(const struct binding *binding, u64 gpa, size_t size)
{
	return binding->number && operands_hold(&binding->told, gpa, size);
}

/* Whether the CPU may use any of these bytes. */
bool binding_holds(u64 gpa, size_t size)
{
	const struct binding *binding;

	claims_assert_locked();
	for (binding = first; binding; binding = binding->next)
		if (holds(binding, gpa, size))
			return true;
	return false;
}

/*
 * With interrupts off. False: this very CPU is looking, and was stopped: we are below it. It
 * goes on when we let it.
 */
static bool look_begin(struct binding *binding)
{
	int own = raw_smp_processor_id() + 1, other;

	while ((other = atomic_cmpxchg(&binding->busy, 0, own)) && other != own)
		cpu_relax();
	return !other;
}

static void look_end(struct binding *binding)
{
	atomic_set_release(&binding->busy, 0);
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

/* A VMRUN, and which CPU it was on, that is told while others' tables are looked at. */
struct entry {
	u32 cpu;
	bool looked; /* at these tables just before it */
	struct ledger_record *record;
};

/*
 * By whoever looks. An entry was noted some time ago, and its tables were looked at before it: what
 * has gone since may have gone while the L2 was running, so it counts as reached by this VMRUN.
 */
static void append_entry(struct binding *binding, const struct entry *entry)
{
	append_changes(binding->number, &binding->told, &binding->found,
		       entry->looked ? NEW : NEW | GONE);
	ledger_append_on(entry->cpu, entry->record);
	if (entry->looked)
		append_changes(binding->number, &binding->told, &binding->found, GONE);
}

/* By whoever looks. */
static void tell(struct binding *binding, const struct reached *reached, const struct entry *entry)
{
	const struct reached *before = &binding->reached;
	unsigned long flags = claims_lock();

	if (!binding->told.count || before->vmcb != reached->vmcb ||
	    memcmp(&before->paging, &reached->paging, sizeof(reached->paging))) {
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
 * Looks where the VMCB leads, by whoever looks. -ENOBUFS: there is no room for all, and nothing
 * was told; `final`: then what there is no room for is told as `more`.
 */
static int look_at_entry(struct binding *binding, const struct reached *reached, bool final,
			 const struct entry *entry)
{
	operand_gather(&binding->found, reached, binding->identity);
	binding->grow = binding->found.full && binding->found.room < MOST;
	if (binding->grow && !final)
		return -ENOBUFS;
	binding->found.more |= binding->found.full;
	tell(binding, reached, entry);
	binding->refused = !operand_may_be_given(reached->vmcb) ||
			   !operand_may_be_given(reached->host_vmcb);
	return 0;
}

static int look(struct binding *binding, const struct reached *reached, bool final)
{
	return look_at_entry(binding, reached, final, NULL);
}

static void free_binding(struct binding *binding)
{
	if (!binding)
		return;
	vfree(binding->told.list);
	vfree(binding->found.list);
	vfree(binding->fpu);
	vfree(binding);
}

/* Not by kmalloc(), of which the kernel witness would tell. */
static struct operand *list_of(unsigned int room)
{
	return vmalloc(array_size(room, sizeof(struct operand)));
}

static struct binding *new_binding(unsigned int room)
{
	struct binding *binding = vzalloc(sizeof(*binding));

	if (!binding)
		return NULL;
	binding->fpu = vzalloc(host_fpu_bytes());
	binding->told = (struct operands){ .list = list_of(room), .room = room };
	binding->found = (struct operands){ .list = list_of(room), .room = room };
	if (binding->fpu && binding->told.list && binding->found.list)
		return binding;
	free_binding(binding);
	return NULL;
}

static void take(struct binding *binding, struct vcpu *vcpu)
{
	claims_assert_locked();
	binding->identity = vcpu->flags & VCPU_IDENTITY;
	binding->refused = binding->running = binding->grow = false;
	binding->foreign = binding->again = false;
	binding->reached = (struct reached){ 0 };
	binding->told.count = 0;
	binding->told.more = false;
	host_fpu_reset(binding->fpu);
	vcpu->number = ++last_number;
	WRITE_ONCE(binding->number, vcpu->number);
}

/* False: none is unbound. */
static struct binding *take_unbound(struct vcpu *vcpu)
{
	unsigned long flags = claims_lock();
	struct binding *binding = first;

	while (binding && binding->number)
		binding = binding->next;
	if (binding)
		take(binding, vcpu);
	claims_unlock(flags);
	return binding;
}

static int bind(struct vcpu *vcpu)
{
	struct binding *binding;
	unsigned long flags;

	if (take_unbound(vcpu))
		return 0;
	binding = new_binding(ROOM);
	if (!binding)
		return -ENOMEM;
	flags = claims_lock();
	take(binding, vcpu);
	binding->next = first;
	smp_store_release(&first, binding);
	claims_unlock(flags);
	return 0;
}

/* Twice the room in both lists. */
static int grow(struct binding *binding)
{
	unsigned int room = 2 * binding->told.room;
	struct operand *told = list_of(room), *found = list_of(room);
	unsigned long flags;

	if (!told || !found) {
		vfree(told);
		vfree(found);
		return -ENOMEM;
	}
	local_irq_save(flags);
	if (look_begin(binding)) {
		unsigned long locked = claims_lock();

		memcpy(told, binding->told.list, binding->told.count * sizeof(*told));
		swap(binding->told.list, told);
		swap(binding->found.list, found);
		binding->told.room = binding->found.room = room;
		binding->grow = false;
		claims_unlock(locked);
		look_end(binding);
	}
	local_irq_restore(flags);
	vfree(told);
	vfree(found);
	return 0;
}

/* Before operand_check(): binds what is not bound, and makes room. May sleep. */
int operand_prepare(struct vcpu *vcpu)
{
	struct binding *binding = binding_of(vcpu);

	if (!binding)
		return bind(vcpu);
	return binding->grow ? grow(binding) : 0;
}

/*
 * Whether another look is due. The tables are read each time: an entry that was not
 * present takes effect without a flush and without a fault.
 */
static bool may_reach_else(const struct binding *binding, const struct reached *reached)
{
	return binding->again || !binding->told.count || memcmp(&binding->reached, reached, sizeof(*reached)) ||
	       !page_walk_is_current(&binding->told);
}

/*
 * On the CPU that enters this next, which was prepared: tells what has changed. -EFAULT: it must
 * not be entered. -ENOBUFS, unless `final`: it is to be prepared again.
 */
int operand_check(struct vcpu *vcpu, bool final)
{
	struct reached reached = operand_reached(vcpu->vmcb_gpa, vcpu->host_vmcb_gpa);
	struct binding *binding = binding_of(vcpu);
	unsigned long flags;
	int error = 0;

	if (!binding)
		return -EFAULT;
	local_irq_save(flags);
	if (look_begin(binding)) {
		if (may_reach_else(binding, &reached))
			error = look(binding, &reached, final);
		if (!error && binding->refused)
			error = -EFAULT;
		WRITE_ONCE(binding->running, !error);
		look_end(binding);
	} else if (memcmp(&binding->reached, &reached, sizeof(reached)) || binding->refused) {
		error = -EFAULT;
	}
	local_irq_restore(flags);
	return error;
}

/* The L2 was entered, and has exited. */
void binding_left(const struct vcpu *vcpu)
{
	struct binding *binding = binding_of(vcpu);

	if (binding)
		WRITE_ONCE(binding->running, false);
}

/*
 * Somebody is about to release what a VMCB led to when it was looked at last: it may lead
 * elsewhere now. While the CPU is in guest mode it goes by what it was given.
 */
void binding_look(u64 gpa, size_t size)
{
	struct binding *binding;
	struct reached reached;
	unsigned long flags;
	bool stale;

	for (binding = smp_load_acquire(&first); binding; binding = binding->next) {
		/*
		 * Of Linux as the guest: its CPU looks by itself at each exit, perhaps while Linux is
		 * stopped with a lock that this here waits for.
		 */
		if (READ_ONCE(binding->identity) || READ_ONCE(binding->foreign))
			continue;
		flags = claims_lock();
		stale = holds(binding, gpa, size) && !READ_ONCE(binding->running);
		claims_unlock(flags);
		if (!stale)
			continue;
		local_irq_save(flags);
		if (look_begin(binding)) {
			/* It may have been unbound meanwhile, and serve another vcpu of which nothing is told. */
			stale = binding->number && binding->told.count && !binding->running;
			reached = operand_reached(binding->reached.vmcb, binding->reached.host_vmcb);
			if (stale && may_reach_else(binding, &reached))
				look(binding, &reached, true);
			look_end(binding);
		}
		local_irq_restore(flags);
	}
}

static struct binding *foreign_of(u64 vmcb)
{
	struct binding *binding = smp_load_acquire(&first);

	for (; binding; binding = binding->next)
		if (binding->number && binding->foreign && binding->reached.vmcb == vmcb)
			return binding;
	return NULL;
}

static void make_room(struct work_struct *unused)
{
	struct binding *binding;

	for (binding = smp_load_acquire(&first); binding; binding = binding->next)
		if (READ_ONCE(binding->foreign) && READ_ONCE(binding->grow))
			grow(binding);
	binding_reserve();
}

static DECLARE_WORK(room_work, make_room);

/* Unbound ones for VMRUNs of others. May sleep. -ENOMEM. */
int binding_reserve(void)
{
	struct binding *binding;
	unsigned int unbound = 0;
	unsigned long flags;

	for (binding = smp_load_acquire(&first); binding; binding = binding->next)
		unbound += !READ_ONCE(binding->number) && binding->told.room >= FOREIGN_ROOM;
	for (; unbound < RESERVE; unbound++) {
		binding = new_binding(FOREIGN_ROOM);
		if (!binding)
			return -ENOMEM;
		flags = claims_lock();
		binding->next = first;
		smp_store_release(&first, binding);
		claims_unlock(flags);
	}
	return 0;
}

/* By a VMCB that none is bound to. NULL: there is no unbound one. */
static struct binding *bind_foreign(const struct reached *reached)
{
	struct vcpu vcpu = { 0 };
	struct binding *binding = take_unbound(&vcpu);

	schedule_work(&room_work);
	if (!binding)
		return NULL;
	binding->reached.vmcb = reached->vmcb;
	binding->foreign = true;
	return binding;
}

static void add_leaves(const struct operands *operands)
{
	unsigned int i;

	for (i = 0; i < operands->count; i++) {
		const struct operand *one = &operands->list[i];

		leaves_add(one->gpa, one->size, i >= operands->pages);
		if (i >= operands->pages)
			leaves_tell_freed(one->gpa, one->size);
	}
}

/* Told is all that there is room for; there is more of it the next time. */
static void look_foreign(struct binding *binding, const struct reached *reached,
			 const struct entry *entry)
{
	if (!may_reach_else(binding, reached)) {
		if (entry)
			ledger_append_on(entry->cpu, entry->record);
		return;
	}
	look_at_entry(binding, reached, true, entry);
	add_leaves(&binding->told);
	if (binding->told.count > binding->told.room / 2 && binding->told.room < MOST) {
		binding->grow = true;
		schedule_work(&room_work);
	}
}

/*
 * A VMRUN of a subject's, as it was noted: tells it, and before it what it reaches. `looked`: the
 * vcpu whose tables this CPU looked at just before it.
 */
void binding_entered(const struct reached *reached, u32 cpu, u32 looked,
		     struct ledger_record *record)
{
	struct binding *binding = foreign_of(reached->vmcb) ?: bind_foreign(reached);
	struct entry entry = { .cpu = cpu, .record = record };
	unsigned long flags;

	record->serial = binding ? binding->number : 0;
	local_irq_save(flags);
	if (binding && look_begin(binding)) {
		entry.looked = looked == binding->number;
		look_foreign(binding, reached, &entry);
		binding->running = true;
		look_end(binding);
	} else {
		ledger_append_on(cpu, record);
	}
	local_irq_restore(flags);
}

/* Its #VMEXIT. */
u32 binding_exited(u64 vmcb)
{
	struct binding *binding = foreign_of(vmcb);

	if (!binding)
		return 0;
	WRITE_ONCE(binding->running, false);
	return binding->number;
}

/*
 * What was added to the tables of one that is likely to be entered next. Where it goes by other
 * tables than the last time, its VMRUN will say so. Whether it was looked at.
 */
bool binding_look_again(u32 number)
{
	const struct vcpu vcpu = { .number = number };
	struct binding *binding = binding_of(&vcpu);
	struct reached reached;
	unsigned long flags;
	bool looked = false;

	if (!binding || !binding->foreign)
		return false;
	local_irq_save(flags);
	if (look_begin(binding)) {
		reached = operand_reached_by_others(binding->reached.vmcb);
		if (!binding->running && !binding->again &&
		    !memcmp(&reached, &binding->reached, sizeof(reached))) {
			look_foreign(binding, &reached, NULL);
			looked = true;
		}
		look_end(binding);
	}
	local_irq_restore(flags);
	return looked;
}

/* Those that share these bytes are gone. The others stay in order. */
static void take_out(struct binding *binding, u64 gpa, size_t size)
{
	struct operands *told = &binding->told;
	unsigned int i, kept = 0, tables = told->tables, pages = told->pages;

	claims_assert_locked();
	for (i = 0; i < told->count; i++) {
		const struct operand one = told->list[i];

		if (one.identity || !operand_overlap(gpa, size, one.gpa, one.size)) {
			told->list[kept++] = one;
			continue;
		}
		operand_tell(binding->number, &one, true);
		tables -= i < told->tables;
		pages -= i < told->pages;
		binding->again = true;
	}
	told->count = kept;
	told->tables = tables;
	told->pages = pages;
}

/*
 * These bytes are about to be released. A vcpu of others holds nothing but in guest mode: what it
 * reaches still at its next VMRUN is told then, anew. With its VMCB it is unbound.
 */
static void let_go(struct binding *binding, u64 gpa, size_t size)
{
	struct ledger_record unbind = { .type = LEDGER_UNBIND, .serial = binding->number };
	unsigned long flags = claims_lock();

	if (binding->number && !binding->running) {
		take_out(binding, gpa, size);
		if (operand_overlap(gpa, size, binding->reached.vmcb, PAGE_SIZE)) {
			ledger_append(&unbind);
			WRITE_ONCE(binding->number, 0);
		}
	}
	claims_unlock(flags);
}

void binding_let_go(u64 gpa, size_t size)
{
	struct binding *binding;
	unsigned long flags;

	for (binding = smp_load_acquire(&first); binding; binding = binding->next) {
		if (!READ_ONCE(binding->foreign) || !READ_ONCE(binding->number))
			continue;
		local_irq_save(flags);
		if (look_begin(binding)) {
			let_go(binding, gpa, size);
			look_end(binding);
		}
		local_irq_restore(flags);
	}
}

/* Before the first VMRUN. May sleep. -ENOMEM. */
int freeonce_vcpu_bind(struct vcpu *vcpu)
{
	struct reached reached = operand_reached(vcpu->vmcb_gpa, vcpu->host_vmcb_gpa);
	struct binding *binding;
	unsigned long flags;
	int error;

	do {
		error = operand_prepare(vcpu);
		if (error)
			return error;
		binding = binding_of(vcpu);
		local_irq_save(flags);
		if (look_begin(binding)) {
			error = look(binding, &reached, false);
			look_end(binding);
		}
		local_irq_restore(flags);
	} while (error == -ENOBUFS);
	return error;
}
EXPORT_SYMBOL_GPL(freeonce_vcpu_bind);

static void append_unbind(struct binding *binding)
{
	struct ledger_record record = { .type = LEDGER_UNBIND, .serial = binding->number };
	unsigned long flags = claims_lock();

	ledger_append(&record);
	WRITE_ONCE(binding->number, 0);
	claims_unlock(flags);
}

/* The L2 cannot be entered any more. What it reached since the last look is told first. */
void freeonce_vcpu_unbind(struct vcpu *vcpu)
{
	struct reached reached = operand_reached(vcpu->vmcb_gpa, vcpu->host_vmcb_gpa);
	struct binding *binding = binding_of(vcpu);
	unsigned long flags;

	if (!binding)
		return;
	local_irq_save(flags);
	if (look_begin(binding)) {
		if (may_reach_else(binding, &reached))
			look(binding, &reached, true);
		append_unbind(binding);
		look_end(binding);
	}
	local_irq_restore(flags);
	vcpu->number = 0;
}
EXPORT_SYMBOL_GPL(freeonce_vcpu_unbind);

/* The L2's own FPU registers, as they stood at its last exit. Of a vcpu that is bound. */
void *binding_fpu(const struct vcpu *vcpu)
{
	return binding_of(vcpu)->fpu;
}

/* After a run: nothing of it can be entered any more. */
void binding_forget(void)
{
	unsigned long flags = claims_lock();
	struct binding *binding;

	for (binding = first; binding; binding = binding->next)
		WRITE_ONCE(binding->number, 0);
	last_number = 0;
	claims_unlock(flags);
}

/* When nobody can ask any more. */
void binding_close(void)
{
	struct binding *binding, *next;

	cancel_work_sync(&room_work);
	binding = first;
	for (first = NULL; binding; binding = next) {
		next = binding->next;
		free_binding(binding);
	}
}
