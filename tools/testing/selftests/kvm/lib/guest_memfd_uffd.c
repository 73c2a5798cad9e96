// SPDX-License-Identifier: GPL-2.0
/*
 * Missing pages, see guest_memfd_uffd.h.
 */
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "guest_memfd_uffd.h"
#include "guest_memfd_util.h"

void missing_page_init(struct missing_page *m, void *page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (u64)page, .len = GMEM_PAGE_SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	m->page = page;
	m->uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	TEST_ASSERT(m->uffd >= 0, "userfaultfd, errno %d", errno);
	TEST_ASSERT(!ioctl(m->uffd, UFFDIO_API, &api), "UFFDIO_API, errno %d",
		    errno);
	TEST_ASSERT(!madvise(page, GMEM_PAGE_SIZE, MADV_DONTNEED),
		    "madvise, errno %d", errno);
	TEST_ASSERT(!ioctl(m->uffd, UFFDIO_REGISTER, &reg),
		    "UFFDIO_REGISTER, errno %d", errno);
}

void missing_page_wait(struct missing_page *m)
{
	struct pollfd pollfd = { .fd = m->uffd, .events = POLLIN };
	struct uffd_msg msg;

	TEST_ASSERT(poll(&pollfd, 1, 60000) == 1, "no thread touches the page");
	TEST_ASSERT(read(m->uffd, &msg, sizeof(msg)) == sizeof(msg) &&
		    msg.event == UFFD_EVENT_PAGEFAULT, "no page fault");
}

void missing_page_provide(struct missing_page *m, __u64 value)
{
	u64 data[GMEM_PAGE_SIZE / sizeof(u64)]
		__aligned(GMEM_PAGE_SIZE) = { value };
	struct uffdio_copy copy = {
		.dst = (u64)m->page,
		.src = (u64)data,
		.len = GMEM_PAGE_SIZE,
	};

	TEST_ASSERT(!ioctl(m->uffd, UFFDIO_COPY, &copy),
		    "UFFDIO_COPY, errno %d", errno);
	close(m->uffd);
}
