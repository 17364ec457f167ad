// SPDX-License-Identifier: GPL-2.0
// The guest's end of the control line. Format: ../LEDGER.md, "Control line".
// Usage: control TTY. Returns when it listens, so that "ready" means what it says.
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "lead.h"

#define LINE_SIZE 256
#define SEED_BYTES 32
#define FILES "/sys/kernel/debug/freeonce/"

/* Each verb returns 0 or the error number that stopped it. */

static int write_file(const char *path, const char *text)
{
	size_t length = strlen(text);
	int file = open(path, O_WRONLY | O_CLOEXEC);
	int error = 0;

	if (file < 0)
		return errno;
	if (write(file, text, length) != (ssize_t)length)
		error = errno;
	close(file);
	return error;
}

static int run(const char *command)
{
	/* An empty write would never reach the module. */
	return *command ? write_file(FILES "run", command) : EINVAL;
}

static int life(const char *command)
{
	return *command ? write_file(FILES "life", command) : EINVAL;
}

/* A whole life; `options` are those of its begin. */
static int lead(const char *options)
{
	struct way way = {};
	char begin[LINE_SIZE];
	int error;

	snprintf(begin, sizeof(begin), "begin %s", options);
	error = life(begin);
	if (error)
		return error;
	error = take_steps(&way);
	if (!error)
		error = life("end");
	if (!error && way.stays)
		error = EBUSY;
	return error ? error : found_wrong() ? EUCLEAN : 0;
}

/* Since it was asked last: nobody is told what was wrong before. */
static int sound(const char *unused)
{
	static unsigned long known;
	unsigned long wrong = found_wrong(), fresh = wrong & ~known;

	(void)unused;
	known = wrong & FOUND_WRONG;
	return fresh ? EUCLEAN : 0;
}

static int settle(const char *unused)
{
	(void)unused;
	return write_file(FILES "settle", "1");
}

static int rewind_ledger(const char *unused)
{
	(void)unused;
	return write_file(FILES "rewind", "1");
}

static int drained(const char *count)
{
	return *count ? write_file(FILES "drained", count) : EINVAL;
}

static int ping(const char *unused)
{
	(void)unused;
	return 0;
}

/* Clones wake with the same random state: the new bytes must count at once (random(4)). */
static int reseed(const char *hex)
{
	struct {
		struct rand_pool_info info;
		unsigned char bytes[SEED_BYTES];
	} seed = { .info = { .entropy_count = 8 * SEED_BYTES, .buf_size = SEED_BYTES } };
	int random, error = 0, i;

	if (strlen(hex) != 2 * SEED_BYTES)
		return EINVAL;
	for (i = 0; i < SEED_BYTES; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &seed.bytes[i]) != 1)
			return EINVAL;
	random = open("/dev/random", O_WRONLY | O_CLOEXEC);
	if (random < 0)
		return errno;
	if (ioctl(random, RNDADDENTROPY, &seed) || ioctl(random, RNDRESEEDCRNG))
		error = errno;
	close(random);
	return error;
}

static int set_clock(const char *nanoseconds)
{
	char *end;
	long long time = strtoll(nanoseconds, &end, 10);
	struct timespec now = { .tv_sec = time / 1000000000, .tv_nsec = time % 1000000000 };

	if (*end || time <= 0)
		return EINVAL;
	return clock_settime(CLOCK_REALTIME, &now) ? errno : 0;
}

static const struct {
	const char *name;
	int (*act)(const char *argument);
} verbs[] = {
	{ "ping", ping },     { "run", run },	      { "settle", settle },
	{ "life", life },     { "lead", lead },	      { "sound", sound },
	{ "reseed", reseed }, { "clock", set_clock }, { "rewind", rewind_ledger },
	{ "drained", drained },
};

/* "NUMBER VERB [ARGUMENT]" to "NUMBER ERROR". */
static void answer(int line, char *request)
{
	const char *number = strsep(&request, " ");
	const char *verb = strsep(&request, " ");
	int error = EBADMSG;
	size_t i;

	for (i = 0; verb && i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(verb, verbs[i].name))
			error = verbs[i].act(request ? request : "");
	dprintf(line, "%.20s %d\n", number, error);
}

static void serve(int line)
{
	FILE *requests = fdopen(line, "r");
	char request[LINE_SIZE];
	size_t length = 0;
	int byte;

	while (requests && (byte = getc(requests)) != EOF) {
		if (byte != '\n') {
			/* Too long: its head is no request, and is answered as such. */
			if (length < sizeof(request) - 1)
				request[length++] = byte;
			else
				memset(request, '?', length);
			continue;
		}
		request[length] = '\0';
		length = 0;
		answer(line, request);
	}
}

int main(int count, char **arguments)
{
	struct termios raw;
	int line = count == 2 ? open(arguments[1], O_RDWR | O_NOCTTY) : -1;

	if (line < 0 || tcgetattr(line, &raw)) {
		perror("control");
		return 1;
	}
	cfmakeraw(&raw);
	raw.c_cflag |= CLOCAL;
	cfsetspeed(&raw, B115200);
	if (tcsetattr(line, TCSANOW, &raw)) {
		perror("control");
		return 1;
	}
	if (daemon(0, 1))
		return 1;
	serve(line);
	return 1;
}
