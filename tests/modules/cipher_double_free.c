// SPDX-License-Identifier: GPL-2.0
// Its exit function gives the cipher back twice.
#include <crypto/hash.h>
#include <linux/module.h>

static struct crypto_shash *hash;

static int __init cipher_double_free_init(void)
{
	hash = crypto_alloc_shash("sha256", 0, 0);
	return PTR_ERR_OR_ZERO(hash);
}

static void __exit cipher_double_free_exit(void)
{
	crypto_free_shash(hash);
	crypto_free_shash(hash);
	barrier(); /* the last call returns to us: it has a frame of ours */
}

module_init(cipher_double_free_init);
module_exit(cipher_double_free_exit);
MODULE_DESCRIPTION("Gives its cipher back twice");
MODULE_LICENSE("GPL");
