// SPDX-License-Identifier: GPL-2.0
// Its exit function forgets the cipher.
#include <crypto/hash.h>
#include <linux/module.h>

static struct crypto_shash *hash;

static int __init cipher_leak_init(void)
{
	hash = crypto_alloc_shash("sha256", 0, 0);
	return PTR_ERR_OR_ZERO(hash);
}

static void __exit cipher_leak_exit(void)
{
}

module_init(cipher_leak_init);
module_exit(cipher_leak_exit);
MODULE_DESCRIPTION("Forgets its cipher");
MODULE_LICENSE("GPL");
