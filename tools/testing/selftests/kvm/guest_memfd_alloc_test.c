// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of a guest_memfd: fallocate() in all its modes, and whether pages
 * come, stay and go as fstat() and the host's free memory say.
 *
 * Only fallocate() and the guest may allocate a page, and only a
 * hole and the end of the file may free one: not the page cache's reclaim, not
 * fadvise(), not compaction.
 */
#define _GNU_SOURCE /* for fallocate(2), readahead(2) and sync_file_range(2) */
#include <linux/falloc.h>

#include "guest_memfd_util.h"

#define P		GMEM_PAGE_SIZE
#define NR_PAGES	GMEM_FILE_PAGES
#define FILE_SIZE	GMEM_FILE_SIZE
#define MAX_FILE_SIZE	GMEM_MAX_FILE_SIZE
#define BIG_SIZE	(32ULL << 20)
#define NR_CYCLES	1000

#define FALLOC_ALLOCATE	FALLOC_FL_KEEP_SIZE
#define FALLOC_PUNCH	(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)

/*
 * fallocate()
 */

static void assert_bad_mode(struct gmem_file *f, int mode, int err)
{
	GMEM_ASSERT_ERRNO(fallocate(f->fd, mode, P, P), err, "mode 0x%x", mode);
	gmem_file_assert_unchanged(f, "fallocate with a bad mode");
}

/* What a memfd gets: the VFS may check these by itself. */
static int errno_of_mode_on_memfd(int mode)
{
	int fd = kvm_memfd_alloc(P, false);
	int ret, err;

	ret = fallocate(fd, mode, 0, P);
	err = errno;
	close(fd);
	TEST_ASSERT(ret == -1 && (err == EINVAL || err == EOPNOTSUPP),
		    "mode 0x%x on a memfd: %d, errno %d", mode, ret, err);
	return err;
}

static void test_fallocate_other_modes_give_eopnotsupp(void)
{
	struct gmem_file f;
	int bit, mode;

	gmem_file_setup(&f);
	assert_bad_mode(&f, 0, EOPNOTSUPP);
	for (bit = 0; bit < 32; bit++) {
		mode = BIT(bit);
		if (mode == FALLOC_FL_KEEP_SIZE)
			continue;
		assert_bad_mode(&f, mode, EOPNOTSUPP);
		if (mode == FALLOC_FL_PUNCH_HOLE)
			continue;
		mode |= FALLOC_FL_KEEP_SIZE;
		assert_bad_mode(&f, mode, errno_of_mode_on_memfd(mode));
	}
	assert_bad_mode(&f, FALLOC_PUNCH | FALLOC_FL_ZERO_RANGE, EOPNOTSUPP);
	gmem_file_teardown(&f);
}

static void test_fallocate_unaligned_gives_einval(void)
{
	static const u64 vals[] = { 0, 1, 512, P - 1, P, P + 1, 2 * P - 1 };
	static const int modes[] = { FALLOC_ALLOCATE, FALLOC_PUNCH };
	struct gmem_file f;
	int i, j, m;

	gmem_file_setup(&f);
	for (m = 0; m < 2; m++) {
		for (i = 0; i < ARRAY_SIZE(vals); i++) {
			for (j = 0; j < ARRAY_SIZE(vals); j++) {
				u64 off = vals[i], len = vals[j];

				if (len && !((off | len) & (P - 1)))
					continue;
				GMEM_ASSERT_ERRNO(fallocate(f.fd, modes[m], off,
							    len),
						  EINVAL, "mode %d, 0x%lx+0x%lx",
						  modes[m], off, len);
				gmem_file_assert_unchanged(&f, "unaligned fallocate");
			}
		}
	}
	gmem_file_teardown(&f);
}

static void test_allocate_beyond_the_end_gives_einval(void)
{
	static const struct {
		u64 off, len;
	} cases[] = {
		{ FILE_SIZE, P },
		{ FILE_SIZE + P, P },
		{ FILE_SIZE - P, 2 * P },
		{ 0, FILE_SIZE + P },
		{ 0, MAX_FILE_SIZE },
		{ P, MAX_FILE_SIZE - P },
		{ MAX_FILE_SIZE - P, P },
		{ BIT_ULL(40), BIT_ULL(40) },
	};
	struct gmem_file f;
	int i;

	gmem_file_setup(&f);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		GMEM_ASSERT_ERRNO(__gmem_allocate(f.fd, cases[i].off,
						  cases[i].len), EINVAL,
				  "0x%lx+0x%lx", cases[i].off, cases[i].len);
		gmem_file_assert_unchanged(&f, "allocation beyond the end");
	}
	gmem_file_teardown(&f);
}

static void test_fallocate_overflow_gives_an_error(void)
{
	static const struct {
		u64 off, len;
		int err;
	} cases[] = {
		{ MAX_FILE_SIZE, P, EFBIG },
		{ MAX_FILE_SIZE, MAX_FILE_SIZE, EFBIG },
		{ P, MAX_FILE_SIZE, EFBIG },
		{ 0, BIT_ULL(63), EINVAL },
		{ BIT_ULL(63), P, EINVAL },
		{ -P, P, EINVAL },
		{ P, -P, EINVAL },
		{ 0, 0, EINVAL },
	};
	static const int modes[] = { FALLOC_ALLOCATE, FALLOC_PUNCH };
	struct gmem_file f;
	int i, m;

	gmem_file_setup(&f);
	for (m = 0; m < 2; m++) {
		for (i = 0; i < ARRAY_SIZE(cases); i++) {
			GMEM_ASSERT_ERRNO(fallocate(f.fd, modes[m],
						    cases[i].off, cases[i].len),
					  cases[i].err, "mode %d, 0x%lx+0x%lx",
					  modes[m], cases[i].off, cases[i].len);
			gmem_file_assert_unchanged(&f, "overflowing fallocate");
		}
	}
	gmem_file_teardown(&f);
}

static void test_punch_beyond_the_end_succeeds(void)
{
	struct gmem_file f;

	gmem_file_setup(&f);
	gmem_punch_hole(f.fd, FILE_SIZE, P);
	gmem_punch_hole(f.fd, FILE_SIZE + P, FILE_SIZE);
	gmem_punch_hole(f.fd, MAX_FILE_SIZE - P, P);
	gmem_punch_hole(f.fd, 3 * P, MAX_FILE_SIZE - 3 * P);
	gmem_file_assert_unchanged(&f, "a hole beyond the end");

	/* Across the end it does punch what there is. */
	gmem_allocate(f.fd, FILE_SIZE - P, P);
	ASSERT_EQ(gmem_allocated(f.fd), 3 * P);
	gmem_punch_hole(f.fd, FILE_SIZE - P, 2 * P);
	gmem_file_assert_unchanged(&f, "a hole across the end");
	gmem_punch_hole(f.fd, 0, MAX_FILE_SIZE);
	ASSERT_EQ(gmem_allocated(f.fd), 0ULL);
	gmem_allocate(f.fd, P, 2 * P);
	gmem_file_teardown(&f);
}

static void test_st_blocks_counts_pages(void)
{
	struct gmem_file f;
	u64 i;

	gmem_file_setup(&f);
	gmem_punch_hole(f.fd, 0, FILE_SIZE);
	for (i = 0; i < NR_PAGES; i++) {
		ASSERT_EQ(gmem_allocated(f.fd), i * P);
		gmem_allocate(f.fd, i * P, P);
		ASSERT_EQ(gmem_allocated(f.fd), (i + 1) * P);
		gmem_allocate(f.fd, 0, (i + 1) * P);
		ASSERT_EQ(gmem_allocated(f.fd), (i + 1) * P);
	}
	for (i = NR_PAGES; i--; ) {
		gmem_punch_hole(f.fd, i * P, P);
		ASSERT_EQ(gmem_allocated(f.fd), i * P);
		gmem_punch_hole(f.fd, i * P, P);
		ASSERT_EQ(gmem_allocated(f.fd), i * P);
	}
	gmem_allocate(f.fd, P, 2 * P);
	gmem_file_assert_unchanged(&f, "allocating and punching");
	gmem_file_teardown(&f);
}

/* Holes of all positions and lengths, against a model of the pages. */
static void test_holes_match_a_model(void)
{
	u64 start, len, left;
	struct gmem_file f;

	gmem_file_setup(&f);
	for (start = 0; start < NR_PAGES; start++) {
		for (len = 1; len <= NR_PAGES - start; len++) {
			left = NR_PAGES - len;
			gmem_allocate(f.fd, 0, FILE_SIZE);
			gmem_punch_hole(f.fd, start * P, len * P);
			ASSERT_EQ(gmem_allocated(f.fd), left * P);
			gmem_punch_hole(f.fd, start * P, len * P);
			ASSERT_EQ(gmem_allocated(f.fd), left * P);
		}
	}
	gmem_punch_hole(f.fd, 0, FILE_SIZE);
	gmem_allocate(f.fd, P, 2 * P);
	gmem_file_teardown(&f);
}

static void test_pages_at_the_end_of_a_huge_file(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, MAX_FILE_SIZE, 0);

	gmem_allocate(fd, MAX_FILE_SIZE - P, P);
	gmem_allocate(fd, BIT_ULL(44) - P, 2 * P);
	gmem_allocate(fd, 0, P);
	ASSERT_EQ(gmem_allocated(fd), 4 * P);
	gmem_punch_hole(fd, P, MAX_FILE_SIZE - P);
	ASSERT_EQ(gmem_allocated(fd), P);
	close(fd);
	kvm_vm_free(vm);
}

/*
 * Memory
 */

static void test_pages_stay_when_caches_are_dropped(void)
{
	struct gmem_file f;

	gmem_file_setup(&f);
	/* What these return is not of interest, only what they do. */
	posix_fadvise(f.fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(f.fd, P, P, POSIX_FADV_DONTNEED);
	gmem_file_assert_unchanged(&f, "POSIX_FADV_DONTNEED");
	posix_fadvise(f.fd, 0, FILE_SIZE, POSIX_FADV_WILLNEED);
	readahead(f.fd, 0, FILE_SIZE);
	gmem_file_assert_unchanged(&f, "readahead");
	fsync(f.fd);
	fdatasync(f.fd);
	sync_file_range(f.fd, 0, FILE_SIZE, SYNC_FILE_RANGE_WRITE);
	syncfs(f.fd);
	sync();
	gmem_file_assert_unchanged(&f, "syncing");
	gmem_proc_write("/proc/sys/vm/drop_caches", "3");
	gmem_file_assert_unchanged(&f, "drop_caches");
	gmem_file_teardown(&f);
}

static void test_pages_stay_when_memory_is_compacted(void)
{
	struct gmem_state before;
	struct kvm_vm *vm;
	u64 i;
	int fd;

	vm = gmem_vm_create_barebones();
	fd = vm_create_guest_memfd(vm, BIG_SIZE, 0);
	gmem_allocate(fd, 0, BIG_SIZE);
	/* Every second page, so that there is something to compact. */
	for (i = 0; i < BIG_SIZE; i += 2 * P)
		gmem_punch_hole(fd, i, P);
	gmem_state_get(fd, &before);
	ASSERT_EQ(before.blocks * 512, BIG_SIZE / 2);
	gmem_proc_write("/proc/sys/vm/compact_memory", "1");
	gmem_state_assert_same(fd, &before, "compaction");
	gmem_punch_hole(fd, 0, BIG_SIZE);
	ASSERT_EQ(gmem_allocated(fd), 0ULL);
	close(fd);
	kvm_vm_free(vm);
}

/* fallocate() really takes memory; holes and close() really give it back. */
static void test_memory_is_taken_and_returned(void)
{
	const u64 kb = BIG_SIZE / 1024, tolerance = kb / 8;
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, BIG_SIZE, 0);
	u64 before = gmem_free_kb(), now;

	gmem_allocate(fd, 0, BIG_SIZE);
	now = gmem_free_kb();
	TEST_ASSERT(now + kb - tolerance <= before,
		    "%lu kB free before, %lu kB with %lu kB allocated",
		    before, now, kb);
	gmem_punch_hole(fd, 0, BIG_SIZE / 2);
	gmem_assert_mem_returned(before - kb / 2, tolerance);
	gmem_punch_hole(fd, 0, BIG_SIZE);
	gmem_assert_mem_returned(before, tolerance);

	gmem_allocate(fd, 0, BIG_SIZE);
	now = gmem_free_kb();
	TEST_ASSERT(now + kb - tolerance <= before,
		    "%lu kB free before, %lu kB allocated again", before,
		    now);
	close(fd);
	gmem_assert_mem_returned(before, tolerance);
	kvm_vm_free(vm);
}

static void test_memory_counts_as_cached(void)
{
	const u64 kb = BIG_SIZE / 1024, tolerance = kb / 8;
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, BIG_SIZE, 0);
	u64 before, during, after;

	/* What else is in the group's page cache goes first. */
	gmem_free_kb();
	before = gmem_group_stat("file") / 1024;
	gmem_allocate(fd, 0, BIG_SIZE);
	during = gmem_group_stat("file") / 1024;
	gmem_punch_hole(fd, 0, BIG_SIZE);
	after = gmem_group_stat("file") / 1024;
	TEST_ASSERT(during >= before + kb - tolerance &&
		    after <= before + tolerance,
		    "Cached %lu kB, %lu kB, %lu kB; file of %lu kB", before,
		    during, after, kb);
	close(fd);
	kvm_vm_free(vm);
}

static void test_many_files_leave_nothing_behind(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	s64 files = gmem_nr_files();
	u64 before;
	int i, fd;

	before = gmem_free_kb();
	for (i = 0; i < NR_CYCLES; i++) {
		fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
		gmem_allocate(fd, (i % NR_PAGES) * P, P);
		close(fd);
	}
	gmem_assert_mem_returned(before, NR_CYCLES * P / 1024 / 2);
	gmem_assert_files_returned(files);
	kvm_vm_free(vm);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_fallocate_other_modes_give_eopnotsupp),
	GMEM_TEST(test_fallocate_unaligned_gives_einval),
	GMEM_TEST(test_allocate_beyond_the_end_gives_einval),
	GMEM_TEST(test_fallocate_overflow_gives_an_error),
	GMEM_TEST(test_punch_beyond_the_end_succeeds),
	GMEM_TEST(test_st_blocks_counts_pages),
	GMEM_TEST(test_holes_match_a_model),
	GMEM_TEST(test_pages_at_the_end_of_a_huge_file),
	GMEM_TEST(test_pages_stay_when_caches_are_dropped),
	GMEM_TEST(test_pages_stay_when_memory_is_compacted),
	GMEM_TEST(test_memory_is_taken_and_returned),
	GMEM_TEST(test_memory_counts_as_cached),
	GMEM_TEST(test_many_files_leave_nothing_behind),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
