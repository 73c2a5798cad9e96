// SPDX-License-Identifier: GPL-2.0
/*
 * The page frames behind a guest_memfd; see guest_memfd_pfn.h.
 */
#include <pthread.h>
#include <linux/elf.h>

#include "guest_memfd_admin.h"
#include "guest_memfd_guest.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_undo.h"

/* Pages of a cgroup that pfns_find() looks at. */
#define MAX_CANDIDATES	4096

/*
 * The cgroup
 */

int gmem_cgroup_write(const struct gmem_cgroup *cg, const char *file,
		      const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", cg->path, file);
	return admin_write(path, text);
}

/*
 * The folios that have been allocated in the cgroup, as far as that is known: to
 * ask for the cgroup of each page of the machine takes a debug kernel seconds.
 */
#define MAX_FOLIOS	4096
#define GET_FOLIO	"guest_memfd_get_folio"

static struct run {
	u64 pfn;
	u64 nr;
} folios[MAX_FOLIOS];
static u64 nr_folios;
static bool all_pages;

static void folios_read(const char *trace)
{
	u64 pfn, order, before = nr_folios;
	const char *p;

	for (p = trace; (p = strstr(p, GET_FOLIO ": ")); p++) {
		if (sscanf(p, GET_FOLIO ": ino=%*u index=%*x pfn=%lx order=%lu",
			   &pfn, &order) != 2)
			continue;
		/* Some may have been overwritten, too. */
		if (nr_folios == MAX_FOLIOS)
			all_pages = true;
		if (all_pages)
			return;
		folios[nr_folios++] = (struct run) {
			pfn & ~((1UL << order) - 1), 1UL << order
		};
	}
	if (nr_folios == before)
		all_pages = true;
}

static int compare_runs(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

void gmem_cgroup_leave(const struct gmem_cgroup *cg)
{
	char *trace;

	gmem_group_return();
	if (!admin_has_trace())
		return;
	trace = admin_trace_read();
	folios_read(trace);
	free(trace);
}

void gmem_cgroup_enter(const struct gmem_cgroup *cg)
{
	static const char * const events[] = { "guest_memfd/" GET_FOLIO };

	if (admin_has_trace())
		admin_trace_start(events, ARRAY_SIZE(events));
	ASSERT_EQ(gmem_cgroup_write(cg, "cgroup.procs", "0"), 0);
}

void gmem_cgroup_create(struct gmem_cgroup *cg)
{
	snprintf(cg->path, sizeof(cg->path), GMEM_CGROUP_ROOT "/gmem_pfn_%d",
		 getpid());
	cg->ino = gmem_cgroup_mkdir(cg->path);
}

/*
 * Page frames
 */

static int open_proc(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		gmem_skip("no %s", path);
	return fd;
}

static u64 read_u64(const char *path, u64 index)
{
	int fd = open_proc(path);
	u64 value = 0;
	ssize_t len;

	len = pread(fd, &value, sizeof(value), index * sizeof(value));
	TEST_ASSERT(len == sizeof(value), "%s, entry %lu: errno %d", path,
		    index, errno);
	close(fd);
	return value;
}

u64 pfn_flags(u64 pfn)
{
	return read_u64("/proc/kpageflags", pfn);
}

u64 pfn_mapcount(u64 pfn)
{
	return read_u64("/proc/kpagecount", pfn);
}

u64 pfn_cgroup(u64 pfn)
{
	return read_u64("/proc/kpagecgroup", pfn);
}

#define PAGEMAP_PRESENT		BIT_ULL(63)
#define PAGEMAP_PFN		GENMASK_ULL(54, 0)

void pfns_at(const void *hva, u64 nr, u64 *pfns)
{
	int fd = open_proc("/proc/self/pagemap");
	ssize_t size = nr * sizeof(*pfns);
	u64 i;

	TEST_ASSERT(pread(fd, pfns, size, (u64)hva / GMEM_PAGE_SIZE *
			  sizeof(*pfns)) == size,
		    "/proc/self/pagemap: errno %d", errno);
	close(fd);
	for (i = 0; i < nr; i++)
		pfns[i] = pfns[i] & PAGEMAP_PRESENT ? pfns[i] & PAGEMAP_PFN : 0;
}

u64 pfn_at(const void *hva)
{
	u64 pfn;

	pfns_at(hva, 1, &pfn);
	return pfn;
}

/* Page cache by its flags: everything that the kernel itself allocated is not. */
static bool is_file_page(u64 flags)
{
	u64 other = BIT_ULL(KPF_SLAB) | BIT_ULL(KPF_ANON) | BIT_ULL(KPF_MMAP) |
		    BIT_ULL(KPF_BUDDY) | BIT_ULL(KPF_PGTABLE);

	return (flags & BIT_ULL(KPF_UPTODATE)) && !(flags & other);
}

struct search {
	const struct gmem_cgroup *cg;
	int groups;
	u64 *pfns;
	u64 max;
	u64 nr;		/* found */
};

/* Return: the pfn to go on with, or 0 if there is none. */
static u64 search_pages(struct search *s, u64 pfn, u64 nr)
{
	u64 buf[512];
	ssize_t len, i;

	len = pread(s->groups, buf, min(nr * sizeof(u64), sizeof(buf)),
		    pfn * sizeof(u64));
	if (len <= 0)
		return 0;
	for (i = 0; i < len / (ssize_t)sizeof(u64); i++, pfn++) {
		if (buf[i] != s->cg->ino || !is_file_page(pfn_flags(pfn)))
			continue;
		if (s->nr++ < s->max)
			s->pfns[s->nr - 1] = pfn;
	}
	return pfn;
}

static void search_folios(struct search *s)
{
	u64 i, pfn = 0, end;

	qsort(folios, nr_folios, sizeof(*folios), compare_runs);
	for (i = 0; i < nr_folios; i++) {
		/* It may have been in another before. */
		pfn = max(pfn, folios[i].pfn);
		end = folios[i].pfn + folios[i].nr;
		while (pfn && pfn < end)
			pfn = search_pages(s, pfn, end - pfn);
	}
}

u64 gmem_cgroup_find_pfns(const struct gmem_cgroup *cg, u64 *pfns, u64 max)
{
	struct search s = {
		.cg = cg,
		.groups = open_proc("/proc/kpagecgroup"),
		.pfns = pfns,
		.max = max,
	};
	u64 pfn = 0;

	if (nr_folios && !all_pages) {
		search_folios(&s);
	} else {
		do {
			pfn = search_pages(&s, pfn, ~0UL / sizeof(u64));
		} while (pfn);
	}
	close(s.groups);
	return s.nr;
}

/* Where an address is in /proc/kcore, which is an ELF file; -1 if it is not. */
static off_t kcore_offset(int fd, u64 paddr)
{
	struct elf64_phdr phdr;
	struct elf64_hdr ehdr;
	int i;

	TEST_ASSERT(pread(fd, &ehdr, sizeof(ehdr), 0) == sizeof(ehdr),
		    "/proc/kcore has no header, errno %d", errno);
	for (i = 0; i < ehdr.e_phnum; i++) {
		if (pread(fd, &phdr, sizeof(phdr), ehdr.e_phoff +
			  i * sizeof(phdr)) != sizeof(phdr))
			break;
		if (phdr.p_type == PT_LOAD && paddr >= phdr.p_paddr &&
		    paddr - phdr.p_paddr < phdr.p_memsz)
			return phdr.p_offset + (paddr - phdr.p_paddr);
	}
	return -1;
}

u64 pfn_read_word(u64 pfn)
{
	int fd = open_proc("/proc/kcore");
	off_t offset = kcore_offset(fd, pfn * GMEM_PAGE_SIZE);
	u64 value;

	TEST_ASSERT(offset >= 0 &&
		    pread(fd, &value, sizeof(value), offset) == sizeof(value),
		    "cannot read pfn 0x%lx, errno %d", pfn, errno);
	close(fd);
	return value;
}

void pfns_find_some(const struct gmem_cgroup *cg, u64 gpa, u64 nr, u64 tag,
		    u64 *pfns)
{
	static u64 found[MAX_CANDIDATES];
	u64 i, page, word, nr_found;

	nr_found = gmem_cgroup_find_pfns(cg, found, MAX_CANDIDATES);
	TEST_ASSERT(nr_found <= MAX_CANDIDATES, "%lu pages", nr_found);

	memset(pfns, 0, nr * sizeof(*pfns));
	for (i = 0; i < nr_found; i++) {
		word = pfn_read_word(found[i]);
		for (page = 0; page < nr; page++)
			if (word == guest_pattern(gpa + GMEM_PAGES(page), tag))
				pfns[page] = found[i];
	}
}

void pfns_find(const struct gmem_cgroup *cg, u64 gpa, u64 nr, u64 tag,
	       u64 *pfns)
{
	u64 i;

	pfns_find_some(cg, gpa, nr, tag, pfns);
	for (i = 0; i < nr; i++)
		TEST_ASSERT(pfns[i], "page %lu not found", i);
}

/*
 * Poison
 */

#define HWPOISON_DIR	"/sys/kernel/debug/hwpoison/"
#define MEMORY_DIR	"/sys/devices/system/memory/"
#define UNPOISON	HWPOISON_DIR "unpoison-pfn"
#define UNPOISON_TRIES	3000	/* a minute */
#define MAX_POISONED	4096

static const struct {
	const char *path;
	u64 unit;
} poison_files[NR_POISON_HOW] = {
	[POISON_CORRUPT]	= { HWPOISON_DIR "corrupt-pfn", 1 },
	[POISON_REQUIRED]	= { HWPOISON_DIR "corrupt-pfn-required", 1 },
	[POISON_OFFLINE]	= { MEMORY_DIR "hard_offline_page",
				    GMEM_PAGE_SIZE },
};

static u64 poisoned[MAX_POISONED];
static u64 nr_remembered;
static u64 nr_poisoned_before;
static pthread_mutex_t remember_lock = PTHREAD_MUTEX_INITIALIZER;

u64 nr_poisoned(void)
{
	return gmem_meminfo_kb("HardwareCorrupted") / (GMEM_PAGE_SIZE / 1024);
}

void assert_unpoison_busy(u64 pfn, const char *when)
{
	u64 nr = nr_poisoned();
	int ret = __unpoison_pfn(pfn);

	TEST_ASSERT(ret == -EBUSY, "unpoisoning %s: %d", when, ret);
	TEST_ASSERT(pfn_is_poisoned(pfn), "not poisoned any more, %s", when);
	ASSERT_EQ(nr_poisoned(), nr);
}

void poison_require(void)
{
	int i;

	for (i = 0; i < NR_POISON_HOW; i++)
		if (access(poison_files[i].path, W_OK))
			gmem_skip("no %s", poison_files[i].path);
	if (access(UNPOISON, W_OK))
		gmem_skip("no " UNPOISON);
	nr_poisoned_before = nr_poisoned();
}

static int write_number(const char *path, u64 value)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%lx", value);
	return admin_write(path, text);
}

int __poison_pfn(u64 pfn, enum poison_how how)
{
	return write_number(poison_files[how].path,
			    pfn * poison_files[how].unit);
}

static const char *pfn_text(u64 pfn, char *text)
{
	sprintf(text, "0x%lx", pfn);
	return text;
}

void poison_remember(u64 pfn)
{
	char text[32];

	pthread_mutex_lock(&remember_lock);
	TEST_ASSERT(nr_remembered < MAX_POISONED, "too many poisoned pages");
	poisoned[nr_remembered++] = pfn;
	/* Once the test is over, its files are gone, and with them the page. */
	gmem_undo_by_write(UNPOISON, pfn_text(pfn, text));
	pthread_mutex_unlock(&remember_lock);
}

void poison_pfn(u64 pfn, enum poison_how how)
{
	int ret = __poison_pfn(pfn, how);

	TEST_ASSERT(!ret, "poisoning pfn 0x%lx: %d", pfn, ret);
	TEST_ASSERT(pfn_is_poisoned(pfn), "pfn 0x%lx is not poisoned", pfn);
	poison_remember(pfn);
}

int __unpoison_pfn(u64 pfn)
{
	return write_number(UNPOISON, pfn);
}

/* References from elsewhere, of a batch for instance, vanish soon. */
static void unpoison_pfn(u64 pfn)
{
	int tries, ret = -EBUSY;
	char text[32];

	for (tries = 0; tries < UNPOISON_TRIES && ret == -EBUSY; tries++) {
		if (tries)
			usleep(20000);
		ret = __unpoison_pfn(pfn);
	}
	TEST_ASSERT(!ret, "unpoisoning pfn 0x%lx: %d, flags 0x%lx", pfn, ret,
		    pfn_flags(pfn));
	TEST_ASSERT(!pfn_is_poisoned(pfn), "pfn 0x%lx is still poisoned", pfn);
	gmem_undo_forget(UNPOISON, pfn_text(pfn, text));
}

void poison_undo_all(void)
{
	u64 now;

	while (nr_remembered)
		unpoison_pfn(poisoned[--nr_remembered]);

	now = nr_poisoned();
	TEST_ASSERT(now == nr_poisoned_before, "%lu poisoned pages, %lu before",
		    now, nr_poisoned_before);
}

int soft_offline_pfn(u64 pfn)
{
	return write_number(MEMORY_DIR "soft_offline_page",
			    pfn * GMEM_PAGE_SIZE);
}
