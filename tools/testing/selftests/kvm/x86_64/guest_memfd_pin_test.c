// SPDX-License-Identifier: GPL-2.0
/*
 * Nothing but its owner takes a page out of a guest_memfd.
 *
 * The pages are in the page cache, clean or mapped by nobody as far as the
 * rest of the kernel can tell, and yet they are the guest's memory and the
 * only copy of it.  Fill them from the guest, let the kernel do everything it
 * knows to get at page cache, and look at them from the guest again.
 */
#define _GNU_SOURCE /* for sync_file_range(2), readahead(2), unshare(2) */
#include <sched.h>
#include <sys/mount.h>
#include <linux/kernel-page-flags.h>

#include "guest_memfd_guest.h"
#include "processor.h"

/* Some of it in huge pages where there are any, some not. */
#define DATA_SIZE	(2 * GMEM_HUGE_SIZE + GMEM_PAGES(13))

/* Tags of patterns. */
enum { PRIVATE = 1, OTHER };

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok;

	if (fd < 0)
		return false;

	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

static void require_write(const char *path, const char *text)
{
	if (access(path, W_OK))
		gmem_skip("no %s", path);
	TEST_ASSERT(write_file(path, text), "writing %s to %s: errno %d", text,
		    path, errno);
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

/* How often kswapd has started to reclaim. */
static u64 nr_reclaims(void)
{
	char line[128];
	u64 val, sum = 0;
	FILE *f;

	f = fopen("/proc/vmstat", "r");
	TEST_ASSERT(f, "cannot open /proc/vmstat, errno %d", errno);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "pageoutrun %lu", &val) == 1)
			sum += val;
	fclose(f);
	return sum;
}

#define MIN_FREE	"/proc/sys/vm/min_free_kbytes"
#define PRESS_SIZE	(16 << 20)
#define PRESS_WAIT_MS	500

/*
 * Let kswapd want more free memory than there is: it takes what it can get.
 * Allocations still succeed, the reserve is smaller than what is free. Having
 * got nothing out of the first rounds, kswapd may give up.
 */
static void press(int fd)
{
	long saved = gmem_proc_number(MIN_FREE);
	u64 before = nr_reclaims();
	char text[32];
	char *mem;
	int i;

	mem = mmap(NULL, PRESS_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(mem != MAP_FAILED, "mmap() failed, errno %d", errno);
	snprintf(text, sizeof(text), "%lu",
		 gmem_meminfo_kb("MemFree") / 10 * 9);
	require_write(MIN_FREE, text);
	for (i = 0; i < PRESS_SIZE; i += GMEM_PAGE_SIZE)
		mem[i] = 1;
	for (i = 0; i < PRESS_WAIT_MS && nr_reclaims() == before; i += 10)
		usleep(10000);
	/* It has started; one round through everything is quick. */
	usleep(PRESS_WAIT_MS * 1000 / 5);
	munmap(mem, PRESS_SIZE);
	snprintf(text, sizeof(text), "%ld", saved);
	require_write(MIN_FREE, text);
}

static void test_contents_survive_memory_pressure(void)
{
	u64 before = nr_reclaims();

	check_contents_survive_both(press);
	TEST_ASSERT(nr_reclaims() > before, "nothing was reclaimed");
}

/*
 * A memory cgroup of our own, which is charged for the pages of one file and
 * nothing else: to reclaim from it, and to find the pages.
 */

struct cgroup {
	char root[64];
	char path[96];
	u64 ino;
};

static bool cgroup_write(const struct cgroup *cg, const char *file,
			 const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", cg->path, file);
	return write_file(path, text);
}

static void cgroup_leave(const struct cgroup *cg)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cg->root);
	write_file(path, "0");
}

/* The one that atexit() has to remove, however the test ends. */
static struct cgroup *to_remove;

static void cgroup_remove(void)
{
	cgroup_leave(to_remove);
	rmdir(to_remove->path);
	umount2(to_remove->root, MNT_DETACH);
	rmdir(to_remove->root);
}

static void cgroup_mount(struct cgroup *cg)
{
	strcpy(cg->root, "/tmp/guest_memfd_cgroup_XXXXXX");
	TEST_ASSERT(mkdtemp(cg->root), "mkdtemp() failed, errno %d", errno);
	snprintf(cg->path, sizeof(cg->path), "%s/gmem_%d", cg->root, getpid());
	to_remove = cg;
	atexit(cgroup_remove);

	TEST_ASSERT(!unshare(CLONE_NEWNS) &&
		    !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL),
		    "no private mount namespace, errno %d", errno);
	if (mount("none", cg->root, "cgroup2", 0, NULL))
		gmem_skip("no cgroup2");
}

static void cgroup_create(struct cgroup *cg)
{
	char path[128];
	struct stat st;

	cgroup_mount(cg);
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", cg->root);
	if (!write_file(path, "+memory"))
		gmem_skip("cgroup2 has no memory controller");

	TEST_ASSERT(!mkdir(cg->path, 0700) && !stat(cg->path, &st),
		    "cannot create a cgroup, errno %d", errno);
	cg->ino = st.st_ino;
}

static void cgroup_enter(const struct cgroup *cg)
{
	TEST_ASSERT(cgroup_write(cg, "cgroup.procs", "0"),
		    "cannot enter the cgroup, errno %d", errno);
}

/* A VM outside, the memory of its file inside of the cgroup. */
static void start_in_cgroup(struct guest_fixture *f, struct cgroup *cg,
			    u64 size)
{
	cgroup_create(cg);
	guest_start_private(f, size);
	cgroup_enter(cg);
	gmem_allocate(f->slot.fd, 0, size);
	cgroup_leave(cg);
	guest_fill(f->vcpu, GMEM_DATA_GPA, size, PRIVATE);
}

static void test_contents_survive_reclaim_of_the_cgroup(void)
{
	static struct cgroup cg;
	struct guest_fixture f;
	char path[128];

	start_in_cgroup(&f, &cg, DATA_SIZE);
	snprintf(path, sizeof(path), "%s/memory.reclaim", cg.path);
	if (access(path, W_OK))
		gmem_skip("no memory.reclaim");

	/* It has nothing to give: EAGAIN. */
	TEST_ASSERT(!cgroup_write(&cg, "memory.reclaim", "16M") &&
		    errno == EAGAIN, "reclaim: errno %d", errno);
	guest_check(f.vcpu, GMEM_DATA_GPA, DATA_SIZE, PRIVATE);
	ASSERT_EQ(gmem_allocated(f.slot.fd), DATA_SIZE);
	guest_end(&f);
}

static u64 read_pfn_entry(int fd, u64 pfn)
{
	u64 value = 0;

	if (pread(fd, &value, sizeof(value), pfn * sizeof(value)) < 0)
		return 0;
	return value;
}

/* Page cache by its flags: everything that the kernel itself allocated is not. */
static bool is_file_page(u64 flags)
{
	u64 other = BIT_ULL(KPF_SLAB) | BIT_ULL(KPF_ANON) | BIT_ULL(KPF_MMAP) |
		    BIT_ULL(KPF_BUDDY) | BIT_ULL(KPF_PGTABLE);

	return (flags & BIT_ULL(KPF_UPTODATE)) && !(flags & other);
}

/* Return: how many page frames of the cgroup there are; the first @max. */
static u64 cgroup_find_pfns(const struct cgroup *cg, u64 *pfns, u64 max)
{
	int groups = open("/proc/kpagecgroup", O_RDONLY);
	int flags = open("/proc/kpageflags", O_RDONLY);
	u64 buf[512], pfn = 0, nr = 0;
	ssize_t len, i;

	if (groups < 0 || flags < 0)
		gmem_skip("no /proc/kpagecgroup or /proc/kpageflags");

	while ((len = read(groups, buf, sizeof(buf))) > 0) {
		for (i = 0; i < len / (ssize_t)sizeof(u64); i++, pfn++) {
			if (buf[i] != cg->ino ||
			    !is_file_page(read_pfn_entry(flags, pfn)))
				continue;
			if (nr++ < max)
				pfns[nr - 1] = pfn;
		}
	}
	close(groups);
	close(flags);
	return nr;
}

static void test_memory_is_charged_to_the_cgroup_that_allocates(void)
{
	u64 size = GMEM_PAGES(32), pfns[32], nr;
	static struct cgroup cg;
	struct guest_fixture f;

	host_set_thp("never");
	start_in_cgroup(&f, &cg, size);
	nr = cgroup_find_pfns(&cg, pfns, ARRAY_SIZE(pfns));
	TEST_ASSERT(nr == 32, "%lu pages are charged", nr);

	/* And to nobody once they are gone. */
	gmem_punch_hole(f.slot.fd, 0, size);
	nr = cgroup_find_pfns(&cg, pfns, ARRAY_SIZE(pfns));
	TEST_ASSERT(!nr, "%lu pages are still charged", nr);
	guest_end(&f);
}

#define SOFT_OFFLINE	"/sys/devices/system/memory/soft_offline_page"

static void test_contents_survive_soft_offline(void)
{
	u64 size = GMEM_PAGES(8), pfns[8], nr, i;
	static struct cgroup cg;
	struct guest_fixture f;
	char text[32];

	if (access(SOFT_OFFLINE, W_OK))
		gmem_skip("no " SOFT_OFFLINE);

	host_set_thp("never");
	start_in_cgroup(&f, &cg, size);
	nr = cgroup_find_pfns(&cg, pfns, ARRAY_SIZE(pfns));
	TEST_ASSERT(nr == 8, "found %lu pages", nr);

	for (i = 0; i < nr; i++) {
		snprintf(text, sizeof(text), "0x%llx",
			 pfns[i] * GMEM_PAGE_SIZE);
		TEST_ASSERT(!write_file(SOFT_OFFLINE, text),
			    "pfn 0x%lx was taken offline", pfns[i]);
		/* Not a page that can be moved, or not now. */
		TEST_ASSERT(errno == EIO || errno == EBUSY,
			    "soft offline of pfn 0x%lx: errno %d", pfns[i],
			    errno);
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
