/* SPDX-License-Identifier: GPL-2.0 */
/* Of page tables: what shows that an entry has changed. Compiles in the kernel and outside of it. */
#ifndef FREEONCE_DIGEST_H
#define FREEONCE_DIGEST_H

#include <linux/types.h>

#define DIGEST_ENTRIES 512 /* of one table */
#define DIGEST_RUN 32      /* entries side by side; a table has DIGEST_RUNS of them */
#define DIGEST_RUNS (DIGEST_ENTRIES / DIGEST_RUN)

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

static inline void digest_run(struct digest *digest, const __u64 *entries)
{
	const volatile __u64 *entry = entries; /* each is read once: another CPU may write it */
	__u64 even = digest->even, odd = digest->odd;
	int i;

	for (i = 0; i < DIGEST_RUN; i += 4) {
		/* An emulator writes registers back before it loads: so the loads come together. */
		__u64 a = entry[i], b = entry[i + 1], c = entry[i + 2], d = entry[i + 3];

		even = digest_step(digest_step(even, a), c);
		odd = digest_step(digest_step(odd, b), d);
	}
	digest->even = even;
	digest->odd = odd;
}

/* All bits of a run: an instruction an entry. */
static inline __u64 digest_bits(const __u64 *entries)
{
	__u64 bits = 0;
	int i;

#pragma GCC unroll 32
	for (i = 0; i < DIGEST_RUN; i++)
		bits |= entries[i];
	return bits;
}

/* A bit for each run of a table in which something stands. Most tables are nearly empty. */
static inline __u16 digest_filled(const __u64 *entries)
{
	__u16 filled = 0;
	int i;

	asm volatile("" : : : "memory");
	for (i = 0; i < DIGEST_RUNS; i++)
		if (digest_bits(entries + i * DIGEST_RUN))
			filled |= 1U << i;
	return filled;
}

/*
 * Of one table behind another: the runs that were filled. Whether all others are empty still, else
 * the table has changed whatever its digest is.
 */
static inline int digest_table(struct digest *digest, const __u64 *entries, __u16 filled)
{
	__u64 others = 0;
	int i;

	asm volatile("" : : : "memory");
	for (i = 0; i < DIGEST_RUNS; i++, entries += DIGEST_RUN) {
		if (filled & 1U << i)
			digest_run(digest, entries);
		else
			others |= digest_bits(entries);
	}
	return !others;
}

static inline int digest_same(const struct digest *one, const struct digest *other)
{
	return one->even == other->even && one->odd == other->odd;
}

#endif
