/* SPDX-License-Identifier: GPL-2.0 */
/* Of page tables: what shows that an entry has changed. Compiles in the kernel and outside of it. */
#ifndef FREEONCE_DIGEST_H
#define FREEONCE_DIGEST_H

#include <linux/types.h>

#define DIGEST_ENTRIES 512 /* of one table */

/* Odd, so that no change is lost, and without a pattern. */
#define DIGEST_FACTOR 0x9e3779b97f4a7c15ULL

/* Even and odd entries: a CPU multiplies for one while it waits for the other. */
struct digest {
	__u64 even;
	__u64 odd;
};

/*
 * Each step is a bijection of the sum for a given entry and of the entry for a given sum, so
 * one changed entry always shows. What else would hide it must stand in a later entry of
 * the same sum and be what the multiplication has made of it. That carries upwards only, so
 * the bytes change places: else bit 63 would hide bit 63. (Not by a rotation: an emulator
 * computes all flags for that, and BSWAP has none.) What is left is of bits that lead
 * nowhere: NX and those ignored, changed together with flags of the second entry behind.
 */
static inline __u64 digest_step(__u64 sum, __u64 entry)
{
	return __builtin_bswap64((sum ^ entry) * DIGEST_FACTOR);
}

/* Of one table behind another. */
static inline void digest_table(struct digest *digest, const __u64 *entries)
{
	const volatile __u64 *entry = entries; /* each is read once: another CPU may write it */
	__u64 even = digest->even, odd = digest->odd;
	int i;

	for (i = 0; i < DIGEST_ENTRIES; i += 4) {
		/* An emulator writes registers back before it loads: so the loads come together. */
		__u64 a = entry[i], b = entry[i + 1], c = entry[i + 2], d = entry[i + 3];

		even = digest_step(digest_step(even, a), c);
		odd = digest_step(digest_step(odd, b), d);
	}
	digest->even = even;
	digest->odd = odd;
}

static inline int digest_same(const struct digest *one, const struct digest *other)
{
	return one->even == other->even && one->odd == other->odd;
}

#endif
