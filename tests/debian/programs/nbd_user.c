// SPDX-License-Identifier: GPL-2.0
// A network block device without a network. Usage: nbd_user DEVICE BYTES
//
// One process sleeps in NBD_DO_IT, another one is its server, over a socket pair (linux/nbd.h), and
// a third one waits for SIGTERM and disconnects them.
#include <endian.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
}

/* Whether all bytes went or came. */
static int whole(ssize_t (*move)(int, void *, size_t), int fd, char *bytes, size_t size)
{
	ssize_t moved;

	for (; size; bytes += moved, size -= moved) {
		moved = move(fd, bytes, size);
		if (moved <= 0)
			return 0;
	}
	return 1;
}

static ssize_t give(int fd, void *bytes, size_t size)
{
	return write(fd, bytes, size);
}

static int answer(int fd, const struct nbd_request *request, char *disk)
{
	struct nbd_reply reply = { .magic = htobe32(NBD_REPLY_MAGIC) };
	char *bytes = disk + be64toh(request->from);
	size_t size = be32toh(request->len);
	int type = be32toh(request->type) & 0xffff;

	__builtin_memcpy(reply.handle, request->handle, sizeof(reply.handle));
	if (type == NBD_CMD_WRITE && !whole(read, fd, bytes, size))
		return 0;
	if (!whole(give, fd, (char *)&reply, sizeof(reply)))
		return 0;
	return type != NBD_CMD_READ || whole(give, fd, bytes, size);
}

static void serve(int fd, size_t size)
{
	struct nbd_request request;
	char *disk = calloc(1, size);

	while (whole(read, fd, (char *)&request, sizeof(request)))
		if (be32toh(request.type) == NBD_CMD_DISC || !answer(fd, &request, disk))
			break;
	free(disk);
	exit(0);
}

static void use(int device)
{
	must(ioctl(device, NBD_DO_IT), "NBD_DO_IT");
	must(ioctl(device, NBD_CLEAR_SOCK), "NBD_CLEAR_SOCK");
	exit(0);
}

int main(int argc, char **argv)
{
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	int device, ends[2], status, number;
	sigset_t signals;

	must(size ? 0 : -1, "usage: nbd_user DEVICE BYTES");
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
	if (!fork()) {
		close(ends[0]);
		serve(ends[1], size);
	}
	close(ends[1]);
	device = open(argv[1], O_RDWR);
	must(device, argv[1]);
	must(ioctl(device, NBD_SET_BLKSIZE, 4096), "NBD_SET_BLKSIZE");
	must(ioctl(device, NBD_SET_SIZE_BLOCKS, size / 4096), "NBD_SET_SIZE_BLOCKS");
	must(ioctl(device, NBD_SET_SOCK, ends[0]), "NBD_SET_SOCK");
	if (!fork())
		use(device);
	close(ends[0]);
	sigwait(&signals, &number);
	must(ioctl(device, NBD_DISCONNECT), "NBD_DISCONNECT");
	for (number = 0; number < 2; number++)
		if (wait(&status) < 0 || status)
			return 1;
	return 0;
}
