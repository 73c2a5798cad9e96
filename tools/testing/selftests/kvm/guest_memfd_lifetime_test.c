// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files, slots, vCPUs and VMs released in every order.
 *
 * The file keeps its VM alive; a slot keeps no file alive. So a file can be
 * used after the VM's last descriptor is gone, and the last close of a file
 * frees its memory even while a slot still names it. Whatever the order, the
 * memory must come back and the kernel must stay quiet (the runner looks at
 * the log after each test).
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <signal.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <time.h>

#include "guest_memfd_admin.h"
#include "guest_memfd_util.h"

#define P		GMEM_PAGE_SIZE
#define FILE_SIZE	(16 * P)
#define BIG_SIZE	(16ULL << 20)
#define BIG_KB		(BIG_SIZE / 1024)
#define TOLERANCE_KB	2048
#define GPA		GMEM_DATA_GPA
#define SLOT		GMEM_DATA_SLOT
#define NR_CYCLES	500
#define NR_VMS		100	/* creating and destroying one is slow */

/* A VM with a vCPU and a file, all of it allocated and bound. */
struct fixture {
	struct kvm_vm *vm;
	int vcpu_fd;
	int fd;
	u64 size;
	void *hva;
};

static void bind_file(struct fixture *f, u32 slot, u64 gpa, int fd)
{
	vm_set_user_memory_region2(f->vm, slot, KVM_MEM_GUEST_MEMFD, gpa,
				   f->size, f->hva, fd, 0);
}

static void setup(struct fixture *f, u64 size)
{
	f->vm = gmem_vm_create_barebones();
	f->size = size;
	f->hva = gmem_alloc_hva(GPA, size);
	/* Not mapped, since a mapping would hold the vCPU as well. */
	f->vcpu_fd = __vm_ioctl(f->vm, KVM_CREATE_VCPU, NULL);
	TEST_ASSERT(f->vcpu_fd >= 0, "no vCPU, errno %d", errno);
	f->fd = vm_create_guest_memfd(f->vm, size, 0);
	gmem_allocate(f->fd, 0, size);
	bind_file(f, SLOT, GPA, f->fd);
	vm_mem_set_private(f->vm, GPA, size);
}

static void delete_slot(struct fixture *f)
{
	vm_set_user_memory_region2(f->vm, SLOT, 0, 0, 0, NULL, -1, 0);
}

static void close_file(struct fixture *f)
{
	TEST_ASSERT(!close(f->fd), "close(file): errno %d", errno);
	f->fd = -1;
}

static void close_vcpu(struct fixture *f)
{
	TEST_ASSERT(!close(f->vcpu_fd), "close(vCPU): errno %d", errno);
	f->vcpu_fd = -1;
}

/* Free the library's side of the VM, too. */
static void close_vm(struct fixture *f)
{
	kvm_vm_free(f->vm);
	f->vm = NULL;
}

static void teardown(struct fixture *f)
{
	if (f->fd >= 0)
		close_file(f);
	if (f->vcpu_fd >= 0)
		close_vcpu(f);
	if (f->vm)
		close_vm(f);
	gmem_free_hva(f->hva, f->size);
}

static void use_file(int fd, u64 size)
{
	gmem_punch_hole(fd, P, P);
	ASSERT_EQ(gmem_allocated(fd), size - P);
	gmem_punch_hole(fd, 0, size);
	ASSERT_EQ(gmem_allocated(fd), 0UL);
	gmem_allocate(fd, 0, size);
	ASSERT_EQ(gmem_allocated(fd), size);
}

static void test_close_frees_memory_of_a_bound_file(void)
{
	u64 before = gmem_free_kb();
	struct fixture f;

	setup(&f, BIG_SIZE);
	TEST_ASSERT(gmem_free_kb() + BIG_KB / 2 < before, "nothing allocated");
	close_file(&f);
	gmem_assert_mem_returned(before, TOLERANCE_KB);
	TEST_ASSERT(!gmem_gpa_is_free(f.vm, GPA, BIG_SIZE), "slot is gone");
	delete_slot(&f);
	TEST_ASSERT(gmem_gpa_is_free(f.vm, GPA, BIG_SIZE), "slot not deleted");
	teardown(&f);
}

static void test_delete_keeps_memory_of_the_file(void)
{
	struct fixture f;

	setup(&f, FILE_SIZE);
	delete_slot(&f);
	ASSERT_EQ(gmem_allocated(f.fd), FILE_SIZE);
	use_file(f.fd, FILE_SIZE);
	TEST_ASSERT(gmem_file_range_is_free(f.vm, f.fd, 0, FILE_SIZE),
		    "still bound");
	teardown(&f);
}

static void test_file_works_after_the_vm_is_closed(void)
{
	u64 before = gmem_free_kb();
	struct fixture f;

	setup(&f, BIG_SIZE);
	close_vcpu(&f);
	close_vm(&f);
	ASSERT_EQ(gmem_allocated(f.fd), BIG_SIZE);
	use_file(f.fd, BIG_SIZE);
	close_file(&f);
	gmem_free_hva(f.hva, BIG_SIZE);
	gmem_assert_mem_returned(before, TOLERANCE_KB);
}

static void test_unbound_file_works_after_the_vm_is_closed(void)
{
	struct fixture f;

	setup(&f, FILE_SIZE);
	delete_slot(&f);
	close_vcpu(&f);
	close_vm(&f);
	use_file(f.fd, FILE_SIZE);
	teardown(&f);
}

static void test_vcpu_keeps_the_vm(void)
{
	struct kvm_regs regs;
	struct fixture f;

	setup(&f, FILE_SIZE);
	close_vm(&f);
	use_file(f.fd, FILE_SIZE);
	TEST_ASSERT(!ioctl(f.vcpu_fd, KVM_GET_REGS, &regs),
		    "KVM_GET_REGS: errno %d", errno);
	close_file(&f);
	TEST_ASSERT(!ioctl(f.vcpu_fd, KVM_GET_REGS, &regs),
		    "KVM_GET_REGS: errno %d", errno);
	teardown(&f);
}

static void test_file_keeps_the_vm_without_vcpu(void)
{
	struct fixture f;

	setup(&f, FILE_SIZE);
	close_vm(&f);
	close_vcpu(&f);
	use_file(f.fd, FILE_SIZE);
	teardown(&f);
}

/*
 * The four ends of a VM's life in all 24 orders.
 */
enum step { DELETE_SLOT, CLOSE_FILE, CLOSE_VCPU, CLOSE_VM, NR_STEPS };

static void take_step(struct fixture *f, enum step step)
{
	switch (step) {
	case DELETE_SLOT:
		if (f->vm)
			delete_slot(f);
		break;
	case CLOSE_FILE:
		close_file(f);
		break;
	case CLOSE_VCPU:
		close_vcpu(f);
		break;
	case CLOSE_VM:
		close_vm(f);
		break;
	default:
		TEST_FAIL("no such step");
	}
	if (f->fd >= 0)
		use_file(f->fd, f->size);
}

/* The order with number @nr of the permutations of @n things. */
static void permutation(unsigned int nr, int n, int *order)
{
	int i, j, tmp;

	for (i = 0; i < n; i++)
		order[i] = i;
	for (i = n; i > 1; i--) {
		j = nr % i;
		nr /= i;
		tmp = order[i - 1];
		order[i - 1] = order[j];
		order[j] = tmp;
	}
}

static void test_release_in_every_order(void)
{
	s64 files = gmem_nr_files();
	u64 before = gmem_free_kb();
	int order[NR_STEPS], i, nr;
	struct fixture f;

	for (nr = 0; nr < 24; nr++) {
		permutation(nr, NR_STEPS, order);
		setup(&f, 256 * P);
		for (i = 0; i < NR_STEPS; i++)
			take_step(&f, order[i]);
		teardown(&f);
	}
	/* 24 MiB if each round leaked its file. */
	gmem_assert_mem_returned(before, 12 * 1024);
	gmem_assert_files_returned(files);
}

static void test_two_vms_in_every_order(void)
{
	int order[NR_STEPS], i, nr;
	struct fixture f[2];

	for (nr = 0; nr < 24; nr++) {
		permutation(nr, NR_STEPS, order);
		setup(&f[0], FILE_SIZE);
		setup(&f[1], FILE_SIZE);
		for (i = 0; i < NR_STEPS; i++) {
			struct fixture *one = &f[order[i] & 1];

			if (order[i] & 2)
				close_file(one);
			else
				close_vm(one);
			if (f[0].fd >= 0)
				use_file(f[0].fd, FILE_SIZE);
			if (f[1].fd >= 0)
				use_file(f[1].fd, FILE_SIZE);
		}
		teardown(&f[0]);
		teardown(&f[1]);
	}
}

static void test_file_refused_by_another_vm_is_released(void)
{
	struct fixture a, b;

	setup(&a, FILE_SIZE);
	setup(&b, FILE_SIZE);
	delete_slot(&a);
	delete_slot(&b);
	GMEM_ASSERT_ERRNO(__vm_set_user_memory_region2(a.vm, SLOT,
						       KVM_MEM_GUEST_MEMFD, GPA,
						       FILE_SIZE, a.hva, b.fd,
						       0),
			  EINVAL, "b's file in a");
	GMEM_ASSERT_ERRNO(__vm_set_user_memory_region2(b.vm, SLOT,
						       KVM_MEM_GUEST_MEMFD, GPA,
						       FILE_SIZE, b.hva, a.fd,
						       0),
			  EINVAL, "a's file in b");
	TEST_ASSERT(gmem_file_range_is_free(a.vm, a.fd, 0, FILE_SIZE) &&
		    gmem_file_range_is_free(b.vm, b.fd, 0, FILE_SIZE),
		    "a refused file is bound");
	teardown(&a);
	use_file(b.fd, FILE_SIZE);
	teardown(&b);
}

static void test_two_files_in_two_slots_of_one_vm(void)
{
	struct fixture f;
	int other;

	setup(&f, FILE_SIZE);
	other = vm_create_guest_memfd(f.vm, FILE_SIZE, 0);
	gmem_allocate(other, 0, FILE_SIZE);
	bind_file(&f, SLOT + 1, GPA + FILE_SIZE, other);
	close_file(&f);
	use_file(other, FILE_SIZE);
	TEST_ASSERT(!gmem_gpa_is_free(f.vm, GPA, P), "slot is gone");
	delete_slot(&f);
	TEST_ASSERT(!gmem_file_range_is_free(f.vm, other, 0, P),
		    "the other file was unbound");
	close_vm(&f);
	use_file(other, FILE_SIZE);
	close(other);
	teardown(&f);
}

static void test_bind_through_a_dup_and_close_it(void)
{
	struct fixture f;
	int fd;

	setup(&f, FILE_SIZE);
	delete_slot(&f);
	fd = dup(f.fd);
	bind_file(&f, SLOT, GPA, fd);
	close(fd);
	use_file(f.fd, FILE_SIZE);
	TEST_ASSERT(!gmem_file_range_is_free(f.vm, f.fd, 0, P),
		    "closing a dup unbound the file");
	delete_slot(&f);

	/* And the original: the dup is now the last one. */
	fd = dup(f.fd);
	bind_file(&f, SLOT, GPA, f.fd);
	close_file(&f);
	use_file(fd, FILE_SIZE);
	TEST_ASSERT(!gmem_file_range_is_free(f.vm, fd, 0, P),
		    "closing the original unbound the file");
	close(fd);
	teardown(&f);
}

static void test_slot_can_be_reused_after_its_file_is_gone(void)
{
	struct fixture f;
	int i;

	setup(&f, FILE_SIZE);
	for (i = 0; i < 100; i++) {
		close_file(&f);
		/* Occupied, with or without a file. */
		TEST_ASSERT(!gmem_gpa_is_free(f.vm, GPA, P), "slot is gone");
		delete_slot(&f);
		f.fd = vm_create_guest_memfd(f.vm, FILE_SIZE, 0);
		gmem_allocate(f.fd, 0, FILE_SIZE);
		bind_file(&f, SLOT, GPA, f.fd);
	}
	teardown(&f);
}

static void test_slot_is_deleted_and_recreated(void)
{
	struct fixture f;
	int i;

	setup(&f, FILE_SIZE);
	for (i = 0; i < NR_CYCLES; i++) {
		delete_slot(&f);
		bind_file(&f, SLOT, GPA + (i & 1) * FILE_SIZE, f.fd);
	}
	ASSERT_EQ(gmem_allocated(f.fd), FILE_SIZE);
	use_file(f.fd, FILE_SIZE);
	teardown(&f);
}

/*
 * Processes
 */

static void assert_child_passed(pid_t pid)
{
	int status;

	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid() failed");
	TEST_ASSERT(WIFEXITED(status) && !WEXITSTATUS(status),
		    "child: status 0x%x", status);
}

static void test_child_uses_the_file_after_the_parent_is_done(void)
{
	u64 before = gmem_free_kb();
	int go[2], status;
	struct fixture f;
	pid_t pid;
	char c;

	TEST_ASSERT(!pipe(go), "pipe() failed");
	setup(&f, BIG_SIZE);
	pid = fork();
	if (!pid) {
		close(go[1]);
		/* Returns 0 when the parent has closed everything. */
		TEST_ASSERT(!read(go[0], &c, 1), "read() failed");
		use_file(f.fd, BIG_SIZE);
		_exit(0);
	}
	teardown(&f);
	TEST_ASSERT(!waitpid(pid, &status, WNOHANG), "child died early");
	TEST_ASSERT(gmem_free_kb() + BIG_KB / 2 < before,
		    "memory of the child's file was freed");
	close(go[0]);
	close(go[1]);
	assert_child_passed(pid);
	gmem_assert_mem_returned(before, TOLERANCE_KB);
}

static void test_child_closes_what_the_parent_uses(void)
{
	struct fixture f;
	pid_t pid;

	setup(&f, FILE_SIZE);
	pid = fork();
	if (!pid) {
		close(f.fd);
		close(f.vcpu_fd);
		close(f.vm->fd);
		_exit(0);
	}
	assert_child_passed(pid);
	use_file(f.fd, FILE_SIZE);
	TEST_ASSERT(!gmem_file_range_is_free(f.vm, f.fd, 0, P),
		    "the child's close unbound the file");
	teardown(&f);
}

static void test_exit_with_everything_open(void)
{
	u64 before = gmem_free_kb();
	struct fixture f;
	pid_t pid;
	int i;

	for (i = 0; i < 5; i++) {
		pid = fork();
		if (!pid) {
			setup(&f, BIG_SIZE);
			_exit(0);
		}
		assert_child_passed(pid);
	}
	gmem_assert_mem_returned(before, TOLERANCE_KB);
}

/* Never returns: something is always half done when the signal comes. */
static void __noreturn work_until_killed(void)
{
	struct fixture f;

	for (;;) {
		setup(&f, 1024 * P);
		use_file(f.fd, f.size);
		delete_slot(&f);
		bind_file(&f, SLOT, GPA, f.fd);
		vm_mem_set_shared(f.vm, GPA, f.size);
		gmem_punch_hole(f.fd, 0, f.size / 2);
		close_vm(&f);
		teardown(&f);
	}
}

static void test_kill_in_the_middle(void)
{
	u64 before = gmem_free_kb();
	unsigned int seed = time(NULL);
	int i, status;
	pid_t pid;

	ksft_print_msg("seed %u\n", seed);
	for (i = 0; i < 50; i++) {
		pid = fork();
		if (!pid)
			work_until_killed();
		usleep(rand_r(&seed) % 100000);
		kill(pid, SIGKILL);
		TEST_ASSERT(waitpid(pid, &status, 0) == pid &&
			    WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
			    "round %d: child failed, status 0x%x", i, status);
	}
	/* 4 MiB for each child that leaked its file. */
	gmem_assert_mem_returned(before, TOLERANCE_KB);
}

static void test_many_vms_leave_nothing_behind(void)
{
	struct fixture f;
	s64 files;
	u64 before;
	int i;

	/* Let caches fill before taking the first figure. */
	for (i = 0; i < 10; i++) {
		setup(&f, FILE_SIZE);
		teardown(&f);
	}
	before = gmem_free_kb();
	files = gmem_nr_files();
	for (i = 0; i < NR_VMS; i++) {
		setup(&f, FILE_SIZE);
		if (i & 1)
			close_file(&f);
		teardown(&f);
	}
	/* Half of one page each; the files would be sixteen pages each. */
	gmem_assert_mem_returned(before, NR_VMS * P / 1024 / 2);
	gmem_assert_files_returned(files);
}

/*
 * An inode can be kept by what does not use the file: all memory has to go at
 * the last close, and what is left is listed without any.
 */

#define DEBUGFS_FILES	"/sys/kernel/debug/guest_memfd/files"

static int keep_by_o_path(const char *path)
{
	return open(path, O_PATH | O_CLOEXEC);
}

static int keep_by_inotify(const char *path)
{
	int fd = inotify_init1(IN_CLOEXEC);

	TEST_ASSERT(fd >= 0 && inotify_add_watch(fd, path, IN_ATTRIB) >= 0,
		    "inotify, errno %d", errno);
	return fd;
}

/* Return: false if the file is not listed. */
static bool resident_of(u64 ino, u64 *resident)
{
	char *text = admin_read(DEBUGFS_FILES), *p;
	char key[32];

	if (!text)
		gmem_skip("no " DEBUGFS_FILES);
	snprintf(key, sizeof(key), "ino=%lu ", ino);
	p = strstr(text, key);
	p = p ? strstr(p, " resident=") : NULL;
	if (p)
		*resident = strtoull(p + strlen(" resident="), NULL, 10);
	free(text);
	return p;
}

static void check_kept(int (*keep)(const char *path), bool bound)
{
	s64 before = gmem_nr_files();
	u64 resident = 0, free_kb, file;
	struct gmem_state state;
	struct fixture f;
	char path[64];
	int kept;

	setup(&f, BIG_SIZE);
	if (!bound)
		delete_slot(&f);
	gmem_punch_hole(f.fd, 0, BIG_SIZE);
	free_kb = gmem_free_kb();
	gmem_allocate(f.fd, 0, BIG_SIZE);
	file = gmem_group_stat("file");
	TEST_ASSERT(file >= BIG_SIZE, "0x%lx bytes charged", file);
	gmem_state_get(f.fd, &state);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f.fd);
	kept = keep(path);
	TEST_ASSERT(kept >= 0, "errno %d", errno);
	TEST_ASSERT(resident_of(state.ino, &resident) && resident == BIG_SIZE,
		    "resident 0x%lx", resident);

	close_file(&f);
	TEST_ASSERT(resident_of(state.ino, &resident), "nothing keeps it");
	TEST_ASSERT(!resident, "0x%lx bytes are left", resident);
	gmem_assert_mem_returned(free_kb, TOLERANCE_KB);
	close(kept);
	teardown(&f);
	gmem_assert_files_returned(before);
}

static void test_memory_goes_although_the_inode_is_kept(void)
{
	check_kept(keep_by_o_path, true);
	check_kept(keep_by_o_path, false);
	check_kept(keep_by_inotify, true);
	check_kept(keep_by_inotify, false);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_close_frees_memory_of_a_bound_file),
	GMEM_TEST(test_delete_keeps_memory_of_the_file),
	GMEM_TEST(test_file_works_after_the_vm_is_closed),
	GMEM_TEST(test_unbound_file_works_after_the_vm_is_closed),
	GMEM_TEST(test_vcpu_keeps_the_vm),
	GMEM_TEST(test_file_keeps_the_vm_without_vcpu),
	GMEM_TEST(test_release_in_every_order),
	GMEM_TEST(test_two_vms_in_every_order),
	GMEM_TEST(test_file_refused_by_another_vm_is_released),
	GMEM_TEST(test_two_files_in_two_slots_of_one_vm),
	GMEM_TEST(test_bind_through_a_dup_and_close_it),
	GMEM_TEST(test_slot_can_be_reused_after_its_file_is_gone),
	GMEM_TEST(test_slot_is_deleted_and_recreated),
	GMEM_TEST(test_child_uses_the_file_after_the_parent_is_done),
	GMEM_TEST(test_child_closes_what_the_parent_uses),
	GMEM_TEST(test_exit_with_everything_open),
	GMEM_TEST(test_kill_in_the_middle),
	GMEM_TEST(test_memory_goes_although_the_inode_is_kept),
	GMEM_TEST(test_many_vms_leave_nothing_behind),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
