// SPDX-License-Identifier: GPL-2.0
// Keeps what was last written to /proc/note.
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/string.h>

static char *note;

static ssize_t note_write(struct file *file, const char __user *text, size_t size, loff_t *at)
{
	char *copy = memdup_user_nul(text, min_t(size_t, size, 100));

	if (IS_ERR(copy))
		return PTR_ERR(copy);
	kfree(note);
	note = copy;
	return size;
}

static const struct proc_ops note_ops = {
	.proc_write = note_write,
};

static int __init note_init(void)
{
	return proc_create("note", 0200, NULL, &note_ops) ? 0 : -ENOMEM;
}

static void __exit note_exit(void)
{
	remove_proc_entry("note", NULL);
	kfree(note);
}

module_init(note_init);
module_exit(note_exit);
MODULE_DESCRIPTION("Keeps a note");
MODULE_LICENSE("GPL");
