// A KVM that only ends at ports: preloaded, it stands for /dev/kvm.
// FAKE_KVM_PORTS: one for each KVM_RUN, in hex.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RUN_BYTES = 4096 };

static struct kvm_run *run;

static int file(void)
{
	int fd = memfd_create("kvm", 0);

	return fd < 0 || ftruncate(fd, RUN_BYTES) ? -1 : fd;
}

static int vcpu(void)
{
	int fd = file();

	run = mmap(NULL, RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return fd;
}

static int end_at_next_port(void)
{
	static char *rest;
	char *port = strtok_r(rest ? NULL : strdup(getenv("FAKE_KVM_PORTS")), " ", &rest);

	if (!port) {
		errno = EINTR;
		return -1;
	}
	run->exit_reason = KVM_EXIT_IO;
	run->io.port = strtol(port, NULL, 16);
	return 0;
}

int open(const char *path, int flags, ...)
{
	(void)path;
	(void)flags;
	return file();
}

int ioctl(int fd, unsigned long request, ...)
{
	(void)fd;
	switch (request) {
	case KVM_CREATE_VM:
		return file();
	case KVM_CREATE_VCPU:
		return vcpu();
	case KVM_GET_VCPU_MMAP_SIZE:
		return RUN_BYTES;
	case KVM_RUN:
		return end_at_next_port();
	default:
		return 0;
	}
}
