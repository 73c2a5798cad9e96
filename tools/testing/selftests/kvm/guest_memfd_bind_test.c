// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binding a guest_memfd to memslots: what KVM_SET_USER_MEMORY_REGION2 accepts,
 * what it refuses, and that a refusal leaves no trace.
 *
 * "No trace" has three parts: the gpa range is as free or as occupied as it
 * was, so is the range of the file, and fstat() says the same. Both ranges are
 * probed with a slot that is added and deleted again.
 */
#define _GNU_SOURCE /* for O_PATH */
#include "guest_memfd_util.h"

#define P		GMEM_PAGE_SIZE
#define NR_PAGES	16
#define FILE_SIZE	(NR_PAGES * P)
#define GPA		GMEM_DATA_GPA
#define SLOT		GMEM_DATA_SLOT
#define INT64_ALIGNED	(BIT_ULL(63) - P)

static void *hva;

/* A VM with a file of FILE_SIZE, of which nothing is bound. */
struct fixture {
	struct kvm_vm *vm;
	int fd;
	struct gmem_state state;
};

static void setup(struct fixture *f)
{
	f->vm = gmem_vm_create_barebones();
	f->fd = vm_create_guest_memfd(f->vm, FILE_SIZE, 0);
	gmem_allocate(f->fd, P, P);
	gmem_state_get(f->fd, &f->state);
	hva = gmem_alloc_hva(GPA, FILE_SIZE);
}

static void assert_nothing_bound(struct fixture *f)
{
	TEST_ASSERT(gmem_gpa_is_free(f->vm, GPA, FILE_SIZE),
		    "a slot was left behind");
	TEST_ASSERT(gmem_file_range_is_free(f->vm, f->fd, 0, FILE_SIZE),
		    "a binding was left behind");
	gmem_state_assert_same(f->fd, &f->state, "a refused bind");
}

static void teardown(struct fixture *f)
{
	close(f->fd);
	kvm_vm_free(f->vm);
	gmem_free_hva(hva, FILE_SIZE);
}

static int try_bind(struct fixture *f, u32 slot, u64 gpa, u64 size, u64 offset)
{
	return __vm_set_user_memory_region2(f->vm, slot, KVM_MEM_GUEST_MEMFD,
					    gpa, size, hva, f->fd, offset);
}

static void do_bind(struct fixture *f, u32 slot, u64 gpa, u64 size, u64 offset)
{
	int ret = try_bind(f, slot, gpa, size, offset);

	TEST_ASSERT(!ret, "bind 0x%lx+0x%lx: errno %d", offset, size, errno);
}

static void delete_slot(struct fixture *f, u32 slot)
{
	vm_set_user_memory_region2(f->vm, slot, 0, 0, 0, NULL, -1, 0);
}

/* Exactly pages [first, first + nr) of the file are bound. */
static void assert_bound_pages(struct fixture *f, u64 first, u64 nr)
{
	bool bound;
	u64 i;

	for (i = 0; i < NR_PAGES; i++) {
		bound = i >= first && i < first + nr;
		TEST_ASSERT(gmem_file_range_is_free(f->vm, f->fd, i * P, P) ==
			    !bound, "page %lu should be %s", i,
			    bound ? "bound" : "free");
	}
}

static void assert_bound_gfns(struct fixture *f, u64 first, u64 nr)
{
	bool bound;
	u64 i;

	for (i = 0; i < NR_PAGES; i++) {
		bound = i >= first && i < first + nr;
		TEST_ASSERT(gmem_gpa_is_free(f->vm, GPA + i * P, P) == !bound,
			    "gfn %lu should be %s", i,
			    bound ? "occupied" : "free");
	}
}

/*
 * Flags and ioctl versions
 */

static void test_region1_refuses_flags_of_region2(void)
{
	struct fixture f;
	u32 flag;
	int bit;

	setup(&f);
	for (bit = 0; bit < 32; bit++) {
		flag = BIT(bit);
		if (flag == KVM_MEM_LOG_DIRTY_PAGES || flag == KVM_MEM_READONLY)
			continue;
		GMEM_ASSERT_ERRNO(__vm_set_user_memory_region(f.vm, SLOT, flag,
							      GPA, P, hva),
				  EINVAL, "flag 0x%x", flag);
		TEST_ASSERT(gmem_gpa_is_free(f.vm, GPA, P), "slot left behind");
	}
	assert_nothing_bound(&f);
	teardown(&f);
}

static void test_region2_refuses_unknown_flags(void)
{
	struct fixture f;
	u32 flag;
	int bit;

	setup(&f);
	for (bit = 3; bit < 32; bit++) {
		flag = BIT(bit);
		GMEM_ASSERT_ERRNO(__vm_set_user_memory_region2(f.vm, SLOT, flag,
							       GPA, P, hva, -1,
							       0),
				  EINVAL, "flag 0x%x", flag);
		flag |= KVM_MEM_GUEST_MEMFD;
		GMEM_ASSERT_ERRNO(__vm_set_user_memory_region2(f.vm, SLOT, flag,
							       GPA, P, hva,
							       f.fd, 0),
				  EINVAL, "flag 0x%x", flag);
		assert_nothing_bound(&f);
	}
	teardown(&f);
}

static void test_flags_that_exclude_each_other_give_einval(void)
{
	static const u32 others[] = {
		KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY,
		KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY,
	};
	struct fixture f;
	int i;

	setup(&f);
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		u32 flags = KVM_MEM_GUEST_MEMFD | others[i];

		GMEM_ASSERT_ERRNO(__vm_set_user_memory_region2(f.vm, SLOT,
							       flags, GPA, P,
							       hva, f.fd, 0),
				  EINVAL, "flags 0x%x", flags);
		assert_nothing_bound(&f);
	}
	teardown(&f);
}

/* Slots without the flag work through both ioctls and ignore the new fields. */
static void test_region2_does_what_region1_does(void)
{
	static const u32 flags[] = {
		0, KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY,
		KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY,
	};
	struct fixture f;
	int i;

	setup(&f);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		vm_set_user_memory_region2(f.vm, SLOT, flags[i], GPA, P, hva,
					   -1, 123);
		assert_bound_gfns(&f, 0, 1);
		vm_set_user_memory_region(f.vm, SLOT, 0, 0, 0, NULL);
		assert_nothing_bound(&f);
		vm_set_user_memory_region(f.vm, SLOT, flags[i], GPA, P, hva);
		assert_bound_gfns(&f, 0, 1);
		delete_slot(&f, SLOT);
		assert_nothing_bound(&f);
	}
	teardown(&f);
}

static void test_region1_deletes_a_bound_slot(void)
{
	struct fixture f;

	setup(&f);
	do_bind(&f, SLOT, GPA, FILE_SIZE, 0);
	vm_set_user_memory_region(f.vm, SLOT, 0, 0, 0, NULL);
	assert_nothing_bound(&f);
	teardown(&f);
}

static void test_bad_pointer_gives_efault(void)
{
	struct fixture f;

	setup(&f);
	GMEM_ASSERT_ERRNO(ioctl(f.vm->fd, KVM_SET_USER_MEMORY_REGION2, NULL),
			  EFAULT, "NULL");
	GMEM_ASSERT_ERRNO(ioctl(f.vm->fd, KVM_SET_USER_MEMORY_REGION2, -P),
			  EFAULT, "kernel address");
	assert_nothing_bound(&f);
	teardown(&f);
}

/*
 * File descriptors
 */

static void assert_fd_refused(struct fixture *f, int fd, int err)
{
	GMEM_ASSERT_ERRNO(__vm_set_user_memory_region2(f->vm, SLOT,
						       KVM_MEM_GUEST_MEMFD, GPA,
						       P, hva, fd, 0),
			  err, "fd %d", fd);
	assert_nothing_bound(f);
}

static void test_fds_that_are_no_guest_memfd_give_einval(void)
{
	int pipefd[2], memfd;
	struct kvm_vcpu *vcpu;
	struct fixture f;

	setup(&f);
	vcpu = __vm_vcpu_add(f.vm, 0);
	memfd = kvm_memfd_alloc(FILE_SIZE, false);
	TEST_ASSERT(!pipe(pipefd), "pipe() failed");
	assert_fd_refused(&f, f.vm->kvm_fd, EINVAL);
	assert_fd_refused(&f, f.vm->fd, EINVAL);
	assert_fd_refused(&f, vcpu->fd, EINVAL);
	assert_fd_refused(&f, memfd, EINVAL);
	assert_fd_refused(&f, pipefd[0], EINVAL);
	assert_fd_refused(&f, STDIN_FILENO, EINVAL);
	close(memfd);
	close(pipefd[0]);
	close(pipefd[1]);
	teardown(&f);
}

static void test_bad_fds_give_ebadf(void)
{
	struct fixture f;
	int closed, path;
	char name[64];

	setup(&f);
	closed = dup(f.fd);
	close(closed);
	assert_fd_refused(&f, closed, EBADF);
	assert_fd_refused(&f, -1, EBADF);
	assert_fd_refused(&f, INT_MAX, EBADF);
	assert_fd_refused(&f, INT_MIN, EBADF);

	/* An O_PATH descriptor of the right file is none either. */
	sprintf(name, "/proc/self/fd/%d", f.fd);
	path = open(name, O_PATH);
	TEST_ASSERT(path >= 0, "O_PATH open: errno %d", errno);
	assert_fd_refused(&f, path, EBADF);
	close(path);
	teardown(&f);
}

static void test_file_of_another_vm_gives_einval(void)
{
	struct fixture f, g;

	setup(&g);
	gmem_free_hva(hva, FILE_SIZE);
	setup(&f);
	assert_fd_refused(&f, g.fd, EINVAL);
	gmem_state_assert_same(g.fd, &g.state, "a refused bind");
	TEST_ASSERT(gmem_file_range_is_free(g.vm, g.fd, 0, FILE_SIZE),
		    "bound in the file's own VM");

	/* Nor if that file is bound where it belongs. */
	do_bind(&g, SLOT, GPA, FILE_SIZE, 0);
	assert_fd_refused(&f, g.fd, EINVAL);
	assert_bound_pages(&g, 0, NR_PAGES);
	close(g.fd);
	kvm_vm_free(g.vm);
	teardown(&f);
}

static void test_dup_of_the_fd_binds_the_same_file(void)
{
	struct fixture f;
	int fd;

	setup(&f);
	fd = dup(f.fd);
	vm_set_user_memory_region2(f.vm, SLOT, KVM_MEM_GUEST_MEMFD, GPA, P, hva,
				   fd, 0);
	close(fd);
	assert_bound_pages(&f, 0, 1);
	delete_slot(&f, SLOT);
	assert_nothing_bound(&f);
	teardown(&f);
}

/*
 * Offsets and sizes
 */

static void test_bad_offsets_give_einval(void)
{
	static const struct {
		u64 offset, size;
	} cases[] = {
		/* The end is beyond the file's. */
		{ FILE_SIZE, P },
		{ FILE_SIZE + P, P },
		{ P, FILE_SIZE },
		{ FILE_SIZE - P, 2 * P },
		{ 0, FILE_SIZE + P },
		{ BIT_ULL(32), P },
		/* It does not fit a signed integer, or wraps. */
		{ INT64_ALIGNED, P },
		{ INT64_ALIGNED, 2 * P },
		{ INT64_ALIGNED - P, P },
		{ INT64_ALIGNED - P, 2 * P },
		{ BIT_ULL(63), P },
		{ BIT_ULL(63), FILE_SIZE },
		{ -P, P },
		{ -P, 2 * P },
		{ -FILE_SIZE, FILE_SIZE },
		{ -2 * P, FILE_SIZE },
	};
	struct fixture f;
	int i;

	setup(&f);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		GMEM_ASSERT_ERRNO(try_bind(&f, SLOT, GPA, cases[i].size,
					   cases[i].offset), EINVAL,
				  "0x%lx+0x%lx", cases[i].offset,
				  cases[i].size);
		assert_nothing_bound(&f);
	}
	teardown(&f);
}

static void test_unaligned_offsets_give_einval(void)
{
	struct fixture f;
	u64 offset;

	setup(&f);
	for (offset = 1; offset < P; offset++)
		GMEM_ASSERT_ERRNO(try_bind(&f, SLOT, GPA, P, offset), EINVAL,
				  "offset 0x%lx", offset);
	GMEM_ASSERT_ERRNO(try_bind(&f, SLOT, GPA, P, FILE_SIZE - 1), EINVAL,
			  "offset at the last byte");
	assert_nothing_bound(&f);
	teardown(&f);
}

static void test_unaligned_gpa_size_or_hva_give_einval(void)
{
	static const u64 vals[] = { 1, 8, 512, P - 1, P + 1 };
	struct fixture f;
	void *saved;
	int i;

	setup(&f);
	saved = hva;
	for (i = 0; i < ARRAY_SIZE(vals); i++) {
		GMEM_ASSERT_ERRNO(try_bind(&f, SLOT, GPA + vals[i], P, 0),
				  EINVAL, "gpa + 0x%lx", vals[i]);
		GMEM_ASSERT_ERRNO(try_bind(&f, SLOT, GPA, P + vals[i], 0),
				  EINVAL, "size + 0x%lx", vals[i]);
		hva = saved + vals[i];
		GMEM_ASSERT_ERRNO(try_bind(&f, SLOT, GPA, P, 0), EINVAL,
				  "hva + 0x%lx", vals[i]);
		hva = saved;
		assert_nothing_bound(&f);
	}
	teardown(&f);
}

static void test_bad_slot_or_gpa_gives_einval(void)
{
	struct fixture f;
	u32 nr_slots;

	setup(&f);
	nr_slots = vm_check_cap(f.vm, KVM_CAP_NR_MEMSLOTS);
	GMEM_ASSERT_ERRNO(try_bind(&f, nr_slots, GPA, P, 0), EINVAL,
			  "slot %u", nr_slots);
	GMEM_ASSERT_ERRNO(try_bind(&f, 0xffff, GPA, P, 0), EINVAL,
			  "slot 0xffff");
	GMEM_ASSERT_ERRNO(try_bind(&f, BIT(16) | SLOT, GPA, P, 0), EINVAL,
			  "slot in address space 1");
	GMEM_ASSERT_ERRNO(try_bind(&f, SLOT, -P, 2 * P, 0), EINVAL,
			  "gpa wraps");
	GMEM_ASSERT_ERRNO(try_bind(&f, SLOT, GPA, 0, 0), EINVAL,
			  "delete what is not there");
	assert_nothing_bound(&f);

	do_bind(&f, nr_slots - 1, GPA, FILE_SIZE, 0);
	assert_bound_pages(&f, 0, NR_PAGES);
	delete_slot(&f, nr_slots - 1);
	assert_nothing_bound(&f);
	teardown(&f);
}

static void test_every_part_of_the_file_can_be_bound(void)
{
	struct fixture f;
	u64 first, nr;

	setup(&f);
	for (first = 0; first < NR_PAGES; first++) {
		for (nr = 1; nr <= NR_PAGES - first; nr += 5) {
			do_bind(&f, SLOT, GPA, nr * P, first * P);
			assert_bound_pages(&f, first, nr);
			assert_bound_gfns(&f, 0, nr);
			delete_slot(&f, SLOT);
		}
	}
	assert_nothing_bound(&f);
	teardown(&f);
}

static void test_ends_of_a_huge_file_can_be_bound(void)
{
	static const u64 offsets[] = {
		0, BIT_ULL(32) - P, BIT_ULL(44) - P, BIT_ULL(44),
		GMEM_MAX_FILE_SIZE - 2 * P, GMEM_MAX_FILE_SIZE - P,
	};
	struct fixture f;
	int i;

	setup(&f);
	close(f.fd);
	f.fd = vm_create_guest_memfd(f.vm, GMEM_MAX_FILE_SIZE, 0);
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		do_bind(&f, SLOT + i, GPA + i * P, P, offsets[i]);
		TEST_ASSERT(!gmem_file_range_is_free(f.vm, f.fd, offsets[i], P),
			    "offset 0x%lx is not bound", offsets[i]);
	}
	GMEM_ASSERT_ERRNO(try_bind(&f, SLOT - 1, GPA + i * P, P,
				   GMEM_MAX_FILE_SIZE), EINVAL,
			  "behind the end");
	assert_bound_gfns(&f, 0, i);
	TEST_ASSERT(gmem_file_range_is_free(f.vm, f.fd, P, FILE_SIZE),
		    "an unbound range is occupied");
	teardown(&f);
}

/*
 * Overlap
 */

static void test_overlap_within_the_file_gives_eexist(void)
{
	struct fixture f;
	u64 first, nr;

	setup(&f);
	do_bind(&f, SLOT, GPA, 4 * P, 6 * P);
	/* All ranges that share a page with [6, 10), at another gpa. */
	for (first = 0; first < 10; first++) {
		for (nr = 1; nr <= NR_PAGES - first; nr++) {
			if (first + nr <= 6)
				continue;
			GMEM_ASSERT_ERRNO(try_bind(&f, SLOT + 1, GPA + 8 * P,
						   nr * P, first * P),
					  EEXIST, "pages %lu + %lu", first, nr);
		}
	}
	assert_bound_pages(&f, 6, 4);
	assert_bound_gfns(&f, 0, 4);

	/* The neighbours touch it and are fine. */
	do_bind(&f, SLOT + 1, GPA + 8 * P, 6 * P, 0);
	do_bind(&f, SLOT + 2, GPA + 14 * P, 2 * P, 10 * P);
	delete_slot(&f, SLOT);
	assert_bound_gfns(&f, 8, 8);
	TEST_ASSERT(gmem_file_range_is_free(f.vm, f.fd, 6 * P, 4 * P),
		    "deleting the slot left the binding");
	teardown(&f);
}

static void test_overlap_of_gpas_gives_eexist(void)
{
	struct fixture f;
	u64 first, nr;

	setup(&f);
	do_bind(&f, SLOT, GPA + 6 * P, 4 * P, 0);
	for (first = 0; first < 10; first++) {
		for (nr = 1; nr <= 12 - first; nr++) {
			if (first + nr <= 6)
				continue;
			GMEM_ASSERT_ERRNO(try_bind(&f, SLOT + 1,
						   GPA + first * P, nr * P,
						   4 * P),
					  EEXIST, "gfns %lu + %lu", first, nr);
		}
	}
	assert_bound_pages(&f, 0, 4);
	assert_bound_gfns(&f, 6, 4);
	teardown(&f);
}

static void test_gpa_overlap_with_an_ordinary_slot_gives_eexist(void)
{
	struct fixture f;

	setup(&f);
	vm_set_user_memory_region(f.vm, SLOT, 0, GPA + P, P, hva);
	GMEM_ASSERT_ERRNO(try_bind(&f, SLOT + 1, GPA, 4 * P, 0), EEXIST,
			  "over an ordinary slot");
	assert_bound_pages(&f, 0, 0);
	assert_bound_gfns(&f, 1, 1);
	teardown(&f);
}

static void test_halves_swap_places(void)
{
	const u64 half = FILE_SIZE / 2;
	struct fixture f;

	setup(&f);
	do_bind(&f, SLOT, GPA, half, half);
	do_bind(&f, SLOT + 1, GPA + half, half, 0);
	assert_bound_pages(&f, 0, NR_PAGES);
	assert_bound_gfns(&f, 0, NR_PAGES);
	delete_slot(&f, SLOT);
	assert_bound_pages(&f, 0, NR_PAGES / 2);
	assert_bound_gfns(&f, NR_PAGES / 2, NR_PAGES / 2);
	delete_slot(&f, SLOT + 1);
	do_bind(&f, SLOT, GPA, half, 0);
	do_bind(&f, SLOT + 1, GPA + half, half, half);
	assert_bound_pages(&f, 0, NR_PAGES);
	delete_slot(&f, SLOT);
	delete_slot(&f, SLOT + 1);
	assert_nothing_bound(&f);
	teardown(&f);
}

/* A slot for every page, in an order unlike the file's. */
static void test_many_bindings_in_one_file(void)
{
	struct fixture f;
	u64 i, page;

	setup(&f);
	for (i = 0; i < NR_PAGES; i++) {
		page = i * 7 % NR_PAGES;
		do_bind(&f, SLOT + page, GPA + i * P, P, page * P);
	}
	assert_bound_pages(&f, 0, NR_PAGES);
	for (i = 0; i < NR_PAGES; i++) {
		delete_slot(&f, SLOT + i);
		assert_bound_pages(&f, i + 1, NR_PAGES - i - 1);
	}
	assert_nothing_bound(&f);
	teardown(&f);
}

static void test_two_files_do_not_overlap(void)
{
	struct fixture f;
	int other;

	setup(&f);
	other = vm_create_guest_memfd(f.vm, FILE_SIZE, 0);
	do_bind(&f, SLOT, GPA, 4 * P, 0);
	vm_set_user_memory_region2(f.vm, SLOT + 1, KVM_MEM_GUEST_MEMFD,
				   GPA + 4 * P, 4 * P, hva, other, 0);
	TEST_ASSERT(!gmem_file_range_is_free(f.vm, other, 0, P), "not bound");
	delete_slot(&f, SLOT);
	TEST_ASSERT(!gmem_file_range_is_free(f.vm, other, 0, P),
		    "deleting a slot unbound another file");
	assert_bound_pages(&f, 0, 0);
	close(other);
	teardown(&f);
}

/*
 * Changing a slot
 */

static void assert_change_refused(struct fixture *f, u32 flags, u64 gpa,
				  u64 size, void *addr, u64 offset)
{
	GMEM_ASSERT_ERRNO(__vm_set_user_memory_region2(f->vm, SLOT, flags, gpa,
						       size, addr, f->fd,
						       offset),
			  EINVAL, "flags 0x%x gpa 0x%lx size 0x%lx offset 0x%lx",
			  flags, gpa, size, offset);
	assert_bound_pages(f, 4, 4);
	assert_bound_gfns(f, 0, 4);
	gmem_state_assert_same(f->fd, &f->state, "a refused change");
}

static void test_bound_slot_cannot_be_changed(void)
{
	const u32 gmem = KVM_MEM_GUEST_MEMFD;
	struct fixture f;

	setup(&f);
	do_bind(&f, SLOT, GPA, 4 * P, 4 * P);
	assert_change_refused(&f, gmem, GPA, 4 * P, hva, 4 * P);
	assert_change_refused(&f, gmem, GPA, 4 * P, hva, 8 * P);
	assert_change_refused(&f, gmem, GPA, 4 * P, hva, 0);
	assert_change_refused(&f, gmem, GPA + 8 * P, 4 * P, hva, 4 * P);
	assert_change_refused(&f, gmem, GPA + P, 4 * P, hva, 4 * P);
	assert_change_refused(&f, gmem, GPA, 8 * P, hva, 4 * P);
	assert_change_refused(&f, gmem, GPA, 2 * P, hva, 4 * P);
	assert_change_refused(&f, gmem, GPA, 4 * P, hva + P, 4 * P);
	assert_change_refused(&f, gmem | KVM_MEM_LOG_DIRTY_PAGES, GPA, 4 * P,
			      hva, 4 * P);
	assert_change_refused(&f, gmem | KVM_MEM_READONLY, GPA, 4 * P, hva,
			      4 * P);
	delete_slot(&f, SLOT);
	assert_nothing_bound(&f);
	teardown(&f);
}

/* Once a use after free: the old slot was freed and stayed bound. */
static void test_flag_cannot_be_cleared(void)
{
	struct fixture f;
	int ret;

	setup(&f);
	do_bind(&f, SLOT, GPA, 4 * P, 4 * P);
	assert_change_refused(&f, 0, GPA, 4 * P, hva, 4 * P);
	assert_change_refused(&f, KVM_MEM_LOG_DIRTY_PAGES, GPA, 4 * P, hva,
			      4 * P);
	assert_change_refused(&f, KVM_MEM_READONLY, GPA, 4 * P, hva, 4 * P);
	assert_change_refused(&f, 0, GPA + 8 * P, 4 * P, hva, 4 * P);

	/* Nor through the old ioctl. */
	ret = __vm_set_user_memory_region(f.vm, SLOT, 0, GPA, 4 * P, hva);
	TEST_ASSERT(ret == -1 && errno == EINVAL, "region1: %d, errno %d", ret,
		    errno);
	ret = __vm_set_user_memory_region(f.vm, SLOT, 0, GPA + 8 * P, 4 * P,
					  hva);
	TEST_ASSERT(ret == -1 && errno == EINVAL, "region1: %d, errno %d", ret,
		    errno);
	assert_bound_pages(&f, 4, 4);
	assert_bound_gfns(&f, 0, 4);
	teardown(&f);
}

static void test_flag_cannot_be_set_later(void)
{
	struct fixture f;

	setup(&f);
	vm_set_user_memory_region2(f.vm, SLOT, 0, GPA, 4 * P, hva, -1, 0);
	GMEM_ASSERT_ERRNO(try_bind(&f, SLOT, GPA, 4 * P, 0), EINVAL,
			  "same gpa");
	GMEM_ASSERT_ERRNO(try_bind(&f, SLOT, GPA + 8 * P, 4 * P, 0), EINVAL,
			  "moved");
	assert_bound_pages(&f, 0, 0);
	assert_bound_gfns(&f, 0, 4);

	/* An ordinary slot still changes as it always did. */
	vm_set_user_memory_region2(f.vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA,
				   4 * P, hva, -1, 0);
	vm_set_user_memory_region2(f.vm, SLOT, 0, GPA + 8 * P, 4 * P, hva, -1,
				   0);
	assert_bound_gfns(&f, 8, 4);
	teardown(&f);
}

static void test_delete_ignores_everything_but_the_slot(void)
{
	struct fixture f;

	setup(&f);
	do_bind(&f, SLOT, GPA, FILE_SIZE, 0);
	vm_set_user_memory_region2(f.vm, SLOT, 0, 0, 0, NULL, -1, 0);
	assert_nothing_bound(&f);
	do_bind(&f, SLOT, GPA, FILE_SIZE, 0);
	vm_set_user_memory_region2(f.vm, SLOT, KVM_MEM_GUEST_MEMFD, GPA, 0, hva,
				   -1, 0);
	assert_nothing_bound(&f);
	do_bind(&f, SLOT, GPA, FILE_SIZE, 0);
	vm_set_user_memory_region2(f.vm, SLOT, KVM_MEM_GUEST_MEMFD, GPA, 0, hva,
				   f.vm->fd, FILE_SIZE);
	assert_nothing_bound(&f);
	teardown(&f);
}

static void test_allocation_and_binding_are_independent(void)
{
	struct fixture f;

	setup(&f);
	do_bind(&f, SLOT, GPA, FILE_SIZE, 0);
	gmem_state_assert_same(f.fd, &f.state, "binding");
	gmem_punch_hole(f.fd, 0, FILE_SIZE);
	assert_bound_pages(&f, 0, NR_PAGES);
	gmem_allocate(f.fd, 0, FILE_SIZE);
	delete_slot(&f, SLOT);
	ASSERT_EQ(gmem_allocated(f.fd), FILE_SIZE);
	teardown(&f);
}

/* What the VM's capability says is what its ioctls do. */
static void test_default_vm_follows_its_capability(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int cap = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD);
	struct gmem_state state;
	int fd;

	hva = gmem_alloc_hva(GPA, P);
	fd = __vm_create_guest_memfd(vm, P, 0);
	ksft_print_msg("default VM: KVM_CAP_GUEST_MEMFD %d, fd %d\n", cap, fd);
	if (cap) {
		TEST_ASSERT(fd >= 0, "no file, errno %d", errno);
		vm_set_user_memory_region2(vm, SLOT, KVM_MEM_GUEST_MEMFD, GPA,
					   P, hva, fd, 0);
		TEST_ASSERT(!gmem_gpa_is_free(vm, GPA, P), "no slot");
	} else if (fd < 0) {
		TEST_ASSERT(errno == EINVAL || errno == ENOTTY, "errno %d",
			    errno);
	} else {
		gmem_state_get(fd, &state);
		GMEM_ASSERT_ERRNO(__vm_set_user_memory_region2(vm, SLOT,
							       KVM_MEM_GUEST_MEMFD,
							       GPA, P, hva, fd,
							       0),
				  EINVAL, "default VM");
		TEST_ASSERT(gmem_gpa_is_free(vm, GPA, P), "slot left behind");
		gmem_state_assert_same(fd, &state, "a refused bind");
	}
	kvm_vm_free(vm);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_region1_refuses_flags_of_region2),
	GMEM_TEST(test_region2_refuses_unknown_flags),
	GMEM_TEST(test_flags_that_exclude_each_other_give_einval),
	GMEM_TEST(test_region2_does_what_region1_does),
	GMEM_TEST(test_region1_deletes_a_bound_slot),
	GMEM_TEST(test_bad_pointer_gives_efault),
	GMEM_TEST(test_fds_that_are_no_guest_memfd_give_einval),
	GMEM_TEST(test_bad_fds_give_ebadf),
	GMEM_TEST(test_file_of_another_vm_gives_einval),
	GMEM_TEST(test_dup_of_the_fd_binds_the_same_file),
	GMEM_TEST(test_bad_offsets_give_einval),
	GMEM_TEST(test_unaligned_offsets_give_einval),
	GMEM_TEST(test_unaligned_gpa_size_or_hva_give_einval),
	GMEM_TEST(test_bad_slot_or_gpa_gives_einval),
	GMEM_TEST(test_every_part_of_the_file_can_be_bound),
	GMEM_TEST(test_ends_of_a_huge_file_can_be_bound),
	GMEM_TEST(test_overlap_within_the_file_gives_eexist),
	GMEM_TEST(test_overlap_of_gpas_gives_eexist),
	GMEM_TEST(test_gpa_overlap_with_an_ordinary_slot_gives_eexist),
	GMEM_TEST(test_halves_swap_places),
	GMEM_TEST(test_many_bindings_in_one_file),
	GMEM_TEST(test_two_files_do_not_overlap),
	GMEM_TEST(test_bound_slot_cannot_be_changed),
	GMEM_TEST(test_flag_cannot_be_cleared),
	GMEM_TEST(test_flag_cannot_be_set_later),
	GMEM_TEST(test_delete_ignores_everything_but_the_slot),
	GMEM_TEST(test_allocation_and_binding_are_independent),
	GMEM_TEST(test_default_vm_follows_its_capability),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
