// SPDX-License-Identifier: GPL-2.0
// The debugfs files: scenarios, run, subjects, life, settle, rewind, bench, bench_vmrun, drained, ledger.
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "bench/bench.h"
#include "control/control.h"
#include "engine/engine.h"
#include "ledger/ledger.h"
#include "subjects/subjects.h"

#define COMMAND_SIZE 128
#define SUBJECTS_SIZE 500

static struct dentry *folder;

static int tell(const struct scenario *scenario, void *to)
{
	struct seq_file *file = to;
	size_t i;

	seq_printf(file, "scenario\t%s\t%s\t%s\t%s\t%s\t%u\t%s\t%s\n", scenario->name,
		   scenario->section, scenario->language, scenario->needs ?: "-",
		   scenario->ends ?: "-", scenario_cpus(scenario),
		   scenario->shares ? "shares" : "-", scenario->lesson);
	for (i = 0; i < scenario->expected_count; i++) {
		const struct expectation *expect = &scenario->expected[i];

		seq_printf(file, "expect\t%s\t%s\t%s\t%s\t%s\n", expect->rule, expect->kind,
			   expect->at ?: "", expect->what ?: "", expect->because ?: "");
	}
	return 0;
}

static int scenarios_show(struct seq_file *file, void *unused)
{
	return scenario_each(tell, file);
}
DEFINE_SHOW_ATTRIBUTE(scenarios);

static int bench_show(struct seq_file *file, void *unused)
{
	struct bench_pair pair;
	int error = scenario_bench(bench_measure_pair, &pair);

	if (!error)
		seq_printf(file, "bare %llu\nledger %llu\nwitness %llu\n", pair.bare,
			   pair.ledger, pair.witness);
	return error;
}
DEFINE_SHOW_ATTRIBUTE(bench);

static int bench_vmrun_show(struct seq_file *file, void *unused)
{
	u64 rounds[BENCH_ROUNDS][BENCH_VMRUNS];
	int error = scenario_bench(bench_measure_vmrun, rounds);
	int i, j;

	for (i = 0; !error && i < BENCH_ROUNDS; i++)
		for (j = 0; j < BENCH_VMRUNS; j++)
			seq_printf(file, "%s %llu\n", bench_vmruns[j].name, rounds[i][j]);
	return error;
}
DEFINE_SHOW_ATTRIBUTE(bench_vmrun);

/* fail=N, fail=N+, count, drain or act=real. */
static int parse_option(char *option, struct run_options *options)
{
	size_t length = strlen(option);

	if (!strcmp(option, "act=real")) {
		options->act_real = true;
		return 0;
	}
	if (!strcmp(option, "count")) {
		options->count = true;
		return 0;
	}
	if (!strcmp(option, "drain")) {
		options->drain = true;
		return 0;
	}
	if (!str_has_prefix(option, "fail="))
		return -EINVAL;
	if (option[length - 1] == '+') {
		options->fail_after = true;
		option[length - 1] = '\0';
	}
	return kstrtou32(option + 5, 10, &options->fail_at);
}

static int parse_options(char *rest, struct run_options *options)
{
	char *option;

	while ((option = strsep(&rest, " ")))
		if (parse_option(option, options))
			return -EINVAL;
	return 0;
}

/* One command a write. `start`: its first character that is no blank. */
static int take_command(char *command, size_t size, const char __user *buffer, size_t count,
			char **start)
{
	ssize_t length = strncpy_from_user(command, buffer, min(count, size));

	if (length < 0)
		return length;
	if (length >= size)
		return -EINVAL;
	command[length] = '\0';
	*start = strim(command);
	return 0;
}

/* NAME [OPTION ...]. */
static ssize_t run_write(struct file *file, const char __user *buffer, size_t count, loff_t *at)
{
	struct run_options options = {};
	char command[COMMAND_SIZE], *rest, *name;
	int error = take_command(command, sizeof(command), buffer, count, &rest);

	if (error)
		return error;
	name = strsep(&rest, " ");
	error = parse_options(rest, &options) ?: scenario_run(name, &options);
	return error ?: count;
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.write = run_write,
	.llseek = noop_llseek,
};

/* begin [OPTION ...], or end. */
static ssize_t life_write(struct file *file, const char __user *buffer, size_t count, loff_t *at)
{
	struct run_options options = {};
	char command[COMMAND_SIZE], *rest, *verb;
	int error = take_command(command, sizeof(command), buffer, count, &rest);

	if (error)
		return error;
	verb = strsep(&rest, " ");
	if (!strcmp(verb, "begin")) {
		error = parse_options(rest, &options);
		if (!error && options.act_real)
			error = -EINVAL;
		if (!error)
			life_begin(&options);
	} else {
		error = strcmp(verb, "end") || rest ? -EINVAL : life_end();
	}
	return error ?: count;
}

static const struct file_operations life_fops = {
	.owner = THIS_MODULE,
	.write = life_write,
	.llseek = noop_llseek,
};

static int subjects_seq_show(struct seq_file *file, void *unused)
{
	subjects_show(file);
	return 0;
}

static int subjects_seq_open(struct inode *inode, struct file *file)
{
	return single_open(file, subjects_seq_show, NULL);
}

static ssize_t subjects_write(struct file *file, const char __user *buffer, size_t count,
			      loff_t *at)
{
	char *names = memdup_user_nul(buffer, min_t(size_t, count, SUBJECTS_SIZE));
	int error;

	if (IS_ERR(names))
		return PTR_ERR(names);
	error = count > SUBJECTS_SIZE ? -E2BIG : subjects_choose(strim(names));
	kfree(names);
	return error ?: count;
}

static const struct file_operations subjects_fops = {
	.owner = THIS_MODULE,
	.open = subjects_seq_open,
	.read = seq_read,
	.write = subjects_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static ssize_t settle_write(struct file *file, const char __user *buffer, size_t count, loff_t *at)
{
	scenario_settle();
	return count;
}

static const struct file_operations settle_fops = {
	.owner = THIS_MODULE,
	.write = settle_write,
	.llseek = noop_llseek,
};

/* Only between runs: the host has read everything, and asks for a blank ledger. */
static ssize_t rewind_write(struct file *file, const char __user *buffer, size_t count, loff_t *at)
{
	scenario_rewind();
	return count;
}

static const struct file_operations rewind_fops = {
	.owner = THIS_MODULE,
	.write = rewind_write,
	.llseek = noop_llseek,
};

static int drained_seq_show(struct seq_file *file, void *unused)
{
	u64 upto, digest = drain_digest(&upto);

	seq_printf(file, "%llu %016llx\n", upto, digest);
	return 0;
}

static int drained_seq_open(struct inode *inode, struct file *file)
{
	return single_open(file, drained_seq_show, NULL);
}

/* The host has all records below this one; `stop`: it takes no more in this run. */
static ssize_t drained_write(struct file *file, const char __user *buffer, size_t count, loff_t *at)
{
	char said[24] = "";
	u64 upto;
	int error;

	if (count >= sizeof(said))
		return -EINVAL;
	if (copy_from_user(said, buffer, count))
		return -EFAULT;
	if (sysfs_streq(said, "stop")) {
		drain_give_up();
		return count;
	}
	error = kstrtou64(said, 10, &upto) ?: drain_upto(upto);
	return error ?: count;
}

static const struct file_operations drained_fops = {
	.owner = THIS_MODULE,
	.open = drained_seq_open,
	.read = seq_read,
	.write = drained_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static ssize_t ledger_file_read(struct file *file, char __user *buffer, size_t count, loff_t *at)
{
	return ledger_read(buffer, count, at);
}

static const struct file_operations ledger_fops = {
	.owner = THIS_MODULE,
	.read = ledger_file_read,
	.llseek = default_llseek,
};

int control_open(void)
{
	folder = debugfs_create_dir("freeonce", NULL);
	if (IS_ERR(folder))
		return PTR_ERR(folder);
	debugfs_create_file("scenarios", 0400, folder, NULL, &scenarios_fops);
	debugfs_create_file("bench", 0400, folder, NULL, &bench_fops);
	debugfs_create_file("bench_vmrun", 0400, folder, NULL, &bench_vmrun_fops);
	debugfs_create_file("run", 0200, folder, NULL, &run_fops);
	debugfs_create_file("life", 0200, folder, NULL, &life_fops);
	debugfs_create_file("subjects", 0600, folder, NULL, &subjects_fops);
	debugfs_create_file("settle", 0200, folder, NULL, &settle_fops);
	debugfs_create_file("rewind", 0200, folder, NULL, &rewind_fops);
	debugfs_create_file("drained", 0600, folder, NULL, &drained_fops);
	debugfs_create_file("ledger", 0400, folder, NULL, &ledger_fops);
	return 0;
}

void control_close(void)
{
	debugfs_remove(folder);
}
