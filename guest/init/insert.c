// SPDX-License-Identifier: GPL-2.0
// Load a module, once: insert FILE [PARAMETER=VALUE]...
// busybox's insmod tries a second time when the init function fails, which would run it twice.
// The exit status is the error number.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PARAMETERS_SIZE 4096

/* One string, as the kernel wants it; a value with blanks is quoted as a whole. */
static int join(char *parameters, int count, char **arguments)
{
	size_t length = 0;
	int i;

	for (i = 0; i < count; i++) {
		const char *value = strchr(arguments[i], '=');
		int name = value ? (int)(value + 1 - arguments[i]) : 0;
		const char *quote = strpbrk(arguments[i], " \t") ? "\"" : "";

		length += snprintf(parameters + length, PARAMETERS_SIZE - length, "%.*s%s%s%s ", name,
				   arguments[i], quote, arguments[i] + name, quote);
		if (length >= PARAMETERS_SIZE)
			return E2BIG;
	}
	return 0;
}

int main(int count, char **arguments)
{
	char parameters[PARAMETERS_SIZE] = "";
	int file, error;

	if (count < 2)
		return EINVAL;
	file = open(arguments[1], O_RDONLY | O_CLOEXEC);
	error = file < 0 ? errno : join(parameters, count - 2, arguments + 2);
	if (!error && syscall(SYS_finit_module, file, parameters, 0))
		error = errno;
	if (error)
		fprintf(stderr, "%s\n", strerror(error));
	return error;
}
