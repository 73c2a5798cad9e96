// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers for tests of guest_memfd and of per-VM memory attributes.
 *
 * See guest_memfd_util.h for the vocabulary and for what each function does.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <fnmatch.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "guest_memfd_undo.h"
#include "guest_memfd_util.h"
#include "processor.h"

#define GMEM_SKIP_REASON_LEN	256

/* Shared with the process that runs the test. */
static char *gmem_skip_reason;

void gmem_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (gmem_skip_reason)
		vsnprintf(gmem_skip_reason, GMEM_SKIP_REASON_LEN, fmt, ap);
	va_end(ap);
	exit(KSFT_SKIP);
}

static void gmem_run_child(const struct gmem_test *test)
{
	const char *timeout = getenv("GMEM_TIMEOUT");

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	gmem_undo_begin_test();
	alarm(timeout ? atoi(timeout) : GMEM_TEST_TIMEOUT);
	test->fn();
	exit(KSFT_PASS);
}

/*
 * Read what the kernel logged since the last call; true if it complained. An
 * unreadable log (a container) is quiet.
 */
static bool gmem_kernel_complained(int kmsg)
{
	static const char * const signs[] = {
		"WARNING:", "BUG:", "Oops", "UBSAN:", "general protection",
		"INFO: task ", "detected stall", "Bad page",
	};
	bool complained = false;
	char record[8192];
	ssize_t n;
	int i;

	for (;;) {
		n = read(kmsg, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)	/* overwritten, go on */
			continue;
		if (n <= 0)
			return complained;
		record[n] = '\0';
		/* The base has data races, and a report comes when it comes. */
		if (strstr(record, "BUG: KCSAN:"))
			continue;
		for (i = 0; i < ARRAY_SIZE(signs); i++)
			complained |= !!strstr(record, signs[i]);
	}
}

static void gmem_report(const struct gmem_test *test, int status, int kmsg)
{
	if (gmem_kernel_complained(kmsg)) {
		ksft_print_msg("%s: see the kernel log\n", test->name);
		ksft_test_result_fail("%s\n", test->name);
	} else if (WIFSIGNALED(status)) {
		ksft_print_msg("%s: killed by signal %d%s\n", test->name,
			       WTERMSIG(status),
			       WTERMSIG(status) == SIGALRM ? " (hung)" : "");
		ksft_test_result_fail("%s\n", test->name);
	} else if (WEXITSTATUS(status) == KSFT_SKIP && *gmem_skip_reason) {
		ksft_test_result_skip("%s: %s\n", test->name, gmem_skip_reason);
	} else {
		/* A skip without a reason is a failure, too. */
		ksft_test_result(WEXITSTATUS(status) == KSFT_PASS, "%s\n",
				 test->name);
	}
	fflush(stdout);
}

static void gmem_run_test(const struct gmem_test *test, int kmsg)
{
	int status;
	pid_t pid;

	*gmem_skip_reason = '\0';
	fflush(stdout);
	pid = fork();
	TEST_ASSERT(pid >= 0, __KVM_SYSCALL_ERROR("fork()", pid));
	if (!pid)
		gmem_run_child(test);

	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid() failed");
	/* A signal gave it no time for that. */
	gmem_undo_all();
	gmem_report(test, status, kmsg);
}

static bool gmem_is_wanted(const struct gmem_test *test)
{
	const char *pattern = getenv("GMEM_TESTS");

	return !pattern || !fnmatch(pattern, test->name, 0);
}

int gmem_run_tests(const struct gmem_test *tests, unsigned int nr)
{
	unsigned int i, nr_wanted = 0;
	int kmsg;

	for (i = 0; i < nr; i++)
		nr_wanted += gmem_is_wanted(&tests[i]);
	setlinebuf(stdout);
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	lseek(kmsg, 0, SEEK_END);
	gmem_skip_reason = mmap(NULL, GMEM_SKIP_REASON_LEN,
				PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(gmem_skip_reason != MAP_FAILED, "mmap() failed");

	ksft_print_header();
	ksft_set_plan(nr_wanted);
	gmem_undo_start();
	for (i = 0; i < nr; i++) {
		if (gmem_is_wanted(&tests[i]))
			gmem_run_test(&tests[i], kmsg);
	}
	gmem_undo_stop();

	ksft_print_cnts();
	if (!nr_wanted ||
	    ksft_get_pass_cnt() + ksft_get_xskip_cnt() != nr_wanted)
		return KSFT_FAIL;
	return ksft_get_pass_cnt() ? KSFT_PASS : KSFT_SKIP;
}

void gmem_require_vm_type(unsigned long type)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & (1UL << type),
		       "KVM_CAP_VM_TYPES lacks type %lu", type);
}

int gmem_check_cap(int fd, long cap)
{
	return ioctl(fd, KVM_CHECK_EXTENSION, cap);
}

struct kvm_vm *gmem_vm_create_barebones(void)
{
	return vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
}

int __vm_create_guest_memfd(struct kvm_vm *vm, u64 size, u64 flags)
{
	struct kvm_create_guest_memfd args = {
		.size = size,
		.flags = flags,
	};

	return __vm_ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);
}

int vm_create_guest_memfd(struct kvm_vm *vm, u64 size, u64 flags)
{
	int fd = __vm_create_guest_memfd(vm, size, flags);

	TEST_ASSERT(fd >= 0, KVM_IOCTL_ERROR(KVM_CREATE_GUEST_MEMFD, fd));
	return fd;
}

int __vm_set_user_memory_region2(struct kvm_vm *vm, u32 slot,
				 u32 flags, u64 gpa, u64 size,
				 void *hva, int fd, u64 offset)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
		.guest_memfd = fd,
		.guest_memfd_offset = offset,
	};

	return __vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region);
}

void vm_set_user_memory_region2(struct kvm_vm *vm, u32 slot,
				u32 flags, u64 gpa, u64 size,
				void *hva, int fd, u64 offset)
{
	int ret = __vm_set_user_memory_region2(vm, slot, flags, gpa, size, hva,
					       fd, offset);

	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_SET_USER_MEMORY_REGION2, ret));
}

int __vm_set_memory_attributes(struct kvm_vm *vm, u64 gpa, u64 size,
			       u64 attributes)
{
	struct kvm_memory_attributes attrs = {
		.address = gpa,
		.size = size,
		.attributes = attributes,
	};

	return __vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs);
}

void vm_set_memory_attributes(struct kvm_vm *vm, u64 gpa, u64 size,
			      u64 attributes)
{
	int ret = __vm_set_memory_attributes(vm, gpa, size, attributes);

	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_SET_MEMORY_ATTRIBUTES, ret));
}

int __gmem_allocate(int fd, u64 offset, u64 len)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, len);
}

void gmem_allocate(int fd, u64 offset, u64 len)
{
	int ret = __gmem_allocate(fd, offset, len);

	TEST_ASSERT(!ret, __KVM_SYSCALL_ERROR("fallocate(allocate)", ret));
}

int __gmem_punch_hole(int fd, u64 offset, u64 len)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			 offset, len);
}

void gmem_punch_hole(int fd, u64 offset, u64 len)
{
	int ret = __gmem_punch_hole(fd, offset, len);

	TEST_ASSERT(!ret, __KVM_SYSCALL_ERROR("fallocate(punch)", ret));
}

void gmem_state_get(int fd, struct gmem_state *state)
{
	struct stat st;

	TEST_ASSERT(!fstat(fd, &st), "fstat(%d) failed, errno %d", fd, errno);
	*state = (struct gmem_state) {
		.ino = st.st_ino,
		.size = st.st_size,
		.blocks = st.st_blocks,
		.blksize = st.st_blksize,
		.mode = st.st_mode,
		.nlink = st.st_nlink,
	};
}

u64 gmem_allocated(int fd)
{
	struct gmem_state state;

	gmem_state_get(fd, &state);
	return state.blocks * 512;
}

void gmem_state_assert_same(int fd, const struct gmem_state *before,
			    const char *what)
{
	struct gmem_state now;

	gmem_state_get(fd, &now);
	TEST_ASSERT(!memcmp(&now, before, sizeof(now)),
		    "%s changed the file: ino %lu -> %lu, size %lu -> %lu, blocks %lu -> %lu, mode %lo -> %lo",
		    what, before->ino, now.ino, before->size, now.size,
		    before->blocks, now.blocks, before->mode, now.mode);
}

void gmem_file_setup(struct gmem_file *f)
{
	f->vm = gmem_vm_create_barebones();
	f->fd = vm_create_guest_memfd(f->vm, GMEM_FILE_SIZE, 0);
	gmem_allocate(f->fd, GMEM_PAGE_SIZE, 2 * GMEM_PAGE_SIZE);
	gmem_state_get(f->fd, &f->state);
	ASSERT_EQ(f->state.blocks * 512, 2 * GMEM_PAGE_SIZE);
}

void gmem_file_assert_unchanged(struct gmem_file *f, const char *what)
{
	gmem_state_assert_same(f->fd, &f->state, what);
}

void gmem_file_teardown(struct gmem_file *f)
{
	gmem_allocate(f->fd, 4 * GMEM_PAGE_SIZE, GMEM_PAGE_SIZE);
	ASSERT_EQ(gmem_allocated(f->fd), 3 * GMEM_PAGE_SIZE);
	gmem_punch_hole(f->fd, 0, GMEM_FILE_SIZE);
	ASSERT_EQ(gmem_allocated(f->fd), 0UL);
	TEST_ASSERT(!close(f->fd), "close() failed, errno %d", errno);
	kvm_vm_free(f->vm);
}

bool gmem_gpa_is_free(struct kvm_vm *vm, u64 gpa, u64 size)
{
	void *hva = gmem_alloc_hva(gpa, size);
	int ret, err;

	ret = __vm_set_user_memory_region2(vm, GMEM_PROBE_SLOT, 0, gpa, size,
					   hva, -1, 0);
	err = errno;
	if (!ret)
		vm_set_user_memory_region2(vm, GMEM_PROBE_SLOT, 0, gpa, 0, NULL,
					   -1, 0);
	gmem_free_hva(hva, size);

	TEST_ASSERT(!ret || err == EEXIST, "probe of gpa 0x%lx: errno %d", gpa,
		    err);
	return !ret;
}

bool gmem_file_range_is_free(struct kvm_vm *vm, int fd, u64 offset,
			     u64 size)
{
	void *hva = gmem_alloc_hva(GMEM_PROBE_GPA, size);
	int ret, err;

	ret = __vm_set_user_memory_region2(vm, GMEM_PROBE_SLOT,
					   KVM_MEM_GUEST_MEMFD, GMEM_PROBE_GPA,
					   size, hva, fd, offset);
	err = errno;
	if (!ret)
		vm_set_user_memory_region2(vm, GMEM_PROBE_SLOT, 0,
					   GMEM_PROBE_GPA, 0, NULL, -1, 0);
	gmem_free_hva(hva, size);

	TEST_ASSERT(!ret || err == EEXIST, "probe of file range 0x%lx: errno %d",
		    offset, err);
	return !ret;
}

void *gmem_alloc_hva(u64 gpa, u64 size)
{
	u64 off = gpa & (GMEM_HUGE_SIZE - 1);
	u64 len = size + 2 * GMEM_HUGE_SIZE;
	void *start, *hva;

	start = mmap(NULL, len, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	TEST_ASSERT(start != MAP_FAILED, "mmap(0x%lx) failed, errno %d", len,
		    errno);

	hva = align_ptr_up(start, GMEM_HUGE_SIZE) + off;
	if (hva != start)
		munmap(start, hva - start);
	munmap(hva + size, start + len - (hva + size));
	return hva;
}

void gmem_free_hva(void *hva, u64 size)
{
	TEST_ASSERT(!munmap(hva, size), "munmap() failed, errno %d", errno);
}

long gmem_proc_number(const char *path)
{
	FILE *file = fopen(path, "r");
	long val;

	TEST_ASSERT(file, "cannot open %s, errno %d", path, errno);
	TEST_ASSERT(fscanf(file, "%ld", &val) == 1, "cannot parse %s", path);
	fclose(file);
	return val;
}

void gmem_proc_write(const char *path, const char *val)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		gmem_skip("cannot open %s, errno %d", path, errno);
	TEST_ASSERT(write(fd, val, strlen(val)) == strlen(val),
		    "write to %s failed, errno %d", path, errno);
	close(fd);
}

u64 gmem_meminfo_kb(const char *name)
{
	size_t len = strlen(name);
	char line[128];
	u64 kb = 0;
	bool found = false;
	FILE *f;

	f = fopen("/proc/meminfo", "r");
	TEST_ASSERT(f, "cannot open /proc/meminfo, errno %d", errno);
	while (!found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, len) || line[len] != ':')
			continue;
		found = sscanf(line + len + 1, "%lu", &kb) == 1;
	}
	fclose(f);
	TEST_ASSERT(found, "no %s in /proc/meminfo", name);
	return kb;
}

int __gmem_slot_bind(struct gmem_slot *s)
{
	return __vm_set_user_memory_region2(s->vm, s->slot, KVM_MEM_GUEST_MEMFD,
					    s->gpa, s->size, s->hva, s->fd,
					    s->offset);
}

void gmem_slot_bind(struct gmem_slot *s)
{
	int ret = __gmem_slot_bind(s);

	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_SET_USER_MEMORY_REGION2, ret));
}

void gmem_slot_add(struct gmem_slot *s, struct kvm_vm *vm, u32 slot,
		   u64 gpa, u64 size, void *hva, int fd,
		   u64 offset)
{
	*s = (struct gmem_slot) {
		.vm = vm,
		.slot = slot,
		.fd = fd,
		.offset = offset,
		.gpa = gpa,
		.size = size,
		.hva = hva,
		.own_fd = fd < 0,
		.own_hva = !hva,
	};

	if (s->own_fd)
		s->fd = vm_create_guest_memfd(vm, offset + size, 0);
	if (s->own_hva)
		s->hva = gmem_alloc_hva(gpa, size);
	gmem_slot_bind(s);
}

int __gmem_slot_delete(struct gmem_slot *s)
{
	return __vm_set_user_memory_region2(s->vm, s->slot, 0, s->gpa, 0, NULL,
					    -1, 0);
}

void gmem_slot_delete(struct gmem_slot *s)
{
	int ret = __gmem_slot_delete(s);

	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_SET_USER_MEMORY_REGION2, ret));
}

void gmem_slot_free(struct gmem_slot *s)
{
	if (s->own_fd)
		TEST_ASSERT(!close(s->fd), "close() failed, errno %d", errno);
	if (s->own_hva)
		gmem_free_hva(s->hva, s->size);
	s->own_fd = false;
	s->own_hva = false;
}

void gmem_slot_allocate(struct gmem_slot *s, u64 gpa, u64 size)
{
	gmem_allocate(s->fd, s->offset + (gpa - s->gpa), size);
}

void gmem_slot_punch_hole(struct gmem_slot *s, u64 gpa, u64 size)
{
	gmem_punch_hole(s->fd, s->offset + (gpa - s->gpa), size);
}

struct kvm_vm *gmem_vm_create(u32 nr_vcpus, struct kvm_vcpu *vcpus[],
			      void *guest_code, u64 size,
			      struct gmem_slot *slot)
{
	u64 nr_pages = size / GMEM_PAGE_SIZE;
	struct kvm_vm *vm;
	u32 i;

	vm = __vm_create_type(VM_MODE_DEFAULT, nr_vcpus, nr_pages,
			      KVM_X86_SW_PROTECTED_VM);
	for (i = 0; i < nr_vcpus; i++)
		vcpus[i] = vm_vcpu_add(vm, i, guest_code);

	gmem_slot_add(slot, vm, GMEM_DATA_SLOT, GMEM_DATA_GPA, size, NULL, -1,
		      0);
	virt_map(vm, GMEM_DATA_GPA, GMEM_DATA_GPA, nr_pages);
	return vm;
}

void gmem_vm_free(struct kvm_vm *vm, struct gmem_slot *slot)
{
	kvm_vm_free(vm);
	gmem_slot_free(slot);
}

void gmem_vcpu_run_memory_fault(struct kvm_vcpu *vcpu, int err, u64 flags,
				u64 gpa, u64 size)
{
	struct kvm_run *run = vcpu->run;

	GMEM_ASSERT_ERRNO(__vcpu_run(vcpu), err, "gpa 0x%lx", gpa);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_MEMORY_FAULT,
		    "exit reason %u (%s)", run->exit_reason,
		    exit_reason_str(run->exit_reason));
	TEST_ASSERT(run->memory_fault.flags == flags &&
		    run->memory_fault.gpa == gpa &&
		    run->memory_fault.size == size,
		    "flags 0x%llx gpa 0x%llx size 0x%llx, wanted 0x%lx 0x%lx 0x%lx",
		    run->memory_fault.flags, run->memory_fault.gpa,
		    run->memory_fault.size, flags, gpa, size);
}

int vcpu_pre_fault_once(struct kvm_vcpu *vcpu,
			struct kvm_pre_fault_memory *range)
{
	struct kvm_pre_fault_memory before = *range;
	int ret = __vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, range);
	int err = ret ? -errno : 0;

	TEST_ASSERT(!err == (range->size < before.size),
		    "size 0x%llx -> 0x%llx, result %d", before.size,
		    range->size, err);
	TEST_ASSERT(range->gpa + range->size == before.gpa + before.size,
		    "range 0x%llx + 0x%llx -> 0x%llx + 0x%llx", before.gpa,
		    before.size, range->gpa, range->size);
	TEST_ASSERT(err || !(range->size % GMEM_PAGE_SIZE),
		    "part of a page is left");

	before.gpa = range->gpa;
	before.size = range->size;
	TEST_ASSERT(!memcmp(&before, range, sizeof(before)),
		    "flags or padding have changed");
	return err;
}

int __vcpu_pre_fault(struct kvm_vcpu *vcpu, u64 gpa, u64 size, u64 *left)
{
	struct kvm_pre_fault_memory range = { .gpa = gpa, .size = size };
	int ret;

	do {
		ret = vcpu_pre_fault_once(vcpu, &range);
	} while (ret == -EINTR || (!ret && range.size));

	*left = range.size;
	return ret;
}

void vcpu_pre_fault(struct kvm_vcpu *vcpu, u64 gpa, u64 size)
{
	u64 left;
	int ret = __vcpu_pre_fault(vcpu, gpa, size, &left);

	TEST_ASSERT(!ret, "0x%lx + 0x%lx: %d, 0x%lx left", gpa, size, ret,
		    left);
}
