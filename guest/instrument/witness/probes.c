// SPDX-License-Identifier: GPL-2.0
// Kprobes on functions of the kernel's allocators, for events without a tracepoint.
#include <linux/kprobes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "families/families.h"
#include "subjects/subjects.h"
#include "witness/address.h"

#define MOST_CALLS 64 /* of one function at a time */

static unsigned long caller_of(const struct pt_regs *registers)
{
	return *(unsigned long *)registers->sp;
}

/* As the frame of the function that was called: its return address follows. */
static void *frame_of(const struct pt_regs *registers)
{
	return (void *)registers->sp - sizeof(long);
}

/* kmem_cache_free_bulk(cache, count, objects) */
static int on_bulk_free(struct kprobe *probe, struct pt_regs *registers)
{
	size_t count = registers->si, i;
	void **objects = (void **)registers->dx;

	for (i = 0; i < count; i++) {
		address_taken(SPACE_SLAB, (unsigned long)objects[i]);
		pool_freed_in_bulk(objects[i]);
	}
	return 0;
}

/* vfree(address) and vfree_atomic(address); kvfree() calls the first. */
static int on_vfree(struct kprobe *probe, struct pt_regs *registers)
{
	address_taken(SPACE_VMALLOC, registers->di);
	return 0;
}

/* ksize(object): who asks may use all of it. kfree_sensitive(object) wipes all of it. */
static int on_ksize(struct kprobe *probe, struct pt_regs *registers)
{
	if (!instrument_has(caller_of(registers)))
		slab_measured((void *)registers->di, frame_of(registers));
	return 0;
}

/* krealloc(object, size, flags) uses all of it when it need not move it. */
static int on_krealloc(struct kprobe *probe, struct pt_regs *registers)
{
	void *object = (void *)registers->di;

	if (!instrument_has(caller_of(registers)) && !ZERO_OR_NULL_PTR(object) &&
	    registers->si <= ksize(object))
		slab_measured(object, frame_of(registers));
	return 0;
}

/* A call of __vmalloc_node_range(), which all others come down to. */
struct vmalloc_call {
	size_t size;
	unsigned long site; /* behind the call of vmalloc() or another of its family */
};

/* (size, align, start, end, flags, protection, and on the stack: vm_flags, node, caller) */
static int on_vmalloc(struct kretprobe_instance *instance, struct pt_regs *registers)
{
	struct vmalloc_call *call = (void *)instance->data;

	call->size = registers->di;
	call->site = regs_get_kernel_stack_nth(registers, 3);
	return 0;
}

static int on_vmalloc_return(struct kretprobe_instance *instance, struct pt_regs *registers)
{
	const struct vmalloc_call *call = (void *)instance->data;

	vmalloc_given(call->site, regs_return_value(registers), call->size);
	return 0;
}

static struct kretprobe vmalloc_probe = {
	.entry_handler = on_vmalloc,
	.handler = on_vmalloc_return,
	.data_size = sizeof(struct vmalloc_call),
	.maxactive = MOST_CALLS,
};

static struct function {
	const char *name;
	char newer[KSYM_NAME_LEN]; /* as kernels since 6.10 may call it */
	kprobe_pre_handler_t on_call;
	struct kretprobe *returns; /* instead */
	struct kprobe probe;
	bool attached;
} functions[] = {
	{ .name = "kmem_cache_free_bulk", .on_call = on_bulk_free },
	{ .name = "vfree", .on_call = on_vfree },
	{ .name = "vfree_atomic", .on_call = on_vfree },
	{ .name = "ksize", .on_call = on_ksize },
	{ .name = "krealloc", .on_call = on_krealloc },
	{ .name = "__vmalloc_node_range", .returns = &vmalloc_probe },
	{ .name = "kfree_sensitive", .on_call = on_ksize },
};

static bool attach_to(struct function *function, const char *name)
{
	if (function->returns) {
		memset(&function->returns->kp, 0, sizeof(function->returns->kp));
		function->returns->kp.symbol_name = name;
		return !register_kretprobe(function->returns);
	}
	function->probe = (struct kprobe){
		.symbol_name = name, .pre_handler = function->on_call,
	};
	return !register_kprobe(&function->probe);
}

static void attach(struct function *function)
{
	snprintf(function->newer, sizeof(function->newer), "%s_noprof", function->name);
	function->attached = attach_to(function, function->name) ||
			     attach_to(function, function->newer);
}

/* A bit for each that is attached. */
u32 probes_watch(void)
{
	u32 attached = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		attach(&functions[i]);
		attached |= functions[i].attached ? BIT(i) : 0;
	}
	return attached;
}

void probes_look_away(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		if (functions[i].attached && functions[i].returns)
			unregister_kretprobe(functions[i].returns);
		else if (functions[i].attached)
			unregister_kprobe(&functions[i].probe);
	}
}
