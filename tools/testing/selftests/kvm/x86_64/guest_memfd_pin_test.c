// SPDX-License-Identifier: GPL-2.0
/*
 * Nothing but its owner takes a page out of a guest_memfd.
 *
 * The pages are in the page cache, clean or without mappings as far as the
 * rest of the kernel can tell, and yet they are the guest's memory and the
 * only copy of it.  Fill them from the guest, let the kernel do everything it
 * knows to get at page cache, and look at them from the guest again.
 */
#define _GNU_SOURCE /* for sync_file_range(2), readahead(2) */
#include <fcntl.h>

#include "guest_memfd_admin.h"
#include "guest_memfd_guest.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_undo.h"
#include "processor.h"

/* Some of it in huge pages where there are any, some not. */
#define DATA_SIZE	(2 * GMEM_HUGE_SIZE + GMEM_PAGES(13))

/* Tags of patterns. */
enum { PRIVATE = 1, OTHER };

static void require_write(const char *path, const char *text)
{
	int r;

	if (access(path, W_OK))
		gmem_skip("no %s", path);
	r = admin_write(path, text);
	TEST_ASSERT(!r, "writing %s to %s: %d", text, path, r);
}

/*
 * Fill, act, compare; then look at it after all mappings have been zapped,
 * too, since only a new fault asks the file for its pages.
 */
static void check_contents_survive(const char *thp, void (*act)(int fd))
{
	struct guest_fixture f;

	host_set_thp(thp);
	guest_start_private(&f, DATA_SIZE);
	guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);

	act(f.slot.fd);
	guest_check(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	ASSERT_EQ(gmem_allocated(f.slot.fd), DATA_SIZE);

	gmem_slot_delete(&f.slot);
	act(f.slot.fd);
	gmem_slot_bind(&f.slot);
	guest_check(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	guest_end(&f);
}

static void check_contents_survive_both(void (*act)(int fd))
{
	check_contents_survive("never", act);
	check_contents_survive("always", act);
}

static void empty_caches(int fd)
{
	require_write("/proc/sys/vm/drop_caches", "3");
	require_write("/proc/sys/vm/drop_caches", "3");
}

static void test_contents_survive_drop_caches(void)
{
	check_contents_survive_both(empty_caches);
}

static void compact(int fd)
{
	require_write("/proc/sys/vm/compact_memory", "1");
}

static void test_contents_survive_compaction(void)
{
	check_contents_survive_both(compact);
}

/* Whether these calls succeed or not is not the point. */
static void advise(int fd)
{
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(fd, 0, DATA_SIZE, POSIX_FADV_DONTNEED);
	posix_fadvise(fd, GMEM_PAGES(1), GMEM_PAGES(2), POSIX_FADV_DONTNEED);
	readahead(fd, 0, DATA_SIZE);
}

static void test_contents_survive_fadvise(void)
{
	check_contents_survive_both(advise);
}

static void sync_file(int fd)
{
	sync_file_range(fd, 0, DATA_SIZE, SYNC_FILE_RANGE_WAIT_BEFORE |
			SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
	fsync(fd);
	fdatasync(fd);
	syncfs(fd);
	advise(fd);
}

static void test_contents_survive_sync(void)
{
	check_contents_survive_both(sync_file);
}

static void split_all_folios(int fd)
{
	require_write("/sys/kernel/debug/split_huge_pages", "1");
}

static void test_contents_survive_split_of_all_huge_pages(void)
{
	check_contents_survive_both(split_all_folios);
}

/* Neither truncation nor a change of the size gets around the rules. */
static void truncate_file(int fd)
{
	struct gmem_state before;

	gmem_state_get(fd, &before);
	GMEM_ASSERT_ERRNO(ftruncate(fd, 0), EINVAL, "to 0");
	GMEM_ASSERT_ERRNO(ftruncate(fd, GMEM_PAGE_SIZE), EINVAL, "to 4 KiB");
	GMEM_ASSERT_ERRNO(ftruncate(fd, 2 * DATA_SIZE), EINVAL, "to more");
	gmem_state_assert_same(fd, &before, "ftruncate()");
}

static void test_contents_survive_truncation(void)
{
	check_contents_survive_both(truncate_file);
}

#define RECLAIM_ALL	GMEM_CGROUP_ROOT "/memory.reclaim"
#define PRESS_CACHE	BIT(20)

/* Pages that reclaim has got out of all cgroups. */
static u64 nr_reclaimed(void)
{
	u64 nr = 0;
	char line[128];
	FILE *f;

	f = fopen(GMEM_CGROUP_ROOT "/memory.stat", "r");
	TEST_ASSERT(f, "cannot open the root's memory.stat, errno %d", errno);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "pgsteal %lu", &nr) == 1)
			break;
	fclose(f);
	return nr;
}

/*
 * Have the whole machine's memory scanned, for more than there is: of what can
 * go, as the page cache of a disk, nothing is left then.
 */
static void press(int fd)
{
	int disk = open("/dev/ram0", O_RDONLY), i;
	char buf[GMEM_PAGE_SIZE];
	u64 before;

	if (disk < 0)
		gmem_skip("no /dev/ram0, errno %d", errno);
	if (access(RECLAIM_ALL, W_OK))
		gmem_skip("no " RECLAIM_ALL);
	TEST_ASSERT(!posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED), "ram0");
	for (i = 0; i < PRESS_CACHE / GMEM_PAGE_SIZE; i++)
		TEST_ASSERT(read(disk, buf, sizeof(buf)) > 0,
			    "/dev/ram0: errno %d", errno);
	before = nr_reclaimed();
	/* It cannot get that much. */
	ASSERT_EQ(admin_write(RECLAIM_ALL, "1T"), -EAGAIN);
	TEST_ASSERT(nr_reclaimed() >= before + PRESS_CACHE / GMEM_PAGE_SIZE,
		    "%lu pages were reclaimed", nr_reclaimed() - before);
	close(disk);
}

static void test_contents_survive_memory_pressure(void)
{
	check_contents_survive_both(press);
}

/*
 * A memory cgroup of our own, which is charged for the pages of one file and
 * nothing else, to reclaim from it.  The VM is outside, the memory of its file
 * inside of the cgroup.
 */
static void start_in_cgroup(struct guest_fixture *f, struct gmem_cgroup *cg,
			    u64 size)
{
	gmem_cgroup_create(cg);
	guest_start_private(f, size);
	gmem_cgroup_enter(cg);
	gmem_allocate(f->slot.fd, 0, size);
	gmem_cgroup_leave(cg);
	guest_fill(f->vcpu, GMEM_DATA_GPA, size, PRIVATE);
}

static void test_contents_survive_reclaim_of_the_cgroup(void)
{
	static struct gmem_cgroup cg;
	struct guest_fixture f;
	char path[128];

	start_in_cgroup(&f, &cg, DATA_SIZE);
	snprintf(path, sizeof(path), "%s/memory.reclaim", cg.path);
	if (access(path, W_OK))
		gmem_skip("no memory.reclaim");

	/* It has nothing to give: EAGAIN. */
	ASSERT_EQ(gmem_cgroup_write(&cg, "memory.reclaim", "16M"), -EAGAIN);
	guest_check(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	ASSERT_EQ(gmem_allocated(f.slot.fd), DATA_SIZE);
	guest_end(&f);
}

static void test_memory_is_charged_to_the_cgroup_that_allocates(void)
{
	u64 size = GMEM_PAGES(32), pfns[32], nr;
	static struct gmem_cgroup cg;
	struct guest_fixture f;

	host_set_thp("never");
	start_in_cgroup(&f, &cg, size);
	nr = gmem_cgroup_find_pfns(&cg, pfns, ARRAY_SIZE(pfns));
	TEST_ASSERT(nr == 32, "%lu pages are charged", nr);

	/* And to no group once they are gone. */
	gmem_punch_hole(f.slot.fd, 0, size);
	nr = gmem_cgroup_find_pfns(&cg, pfns, ARRAY_SIZE(pfns));
	TEST_ASSERT(!nr, "%lu pages are still charged", nr);
	guest_end(&f);
}

static void test_contents_survive_soft_offline(void)
{
	u64 size = GMEM_PAGES(8), pfns[8], nr, i;
	static struct gmem_cgroup cg;
	struct guest_fixture f;
	int ret;

	host_set_thp("never");
	start_in_cgroup(&f, &cg, size);
	nr = gmem_cgroup_find_pfns(&cg, pfns, ARRAY_SIZE(pfns));
	TEST_ASSERT(nr == 8, "found %lu pages", nr);

	for (i = 0; i < nr; i++) {
		ret = soft_offline_pfn(pfns[i]);
		if (ret == -ENOENT)
			gmem_skip("no soft_offline_page");
		/* Not a page that can be moved, or not now. */
		TEST_ASSERT(ret == -EIO || ret == -EBUSY,
			    "soft offline of pfn 0x%lx: %d", pfns[i], ret);
		guest_check(f.vcpu, GMEM_DATA_GPA, size, PRIVATE);
	}
	guest_fill(f.vcpu, GMEM_DATA_GPA, size, OTHER);
	guest_check(f.vcpu, GMEM_DATA_GPA, size, OTHER);
	ASSERT_EQ(gmem_allocated(f.slot.fd), size);
	guest_end(&f);
}

/*
 * The owner does, and gets everything back
 */

#define BIG_SIZE	(32ULL << 20)
/* What may vanish for other reasons. */
#define NOISE_KB	2048

static void check_memory_returns(const char *thp, bool punch)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	u64 before, during;
	int fd;

	host_set_thp(thp);
	fd = vm_create_guest_memfd(vm, BIG_SIZE, 0);
	before = gmem_free_kb();
	gmem_allocate(fd, 0, BIG_SIZE);
	during = gmem_free_kb();
	TEST_ASSERT(during + BIG_SIZE / 1024 < before + NOISE_KB,
		    "%lu kB free before, %lu kB with the file", before,
		    during);

	if (punch)
		gmem_punch_hole(fd, 0, BIG_SIZE);
	else
		close(fd);
	gmem_assert_mem_returned(before, NOISE_KB);

	if (punch)
		close(fd);
	kvm_vm_free(vm);
}

static void test_memory_returns_after_close(void)
{
	check_memory_returns("never", false);
	check_memory_returns("always", false);
}

static void test_memory_returns_after_hole(void)
{
	check_memory_returns("never", true);
	check_memory_returns("always", true);
}

/* Mapped by a guest this time, and the VM goes first. */
static void test_memory_returns_after_guest(void)
{
	struct guest_fixture f;
	u64 before;
	int i;

	guest_start_private(&f, DATA_SIZE);
	guest_end(&f);

	before = gmem_free_kb();
	for (i = 0; i < 8; i++) {
		guest_start_private(&f, DATA_SIZE);
		guest_fill(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
		guest_end(&f);
	}
	/* Eight times 4 MiB would be missed. */
	gmem_assert_mem_returned(before, NOISE_KB);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_contents_survive_drop_caches),
	GMEM_TEST(test_contents_survive_compaction),
	GMEM_TEST(test_contents_survive_fadvise),
	GMEM_TEST(test_contents_survive_sync),
	GMEM_TEST(test_contents_survive_split_of_all_huge_pages),
	GMEM_TEST(test_contents_survive_truncation),
	GMEM_TEST(test_contents_survive_memory_pressure),
	GMEM_TEST(test_contents_survive_reclaim_of_the_cgroup),
	GMEM_TEST(test_memory_is_charged_to_the_cgroup_that_allocates),
	GMEM_TEST(test_contents_survive_soft_offline),
	GMEM_TEST(test_memory_returns_after_close),
	GMEM_TEST(test_memory_returns_after_hole),
	GMEM_TEST(test_memory_returns_after_guest),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
