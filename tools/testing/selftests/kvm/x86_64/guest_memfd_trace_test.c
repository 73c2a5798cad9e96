// SPDX-License-Identifier: GPL-2.0-only
/*
 * Trace events of guest_memfd and of private memory in KVM.
 *
 * Each test does one thing with everything recorded, in a trace instance of
 * its own, and looks for the events with their values: that they are there, as
 * often as they should be.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include "guest_memfd_admin.h"
#include "guest_memfd_convert.h"
#include "guest_memfd_guest.h"
#include "processor.h"

#define P		GMEM_PAGE_SIZE
#define NR_PAGES	GMEM_FILE_PAGES
#define FILE_SIZE	GMEM_FILE_SIZE
#define GPA		GMEM_DATA_GPA
#define GFN		(GPA / P)

#define GMEM_EVENT(name)	"guest_memfd/guest_memfd_" #name

/* Changes of the state in a file, and what is changed at a time. */
#define NR_RUNS		2048
#define RUNS_IN_PART	512

static const char * const events[] = {
	GMEM_EVENT(create), GMEM_EVENT(release), GMEM_EVENT(evict),
	GMEM_EVENT(bind), GMEM_EVENT(unbind), GMEM_EVENT(get_folio),
	GMEM_EVENT(invalidate_start), GMEM_EVENT(invalidate_end),
	GMEM_EVENT(punch_hole),
	GMEM_EVENT(error),
	GMEM_EVENT(convert),
	GMEM_EVENT(split),
	"kvm/kvm_set_memory_attributes", "kvm/kvm_memory_fault_exit",
};

static void start_trace(void)
{
	host_set_thp("never");
	admin_trace_start(events, ARRAY_SIZE(events));
}

/* Exactly @nr events @name with the words that @fmt makes. */
static void __printf(4, 5) assert_events(const char *trace, int nr,
					 const char *name, const char *fmt, ...)
{
	char args[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	vsnprintf(args, sizeof(args), fmt, ap);
	va_end(ap);
	n = admin_trace_count(trace, name, args);
	TEST_ASSERT(n == nr, "%d events %s %s, wanted %d, in:\n%s", n, name,
		    args, nr, trace);
}

static u64 ino_of(int fd)
{
	struct gmem_state state;

	gmem_state_get(fd, &state);
	return state.ino;
}

static void test_create_release_and_evict_are_traced(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	char *trace;
	u64 ino;
	int fd;

	start_trace();
	fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
	ino = ino_of(fd);
	trace = admin_trace_read();
	assert_events(trace, 1, "guest_memfd_create",
		      "ino=%lu size=0x%llx flags=0x0", ino, FILE_SIZE);
	assert_events(trace, 1, "guest_memfd_create", "%s", "");
	free(trace);

	gmem_allocate(fd, 0, 3 * P);
	free(admin_trace_read());
	close(fd);
	trace = admin_trace_read();
	assert_events(trace, 1, "guest_memfd_release", "ino=%lu nr_pages=3",
		      ino);
	assert_events(trace, 1, "guest_memfd_evict", "ino=%lu nr_pages=0", ino);
	free(trace);

	/* A refused creation is none. */
	GMEM_ASSERT_ERRNO(__vm_create_guest_memfd(vm, P + 1, 0), EINVAL,
			  "bad size");
	trace = admin_trace_read();
	assert_events(trace, 0, "guest_memfd_create", "%s", "");
	free(trace);
	kvm_vm_free(vm);
}

static void test_create_has_the_flags(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	u64 flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	char *trace;
	int fd;

	start_trace();
	fd = vm_create_guest_memfd(vm, FILE_SIZE, flags);
	trace = admin_trace_read();
	assert_events(trace, 1, "guest_memfd_create", "ino=%lu flags=0x3",
		      ino_of(fd));
	free(trace);
	close(fd);
	kvm_vm_free(vm);
}

static void test_allocation_is_traced_by_page(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
	u64 ino = ino_of(fd), pfn, i;
	char args[64], *trace;

	start_trace();
	gmem_allocate(fd, 2 * P, 3 * P);
	trace = admin_trace_read();
	assert_events(trace, 3, "guest_memfd_get_folio", "ino=%lu", ino);
	for (i = 2; i < 5; i++) {
		assert_events(trace, 1, "guest_memfd_get_folio",
			      "ino=%lu index=0x%lx order=0 allocated", ino, i);
		snprintf(args, sizeof(args), "index=0x%lx", i);
		pfn = admin_trace_number(trace, "guest_memfd_get_folio", args,
					 "pfn");
		TEST_ASSERT(pfn, "no pfn");
	}
	free(trace);

	/* What is there is found, at the same place. */
	gmem_allocate(fd, 4 * P, P);
	trace = admin_trace_read();
	assert_events(trace, 1, "guest_memfd_get_folio",
		      "ino=%lu index=0x4 pfn=0x%lx order=0 found", ino, pfn);
	assert_events(trace, 1, "guest_memfd_get_folio", "ino=%lu", ino);
	free(trace);
	close(fd);
	kvm_vm_free(vm);
}

static void test_holes_are_traced_with_their_invalidation(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
	u64 ino = ino_of(fd);
	char *trace;

	gmem_allocate(fd, 0, 4 * P);
	start_trace();
	gmem_punch_hole(fd, 2 * P, 4 * P);
	trace = admin_trace_read();
	assert_events(trace, 1, "guest_memfd_invalidate_start",
		      "ino=%lu index=0x2-0x5", ino);
	assert_events(trace, 1, "guest_memfd_punch_hole",
		      "ino=%lu index=0x2-0x5 nr_pages=2", ino);
	assert_events(trace, 1, "guest_memfd_invalidate_end",
		      "ino=%lu index=0x2-0x5", ino);
	free(trace);

	/* Cut off at the end of the file, or nothing at all. */
	gmem_punch_hole(fd, FILE_SIZE - P, FILE_SIZE);
	gmem_punch_hole(fd, FILE_SIZE, FILE_SIZE);
	trace = admin_trace_read();
	assert_events(trace, 1, "guest_memfd_punch_hole",
		      "ino=%lu index=0xf-0xf nr_pages=0", ino);
	assert_events(trace, 1, "guest_memfd_punch_hole", "%s", "");
	free(trace);
	close(fd);
	kvm_vm_free(vm);
}

static void test_splits_are_traced(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, 2 * GMEM_HUGE_SIZE, 0);
	u64 ino = ino_of(fd);
	char *trace;

	start_trace();
	host_set_thp("always");
	gmem_allocate(fd, 0, 2 * GMEM_HUGE_SIZE);
	gmem_punch_hole(fd, GMEM_HUGE_SIZE + P, P);
	gmem_punch_hole(fd, 0, GMEM_HUGE_SIZE);
	trace = admin_trace_read();
	assert_events(trace, 2, "guest_memfd_get_folio",
		      "ino=%lu order=9 allocated", ino);
	assert_events(trace, 1, "guest_memfd_split",
		      "ino=%lu index=0x200 order=9 ret=0", ino);
	assert_events(trace, 1, "guest_memfd_split", "%s", "");
	/* KVM has to drop all of what is split. */
	assert_events(trace, 1, "guest_memfd_invalidate_start",
		      "ino=%lu index=0x200-0x3ff", ino);
	assert_events(trace, 1, "guest_memfd_punch_hole",
		      "ino=%lu index=0x201-0x201 nr_pages=1", ino);
	free(trace);
	close(fd);
	kvm_vm_free(vm);
}

static void test_bindings_are_traced(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct gmem_slot slot = {};
	char *trace;
	u64 ino;

	start_trace();
	gmem_slot_add(&slot, vm, GMEM_DATA_SLOT, GPA, 4 * P, NULL, -1, 2 * P);
	ino = ino_of(slot.fd);
	trace = admin_trace_read();
	assert_events(trace, 1, "guest_memfd_bind", "ino=%lu index=0x2-0x5",
		      ino);
	free(trace);

	/* Of a slot that is not created, no trace stays. */
	GMEM_ASSERT_ERRNO(__vm_set_user_memory_region2(vm, 300,
						       KVM_MEM_GUEST_MEMFD,
						       GPA + FILE_SIZE, P,
						       slot.hva, slot.fd,
						       3 * P),
			  EEXIST, "bound twice");
	trace = admin_trace_read();
	assert_events(trace, 0, "guest_memfd_bind", "%s", "");
	free(trace);

	gmem_slot_delete(&slot);
	trace = admin_trace_read();
	assert_events(trace, 1, "guest_memfd_unbind", "ino=%lu index=0x2-0x5",
		      ino);
	free(trace);

	/* Closing the file ends the binding, deleting the slot does not again. */
	gmem_slot_bind(&slot);
	free(admin_trace_read());
	close(slot.fd);
	slot.own_fd = false;
	gmem_slot_delete(&slot);
	trace = admin_trace_read();
	assert_events(trace, 1, "guest_memfd_unbind", "ino=%lu index=0x2-0x5",
		      ino);
	assert_events(trace, 1, "guest_memfd_unbind", "%s", "");
	free(trace);
	gmem_vm_free(vm, &slot);
}

static void test_faults_of_the_guest_are_traced(void)
{
	struct guest_fixture f;
	char *trace;
	u64 ino;

	guest_start_private(&f, FILE_SIZE);
	ino = ino_of(f.slot.fd);
	start_trace();
	guest_write(f.vcpu, GPA + 5 * P, 1);
	trace = admin_trace_read();
	assert_events(trace, 1, "guest_memfd_get_folio",
		      "ino=%lu index=0x5 order=0 allocated", ino);
	assert_events(trace, 1, "guest_memfd_get_folio", "ino=%lu", ino);
	free(trace);

	/* Mapped: no fault. Zapped: found. */
	ASSERT_EQ(guest_read(f.vcpu, GPA + 5 * P), 1UL);
	trace = admin_trace_read();
	assert_events(trace, 0, "guest_memfd_get_folio", "%s", "");
	free(trace);
	gmem_slot_delete(&f.slot);
	gmem_slot_bind(&f.slot);
	ASSERT_EQ(guest_read(f.vcpu, GPA + 5 * P), 1UL);
	trace = admin_trace_read();
	assert_events(trace, 1, "guest_memfd_get_folio",
		      "ino=%lu index=0x5 order=0 found", ino);
	free(trace);
	guest_end(&f);
}

static void test_conversions_are_traced(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	char *trace;

	start_trace();
	vm_mem_set_private(vm, GPA, FILE_SIZE);
	vm_mem_set_private(vm, GPA + P, P);
	vm_mem_set_shared(vm, GPA + 3 * P, 2 * P);
	GMEM_ASSERT_ERRNO(__vm_set_memory_attributes(vm, GPA + 1, P, 0), EINVAL,
			  "unaligned");
	trace = admin_trace_read();
	assert_events(trace, 1, "kvm_set_memory_attributes",
		      "gfn=0x%llx-0x%llx attributes=0x8 changed", GFN,
		      GFN + NR_PAGES - 1);
	assert_events(trace, 1, "kvm_set_memory_attributes",
		      "gfn=0x%llx-0x%llx attributes=0x8 unchanged", GFN + 1,
		      GFN + 1);
	assert_events(trace, 1, "kvm_set_memory_attributes",
		      "gfn=0x%llx-0x%llx attributes=0x0 changed", GFN + 3,
		      GFN + 4);
	assert_events(trace, 3, "kvm_set_memory_attributes", "%s", "");
	free(trace);
	kvm_vm_free(vm);
}

static void test_conversions_in_place_are_traced(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, FILE_SIZE, GMEM_SHARED_FLAGS);
	u64 ino = ino_of(fd);
	char *trace;

	start_trace();
	gmem_to_private(fd, 2 * P, 3 * P);
	gmem_to_shared(fd, 4 * P, P);
	ASSERT_EQ(__gmem_convert(fd, P + 1, P, GMEM_SHARED, 0, 0, NULL),
		  -EINVAL);
	trace = admin_trace_read();
	assert_events(trace, 1, "guest_memfd_convert",
		      "ino=%lu index=0x2-0x4 to=private ret=0", ino);
	assert_events(trace, 1, "guest_memfd_convert",
		      "ino=%lu index=0x4-0x4 to=shared ret=0", ino);
	assert_events(trace, 2, "guest_memfd_convert", "%s", "");
	free(trace);
	close(fd);
	kvm_vm_free(vm);
}

/* Each part is an invalidation: the file's lock is not held for all of them. */
static void test_many_runs_are_converted_in_parts(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, NR_RUNS * P, GMEM_SHARED_FLAGS);
	u64 ino = ino_of(fd), i;
	char *trace;

	for (i = 0; i < NR_RUNS; i += 2)
		gmem_to_private(fd, i * P, P);
	start_trace();
	gmem_to_private(fd, 0, NR_RUNS * P);
	trace = admin_trace_read();
	for (i = 0; i < NR_RUNS; i += RUNS_IN_PART)
		assert_events(trace, 1, "guest_memfd_invalidate_end",
			      "ino=%lu index=0x%lx-0x%lx", ino, i,
			      i + RUNS_IN_PART - 1);
	free(trace);

	/* Now it is one. */
	gmem_to_shared(fd, 0, NR_RUNS * P);
	trace = admin_trace_read();
	assert_events(trace, 1, "guest_memfd_invalidate_end",
		      "ino=%lu index=0x0-0x%x", ino, NR_RUNS - 1);
	free(trace);
	close(fd);
	kvm_vm_free(vm);
}

static void test_memory_fault_exits_are_traced(void)
{
	struct guest_fixture f;
	char *trace;

	guest_start_private(&f, FILE_SIZE);
	guest_write(f.vcpu, GPA, 1);
	start_trace();
	close(f.slot.fd);
	f.slot.own_fd = false;

	guest_cmd_set(f.vcpu, GUEST_OP_READ, GPA + 3 * P + 8, 0, 0);
	guest_expect_private_fault(f.vcpu, GPA + 3 * P);
	trace = admin_trace_read();
	assert_events(trace, 1, "kvm_memory_fault_exit",
		      "vcpu=0 gpa=0x%llx size=0x1000 private errno=%d",
		      GPA + 3 * P, EFAULT);
	assert_events(trace, 1, "kvm_memory_fault_exit", "%s", "");
	free(trace);

	/* Other exits are not. */
	vm_mem_set_shared(f.vm, GPA, FILE_SIZE);
	guest_cmd_finish(f.vcpu);
	trace = admin_trace_read();
	assert_events(trace, 0, "kvm_memory_fault_exit", "%s", "");
	free(trace);
	guest_end(&f);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_create_release_and_evict_are_traced),
	GMEM_TEST(test_create_has_the_flags),
	GMEM_TEST(test_allocation_is_traced_by_page),
	GMEM_TEST(test_holes_are_traced_with_their_invalidation),
	GMEM_TEST(test_splits_are_traced),
	GMEM_TEST(test_bindings_are_traced),
	GMEM_TEST(test_faults_of_the_guest_are_traced),
	GMEM_TEST(test_conversions_are_traced),
	GMEM_TEST(test_conversions_in_place_are_traced),
	GMEM_TEST(test_many_runs_are_converted_in_parts),
	GMEM_TEST(test_memory_fault_exits_are_traced),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
