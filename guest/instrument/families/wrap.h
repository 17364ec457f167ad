/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every wrapper is made of. A wrapper stands between a subject's call and the kernel's
 * function.
 */
#ifndef FREEONCE_WRAP_H
#define FREEONCE_WRAP_H

#include <crypto/acompress.h>
#include <crypto/aead.h>
#include <crypto/akcipher.h>
#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <crypto/internal/aead.h>
#include <crypto/internal/hash.h>
#include <crypto/internal/kpp.h>
#include <crypto/internal/skcipher.h>
#include <crypto/kpp.h>
#include <crypto/rng.h>
#include <crypto/skcipher.h>
#include <linux/acpi.h>
#include <linux/bitmap.h>
#include <linux/crypto.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/i2c.h>
#include <linux/inetdevice.h>
#include <linux/io.h>
#include <linux/kdebug.h>
#include <linux/key-type.h>
#include <linux/leds.h>
#include <linux/mempool.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/nls.h>
#include <linux/oom.h>
#include <linux/pci.h>
#include <linux/percpu.h>
#include <linux/perf_event.h>
#include <linux/platform_device.h>
#include <linux/rcupdate.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/sock_diag.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/string_helpers.h>
#include <linux/suspend.h>
#include <linux/version.h>
#include <linux/vmalloc.h>
#include <net/act_api.h>
#include <net/addrconf.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/netevent.h>
#include <net/pkt_cls.h>
#include <net/pkt_sched.h>
#include <net/rtnetlink.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/xfrm.h>

#include "books/books.h"
#include "families/families.h"
#include "families/functions.h"

/* Kernels before 6.11 have no buckets. */
#ifndef DECL_BUCKET_PARAMS
#define DECL_BUCKET_PARAMS(size, b) size_t (size)
#define PASS_BUCKET_PARAMS(size, b) (size)
#endif

/* The frame is the wrapper's: above it stands the subject's call. */
#define ACQUISITION(number, name) { \
	.function = number, .family = &families[FAMILY_##name], \
	.frame = __builtin_frame_address(0) }
#define RELEASE(number, name) { \
	.function = number, .family = &families[FAMILY_##name], \
	.frame = __builtin_frame_address(0) }

/* kstrdup_const() and its like return such a pointer as it is. */
static inline bool in_kernel_image(const void *pointer)
{
	return (unsigned long)pointer >= __START_KERNEL_map;
}

/* False: the call is to fail. Ends in acquired() or not_acquired(). */
static inline bool may_acquire(struct acquisition *take, gfp_t flags)
{
	ledger_await_room();
	take->failed = !(flags & __GFP_NOFAIL) && books_listening() &&
		       inject_acquisition_fails(take);
	return !take->failed;
}

/* The wrapped function refused, or was not called because the call is to fail. */
static inline void not_acquired(struct acquisition *take, int error)
{
	books_refused(take, error);
}

static inline void acquired(struct acquisition *take)
{
	books_acquired(take);
}

/*
 * With guards in front of its objects and behind them. And the kernel shares such a cache with
 * nobody: else its struct would not be this subject's alone.
 */
#ifdef CONFIG_SLUB_DEBUG
#define GUARDED SLAB_RED_ZONE
#else
#error freeonce needs CONFIG_SLUB_DEBUG
#endif

/* guarded.c */
void *guarded_alloc(struct acquisition *take, size_t size, gfp_t flags, int node);
bool guarded_keep(void *object, size_t zoned);
void *guarded_copy(struct acquisition *take, const void *object, gfp_t flags);

/* Only one of several references is given back: since 6.4 a clone may be one more of the same. */
static inline bool cipher_is_shared(const void *cipher, const struct crypto_tfm *tfm)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	return !ZERO_OR_NULL_PTR(cipher) && refcount_read(&tfm->refcnt) > 1;
#else
	return false;
#endif
}

/* False: the kernel must not be called. */
static inline bool may_release(struct release *give)
{
	ledger_await_room();
	return books_released(give);
}

#endif
