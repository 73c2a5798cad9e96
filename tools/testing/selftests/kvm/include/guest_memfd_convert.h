/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for tests of conversion in place: the ioctls of a guest_memfd.
 *
 * A gmem_conv is one call of KVM_SET_MEMORY_ATTRIBUTES2 and what it has answered.
 * The forms with two underscores return 0 or -errno, the others assert success.
 */
#ifndef SELFTEST_KVM_GUEST_MEMFD_CONVERT_H
#define SELFTEST_KVM_GUEST_MEMFD_CONVERT_H

#include <pthread.h>

#include "guest_memfd_guest.h"
#include "guest_memfd_map.h"

#define GMEM_PRIVATE	KVM_MEMORY_ATTRIBUTE_PRIVATE
#define GMEM_SHARED	0ULL
#define GMEM_WAIT	KVM_MEMORY_ATTRIBUTES2_WAIT

/* What the outputs are before a call: shows whether they have been written. */
#define GMEM_UNSET	0xdeadULL

#define MS		1000000UL	/* in ns */

struct gmem_conv {
	u64 error_offset;
	u64 reason;
	u64 ns;		/* how long it has taken */
};

u64 gmem_now(void);

int __gmem_convert(int fd, u64 offset, u64 size, u64 attributes, u64 flags,
		   u64 timeout_ns, struct gmem_conv *conv);
void gmem_convert(int fd, u64 offset, u64 size, u64 attributes);

static inline void gmem_to_private(int fd, u64 offset, u64 size)
{
	gmem_convert(fd, offset, size, GMEM_PRIVATE);
}

static inline void gmem_to_shared(int fd, u64 offset, u64 size)
{
	gmem_convert(fd, offset, size, GMEM_SHARED);
}

/* Without waiting: must fail with EAGAIN for the page at @at. */
void gmem_assert_busy(int fd, u64 offset, u64 size, u64 at);

/* KVM_GMEM_GET_ATTRIBUTES, 0 or -errno. */
int __gmem_get(int fd, u64 offset, u64 *size, u64 *attributes, u64 *resident);
/* All of the range must be that; @attributes is 0 or GMEM_PRIVATE. */
void gmem_assert_is(int fd, u64 offset, u64 size, u64 attributes);

/* A figure of /proc/self/fdinfo, e.g. "gmem-shared". */
u64 gmem_fdinfo(int fd, const char *key);

/* A file of a VM with private memory, all of it shared, and a mapping. */
void gmem_conv_setup(struct gmem_map *m, u64 size);

/*
 * A guest whose data slot is a convertible file with @flags, and a mapping of
 * that.  It replaces the slot that guest_vm_create() makes.
 */
struct gmem_conv_guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct gmem_slot slot;
	u64 size;
	int fd;
	char *mem;
};

void gmem_conv_guest_start(struct gmem_conv_guest *g, u64 size, u64 flags);
void gmem_conv_guest_end(struct gmem_conv_guest *g);

/*
 * A conversion in a thread of its own.  gmem_conv_start() returns when the range
 * is pending, or the call over; gmem_conv_join() returns what the call did.
 */
struct gmem_conv_thread {
	int fd;
	u64 offset;
	u64 size;
	u64 flags;
	u64 timeout_ns;
	struct gmem_conv conv;
	int ret;
	bool done;
	pid_t tid;
	pthread_t thread;
};

void gmem_conv_start(struct gmem_conv_thread *t, int fd, u64 offset, u64 size,
		     u64 timeout_ns);
/* Once the range is pending: the call sleeps, and has not ended. */
void gmem_conv_assert_waits(struct gmem_conv_thread *t);
int gmem_conv_join(struct gmem_conv_thread *t);

#endif /* SELFTEST_KVM_GUEST_MEMFD_CONVERT_H */
