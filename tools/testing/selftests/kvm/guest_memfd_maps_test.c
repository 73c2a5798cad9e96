// SPDX-License-Identifier: GPL-2.0-only
/*
 * What procfs says of a guest_memfd that host userspace has mapped: maps,
 * smaps, numa_maps, pagemap, map_files, and the flags of its pages.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/kernel-page-flags.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "guest_memfd_admin.h"
#include "guest_memfd_guest.h"

#define P		GMEM_PAGE_SIZE
#define FILE_SIZE	GMEM_FILE_SIZE
#define MAP_OFFSET	(4 * P)
#define MAP_PAGES	8
#define MAP_SIZE	(MAP_PAGES * P)
#define NAME		"anon_inode:[kvm-gmem]"

#define PM_PRESENT	BIT_ULL(63)
#define PM_SWAP		BIT_ULL(62)
#define PM_FILE		BIT_ULL(61)
#define PM_PFN		(BIT_ULL(55) - 1)

/* Pages 0, 1 and 5 of the mapping are touched, the others are not. */
static const int touched[] = { 0, 1, 5 };
#define NR_TOUCHED	ARRAY_SIZE(touched)

struct fixture {
	struct kvm_vm *vm;
	int fd;
	u64 ino;
	char *mem;
};

static void setup(struct fixture *f)
{
	u64 flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	struct gmem_state state;
	int i;

	f->vm = vm_create_barebones();
	if ((gmem_check_cap(f->vm->fd, KVM_CAP_GUEST_MEMFD_FLAGS) & flags) !=
	    flags)
		gmem_skip("no files that can be mapped");
	host_set_thp("never");
	f->fd = vm_create_guest_memfd(f->vm, FILE_SIZE, flags);
	gmem_state_get(f->fd, &state);
	f->ino = state.ino;

	f->mem = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd,
		      MAP_OFFSET);
	TEST_ASSERT(f->mem != MAP_FAILED, "mmap() failed, errno %d", errno);
	for (i = 0; i < NR_TOUCHED; i++)
		f->mem[touched[i] * P] = 1;
	/* In the file, but not in the page table. */
	gmem_allocate(f->fd, MAP_OFFSET + 7 * P, P);
}

static void teardown(struct fixture *f)
{
	munmap(f->mem, MAP_SIZE);
	close(f->fd);
	kvm_vm_free(f->vm);
}

/* From the line of the mapping to the end of the text. */
static char *find_mapping(const char *path, const char *start, char **text)
{
	char *p;

	*text = admin_read(path);
	TEST_ASSERT(*text, "cannot read %s", path);
	for (p = *text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, start, strlen(start)))
			return p;
	}
	TEST_FAIL("no %s in %s:\n%s", start, path, *text);
	return NULL;
}

static void test_maps_names_the_file(void)
{
	unsigned long start, end, offset, ino;
	char key[32], mode[8], name[64];
	struct fixture f;
	char *text, *p;

	setup(&f);
	snprintf(key, sizeof(key), "%lx-", (unsigned long)f.mem);
	p = find_mapping("/proc/self/maps", key, &text);
	TEST_ASSERT(sscanf(p, "%lx-%lx %7s %lx %*s %lu %63s", &start, &end, mode,
			   &offset, &ino, name) == 6, "cannot parse %s", p);
	ASSERT_EQ(end - start, (unsigned long)MAP_SIZE);
	TEST_ASSERT(!strcmp(mode, "rw-s"), "mode %s", mode);
	ASSERT_EQ(offset, (unsigned long)MAP_OFFSET);
	ASSERT_EQ(ino, f.ino);
	TEST_ASSERT(!strcmp(name, NAME), "name %s", name);
	free(text);
	teardown(&f);
}

static void assert_smaps(struct fixture *f, s64 nr_mapped)
{
	char key[32], *text, *p, flags[256];
	s64 kb = nr_mapped * P / 1024;

	snprintf(key, sizeof(key), "%lx-", (unsigned long)f->mem);
	p = find_mapping("/proc/self/smaps", key, &text);
	ASSERT_EQ(admin_value(p, "Size"), (s64)MAP_SIZE / 1024);
	ASSERT_EQ(admin_value(p, "Rss"), kb);
	ASSERT_EQ(admin_value(p, "Pss"), kb);
	ASSERT_EQ(admin_value(p, "Private_Dirty"), kb);
	ASSERT_EQ(admin_value(p, "Private_Clean"), 0L);
	ASSERT_EQ(admin_value(p, "Anonymous"), 0L);
	ASSERT_EQ(admin_value(p, "FilePmdMapped"), 0L);
	ASSERT_EQ(admin_value(p, "Swap"), 0L);
	ASSERT_EQ(admin_value(p, "Locked"), 0L);
	TEST_ASSERT(admin_line(p, "VmFlags", 0, flags, sizeof(flags)) &&
		    strstr(flags, "dd") && strstr(flags, "sh"), "flags %s",
		    flags);
	free(text);
}

static void test_smaps_counts_what_is_mapped(void)
{
	struct fixture f;

	setup(&f);
	assert_smaps(&f, NR_TOUCHED);
	gmem_punch_hole(f.fd, MAP_OFFSET + P, P);
	assert_smaps(&f, NR_TOUCHED - 1);
	gmem_punch_hole(f.fd, 0, FILE_SIZE);
	assert_smaps(&f, 0);
	f.mem[0] = 1;
	assert_smaps(&f, 1);
	teardown(&f);
}

static void test_numa_maps_counts_what_is_mapped(void)
{
	char key[32], *text, *p, *end;
	long nr, sum = 0;
	struct fixture f;
	int node, n;

	setup(&f);
	if (access("/proc/self/numa_maps", R_OK))
		gmem_skip("no numa_maps");
	snprintf(key, sizeof(key), "%lx ", (unsigned long)f.mem);
	p = find_mapping("/proc/self/numa_maps", key, &text);
	end = strchr(p, '\n');
	if (end)
		*end = '\0';
	TEST_ASSERT(strstr(p, " file=" NAME), "no file in %s", p);
	TEST_ASSERT(strstr(p, " mapped=3") || strstr(p, " dirty=3"),
		    "not 3 pages: %s", p);
	for (p = strstr(p, " N"); p; p = strstr(p + 1, " N"))
		if (sscanf(p, " N%d=%ld%n", &node, &nr, &n) >= 2)
			sum += nr;
	ASSERT_EQ(sum, (long)NR_TOUCHED);
	free(text);
	teardown(&f);
}

static u64 page_entry(struct fixture *f, int page)
{
	u64 index = ((unsigned long)f->mem + page * P) / P, entry;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	TEST_ASSERT(fd >= 0 && pread(fd, &entry, sizeof(entry),
				     index * sizeof(entry)) == sizeof(entry),
		    "reading pagemap: errno %d", errno);
	close(fd);
	return entry;
}

static bool is_touched(int page)
{
	int i;

	for (i = 0; i < NR_TOUCHED; i++)
		if (touched[i] == page)
			return true;
	return false;
}

static void assert_mapped_page(u64 pfn, u64 count)
{
	u64 flags = admin_kpage("/proc/kpageflags", pfn);
	u64 wanted = BIT_ULL(KPF_UPTODATE) | BIT_ULL(KPF_DIRTY) |
		     (count ? BIT_ULL(KPF_MMAP) : 0);
	u64 unwanted = BIT_ULL(KPF_LRU) | BIT_ULL(KPF_UNEVICTABLE) |
		       BIT_ULL(KPF_ANON) | BIT_ULL(KPF_SWAPBACKED) |
		       BIT_ULL(KPF_NOPAGE) |
		       (count ? 0 : BIT_ULL(KPF_MMAP));

	TEST_ASSERT((flags & wanted) == wanted && !(flags & unwanted),
		    "flags 0x%lx of pfn 0x%lx", flags, pfn);
	ASSERT_EQ(admin_kpage("/proc/kpagecount", pfn), count);
}

static void test_pagemap_and_page_flags(void)
{
	u64 entry, pfns[MAP_PAGES];
	struct fixture f;
	int i;

	setup(&f);
	for (i = 0; i < MAP_PAGES; i++) {
		entry = page_entry(&f, i);
		TEST_ASSERT(!(entry & PM_SWAP), "page %d: 0x%lx", i, entry);
		if (!is_touched(i)) {
			TEST_ASSERT(!(entry & PM_PRESENT), "page %d: 0x%lx", i,
				    entry);
			continue;
		}
		TEST_ASSERT((entry & PM_PRESENT) && (entry & PM_FILE),
			    "page %d: 0x%lx", i, entry);
		pfns[i] = entry & PM_PFN;
		assert_mapped_page(pfns[i], 1);
	}

	munmap(f.mem + P, P);
	assert_mapped_page(pfns[0], 1);
	assert_mapped_page(pfns[1], 0);
	gmem_punch_hole(f.fd, MAP_OFFSET, P);
	TEST_ASSERT(!(page_entry(&f, 0) & PM_PRESENT), "still mapped");
	teardown(&f);
}

static void test_map_files_names_but_does_not_open(void)
{
	char path[96], name[64] = "";
	struct fixture f;

	setup(&f);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
		 (unsigned long)f.mem, (unsigned long)(f.mem + MAP_SIZE));
	TEST_ASSERT(readlink(path, name, sizeof(name) - 1) > 0,
		    "readlink(%s): errno %d", path, errno);
	TEST_ASSERT(!strcmp(name, NAME), "name %s", name);
	GMEM_ASSERT_ERRNO(open(path, O_RDWR), ENXIO, "%s", path);
	teardown(&f);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_maps_names_the_file),
	GMEM_TEST(test_smaps_counts_what_is_mapped),
	GMEM_TEST(test_numa_maps_counts_what_is_mapped),
	GMEM_TEST(test_pagemap_and_page_flags),
	GMEM_TEST(test_map_files_names_but_does_not_open),
};

int main(void)
{
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
