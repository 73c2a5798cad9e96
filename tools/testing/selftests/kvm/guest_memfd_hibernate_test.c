// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hibernation would write private memory to disk: it is refused for as long as
 * there is any, and for no longer.
 *
 * Nothing here really hibernates.  Where it is not refused, /sys/power/pm_test
 * has the kernel stop when all tasks are frozen, and thaw them.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/loop.h>
#include <pthread.h>
#include <sys/ioctl.h>

#include "guest_memfd_admin.h"
#include "guest_memfd_undo.h"

#define P		GMEM_PAGE_SIZE
#define FILE_SIZE	GMEM_FILE_SIZE
#define NR_RACES	10
#define NR_CAUGHT	2	/* are enough: each of the others takes 5 s */
#define DIRTY_SIZE	(32ULL << 20)

#define POWER_DISK	"/sys/power/disk"
#define POWER_STATE	"/sys/power/state"
#define PM_TEST		"/sys/power/pm_test"
#define IMAGE_SIZE	"/sys/power/image_size"

static bool hibernation_is_off(void)
{
	char *text = admin_read(POWER_DISK);
	bool off;

	TEST_ASSERT(text, "cannot read " POWER_DISK);
	off = !strcmp(text, "[disabled]\n");
	free(text);
	return off;
}

static bool state_offers_disk(void)
{
	char *text = admin_read(POWER_STATE);
	bool offers;

	TEST_ASSERT(text, "cannot read " POWER_STATE);
	offers = strstr(text, "disk");
	free(text);
	return offers;
}

static void require_hibernation(void)
{
	if (access(POWER_DISK, R_OK))
		gmem_skip("no CONFIG_HIBERNATION");
	if (hibernation_is_off())
		gmem_skip("hibernation is off for another reason");
}

static void assert_refused(void)
{
	TEST_ASSERT(hibernation_is_off(), "still on offer");
	TEST_ASSERT(!state_offers_disk(), "still on offer in " POWER_STATE);
	ASSERT_EQ(admin_write(POWER_STATE, "disk"), -EPERM);
}

static void assert_available(void)
{
	TEST_ASSERT(!hibernation_is_off(), "refused");
	TEST_ASSERT(state_offers_disk(), "refused in " POWER_STATE);
}

static void test_private_memory_refuses_hibernation(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd;

	require_hibernation();
	fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
	assert_available();
	gmem_allocate(fd, 0, 2 * P);
	assert_refused();
	gmem_punch_hole(fd, 0, P);
	assert_refused();
	gmem_punch_hole(fd, P, P);
	assert_available();

	gmem_allocate(fd, 3 * P, P);
	assert_refused();
	close(fd);
	assert_available();
	kvm_vm_free(vm);
}

/* Any one of several files is enough. */
static void test_each_file_counts(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int i, fds[3];

	require_hibernation();
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = vm_create_guest_memfd(vm, FILE_SIZE, 0);
		gmem_allocate(fds[i], i * P, P);
		assert_refused();
	}
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		assert_refused();
		close(fds[i]);
	}
	assert_available();
	kvm_vm_free(vm);
}

static void check_flags(u64 flags, bool refused)
{
	struct kvm_vm *vm = vm_create_barebones();
	u64 valid = gmem_check_cap(vm->fd, KVM_CAP_GUEST_MEMFD_FLAGS);
	int fd;

	if ((flags & valid) != flags)
		gmem_skip("no files with flags 0x%lx", flags);
	fd = vm_create_guest_memfd(vm, FILE_SIZE, flags);
	gmem_allocate(fd, 0, FILE_SIZE);
	if (refused)
		assert_refused();
	else
		assert_available();
	close(fd);
	assert_available();
	kvm_vm_free(vm);
}

static void test_only_shared_files_are_no_reason(void)
{
	require_hibernation();
	check_flags(0, true);
	check_flags(GUEST_MEMFD_FLAG_MMAP, true);
	check_flags(GUEST_MEMFD_FLAG_INIT_SHARED, true);
	check_flags(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
		    false);
}

/*
 * With pm_test
 */

static void require_pm_test(void)
{
	require_hibernation();
	if (access(PM_TEST, W_OK))
		gmem_skip("no CONFIG_PM_DEBUG");

	/* No memory is to be freed for the sake of an image. */
	gmem_setting_write(IMAGE_SIZE, "1099511627776");
	gmem_setting_write(PM_TEST, "freezer");
}

static void test_hibernation_works_once_memory_is_gone(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd;

	require_pm_test();
	fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
	gmem_allocate(fd, 0, FILE_SIZE);
	ASSERT_EQ(admin_write(POWER_STATE, "disk"), -EPERM);
	ASSERT_EQ(gmem_allocated(fd), FILE_SIZE);
	gmem_punch_hole(fd, 0, FILE_SIZE);
	ASSERT_EQ(admin_write(POWER_STATE, "disk"), 0);
	gmem_allocate(fd, 0, FILE_SIZE);
	ASSERT_EQ(admin_write(POWER_STATE, "disk"), -EPERM);
	close(fd);
	kvm_vm_free(vm);
}

/*
 * Memory that is allocated when hibernation has begun, but before tasks are
 * frozen.  The log tells the order: "hibernation entry" comes after the first
 * check, "Freezing user space" before tasks freeze.
 */
struct late_allocation {
	int fd;
	int kmsg;
	bool in_time;	/* a page was there before "Freezing user space" */
};

/*
 * Hibernation writes back dirty data in between.  Give it some: on a loop
 * device, which has it in memory again.
 */
struct dirty_disk {
	int fd;
	int backing;
	void *data;
};

static void dirty_disk_open(struct dirty_disk *d)
{
	/* So that it goes with this process, whatever happens. */
	struct loop_info64 info = { .lo_flags = LO_FLAGS_AUTOCLEAR };
	int control = open("/dev/loop-control", O_RDWR), nr;
	char path[32];

	nr = ioctl(control, LOOP_CTL_GET_FREE);
	if (control < 0 || nr < 0)
		gmem_skip("no loop device");
	close(control);
	snprintf(path, sizeof(path), "/dev/loop%d", nr);
	d->fd = open(path, O_RDWR);
	d->backing = kvm_memfd_alloc(DIRTY_SIZE, false);
	TEST_ASSERT(d->fd >= 0 && !ioctl(d->fd, LOOP_SET_FD, d->backing) &&
		    !ioctl(d->fd, LOOP_SET_STATUS64, &info),
		    "cannot set up %s, errno %d", path, errno);
	d->data = calloc(1, DIRTY_SIZE);
}

static void dirty_disk_fill(struct dirty_disk *d)
{
	TEST_ASSERT(pwrite(d->fd, d->data, DIRTY_SIZE, 0) == DIRTY_SIZE,
		    "writing to the loop device: errno %d", errno);
}

static void dirty_disk_close(struct dirty_disk *d)
{
	ioctl(d->fd, LOOP_CLR_FD);
	close(d->fd);
	close(d->backing);
	free(d->data);
}

static int open_kmsg(void)
{
	int fd = open("/dev/kmsg", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		gmem_skip("no /dev/kmsg");
	lseek(fd, 0, SEEK_END);
	return fd;
}

/*
 * Wait for one of two texts in the log, without sleeping: there is not much
 * time.  Return: whether it was the first.
 */
static bool wait_for_log(int kmsg, const char *first, const char *second)
{
	char record[2048];
	ssize_t n;

	for (;;) {
		n = read(kmsg, record, sizeof(record) - 1);
		if (n <= 0) {
			TEST_ASSERT(errno == EAGAIN || errno == EPIPE,
				    "reading the log: errno %d", errno);
			continue;
		}
		record[n] = '\0';
		if (strstr(record, first))
			return true;
		if (strstr(record, second))
			return false;
	}
}

static void *allocate_late(void *arg)
{
	static const char marker[] = "<6>guest_memfd test: allocated";
	struct late_allocation *late = arg;

	wait_for_log(late->kmsg, "hibernation entry", "hibernation entry");
	/* Being frozen looks like a signal. */
	while (__gmem_allocate(late->fd, 0, P))
		TEST_ASSERT(errno == EINTR, "fallocate(): errno %d", errno);
	TEST_ASSERT(write(late->kmsg, marker, strlen(marker)) > 0,
		    "writing to the log: errno %d", errno);
	late->in_time = wait_for_log(late->kmsg, "guest_memfd test: allocated",
				     "Freezing user space");
	return NULL;
}

static void test_memory_that_comes_late_is_seen(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct late_allocation late;
	int i, ret, caught = 0;
	struct dirty_disk disk;
	pthread_t thread;

	require_pm_test();
	dirty_disk_open(&disk);
	for (i = 0; i < NR_RACES && caught < NR_CAUGHT; i++) {
		dirty_disk_fill(&disk);
		late.fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
		late.kmsg = open_kmsg();
		TEST_ASSERT(!pthread_create(&thread, NULL, allocate_late,
					    &late), "no thread");
		ret = admin_write(POWER_STATE, "disk");
		pthread_join(thread, NULL);
		TEST_ASSERT(ret == -EPERM || (!ret && !late.in_time),
			    "hibernation: %d, memory came in time: %d", ret,
			    late.in_time);
		caught += late.in_time;
		close(late.kmsg);
		close(late.fd);
	}
	dirty_disk_close(&disk);
	TEST_ASSERT(caught, "memory never came between check and freezing");
	ASSERT_EQ(admin_write(POWER_STATE, "disk"), 0);
	kvm_vm_free(vm);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_private_memory_refuses_hibernation),
	GMEM_TEST(test_each_file_counts),
	GMEM_TEST(test_only_shared_files_are_no_reason),
	GMEM_TEST(test_hibernation_works_once_memory_is_gone),
	GMEM_TEST(test_memory_that_comes_late_is_seen),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
