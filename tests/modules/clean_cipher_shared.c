// SPDX-License-Identifier: GPL-2.0
// Has a hash twice: since 6.4 a clone of one without a key is another reference of the same.
#include <crypto/hash.h>
#include <linux/module.h>
#include <linux/version.h>

static struct crypto_shash *hash, *clone;

static int __init clean_cipher_shared_init(void)
{
	hash = crypto_alloc_shash("sha256", 0, 0);
	if (IS_ERR(hash))
		return PTR_ERR(hash);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	clone = crypto_clone_shash(hash);
#else
	clone = crypto_alloc_shash("sha256", 0, 0);
#endif
	if (!IS_ERR(clone))
		return 0;
	crypto_free_shash(hash);
	return PTR_ERR(clone);
}

static void __exit clean_cipher_shared_exit(void)
{
	crypto_free_shash(clone);
	crypto_free_shash(hash);
}

module_init(clean_cipher_shared_init);
module_exit(clean_cipher_shared_exit);
MODULE_DESCRIPTION("Gives each reference of a hash back");
MODULE_LICENSE("GPL");
