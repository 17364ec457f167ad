// SPDX-License-Identifier: GPL-2.0
// The guest's own account of its ledger, told over SSH. Format: ../LEDGER.md, "Account".
// A process that is there already: to start one for each account costs a clone far more than to tell it.
// Usage: account PORT. Returns when it listens.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEDGER "/sys/kernel/debug/freeonce/ledger"
#define REQUEST_SIZE 32
#define CHUNK 65536

struct account {
	char *bytes;
	size_t length;
};

/* All of the file from there. 0 or the error number that stopped it; what was read is the caller's. */
static int read_ledger(off_t from, struct account *account)
{
	int file = open(LEDGER, O_RDONLY | O_CLOEXEC);
	ssize_t count = -1;
	int error = 0;

	if (file < 0 || lseek(file, from, SEEK_SET) < 0)
		goto out;
	do {
		char *more = realloc(account->bytes, account->length + CHUNK);

		if (!more)
			break;
		account->bytes = more;
		count = read(file, more + account->length, CHUNK);
		if (count > 0)
			account->length += count;
	} while (count > 0);
out:
	if (count)
		error = errno;
	if (file >= 0)
		close(file);
	return error;
}

static int send_all(int line, const char *bytes, size_t length)
{
	while (length) {
		/* Who hung up must not end us. */
		ssize_t count = send(line, bytes, length, MSG_NOSIGNAL);

		if (count <= 0)
			return -1;
		bytes += count;
		length -= count;
	}
	return 0;
}

/*
 * "OFFSET\n". -1: no such request. One that is too long is read to its end: to close a line with
 * bytes unread resets it, and who asked may lose the answer (RFC 1122, 4.2.2.13).
 */
static off_t read_request(int line)
{
	char request[REQUEST_SIZE];
	size_t length = 0;
	char byte = 0;
	char *end;
	off_t from;

	while (byte != '\n' && read(line, &byte, 1) == 1)
		if (length < sizeof(request))
			request[length++] = byte;
	if (!length || request[length - 1] != '\n')
		return -1;
	request[length - 1] = '\0';
	from = strtoll(request, &end, 10);
	return end != request && !*end ? from : -1;
}

static void answer(int line)
{
	struct account account = {};
	off_t from = read_request(line);
	int error = from < 0 ? EBADMSG : read_ledger(from, &account);
	char head[REQUEST_SIZE];
	size_t length = error ? 0 : account.length;
	int size = snprintf(head, sizeof(head), "%d %zu\n", error, length);

	if (!send_all(line, head, size))
		send_all(line, account.bytes, length);
	free(account.bytes);
}

int main(int count, char **arguments)
{
	struct sockaddr_in here = {
		.sin_family = AF_INET,
		.sin_port = htons(count == 2 ? atoi(arguments[1]) : 0),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof(here)) ||
	    listen(listener, 8) || daemon(0, 1)) {
		perror("account");
		return 1;
	}
	for (;;) {
		struct timeval patience = { .tv_sec = 10 };
		int line = accept(listener, NULL, NULL);

		if (line < 0)
			continue;
		/* One that asks nothing, or reads nothing, keeps nobody else waiting for ever. */
		setsockopt(line, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		setsockopt(line, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		answer(line);
		close(line);
	}
}
