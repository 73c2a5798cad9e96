// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers for tests of what moves the memory of a guest_memfd, or may not.
 *
 * See guest_memfd_move.h for what each function does.
 */
#define _GNU_SOURCE /* for fallocate(2) */
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "guest_memfd_move.h"

#define MEMORY		"/sys/devices/system/memory/"

const struct move_kind move_kinds[MOVE_KINDS] = {
	{ "4 KiB, shared", false, false },
	{ "2 MiB, shared", false, true },
	{ "4 KiB, private", true, false },
	{ "2 MiB, private", true, true },
};

void move_require_nodes(void)
{
	if (access("/sys/devices/system/node/node1", F_OK))
		gmem_skip("one node; boot with numa=fake=2");
}

static int bind_memory(void *mem, u64 size, int node, unsigned int flags)
{
	u64 mask = BIT(node);

	return errno_of(syscall(__NR_mbind, mem, size, MPOL_BIND, &mask, 64,
				flags));
}

int move_mbind(struct move_file *f, int node, unsigned int flags)
{
	return bind_memory(f->mem, f->size, node, flags);
}

int move_policy(int fd, u64 offset, u64 size, int node, unsigned int flags)
{
	u64 mask = BIT(node);
	struct kvm_gmem_policy policy = {
		.offset = offset,
		.size = size,
		.mode = MPOL_BIND,
		.flags = flags,
		.nodemask = (u64)&mask,
		.maxnode = 64,
	};

	return errno_of(ioctl(fd, KVM_GMEM_SET_POLICY, &policy));
}

/* Look up what is there, or allocate it, in pieces that a trace can hold. */
#define PIECE		(2 * H)
#define GET_FOLIO	"guest_memfd_get_folio"

static void read_pfns(const char *trace, u64 *pfns, u64 nr)
{
	u64 index, pfn, order, i;
	const char *p;

	for (p = trace; (p = strstr(p, GET_FOLIO ": ")); p++) {
		if (sscanf(p, GET_FOLIO ": ino=%*u index=%lx pfn=%lx order=%lu",
			   &index, &pfn, &order) != 3)
			continue;
		/* That of the index, in a folio that is aligned. */
		pfn -= index & ((1UL << order) - 1);
		index &= ~((1UL << order) - 1);
		for (i = 0; i < 1UL << order && index + i < nr; i++)
			pfns[index + i] = pfn + i;
	}
}

u64 *move_find(struct move_file *f, const char *when)
{
	static const char * const events[] = { "guest_memfd/" GET_FOLIO };
	u64 *pfns = calloc(f->nr, sizeof(*pfns)), i;
	char *trace;

	TEST_ASSERT(pfns, "no memory");
	admin_trace_start(events, ARRAY_SIZE(events));
	for (i = 0; i < f->size; i += PIECE) {
		gmem_allocate(f->fd, i, f->size - i < PIECE ? f->size - i : PIECE);
		trace = admin_trace_read();
		read_pfns(trace, pfns, f->nr);
		free(trace);
	}
	for (i = 0; i < f->nr; i++)
		TEST_ASSERT(pfns[i], "%s: no look-up of page %lu", when, i);
	return pfns;
}

void move_find_again(struct move_file *f, const char *when)
{
	free(f->pfns);
	f->pfns = move_find(f, when);
}

u64 move_count_within(struct move_file *f, u64 base, u64 count)
{
	u64 i, nr = 0;

	for (i = 0; i < f->nr; i++)
		nr += f->pfns[i] - base < count;
	return nr;
}

u64 move_count_in_block(struct move_file *f, u64 block)
{
	u64 nr = move_block_pages();

	return move_count_within(f, block * nr, nr);
}

u64 move_pfn(struct move_file *f, u64 offset)
{
	static const char * const events[] = { "guest_memfd/" GET_FOLIO };
	u64 pfn = 0;
	char *trace;

	admin_trace_start(events, ARRAY_SIZE(events));
	gmem_allocate(f->fd, offset, P);
	trace = admin_trace_read();
	TEST_ASSERT(sscanf(strstr(trace, GET_FOLIO ": ") ?: "",
			   GET_FOLIO ": ino=%*u index=%*x pfn=%lx", &pfn) == 1,
		    "no look-up in: %s", trace);
	free(trace);
	return pfn;
}

void move_fill(struct move_file *f, u64 tag)
{
	if (f->kind->private)
		guest_fill(f->g.vcpu, GPA, f->size, tag);
	else
		gmem_fill(f->mem, 0, f->size, tag);
}

void move_check(struct move_file *f, u64 tag)
{
	if (f->kind->private)
		guest_check(f->g.vcpu, GPA, f->size, tag);
	else
		gmem_check(f->mem, 0, f->size, tag);
}

void move_assert_usage(struct move_file *f, u64 huge, const char *when)
{
	gmem_assert_usage(f->fd, f->size, huge, when);
}

void move_start(struct move_file *f, const struct move_kind *kind, u64 size,
		int node, u64 flags)
{
	flags |= GUEST_MEMFD_FLAG_MMAP;
	if (kind->huge)
		flags |= GUEST_MEMFD_FLAG_HUGEPAGE;

	*f = (struct move_file) { .kind = kind, .size = size, .nr = size / P };
	/* The guest's other memory is not to be huge either. */
	host_set_thp("madvise");
	if (kind->private) {
		gmem_conv_guest_start(&f->g, size, flags);
		f->fd = f->g.fd;
	} else {
		__gmem_map_setup(&f->m, KVM_X86_DEFAULT_VM, size,
				 flags | GUEST_MEMFD_FLAG_INIT_SHARED);
		f->fd = f->m.fd;
	}
	/* So that page tables of the host map huge pages as such. */
	f->mem = gmem_mmap_aligned(f->fd, size);
	ASSERT_EQ(move_mbind(f, node, 0), 0);
	f->pfns = move_find(f, kind->name);
	move_assert_usage(f, kind->huge ? size : 0, kind->name);
	move_fill(f, 1);
}

void move_end(struct move_file *f)
{
	free(f->pfns);
	munmap(f->mem, f->size);
	if (f->kind->private)
		gmem_conv_guest_end(&f->g);
	else
		gmem_map_teardown(&f->m);
}

#define ROOM		(64 * H)

/* Memory is allocated from the end of a zone on. */
void move_start_before_room(struct move_file *f, const struct move_kind *kind,
			    u64 size, int node, u64 flags)
{
	struct move_file other;

	move_start(&other, &move_kinds[1], ROOM, node, 0);
	move_start(f, kind, size, node, flags);
	move_end(&other);
}

void move_assert_still(struct move_file *f, const char *when)
{
	u64 *now = move_find(f, when);

	TEST_ASSERT(!memcmp(now, f->pfns, f->nr * sizeof(*now)),
		    "%s, %s: pages have moved", f->kind->name, when);
	free(now);
	move_assert_usage(f, f->kind->huge ? f->size : 0, when);
	move_check(f, 1);
}

/* Put folios on LRU lists that are on their way: move_pages() does so first. */
static void drain_lists(void)
{
	static int page = 1;

	move_page(&page, 0);
}

#define NR_COUNTS	5
#define COUNT_TRIES	100

/* Of nodes 0 and 1: what there is.  Of both: in huge folios, unevictable, file. */
static void count_by_group(u64 *counts)
{
	counts[0] = gmem_group_node_stat("file", 0);
	counts[1] = gmem_group_node_stat("file", 1);
	counts[2] = gmem_group_node_stat("file_thp", 0) +
		    gmem_group_node_stat("file_thp", 1);
	counts[3] = gmem_group_node_stat("unevictable", 0) +
		    gmem_group_node_stat("unevictable", 1);
	counts[4] = gmem_group_stat("file");
}

/* To find the pages would fill holes: with holes, all is taken to be on node 0. */
static void count_by_file(struct move_file *f, u64 *counts)
{
	u64 size = gmem_allocated(f->fd), on_1 = 0, *pfns, i;

	if (size == f->size) {
		pfns = move_find(f, "counting");
		for (i = 0; i < f->nr; i++)
			on_1 += move_node_of(pfns[i]) * P;
		free(pfns);
	}
	counts[0] = size - on_1;
	counts[1] = on_1;
	counts[2] = gmem_huge(f->fd);
	counts[3] = size;
	counts[4] = size;
}

void move_assert_counted(struct move_file *f, const char *when)
{
	u64 wanted[NR_COUNTS], is[NR_COUNTS];
	bool holes = gmem_allocated(f->fd) != f->size;
	int tries = 0;

	count_by_file(f, wanted);
	drain_lists();
	/* A group may say what it was like two seconds ago. */
	do {
		count_by_group(is);
		if (holes) {
			is[0] += is[1];
			is[1] = 0;
		}
	} while (memcmp(is, wanted, sizeof(is)) && ++tries < COUNT_TRIES &&
		 !usleep(50000));
	TEST_ASSERT(!memcmp(is, wanted, sizeof(is)),
		    "%s, %s: file %lu + %lu, huge %lu, unevictable %lu, all %lu; the file has %lu + %lu, huge %lu",
		    f->kind->name, when, is[0], is[1], is[2], is[3], is[4],
		    wanted[0], wanted[1], wanted[2]);
}

u64 move_block_pages(void)
{
	static u64 size;
	FILE *f;

	if (!size) {
		f = fopen(MEMORY "block_size_bytes", "r");
		if (!f)
			gmem_skip("no memory blocks");
		TEST_ASSERT(fscanf(f, "%lx", &size) == 1, "no block size");
		fclose(f);
	}
	return size / P;
}

int move_node_of(u64 pfn)
{
	char path[96];
	int node;

	for (node = 0; node < 2; node++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/memory%lu", node,
			 pfn / move_block_pages());
		if (!access(path, F_OK))
			return node;
	}
	TEST_FAIL("page frame 0x%lx is on no node", pfn);
	return -1;
}

void move_with_all(u64 size, int node, u64 flags,
		   void (*act)(struct move_file *f))
{
	struct move_file f;
	int i;

	move_require_nodes();
	for (i = 0; i < MOVE_KINDS; i++) {
		move_start(&f, &move_kinds[i], size, node, flags);
		act(&f);
		move_end(&f);
	}
}

int move_page(void *addr, int node)
{
	int status = 1000, ret;

	ret = syscall(__NR_move_pages, 0, 1, &addr, &node, &status,
		      MPOL_MF_MOVE);
	TEST_ASSERT(ret >= 0, "move_pages(): errno %d", errno);
	return ret ? -EAGAIN : status;
}

/* For one guest at a time. */
static struct move_counting {
	u64 nr_pages;
	u64 passes;
	u64 bad_gpa, bad_value;
	u64 stop;
} counting;

static u64 guest_count_pages(void)
{
	u64 pass = 0, value, *p, i;

	while (!READ_ONCE(counting.stop)) {
		for (i = 0; i < counting.nr_pages; i++) {
			p = (u64 *)(GPA + move_word_of(i));
			value = READ_ONCE(*p);
			if (value != pass) {
				counting.bad_value = value;
				WRITE_ONCE(counting.bad_gpa, (u64)p);
				return 1;
			}
			WRITE_ONCE(*p, pass + 1);
		}
		WRITE_ONCE(counting.passes, ++pass);
	}
	return 0;
}

static void *count_thread(void *vcpu)
{
	guest_cmd_set(vcpu, GUEST_OP_CALL, (u64)guest_count_pages, 0, 0);
	guest_cmd_finish(vcpu);
	return NULL;
}

void move_counter_start(struct move_counter *c, struct move_file *f)
{
	u64 i;

	c->f = f;
	for (i = 0; i < f->nr; i++)
		guest_write(f->g.vcpu, GPA + move_word_of(i), 0);
	c->c = addr_gva2hva(f->g.vm, (vm_vaddr_t)&counting);
	*c->c = (struct move_counting) { .nr_pages = f->nr };
	pthread_create(&c->thread, NULL, count_thread, f->g.vcpu);
}

void move_counter_check(struct move_counter *c, const char *when)
{
	u64 goal = READ_ONCE(c->c->passes) + 2;
	int ms = 0;

	while (READ_ONCE(c->c->passes) < goal) {
		TEST_ASSERT(!READ_ONCE(c->c->bad_gpa),
			    "%s, %s: 0x%lx at 0x%lx in pass %lu",
			    c->f->kind->name, when, c->c->bad_value,
			    c->c->bad_gpa, c->c->passes);
		TEST_ASSERT(ms++ < 60000, "%s, %s: the guest does not go on",
			    c->f->kind->name, when);
		usleep(1000);
	}
}

void move_counter_end(struct move_counter *c)
{
	move_counter_check(c, "in the end");
	WRITE_ONCE(c->c->stop, 1);
	pthread_join(c->thread, NULL);
	ksft_print_msg("%s: %lu passes of the guest\n", c->f->kind->name,
		       c->c->passes);
}

char *move_make_sparse(u64 size, int node)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u64 i;

	TEST_ASSERT(mem != MAP_FAILED, "mmap(): errno %d", errno);
	ASSERT_EQ(bind_memory(mem, size, node, 0), 0);
	for (i = 0; i < size; i += P)
		mem[i] = 1;
	for (i = 0; i < size; i += 2 * P)
		TEST_ASSERT(!madvise(mem + i, P, MADV_DONTNEED), "errno %d",
			    errno);
	return mem;
}
