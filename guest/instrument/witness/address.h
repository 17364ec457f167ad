/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What witness.c, which attaches the probes, and address.c, which knows whose events they are,
 * share.
 */
#ifndef FREEONCE_ADDRESS_H
#define FREEONCE_ADDRESS_H

#include <linux/gfp.h>
#include <linux/types.h>

#include "books/books.h"

/* address.c */
void address_given(enum ledger_family family, enum space space, unsigned long site,
		   unsigned long address, size_t size);
void address_taken(enum space space, unsigned long address);
void pages_given(unsigned long address, size_t size);
void vmalloc_given(unsigned long site, unsigned long address, size_t size);

void on_cache_alloc(void *unused, unsigned long site, const void *pointer, struct kmem_cache *cache,
		    gfp_t flags, int node);
void on_cache_free(void *unused, unsigned long site, const void *pointer,
		   const struct kmem_cache *cache);
void on_percpu_alloc(void *unused, unsigned long site, bool reserved, bool atomic, size_t size,
		     size_t align, void *base, int offset, void __percpu *cookie, size_t given,
		     gfp_t flags);
void on_percpu_free(void *unused, void *base, int offset, void __percpu *cookie);

/* witness.c */
void pool_freed_in_bulk(const void *pointer);

/* names.c */
bool interface(unsigned long address);
bool page_interface(unsigned long address);
bool calls(unsigned long after, bool (*of)(unsigned long address));

/* probes.c: may sleep. */
u32 probes_watch(void);
void probes_look_away(void);

#endif
