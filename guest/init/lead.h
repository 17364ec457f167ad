/* SPDX-License-Identifier: GPL-2.0 */
/* The steps of a life, taken without a shell or a connection for each. Format: ../LEDGER.md, "Control line". */
#ifndef FREEONCE_LEAD_H
#define FREEONCE_LEAD_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS "/tmp/steps"
#define EXERCISES "/audit"
#define TAINTED "/proc/sys/kernel/tainted"

/* Documentation/admin-guide/tainted-kernels.rst: machine check, bad page, die, warning, soft lockup. */
#define FOUND_WRONG (1UL << 4 | 1UL << 5 | 1UL << 7 | 1UL << 9 | 1UL << 14)

/* What the steps before came to. */
struct way {
	bool refused; /* a module did not load */
	bool stays;   /* one did not unload */
	int absent;   /* modules of which none of this life is there: the guest may have one by that name */
};

/* Its argument: FILE PARAMETERS. */
static bool load(char *argument)
{
	const char *path = strsep(&argument, " ");
	int file = open(path, O_RDONLY | O_CLOEXEC);
	bool done = file >= 0 && !syscall(SYS_finit_module, file, argument ? argument : "", 0);

	if (file >= 0)
		close(file);
	return done;
}

/* What it prints, and how it ends, was seen in the life without failures. */
static void exercise(const char *command)
{
	pid_t child = fork();

	if (!child) {
		int nothing = open("/dev/null", O_RDWR);

		setsid();
		dup2(nothing, 0);
		dup2(nothing, 1);
		dup2(nothing, 2);
		if (!chdir(EXERCISES))
			execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

/* False: somebody has it. */
static bool unload(const char *name)
{
	return !syscall(SYS_delete_module, name, O_NONBLOCK) || errno == ENOENT;
}

static void take_step(char *step, struct way *way)
{
	char *verb = strsep(&step, " ");
	char *argument = step ? step : "";

	/* They go in the reverse order, so that those which did not load come first. */
	if (!strcmp(verb, "unload") && way->absent)
		way->absent--;
	else if (!strcmp(verb, "unload"))
		way->stays = way->stays || !unload(argument);
	else if (!strcmp(verb, "load")) {
		way->refused = way->refused || !load(argument);
		way->absent += way->refused;
	} else if (way->refused)
		return;
	else if (!strcmp(verb, "exercise"))
		exercise(argument);
	else if (!strcmp(verb, "keep"))
		usleep(1000 * strtoul(argument, NULL, 10));
}

/* 0, or the error number that stopped it. */
static int take_steps(struct way *way)
{
	FILE *steps = fopen(STEPS, "re");
	char *step = NULL;
	size_t size = 0;

	if (!steps)
		return errno;
	while (getdelim(&step, &size, '\0', steps) > 0)
		take_step(step, way);
	free(step);
	fclose(steps);
	return 0;
}

#define UNKNOWN (~0UL) /* more than it could ever find */

/* What the kernel says in `tainted` that it found wrong, ever. */
static unsigned long found_wrong(void)
{
	FILE *file = fopen(TAINTED, "re");
	unsigned long tainted;
	int read;

	if (!file)
		return UNKNOWN;
	read = fscanf(file, "%lu", &tainted);
	fclose(file);
	return read == 1 ? tainted & FOUND_WRONG : UNKNOWN;
}

#endif
