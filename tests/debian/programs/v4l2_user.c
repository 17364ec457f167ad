// SPDX-License-Identifier: GPL-2.0
// Writes frames into a loopback of video and reads them. Usage: v4l2_user DEVICE
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH = 64, HEIGHT = 48, BYTES = WIDTH * HEIGHT * 2, FRAMES = 5 };

static long must(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static void set_format(int fd)
{
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT };

	format.fmt.pix.width = WIDTH;
	format.fmt.pix.height = HEIGHT;
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
	format.fmt.pix.field = V4L2_FIELD_NONE;
	must(ioctl(fd, VIDIOC_S_FMT, &format), "VIDIOC_S_FMT");
}

int main(int argc, char **argv)
{
	const char *device = argc > 1 ? argv[1] : "/dev/video0";
	int writer = must(open(device, O_RDWR), device), reader, frame;
	static char sent[BYTES], came[BYTES];

	set_format(writer);
	for (frame = 0; frame < FRAMES; frame++) {
		memset(sent, frame, BYTES);
		must(write(writer, sent, BYTES), "write");
	}
	reader = must(open(device, O_RDONLY | O_NONBLOCK), device);
	must(read(reader, came, BYTES), "read");
	close(reader);
	close(writer);
	return 0;
}
