// SPDX-License-Identifier: GPL-2.0-only
/*
 * What procfs and debugfs say of a guest_memfd: fdinfo, the totals and the
 * list of files in debugfs, the link in /proc/PID/fd, and the page flags.
 *
 * The figures must be true at all times, so they are compared with a model,
 * with each other and with st_blocks after every step.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/kernel-page-flags.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>

#include "guest_memfd_admin.h"
#include "guest_memfd_undo.h"
#include "guest_memfd_guest.h"

#define P		GMEM_PAGE_SIZE
#define NR_PAGES	GMEM_FILE_PAGES
#define FILE_SIZE	GMEM_FILE_SIZE
#define BIG_SIZE	(8ULL << 20)
#define NR_BINDINGS	400
#define NR_RACES	300
/* So often the reader must have looked while something changed, in seconds. */
#define NR_MET		20
#define RACE_TIMEOUT	60
#define DEBUGFS_FILES	"/sys/kernel/debug/guest_memfd/files"

/* A VM of the default type, whose files can have flags. */
static struct kvm_vm *create_default_vm(void)
{
	struct kvm_vm *vm = vm_create_barebones();

	if (gmem_check_cap(vm->fd, KVM_CAP_GUEST_MEMFD_FLAGS) <= 0)
		gmem_skip("no files with flags");
	return vm;
}

static void assert_resident(int fd, u64 bytes)
{
	ASSERT_EQ((u64)admin_fdinfo_value(fd, "gmem-resident"), bytes);
	ASSERT_EQ(gmem_allocated(fd), bytes);
}

static void assert_line(const char *text, const char *key, int n,
			const char *want)
{
	char line[256];

	TEST_ASSERT(admin_line(text, key, n, line, sizeof(line)),
		    "no line %d of %s in:\n%s", n, key, text);
	TEST_ASSERT(!strcmp(line, want), "%s line %d is \"%s\", wanted \"%s\"",
		    key, n, line, want);
}

static bool has_line(const char *text, const char *key, int n)
{
	char line[256];

	return admin_line(text, key, n, line, sizeof(line));
}

/*
 * fdinfo
 */

static void test_fdinfo_of_a_new_file(void)
{
	/* As documented; what follows them is not this test's to know. */
	static const char * const lines[] = {
		"gmem-size:\t65536\n", "gmem-flags:\tnone\n",
		"gmem-resident:\t0\n",
		"gmem-huge:\t0\n",
		"gmem-private:\t65536\n", "gmem-shared:\t0\n",
	};
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int i, fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
	char *text = admin_fdinfo(fd), *p = text;
	struct gmem_state state;

	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		p = strstr(p, lines[i]);
		TEST_ASSERT(p && p[-1] == '\n', "no %s in:\n%s", lines[i],
			    text);
	}
	TEST_ASSERT(!has_line(text, "gmem-binding", 0), "bound:\n%s", text);

	gmem_state_get(fd, &state);
	ASSERT_EQ((u64)admin_value(text, "ino"), state.ino);
	free(text);
	close(fd);
	kvm_vm_free(vm);
}

static void check_flags(struct kvm_vm *vm, u64 flags, const char *words,
			u64 shared)
{
	u64 valid = gmem_check_cap(vm->fd, KVM_CAP_GUEST_MEMFD_FLAGS);
	char *text;
	int fd;

	TEST_ASSERT((flags & valid) == flags, "flags 0x%lx of 0x%lx", flags,
		    valid);
	fd = vm_create_guest_memfd(vm, FILE_SIZE, flags);
	text = admin_fdinfo(fd);
	assert_line(text, "gmem-flags", 0, words);
	ASSERT_EQ((u64)admin_value(text, "gmem-shared"), shared);
	ASSERT_EQ((u64)admin_value(text, "gmem-private"), FILE_SIZE - shared);
	free(text);
	close(fd);
}

static void test_fdinfo_names_the_flags(void)
{
	struct kvm_vm *vm = create_default_vm();

	check_flags(vm, GUEST_MEMFD_FLAG_MMAP, "mappable", 0);
	check_flags(vm, GUEST_MEMFD_FLAG_INIT_SHARED, "shared", 0);
	check_flags(vm, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
		    "mappable shared", FILE_SIZE);
	kvm_vm_free(vm);
}

static void test_resident_follows_pages(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
	u64 i;

	for (i = 0; i < NR_PAGES; i++) {
		assert_resident(fd, i * P);
		gmem_allocate(fd, i * P, P);
		gmem_allocate(fd, 0, (i + 1) * P);
	}
	assert_resident(fd, FILE_SIZE);
	for (i = 0; i < NR_PAGES; i += 2) {
		gmem_punch_hole(fd, i * P, P);
		gmem_punch_hole(fd, i * P, P);
	}
	assert_resident(fd, FILE_SIZE / 2);
	gmem_punch_hole(fd, 0, FILE_SIZE);
	assert_resident(fd, 0);
	close(fd);
	kvm_vm_free(vm);
}

static void assert_huge(int fd, bool possible)
{
	u64 huge = admin_fdinfo_value(fd, "gmem-huge");
	u64 resident = admin_fdinfo_value(fd, "gmem-resident");

	TEST_ASSERT(huge <= resident && !(huge % GMEM_HUGE_SIZE),
		    "huge %lu, resident %lu", huge, resident);
	TEST_ASSERT(possible || !huge, "huge %lu", huge);
}

static void check_huge(const char *thp, bool possible)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, BIG_SIZE, 0);

	host_set_thp(thp);
	gmem_allocate(fd, 0, BIG_SIZE);
	assert_resident(fd, BIG_SIZE);
	assert_huge(fd, possible);

	/* A hole inside of one, across two, and of a whole one. */
	gmem_punch_hole(fd, P, P);
	assert_resident(fd, BIG_SIZE - P);
	assert_huge(fd, possible);
	gmem_punch_hole(fd, 2 * GMEM_HUGE_SIZE - P, 2 * P);
	assert_resident(fd, BIG_SIZE - 3 * P);
	assert_huge(fd, possible);
	gmem_punch_hole(fd, 3 * GMEM_HUGE_SIZE, GMEM_HUGE_SIZE);
	assert_resident(fd, BIG_SIZE - GMEM_HUGE_SIZE - 3 * P);
	assert_huge(fd, possible);

	gmem_punch_hole(fd, 0, BIG_SIZE);
	assert_resident(fd, 0);
	assert_huge(fd, false);
	close(fd);
	kvm_vm_free(vm);
}

static void test_resident_is_true_with_and_without_huge_pages(void)
{
	check_huge("never", false);
	check_huge("always", true);
}

static void bind_page(struct kvm_vm *vm, int fd, int slot, u64 index, void *hva)
{
	vm_set_user_memory_region2(vm, slot, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA + index * P, P, hva, fd,
				   index * P);
}

static void format_binding(char *line, size_t len, int slot, u64 index, u64 nr)
{
	snprintf(line, len, "offset=0x%llx size=0x%llx vm=%d as=0 slot=%d gpa=0x%llx",
		 index * P, nr * P, getpid(), slot, GMEM_DATA_GPA + index * P);
}

static void test_fdinfo_shows_bindings_by_offset(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
	void *hva = gmem_alloc_hva(GMEM_DATA_GPA, FILE_SIZE);
	char want[256], *text;

	bind_page(vm, fd, 20, 7, hva);
	bind_page(vm, fd, 21, 2, hva + P);
	vm_set_user_memory_region2(vm, 22, KVM_MEM_GUEST_MEMFD,
				   GMEM_DATA_GPA + 3 * P, 3 * P, hva + 2 * P, fd,
				   3 * P);
	text = admin_fdinfo(fd);
	format_binding(want, sizeof(want), 21, 2, 1);
	assert_line(text, "gmem-binding", 0, want);
	format_binding(want, sizeof(want), 22, 3, 3);
	assert_line(text, "gmem-binding", 1, want);
	format_binding(want, sizeof(want), 20, 7, 1);
	assert_line(text, "gmem-binding", 2, want);
	TEST_ASSERT(!has_line(text, "gmem-binding", 3), "too many:\n%s", text);
	free(text);

	vm_set_user_memory_region2(vm, 22, 0, 0, 0, NULL, -1, 0);
	text = admin_fdinfo(fd);
	format_binding(want, sizeof(want), 20, 7, 1);
	assert_line(text, "gmem-binding", 1, want);
	TEST_ASSERT(!has_line(text, "gmem-binding", 2), "too many:\n%s", text);
	free(text);

	/* The file outlives the VM's descriptor, its slots, too. */
	kvm_vm_free(vm);
	text = admin_fdinfo(fd);
	TEST_ASSERT(has_line(text, "gmem-binding", 1), "no bindings:\n%s", text);
	free(text);
	close(fd);
	gmem_free_hva(hva, FILE_SIZE);
}

static void test_fdinfo_shows_all_of_many_bindings(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int i, fd = vm_create_guest_memfd(vm, NR_BINDINGS * P, 0);
	void *hva = gmem_alloc_hva(GMEM_DATA_GPA, P);
	char want[256], *text;

	for (i = 0; i < NR_BINDINGS; i++)
		bind_page(vm, fd, 10 + i, NR_BINDINGS - 1 - i, hva);
	text = admin_fdinfo(fd);
	for (i = 0; i < NR_BINDINGS; i++) {
		format_binding(want, sizeof(want), 10 + NR_BINDINGS - 1 - i, i,
			       1);
		assert_line(text, "gmem-binding", i, want);
	}
	TEST_ASSERT(!has_line(text, "gmem-binding", i), "too many");
	free(text);
	close(fd);
	kvm_vm_free(vm);
	gmem_free_hva(hva, P);
}

/* Other processes may look, whatever the owner is doing at that time. */
struct reader {
	bool stop;
	u64 changes;	/* what the owner has done */
	u64 nr_read;	/* files that were looked at */
	u64 nr_met;	/* ... while the owner did something */
	u64 nr_lists;	/* the same of the list of all files */
	pthread_t thread;
};

static void read_fdinfo(struct reader *r, int fd)
{
	u64 before = READ_ONCE(r->changes), resident;
	char path[64], *text;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	text = admin_read(path);
	if (!text)
		return;
	resident = admin_value(text, "gmem-resident");
	free(text);
	if (resident == (u64)-1)
		return;
	TEST_ASSERT(resident <= FILE_SIZE, "resident 0x%lx", resident);
	r->nr_read++;
	WRITE_ONCE(r->nr_met, r->nr_met + (READ_ONCE(r->changes) != before));
}

static void *read_all_the_time(void *arg)
{
	struct reader *r = arg;
	u64 before;
	int i;

	while (!READ_ONCE(r->stop)) {
		/* The descriptors that the owner uses, and some others. */
		for (i = 3; i < 16; i++)
			read_fdinfo(r, i);
		before = READ_ONCE(r->changes);
		free(admin_read(DEBUGFS_FILES));
		WRITE_ONCE(r->nr_lists, r->nr_lists +
			   (READ_ONCE(r->changes) != before));
	}
	return NULL;
}

static void changed(struct reader *r)
{
	WRITE_ONCE(r->changes, r->changes + 1);
}

static void change_under_readers(struct reader *r, struct kvm_vm *vm, void *hva,
				 bool delete_first)
{
	int fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);

	changed(r);
	bind_page(vm, fd, 20, 1, hva);
	changed(r);
	bind_page(vm, fd, 21, 2, hva + P);
	changed(r);
	gmem_allocate(fd, 0, FILE_SIZE);
	changed(r);
	gmem_punch_hole(fd, P, 2 * P);
	changed(r);
	if (delete_first)
		vm_set_user_memory_region2(vm, 20, 0, 0, 0, NULL, -1, 0);
	close(fd);
	changed(r);
	if (!delete_first)
		vm_set_user_memory_region2(vm, 20, 0, 0, 0, NULL, -1, 0);
	vm_set_user_memory_region2(vm, 21, 0, 0, 0, NULL, -1, 0);
	changed(r);
}

static void test_fdinfo_races_with_close_bind_and_holes(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	void *hva = gmem_alloc_hva(GMEM_DATA_GPA, FILE_SIZE);
	time_t until = time(NULL) + RACE_TIMEOUT;
	struct reader r = {};
	int i;

	if (access(DEBUGFS_FILES, R_OK))
		gmem_skip("no " DEBUGFS_FILES);
	TEST_ASSERT(!pthread_create(&r.thread, NULL, read_all_the_time, &r),
		    "no thread");
	for (i = 0; i < NR_RACES || ((READ_ONCE(r.nr_met) < NR_MET ||
				      READ_ONCE(r.nr_lists) < NR_MET) &&
				     time(NULL) < until); i++)
		change_under_readers(&r, vm, hva, i & 1);
	WRITE_ONCE(r.stop, true);
	pthread_join(r.thread, NULL);
	ksft_print_msg("%lu changes, %lu files read, %lu and %lu lists in a change\n",
		       r.changes, r.nr_read, r.nr_met, r.nr_lists);
	TEST_ASSERT(r.nr_met >= NR_MET && r.nr_lists >= NR_MET,
		    "they hardly met");
	kvm_vm_free(vm);
	gmem_free_hva(hva, FILE_SIZE);
}

/*
 * debugfs
 */

/* The line of @fd in the list of all files, or false. */
static bool find_in_list(u64 ino, char *line, size_t len)
{
	char *text = admin_read(DEBUGFS_FILES), *p, key[32];
	bool found = false;

	if (!text)
		gmem_skip("no " DEBUGFS_FILES);
	snprintf(key, sizeof(key), "ino=%lu ", ino);
	for (p = text; p && *p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, key, strlen(key)))
			continue;
		snprintf(line, len, "%.*s", (int)strcspn(p, "\n"), p);
		found = true;
	}
	free(text);
	return found;
}

static void test_debugfs_lists_files(void)
{
	char line[256], want[256];
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int n, fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
	struct gmem_state state;

	host_set_thp("never");
	gmem_allocate(fd, 0, 3 * P);
	gmem_state_get(fd, &state);
	TEST_ASSERT(find_in_list(state.ino, line, sizeof(line)), "not listed");
	n = sprintf(want, "ino=%lu size=%llu resident=%llu", state.ino,
		    FILE_SIZE, 3 * P);
	n += sprintf(want + n, " huge=0");
	sprintf(want + n, " flags=none");
	TEST_ASSERT(!strcmp(line, want), "\"%s\", wanted \"%s\"", line, want);

	close(fd);
	TEST_ASSERT(!find_in_list(state.ino, line, sizeof(line)),
		    "still listed: %s", line);
	kvm_vm_free(vm);
}

/* Other files come and go only if another process uses KVM. */
static void assert_total(const s64 before[3], s64 files, s64 resident,
			 s64 private)
{
	ASSERT_EQ(admin_total("files") - before[0], files);
	ASSERT_EQ(admin_total("resident") - before[1], resident);
	ASSERT_EQ(admin_total("private") - before[2], private);
}

static void test_debugfs_totals_are_sums(void)
{
	struct kvm_vm *vm = create_default_vm();
	s64 before[3] = { admin_total("files"), admin_total("resident"),
			  admin_total("private") };
	u64 flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	int mappable, shared;

	mappable = vm_create_guest_memfd(vm, FILE_SIZE, GUEST_MEMFD_FLAG_MMAP);
	assert_total(before, 1, 0, 0);
	shared = vm_create_guest_memfd(vm, FILE_SIZE, flags);
	assert_total(before, 2, 0, 0);

	gmem_allocate(mappable, 0, 3 * P);
	assert_total(before, 2, 3 * P, 3 * P);
	gmem_allocate(shared, 0, 5 * P);
	assert_total(before, 2, 8 * P, 3 * P);
	gmem_punch_hole(mappable, P, P);
	assert_total(before, 2, 7 * P, 2 * P);
	close(mappable);
	assert_total(before, 1, 5 * P, 0);
	gmem_punch_hole(shared, 0, FILE_SIZE);
	assert_total(before, 1, 0, 0);
	close(shared);
	assert_total(before, 0, 0, 0);
	kvm_vm_free(vm);
}

static void test_debugfs_total_counts_huge_pages(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	s64 before = admin_total("huge");
	int fd = vm_create_guest_memfd(vm, BIG_SIZE, 0);

	host_set_thp("always");
	gmem_allocate(fd, 0, BIG_SIZE);
	ASSERT_EQ(admin_total("huge") - before,
		  admin_fdinfo_value(fd, "gmem-huge"));
	close(fd);
	ASSERT_EQ(admin_total("huge"), before);
	kvm_vm_free(vm);
}

/*
 * The rest of procfs
 */

static void test_link_has_the_usual_name(void)
{
	static const char want[] = "anon_inode:[kvm-gmem]";
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
	char path[64], name[128] = "";
	char *maps;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	TEST_ASSERT(readlink(path, name, sizeof(name) - 1) > 0,
		    "readlink() failed, errno %d", errno);
	TEST_ASSERT(!strcmp(name, want), "\"%s\", wanted \"%s\"", name, want);

	/* Nothing is mapped, whether or not a guest uses it. */
	maps = admin_read("/proc/self/maps");
	TEST_ASSERT(maps && !strstr(maps, "kvm-gmem"), "mapped:\n%s", maps);
	free(maps);
	close(fd);
	kvm_vm_free(vm);
}

static bool kpage_has(u64 flags, int bit)
{
	return flags & BIT_ULL(bit);
}

static void assert_page_flags(u64 pfn)
{
	u64 flags = admin_kpage("/proc/kpageflags", pfn);
	static const int wanted[] = { KPF_UPTODATE, KPF_DIRTY };
	static const int unwanted[] = {
		KPF_LRU, KPF_ACTIVE, KPF_UNEVICTABLE, KPF_RECLAIM, KPF_MMAP,
		KPF_ANON, KPF_SWAPCACHE, KPF_SWAPBACKED, KPF_SLAB, KPF_BUDDY,
		KPF_WRITEBACK, KPF_LOCKED, KPF_PGTABLE, KPF_NOPAGE,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(wanted); i++)
		TEST_ASSERT(kpage_has(flags, wanted[i]), "no flag %d in 0x%lx",
			    wanted[i], flags);
	for (i = 0; i < ARRAY_SIZE(unwanted); i++)
		TEST_ASSERT(!kpage_has(flags, unwanted[i]), "flag %d in 0x%lx",
			    unwanted[i], flags);
	ASSERT_EQ(admin_kpage("/proc/kpagecount", pfn), 0UL);
}

static void test_page_flags_are_those_of_pinned_page_cache(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int i, fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
	u64 pfns[NR_PAGES];

	host_set_thp("never");
	admin_allocate_pfns(fd, 0, pfns, NR_PAGES);
	for (i = 0; i < NR_PAGES; i++)
		assert_page_flags(pfns[i]);

	/* Neither what looks at page cache nor what moves it changes that. */
	admin_write("/proc/sys/vm/drop_caches", "3");
	admin_write("/proc/sys/vm/compact_memory", "1");
	for (i = 0; i < NR_PAGES; i++)
		assert_page_flags(pfns[i]);
	close(fd);
	kvm_vm_free(vm);
}

/* A lost page is still the file's until a hole is punched. */
static void test_a_poisoned_page_counts_until_it_leaves(void)
{
	static const char corrupt[] = "/sys/kernel/debug/hwpoison/corrupt-pfn";
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, FILE_SIZE, 0);
	char text[32];
	u64 pfn;

	if (access(corrupt, W_OK))
		gmem_skip("no %s", corrupt);
	host_set_thp("never");
	gmem_allocate(fd, 0, 2 * P);
	admin_allocate_pfns(fd, 2 * P, &pfn, 1);
	assert_resident(fd, 3 * P);

	/* What it returns is not of interest here. */
	snprintf(text, sizeof(text), "0x%lx", pfn);
	gmem_undo_by_write("/sys/kernel/debug/hwpoison/unpoison-pfn", text);
	admin_write(corrupt, text);
	TEST_ASSERT(kpage_has(admin_kpage("/proc/kpageflags", pfn),
			      KPF_HWPOISON), "pfn 0x%lx is not poisoned", pfn);
	assert_resident(fd, 3 * P);
	gmem_allocate(fd, 0, 2 * P);
	assert_resident(fd, 3 * P);

	gmem_punch_hole(fd, 2 * P, P);
	assert_resident(fd, 2 * P);
	gmem_allocate(fd, 2 * P, P);
	assert_resident(fd, 3 * P);
	TEST_ASSERT(kpage_has(admin_kpage("/proc/kpageflags", pfn),
			      KPF_HWPOISON), "pfn 0x%lx is in use again", pfn);
	close(fd);
	kvm_vm_free(vm);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_fdinfo_of_a_new_file),
	GMEM_TEST(test_fdinfo_names_the_flags),
	GMEM_TEST(test_resident_follows_pages),
	GMEM_TEST(test_resident_is_true_with_and_without_huge_pages),
	GMEM_TEST(test_fdinfo_shows_bindings_by_offset),
	GMEM_TEST(test_fdinfo_shows_all_of_many_bindings),
	GMEM_TEST(test_fdinfo_races_with_close_bind_and_holes),
	GMEM_TEST(test_debugfs_lists_files),
	GMEM_TEST(test_debugfs_totals_are_sums),
	GMEM_TEST(test_debugfs_total_counts_huge_pages),
	GMEM_TEST(test_link_has_the_usual_name),
	GMEM_TEST(test_page_flags_are_those_of_pinned_page_cache),
	GMEM_TEST(test_a_poisoned_page_counts_until_it_leaves),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);

	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
