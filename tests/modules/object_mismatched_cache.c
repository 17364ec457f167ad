// SPDX-License-Identifier: GPL-2.0
// Two caches, of which the sizes differ; the answer goes back as if it were a question.
#include <linux/module.h>
#include <linux/slab.h>

static struct kmem_cache *questions, *answers;
static void *answer;

static noinline void drop(void *question)
{
	kmem_cache_free(questions, question);
	pr_info("dropped\n");
}

static int __init object_mismatched_cache_init(void)
{
	questions = kmem_cache_create("object_mismatched_questions", 168, 0, 0, NULL);
	answers = kmem_cache_create("object_mismatched_answers", 264, 0, 0, NULL);
	if (!questions || !answers) {
		kmem_cache_destroy(questions);
		kmem_cache_destroy(answers);
		return -ENOMEM;
	}
	answer = kmem_cache_alloc(answers, GFP_KERNEL);
	return 0;
}

static void __exit object_mismatched_cache_exit(void)
{
	if (answer) {
		drop(answer);
		kmem_cache_free(answers, answer);
	}
	kmem_cache_destroy(questions);
	kmem_cache_destroy(answers);
}

module_init(object_mismatched_cache_init);
module_exit(object_mismatched_cache_exit);
MODULE_DESCRIPTION("An object released to another cache than its own");
MODULE_LICENSE("GPL");
