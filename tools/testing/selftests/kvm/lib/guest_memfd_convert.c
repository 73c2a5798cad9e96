// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers for tests of conversion in place.
 *
 * See guest_memfd_convert.h for what each function does.
 */
#include <sys/uio.h>
#include <time.h>

#include "guest_memfd_convert.h"
#include "guest_memfd_task.h"

u64 gmem_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

int __gmem_convert(int fd, u64 offset, u64 size, u64 attributes, u64 flags,
		   u64 timeout_ns, struct gmem_conv *conv)
{
	struct kvm_memory_attributes2 attrs = {
		.offset = offset,
		.size = size,
		.attributes = attributes,
		.flags = flags,
		.error_offset = GMEM_UNSET,
		.timeout_ns = timeout_ns,
	};
	u64 start = gmem_now();
	int ret;

	ret = errno_of(ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, &attrs));
	if (conv) {
		conv->ns = gmem_now() - start;
		conv->error_offset = attrs.error_offset;
		conv->reason = attrs.reason;
	}
	/* Inputs stay, and outputs are written with EAGAIN only. */
	ASSERT_EQ(attrs.offset, offset);
	ASSERT_EQ(attrs.size, size);
	ASSERT_EQ(attrs.attributes, attributes);
	ASSERT_EQ(attrs.flags, flags);
	ASSERT_EQ(attrs.timeout_ns, timeout_ns);
	if (ret != -EAGAIN)
		ASSERT_EQ(attrs.error_offset, GMEM_UNSET);
	if (ret != -EAGAIN || !(flags & GMEM_WAIT))
		ASSERT_EQ(attrs.reason, 0ULL);
	return ret;
}

void gmem_convert(int fd, u64 offset, u64 size, u64 attributes)
{
	struct gmem_conv c;
	int ret;

	ret = __gmem_convert(fd, offset, size, attributes, 0, 0, &c);
	TEST_ASSERT(!ret, "0x%lx+0x%lx to %s: %d, error_offset 0x%lx", offset,
		    size, attributes ? "private" : "shared", ret,
		    c.error_offset);
}

void gmem_assert_busy(int fd, u64 offset, u64 size, u64 at)
{
	struct gmem_conv c;
	int ret;

	ret = __gmem_convert(fd, offset, size, GMEM_PRIVATE, 0, 0, &c);
	TEST_ASSERT(ret == -EAGAIN && c.error_offset == at,
		    "0x%lx+0x%lx: %d, error_offset 0x%lx, wanted 0x%lx", offset,
		    size, ret, c.error_offset, at);
}

int __gmem_get(int fd, u64 offset, u64 *size, u64 *attributes, u64 *resident)
{
	struct kvm_gmem_get_attributes get = {
		.offset = offset,
		.size = *size,
		.attributes = GMEM_UNSET,
		.resident = GMEM_UNSET,
	};
	int ret;

	ret = errno_of(ioctl(fd, KVM_GMEM_GET_ATTRIBUTES, &get));
	if (ret) {
		ASSERT_EQ(get.size, *size);
		ASSERT_EQ(get.attributes, GMEM_UNSET);
		ASSERT_EQ(get.resident, GMEM_UNSET);
	}
	*size = get.size;
	*attributes = get.attributes;
	*resident = get.resident;
	return ret;
}

void gmem_assert_is(int fd, u64 offset, u64 size, u64 attributes)
{
	u64 run = size, found, resident;
	int ret;

	ret = __gmem_get(fd, offset, &run, &found, &resident);
	TEST_ASSERT(!ret && run == size && found == attributes,
		    "0x%lx+0x%lx: %d, 0x%lx bytes are 0x%lx, wanted 0x%lx",
		    offset, size, ret, run, found, attributes);
}

u64 gmem_fdinfo(int fd, const char *key)
{
	char path[64], line[256];
	size_t len = strlen(key);
	u64 val = 0;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	TEST_ASSERT(f, "%s: errno %d", path, errno);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, len) || line[len] != ':')
			continue;
		val = strtoull(line + len + 1, NULL, 0);
		found = true;
	}
	fclose(f);
	TEST_ASSERT(found, "no %s in %s", key, path);
	return val;
}

void gmem_conv_setup(struct gmem_map *m, u64 size)
{
	__gmem_map_setup(m, KVM_X86_SW_PROTECTED_VM, size, GMEM_SHARED_FLAGS);
}

void gmem_conv_guest_start(struct gmem_conv_guest *g, u64 size, u64 flags)
{
	g->size = size;
	g->vm = guest_vm_create(1, &g->vcpu, size, &g->slot);
	gmem_slot_delete(&g->slot);
	g->fd = vm_create_guest_memfd(g->vm, size, flags);
	g->mem = gmem_mmap(g->fd, size, 0);
	vm_set_user_memory_region2(g->vm, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA, size, NULL, g->fd, 0);
}

void gmem_conv_guest_end(struct gmem_conv_guest *g)
{
	munmap(g->mem, g->size);
	vm_set_user_memory_region2(g->vm, GMEM_DATA_SLOT, 0, GMEM_DATA_GPA, 0,
				   NULL, -1, 0);
	gmem_slot_bind(&g->slot);
	close(g->fd);
	gmem_vm_free(g->vm, &g->slot);
}

static void *gmem_conv_run(void *arg)
{
	struct gmem_conv_thread *t = arg;

	__atomic_store_n(&t->tid, gmem_gettid(), __ATOMIC_RELEASE);
	t->ret = __gmem_convert(t->fd, t->offset, t->size, GMEM_PRIVATE,
				t->flags, t->timeout_ns, &t->conv);
	/* A thread that sees this sees the rest. */
	__atomic_store_n(&t->done, true, __ATOMIC_RELEASE);
	return NULL;
}

void gmem_conv_start(struct gmem_conv_thread *t, int fd, u64 offset, u64 size,
		     u64 timeout_ns)
{
	*t = (struct gmem_conv_thread) {
		.fd = fd,
		.offset = offset,
		.size = size,
		.flags = GMEM_WAIT,
		.timeout_ns = timeout_ns,
	};
	TEST_ASSERT(!pthread_create(&t->thread, NULL, gmem_conv_run, t),
		    "no thread");
	while (!__atomic_load_n(&t->done, __ATOMIC_ACQUIRE) &&
	       gmem_fdinfo(fd, "gmem-pending") < size)
		usleep(100);
}

void gmem_conv_assert_waits(struct gmem_conv_thread *t)
{
	gmem_assert_blocks(&t->tid, SYS_ioctl, &t->done);
}

int gmem_conv_join(struct gmem_conv_thread *t)
{
	pthread_join(t->thread, NULL);
	return t->ret;
}
