// SPDX-License-Identifier: GPL-2.0
// Has a cipher while it is loaded.
#include <crypto/hash.h>
#include <linux/module.h>

static struct crypto_shash *hash;

static int __init clean_cipher_init(void)
{
	hash = crypto_alloc_shash("sha256", 0, 0);
	return PTR_ERR_OR_ZERO(hash);
}

static void __exit clean_cipher_exit(void)
{
	crypto_free_shash(hash);
}

module_init(clean_cipher_init);
module_exit(clean_cipher_exit);
MODULE_DESCRIPTION("Gives its cipher back");
MODULE_LICENSE("GPL");
