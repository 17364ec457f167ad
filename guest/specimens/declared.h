/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a declaration may say, checked when it is compiled: a word that there is not, and a name
 * that is too long, are refused with file and line. guest/rust/src/declared.rs has the same.
 */
#ifndef FREEONCE_DECLARED_H
#define FREEONCE_DECLARED_H

/* Bytes. With the options of a run behind it, it is one line to the control file. */
#define SCENARIO_NAME_MOST 80

#define SCENARIO_CPUS_MOST 64

#define SAME_WORD(A, B) (__builtin_strcmp(A, B) == 0)

#define IS_RULE(W)                                                                      \
	(SAME_WORD(W, "leak") || SAME_WORD(W, "double-free") ||                         \
	 SAME_WORD(W, "null-free") || SAME_WORD(W, "invalid-free") ||                   \
	 SAME_WORD(W, "mismatched-free") || SAME_WORD(W, "wrong-size-free") ||          \
	 SAME_WORD(W, "misplaced") || SAME_WORD(W, "not-restored") ||                   \
	 SAME_WORD(W, "use-after-free") || SAME_WORD(W, "out-of-bounds") ||             \
	 SAME_WORD(W, "hardware-use-after-free") || SAME_WORD(W, "unledgered") ||       \
	 SAME_WORD(W, "witnesses-disagree"))

#define IS_KIND(W)                                                                      \
	(SAME_WORD(W, "none") || SAME_WORD(W, "pool") || SAME_WORD(W, "contiguous") ||  \
	 SAME_WORD(W, "slab") || SAME_WORD(W, "object") || SAME_WORD(W, "cache") ||     \
	 SAME_WORD(W, "pages") || SAME_WORD(W, "vmalloc") || SAME_WORD(W, "kvmalloc") || \
	 SAME_WORD(W, "percpu") || SAME_WORD(W, "mempool") || SAME_WORD(W, "iomap") ||  \
	 SAME_WORD(W, "cipher") || SAME_WORD(W, "misc") || SAME_WORD(W, "srcu") ||  \
	 SAME_WORD(W, "registration"))

#define IS_LOSS(W)                                                                      \
	(SAME_WORD(W, "qemu") || SAME_WORD(W, "panic") || SAME_WORD(W, "oops") ||       \
	 SAME_WORD(W, "rust-panic") || SAME_WORD(W, "reset") || SAME_WORD(W, "hang") || \
	 SAME_WORD(W, "ssh") || SAME_WORD(W, "control") || SAME_WORD(W, "ledger"))

/* A literal, refused with `WHY` where a condition on it is false. The structure has no size. */
#define CHECKED(W, CONDITION, WHY) ((W) + sizeof(struct { _Static_assert(CONDITION, WHY); }))

#define DECLARED_RULE(W) CHECKED(W, IS_RULE(W), "there is no rule " #W)
#define DECLARED_KIND(W) CHECKED(W, IS_KIND(W), "there is no kind " #W)
#define DECLARED_LOSS(W) CHECKED(W, IS_LOSS(W), "no guest is lost by " #W)
#define DECLARED_CPUS(N)                                                      \
	CHECKED(N, (N) >= 1 && (N) <= SCENARIO_CPUS_MOST,                     \
		"a scenario needs 1 to 64 CPUs, unlike " #N)
#define DECLARED_NAME(W)                                            \
	CHECKED(W, sizeof(W) > 1 && sizeof(W) - 1 <= SCENARIO_NAME_MOST, \
		"the name of a scenario has 1 to 80 bytes, unlike " #W)

#endif
