// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holders of pages of host memory.
 *
 * See guest_memfd_holder.h for what there is.
 */
#define _GNU_SOURCE /* for vmsplice(2) and O_DIRECT */
#include <endian.h>
#include <linux/nbd.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "guest_memfd_holder.h"
#include "guest_memfd_util.h"

#define DISK_PATH	"/dev/nbd0"
#define DISK_SIZE	(4ULL << 20)
/* Reads from here on are not answered; the kernel looks for partitions before. */
#define DISK_HELD	(2ULL << 20)

const char *const gmem_holder_names[GMEM_NR_HOLDERS] = {
	[GMEM_HOLD_PIPE] = "pipe",
	[GMEM_HOLD_PIN] = "pin",
	[GMEM_HOLD_DISK] = "disk",
};

struct gmem_holder {
	enum gmem_holder_kind kind;
	void *mem;
	u64 size;
	s64 result;
	pthread_t thread;

	int pipe[2];

	struct gmem_stopper stopper;

	int nbd;
	int sockets[2];
	pthread_t server;
	pthread_t driver;
	/* The request that waits, and whether it still does. */
	sem_t arrived;
	sem_t released;
};

/*
 * userfaultfd
 */

void gmem_stopper_init(struct gmem_stopper *s, u64 size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range.len = size,
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	s->mem = gmem_alloc_hva(0, size);
	s->size = size;
	reg.range.start = (uintptr_t)s->mem;
	s->uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	TEST_ASSERT(s->uffd >= 0 && !ioctl(s->uffd, UFFDIO_API, &api) &&
		    !ioctl(s->uffd, UFFDIO_REGISTER, &reg),
		    "userfaultfd: errno %d", errno);
}

void gmem_stopper_wait(struct gmem_stopper *s)
{
	struct uffd_msg msg;

	ASSERT_EQ(read(s->uffd, &msg, sizeof(msg)), (ssize_t)sizeof(msg));
	ASSERT_EQ((int)msg.event, UFFD_EVENT_PAGEFAULT);
}

void gmem_stopper_open(struct gmem_stopper *s)
{
	struct uffdio_range range = {
		.start = (uintptr_t)s->mem,
		.len = s->size,
	};

	TEST_ASSERT(!ioctl(s->uffd, UFFDIO_UNREGISTER, &range),
		    "unregister: errno %d", errno);
}

void gmem_stopper_free(struct gmem_stopper *s)
{
	close(s->uffd);
	gmem_free_hva(s->mem, s->size);
}

/*
 * Pipe
 */

static void hold_by_pipe(struct gmem_holder *h)
{
	struct iovec iov = { h->mem, h->size };

	TEST_ASSERT(!pipe(h->pipe), "pipe() failed, errno %d", errno);
	ASSERT_EQ(vmsplice(h->pipe[1], &iov, 1, 0), (ssize_t)h->size);
	h->result = h->size;
}

static void release_pipe(struct gmem_holder *h)
{
	close(h->pipe[0]);
	close(h->pipe[1]);
}

/*
 * Pin
 */

static void *pin_thread(void *arg)
{
	struct gmem_holder *h = arg;
	struct iovec local = { h->stopper.mem, h->size };
	struct iovec remote = { h->mem, h->size };

	h->result = errno_of(process_vm_readv(getpid(), &local, 1, &remote, 1,
					      0));
	return NULL;
}

static void hold_by_pin(struct gmem_holder *h)
{
	gmem_stopper_init(&h->stopper, h->size);
	TEST_ASSERT(!pthread_create(&h->thread, NULL, pin_thread, h),
		    "no thread");
	gmem_stopper_wait(&h->stopper);
}

static void release_pin(struct gmem_holder *h)
{
	gmem_stopper_open(&h->stopper);
	pthread_join(h->thread, NULL);
	gmem_stopper_free(&h->stopper);
}

/*
 * Disk
 */

static bool read_all(int fd, void *buf, size_t size)
{
	return recv(fd, buf, size, MSG_WAITALL) == (ssize_t)size;
}

/* Answer requests until the kernel hangs up. */
static void *server_thread(void *arg)
{
	struct gmem_holder *h = arg;
	/* Not static: the library becomes part of the guest. */
	char *data = malloc(DISK_SIZE);
	struct nbd_request req;
	struct nbd_reply reply;

	memset(data, GMEM_DISK_BYTE, DISK_SIZE);
	while (read_all(h->sockets[1], &req, sizeof(req))) {
		u64 from = be64toh(req.from);
		u32 len = be32toh(req.len);

		if (be32toh(req.type) != NBD_CMD_READ)
			break;
		if (from >= DISK_HELD) {
			sem_post(&h->arrived);
			sem_wait(&h->released);
		}
		reply.magic = htobe32(NBD_REPLY_MAGIC);
		reply.error = 0;
		memcpy(reply.handle, req.handle, sizeof(reply.handle));
		send(h->sockets[1], &reply, sizeof(reply), MSG_NOSIGNAL);
		send(h->sockets[1], data, len, MSG_NOSIGNAL);
	}
	free(data);
	return NULL;
}

static void *driver_thread(void *arg)
{
	struct gmem_holder *h = arg;

	ioctl(h->nbd, NBD_DO_IT);
	return NULL;
}

static void *disk_thread(void *arg)
{
	struct gmem_holder *h = arg;
	int fd = open(DISK_PATH, O_RDONLY | O_DIRECT);

	TEST_ASSERT(fd >= 0, "%s: errno %d", DISK_PATH, errno);
	h->result = errno_of(pread(fd, h->mem, h->size, DISK_HELD));
	close(fd);
	return NULL;
}

static void disk_start(struct gmem_holder *h)
{
	h->nbd = open(DISK_PATH, O_RDWR);
	if (h->nbd < 0)
		gmem_skip("no %s, errno %d", DISK_PATH, errno);
	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, h->sockets),
		    "socketpair: errno %d", errno);
	TEST_ASSERT(!ioctl(h->nbd, NBD_SET_BLKSIZE, GMEM_PAGE_SIZE) &&
		    !ioctl(h->nbd, NBD_SET_SIZE_BLOCKS,
			   DISK_SIZE / GMEM_PAGE_SIZE) &&
		    !ioctl(h->nbd, NBD_SET_SOCK, h->sockets[0]),
		    "NBD: errno %d", errno);
	sem_init(&h->arrived, 0, 0);
	sem_init(&h->released, 0, 0);
	TEST_ASSERT(!pthread_create(&h->server, NULL, server_thread, h) &&
		    !pthread_create(&h->driver, NULL, driver_thread, h),
		    "no threads");
}

/* Until the driver is up, a read finds a device of no size, and ends at once. */
static void wait_for_disk(void)
{
	char buf[GMEM_PAGE_SIZE];
	int fd, i;

	for (i = 0; i < 1000; i++) {
		fd = open(DISK_PATH, O_RDONLY);
		if (fd >= 0 && pread(fd, buf, sizeof(buf), 0) ==
			       (ssize_t)sizeof(buf)) {
			close(fd);
			return;
		}
		close(fd);
		usleep(10000);
	}
	TEST_FAIL("%s does not work, errno %d", DISK_PATH, errno);
}

static void hold_by_disk(struct gmem_holder *h)
{
	disk_start(h);
	wait_for_disk();
	TEST_ASSERT(!pthread_create(&h->thread, NULL, disk_thread, h),
		    "no thread");
	sem_wait(&h->arrived);
}

static void release_disk(struct gmem_holder *h)
{
	sem_post(&h->released);
	pthread_join(h->thread, NULL);
	ioctl(h->nbd, NBD_DISCONNECT);
	ioctl(h->nbd, NBD_CLEAR_SOCK);
	shutdown(h->sockets[1], SHUT_RDWR);
	pthread_join(h->driver, NULL);
	pthread_join(h->server, NULL);
	close(h->nbd);
	close(h->sockets[0]);
	close(h->sockets[1]);
}

struct gmem_holder *gmem_hold(enum gmem_holder_kind kind, void *mem, u64 size)
{
	struct gmem_holder *h = calloc(1, sizeof(*h));

	h->kind = kind;
	h->mem = mem;
	h->size = size;
	switch (kind) {
	case GMEM_HOLD_PIPE:
		hold_by_pipe(h);
		break;
	case GMEM_HOLD_PIN:
		hold_by_pin(h);
		break;
	default:
		hold_by_disk(h);
	}
	return h;
}

s64 gmem_release(struct gmem_holder *h)
{
	s64 result;

	switch (h->kind) {
	case GMEM_HOLD_PIPE:
		release_pipe(h);
		break;
	case GMEM_HOLD_PIN:
		release_pin(h);
		break;
	default:
		release_disk(h);
	}
	result = h->result;
	free(h);
	return result;
}
