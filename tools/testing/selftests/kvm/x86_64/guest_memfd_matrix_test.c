// SPDX-License-Identifier: GPL-2.0
/*
 * Every operation on a guest_memfd against every other, at every offset in
 * time (race.h), with files of each kind.
 *
 * The matrix is the table ops[]: whoever adds an operation adds a row.  A row
 * says with which kinds of files the operation works, how to run it, what it
 * may return, alone or because of what goes on beside it, and what it makes of
 * a page.  From the latter follows what a pair may leave behind: what one of
 * its two orders does, with an operation that has failed done in part or not at
 * all.
 *
 * A file has a head, private at first where that is possible, and a tail of
 * pages that the host has mapped.  NR_EACH pages of either are looked at, at
 * two words each; all of them count as memory.  No value appears twice in a
 * test, so that what is stale or belongs to another page is noticed.
 *
 * Environment: MATRIX_MS, for all kinds together; MATRIX_SEED, for the order of
 * the pairs, of which the last are left out when the time is over; MATRIX_PAIR,
 * as "kind:a:b", for one pair alone.  RACE_SEED is that of race.h.
 */
#define _GNU_SOURCE /* for fallocate(2), process_vm_readv(2) */
#include <asm/kvm_para.h>
#include <linux/kvm_para.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "guest_memfd_move.h"
#include "guest_memfd_pfn.h"
#include "guest_memfd_undo.h"
#include "processor.h"
#include "race.h"

#define DEFAULT_MS	75000
#define MIN_PAIR_MS	400
#define MAX_LOOPS	100000
/* What the process itself and the statistics of its group vary by. */
#define TOLERANCE_KB	8192
#define WAIT_NS		(50 * MS)

#define NR_EACH		8
#define NR_PAGES	(2 * NR_EACH)
#define NR_WORDS	2
/* Where the words of a page are; what is between them belongs to KVM. */
#define WORD(n)		((n) * (P - sizeof(u64)))
#define KVM_OFFSET	2048

#define FLAGS_SLOT	20
#define FLAGS_GPA	(GPA + BIT_ULL(30))
#define FLAGS_SIZE	GMEM_PAGES(16)

#define DEVICE_PORT	0x1234
#define DEVICE_WORDS	2

#define CPU1		"/sys/devices/system/cpu/cpu1/online"
#define NODE1		"/sys/devices/system/node/node1"
#define POISON_FILE	"/sys/kernel/debug/hwpoison/corrupt-pfn"
#define SOFT_FILE	"/sys/devices/system/memory/soft_offline_page"
#define GROUP_FILE	GMEM_CGROUP_ROOT "/cgroup.procs"

#ifndef MADV_HWPOISON
#define MADV_HWPOISON	100
#endif

enum kind_nr { PRIVATE, SHARED, CONVERTIBLE, HUGE, MOVABLE, NR_KINDS };

#define ANY		(BIT(NR_KINDS) - 1)
#define CONV		(BIT(CONVERTIBLE) | BIT(HUGE) | BIT(MOVABLE))
#define MAPPED		(CONV | BIT(SHARED))

struct kind {
	const char *name;
	unsigned long vm_type;
	u64 flags;
	u64 head;	/* pages */
};

static const struct kind kinds[NR_KINDS] = {
	[PRIVATE] = {
		"private", KVM_X86_SW_PROTECTED_VM, 0, NR_EACH,
	},
	[SHARED] = {
		"shared", KVM_X86_DEFAULT_VM, GMEM_SHARED_FLAGS, NR_EACH,
	},
	[CONVERTIBLE] = {
		"convertible", KVM_X86_SW_PROTECTED_VM, GUEST_MEMFD_FLAG_MMAP,
		NR_EACH,
	},
	[HUGE] = {
		"huge", KVM_X86_SW_PROTECTED_VM,
		GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_HUGEPAGE, H / P,
	},
	[MOVABLE] = {
		"movable", KVM_X86_SW_PROTECTED_VM,
		GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_MOVABLE, H / P,
	},
};

/* What a word can be. */
enum value {
	V_ZERO,
	V_INIT,		/* what the guest wrote before the two began */
	V_A,		/* what side A writes, and side B */
	V_B,
	V_HVA,		/* at userspace_addr, of a private file's slot */
	V_LOST,		/* the page is poisoned */
	V_BAD,
};

/* What the model knows of a page. */
struct page {
	u8 word[NR_WORDS];
	u8 hva[NR_WORDS];
	bool private;	/* by attribute, or by the file's state */
	bool present;	/* in the file, certainly */
	bool maybe;	/* or possibly */
};

/* The union of what can be: masks of BIT(enum value), of BIT(private). */
struct permitted {
	u8 word[NR_WORDS];
	u8 hva[NR_WORDS];
	u8 private;
	bool present;
	bool maybe;
};

/* What an operation does that has others fail. */
#define CLOSES		BIT(0)	/* the file is gone */
#define SLOTS		BIT(1)	/* the slot is, or is a new one */
#define POISONS		BIT(2)
#define CONVERTS	BIT(3)
#define USES		BIT(4)	/* holds references to pages */
#define MOVES		BIT(5)	/* what was a page's frame may be no longer */
#define ATTRIBUTES	BIT(6)
#define ENDS		BIT(7)	/* the VM is gone */
#define HOTPLUGS	BIT(8)

/* What it has to find. */
#define NEEDS_PAGES	BIT(0)	/* those that are looked at */
#define NEEDS_ALL	BIT(1)
#define NEEDS_NO_TWIN	BIT(2)	/* it cannot be against itself */

/* How much of it may have been done when it has failed. */
enum failure {
	IN_PART,
	NOT_AT_ALL,
	AS_APPLIED,	/* apply() knows */
};

/* Results that are no errno. */
#define RET_SIGNAL(sig)	(-1000 - (sig))
#define RET_EXIT(nr)	(-2000 - (int)(nr))
#define RET_WRONG	(-3000)

/* What may be returned because of what the other does, or anyhow. */
struct result {
	int ret;
	u32 because;
};

#define ANYHOW		0
#define RESULTS(...)	((const struct result[]) { __VA_ARGS__, {} })

struct matrix;

struct op {
	const char *name;
	u32 kinds;
	u32 needs;
	u32 causes;
	enum failure failure;
	bool by_frame;	/* works on a page frame, wherever that is now */
	bool by_bytes;	/* reads less than words */
	const char *file;	/* without which it cannot be done */
	unsigned long ioctls[2];
	const struct result *may;	/* besides 0 */
	void (*setup)(struct matrix *m, int side);
	int (*run)(struct matrix *m, int side);
	/* What becomes of a page, its index in the file being @index. */
	void (*apply)(struct matrix *m, int side, u64 index, struct page *p);
};

/* What a vCPU does: two sides, and the check. */
enum job_op { JOB_READ, JOB_WRITE, JOB_STRING };
enum { A, B, CHECK, NR_VCPUS };

#define JOB_UNSEEN	0x123456789abcdef0ULL

struct job {
	u64 op;
	u64 tag;
	u64 nr;
	u64 gpas[NR_PAGES];
	u64 seen[NR_PAGES][NR_WORDS];
};

#define NR_RESULTS	8

struct results {
	int ret[NR_RESULTS];
	unsigned int nr[NR_RESULTS];
};

struct matrix {
	enum kind_nr kind;
	const struct kind *k;
	const struct op *op[2];
	u64 nr_pages, size;

	/* Copies of what is in @vm: one side may free that. */
	struct kvm_vm *vm;
	int vm_fd, vcpu_fd[NR_VCPUS];
	struct kvm_run *run[NR_VCPUS];
	struct job *job[NR_VCPUS];

	int fd;
	char *mem;	/* a mapping of the file */
	char *hva;	/* memory at userspace_addr */
	char *flags_mem;

	/* Of this loop. */
	bool full;
	bool pending[2];	/* the vCPU has yet to end its job */
	bool closed, ended;
	int ret[2];
	u64 done[2];
	u64 pfn[2];
	u64 seen[2][NR_PAGES][NR_WORDS];
	u8 device[2][DEVICE_WORDS * 4];
	u32 nr_device[2];
	struct page before[2];	/* of those looked at, and of others */

	/* Of the pair. */
	int node;
	bool pinned[2];
	cpu_set_t cpus[2];
	struct admin_cgroup cg;
	struct results results[2];
	s64 files_before;
};

/* So that no tag is used twice by a process. */
static u64 loop;

static u64 tag_of(enum value value)
{
	return loop * 8 + value;
}

/* The index in the file of the @n-th page that is looked at. */
static u64 index_of(struct matrix *m, u64 n)
{
	if (n >= NR_EACH)
		return m->k->head + n - NR_EACH;
	return n * (m->k->head / NR_EACH);
}

static u64 offset_of(struct matrix *m, u64 n)
{
	return index_of(m, n) * P;
}

static u64 gpa_of(struct matrix *m, u64 n)
{
	return GPA + offset_of(m, n);
}

static u64 *word_at(char *mem, struct matrix *m, u64 n, u64 word)
{
	return (u64 *)(mem + offset_of(m, n) + WORD(word));
}

static u64 word_of(struct matrix *m, u64 n, u64 word, enum value value)
{
	if (value == V_ZERO)
		return 0;
	return guest_pattern(gpa_of(m, n) + WORD(word), tag_of(value));
}

static enum value value_of(struct matrix *m, u64 n, u64 word, u64 raw)
{
	enum value v;

	for (v = V_ZERO; v < V_LOST; v++)
		if (raw == word_of(m, n, word, v))
			return v;
	return V_BAD;
}

static bool is_looked_at(struct matrix *m, u64 index)
{
	return index >= m->k->head ||
	       !(index % (m->k->head / NR_EACH));
}

static bool is_conv(struct matrix *m)
{
	return CONV & BIT(m->kind);
}

/*
 * The guest
 */

static struct job jobs[NR_VCPUS];

static void guest_access(struct job *j, u64 n)
{
	u64 word, *p;

	for (word = 0; word < NR_WORDS; word++) {
		p = (u64 *)(j->gpas[n] + WORD(word));
		if (j->op == JOB_READ)
			j->seen[n][word] = READ_ONCE(*p);
		else
			WRITE_ONCE(*p, guest_pattern((u64)p, j->tag));
	}
}

/* KVM reads a word that is looked at, and writes one that is not. */
static void guest_string(struct job *j)
{
	u64 si = j->gpas[1], di = j->gpas[2] + KVM_OFFSET, cx = DEVICE_WORDS;

	asm volatile("rep outsl" : "+S"(si), "+c"(cx) : "d"(DEVICE_PORT) :
		     "memory");
	cx = DEVICE_WORDS;
	asm volatile("rep insl" : "+D"(di), "+c"(cx) : "d"(DEVICE_PORT) :
		     "memory");
}

static void guest_main(u64 index)
{
	struct job *j = &jobs[index];
	u64 n;

	for (;;) {
		if (j->op == JOB_STRING)
			guest_string(j);
		else
			for (n = 0; n < j->nr; n++)
				guest_access(j, n);
		GUEST_SYNC(index);
	}
}

/* All pages, or those in @wanted. */
static void job_set(struct matrix *m, int vcpu, enum job_op op, u64 tag,
		    u64 wanted)
{
	struct job *j = m->job[vcpu];
	u64 n;

	*j = (struct job) { .op = op, .tag = tag };
	for (n = 0; n < NR_PAGES; n++)
		if (wanted & BIT(n))
			j->gpas[j->nr++] = gpa_of(m, n);
	for (n = 0; n < NR_PAGES * NR_WORDS; n++)
		j->seen[n / NR_WORDS][n % NR_WORDS] = JOB_UNSEEN;
}

#define ALL_PAGES	(BIT(NR_PAGES) - 1)

static void device_access(struct matrix *m, int side, struct kvm_run *run)
{
	u8 *data = (u8 *)run + run->io.data_offset;
	u32 len = run->io.size * run->io.count, i;

	for (i = 0; i < len && side < CHECK; i++) {
		if (run->io.direction == KVM_EXIT_IO_IN)
			data[i] = 0xab;
		else if (m->nr_device[side] < sizeof(m->device[side]))
			m->device[side][m->nr_device[side]++] = data[i];
	}
}

/* Return: 0 when the job is done, -errno, or an exit. */
static int job_run(struct matrix *m, int vcpu)
{
	struct kvm_run *run = m->run[vcpu];
	int ret;

	for (;;) {
		ret = errno_of(ioctl(m->vcpu_fd[vcpu], KVM_RUN, NULL));
		if (ret == -EINTR)
			continue;
		if (ret)
			return ret;
		if (run->exit_reason != KVM_EXIT_IO)
			return RET_EXIT(run->exit_reason);
		if (run->io.port != DEVICE_PORT)
			return 0;
		device_access(m, vcpu, run);
	}
}

/*
 * The host's accesses
 */

static __thread sigjmp_buf jump;
static __thread bool can_jump;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	/* Of an error elsewhere: nothing that this thread has done. */
	if (sig == SIGBUS && info->si_code == BUS_MCEERR_AO)
		return;
	if (can_jump)
		siglongjmp(jump, sig);
	signal(sig, SIG_DFL);
}

/* Return: 0 or the signal.  Jumps of the caller are as before. */
static int access_word(u64 *p, u64 *value, bool write)
{
	sigjmp_buf outer;
	bool could = can_jump;
	int sig;

	memcpy(outer, jump, sizeof(outer));
	sig = sigsetjmp(jump, 0);
	if (!sig) {
		can_jump = true;
		if (write)
			WRITE_ONCE(*p, *value);
		else
			*value = READ_ONCE(*p);
	}
	memcpy(jump, outer, sizeof(outer));
	can_jump = could;
	return sig;
}

/* The pages of the tail, of both words.  The first signal ends it. */
static int access_tail(struct matrix *m, int side, bool write)
{
	u64 n, word, value;
	int sig;

	for (n = NR_EACH; n < NR_PAGES; n++) {
		for (word = 0; word < NR_WORDS; word++) {
			value = word_of(m, n, word, V_A + side);
			sig = access_word(word_at(m->mem, m, n, word), &value,
					  write);
			if (sig)
				return RET_SIGNAL(sig);
			if (!write)
				m->seen[side][n][word] = value;
		}
	}
	return 0;
}

/*
 * Slots
 */

static int set_region(struct matrix *m, u32 slot, u32 flags, u64 gpa, u64 size,
		      char *hva)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (u64)hva,
		.guest_memfd = m->fd,
	};

	return errno_of(ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION2, &region));
}

static int slot_delete(struct matrix *m)
{
	return set_region(m, GMEM_DATA_SLOT, 0, GPA, 0, NULL);
}

static int slot_bind(struct matrix *m)
{
	return set_region(m, GMEM_DATA_SLOT, KVM_MEM_GUEST_MEMFD, GPA, m->size,
			  m->hva);
}

/*
 * Operations: the file
 */

static int run_close(struct matrix *m, int side)
{
	/* The address stays taken: nothing else may get it in this loop. */
	if (m->mem)
		TEST_ASSERT(mmap(m->mem, m->size, PROT_NONE, MAP_PRIVATE |
				 MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m->mem,
			    "mmap(): errno %d", errno);
	return errno_of(close(m->fd));
}

static int run_close_unbound(struct matrix *m, int side)
{
	slot_delete(m);
	return run_close(m, side);
}

static int run_create(struct matrix *m, int side)
{
	struct kvm_create_guest_memfd args = {
		.size = m->size,
		.flags = m->k->flags,
	};
	int fd = errno_of(ioctl(m->vm_fd, KVM_CREATE_GUEST_MEMFD, &args));

	return fd < 0 ? fd : errno_of(close(fd));
}

#define PUNCHED		3

static int run_punch_page(struct matrix *m, int side)
{
	return errno_of(__gmem_punch_hole(m->fd, offset_of(m, PUNCHED), P));
}

static int run_punch_all(struct matrix *m, int side)
{
	return errno_of(__gmem_punch_hole(m->fd, 0, m->size));
}

static void punch(struct page *p)
{
	u64 word;

	for (word = 0; word < NR_WORDS; word++)
		p->word[word] = V_ZERO;
	p->present = false;
	p->maybe = false;
}

static void apply_punch_page(struct matrix *m, int side, u64 index,
			     struct page *p)
{
	if (index == index_of(m, PUNCHED))
		punch(p);
}

static void apply_punch_all(struct matrix *m, int side, u64 index,
			    struct page *p)
{
	punch(p);
}

static int run_allocate(struct matrix *m, int side)
{
	return errno_of(__gmem_allocate(m->fd, 0, m->size));
}

static void apply_allocate(struct matrix *m, int side, u64 index,
			   struct page *p)
{
	p->present = true;
	p->maybe = true;
}

/* fstat(), fdinfo and the state, which change nothing. */
static int run_look(struct matrix *m, int side)
{
	char path[64], text[1024];
	struct stat st;
	int fd, ret;

	if (fstat(m->fd, &st))
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", m->fd);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	ret = errno_of(read(fd, text, sizeof(text)));
	close(fd);
	return min(ret, 0);
}

static int run_get_attributes(struct matrix *m, int side)
{
	struct kvm_gmem_get_attributes get = { .size = m->size };

	if (ioctl(m->fd, KVM_GMEM_GET_ATTRIBUTES, &get))
		return -errno;
	return get.size && get.size <= m->size && get.resident <= get.size ?
	       0 : RET_WRONG;
}

/*
 * Operations: slots and attributes of the VM
 */

static int run_slot_delete(struct matrix *m, int side)
{
	return slot_delete(m);
}

static int run_slot_anew(struct matrix *m, int side)
{
	return slot_delete(m) ?: slot_bind(m);
}

static int set_flags(struct matrix *m, u32 flags)
{
	return set_region(m, FLAGS_SLOT, flags, FLAGS_GPA, FLAGS_SIZE,
			  m->flags_mem);
}

/* Those of a slot with a file cannot change, those of its neighbour can. */
static int run_slot_flags(struct matrix *m, int side)
{
	int ret = set_flags(m, KVM_MEM_LOG_DIRTY_PAGES) ?: set_flags(m, 0);

	if (ret)
		return ret;
	ret = set_region(m, GMEM_DATA_SLOT, KVM_MEM_LOG_DIRTY_PAGES |
			 KVM_MEM_GUEST_MEMFD, GPA, m->size, m->hva);
	return ret == -EINVAL ? 0 : ret ?: RET_WRONG;
}

static int set_attributes(struct matrix *m, u64 first, u64 nr, u64 attributes)
{
	struct kvm_memory_attributes attrs = {
		.address = gpa_of(m, first),
		.size = nr * P,
		.attributes = attributes,
	};

	return errno_of(ioctl(m->vm_fd, KVM_SET_MEMORY_ATTRIBUTES, &attrs));
}

/* Pages 2 to 5 private, and 4 to 9 shared: they meet at 4 and 5. */
static int run_attr_private(struct matrix *m, int side)
{
	return set_attributes(m, 2, 4, KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

static int run_attr_shared(struct matrix *m, int side)
{
	return set_attributes(m, 4, 6, 0);
}

/* Where the file has a state they mean nothing. */
static void apply_attr_private(struct matrix *m, int side, u64 index,
			       struct page *p)
{
	if (m->kind == PRIVATE && index - 2 < 4)
		p->private = true;
}

static void apply_attr_shared(struct matrix *m, int side, u64 index,
			      struct page *p)
{
	if (m->kind == PRIVATE && index - 4 < 6)
		p->private = false;
}

/*
 * Operations: conversion in place
 */

/* Half of the tail becomes private; half of the head and some of it, shared. */
static u64 to_shared_from(struct matrix *m)
{
	return m->k->head / 2;
}

static u64 to_shared_nr(struct matrix *m)
{
	return m->k->head - to_shared_from(m) + 2;
}

static int convert(struct matrix *m, u64 index, u64 nr, u64 attributes,
		   bool wait)
{
	return __gmem_convert(m->fd, index * P, nr * P, attributes,
			      wait ? GMEM_WAIT : 0, wait ? WAIT_NS : 0, NULL);
}

static int run_to_private(struct matrix *m, int side)
{
	return convert(m, m->k->head, NR_EACH / 2, GMEM_PRIVATE, false);
}

static int run_to_private_wait(struct matrix *m, int side)
{
	return convert(m, m->k->head, NR_EACH / 2, GMEM_PRIVATE, true);
}

static void apply_to_private(struct matrix *m, int side, u64 index,
			     struct page *p)
{
	if (index - m->k->head < NR_EACH / 2)
		p->private = true;
}

static int run_to_shared(struct matrix *m, int side)
{
	return convert(m, to_shared_from(m), to_shared_nr(m), GMEM_SHARED,
		       false);
}

static int run_to_shared_wait(struct matrix *m, int side)
{
	return convert(m, to_shared_from(m), to_shared_nr(m), GMEM_SHARED,
		       true);
}

static void apply_to_shared(struct matrix *m, int side, u64 index,
			    struct page *p)
{
	u64 word;

	if (!p->private || index - to_shared_from(m) >= to_shared_nr(m))
		return;
	p->private = false;
	for (word = 0; word < NR_WORDS; word++)
		if (p->word[word] != V_LOST)
			p->word[word] = V_ZERO;
}

/* Two ranges of the tail, with pages between them. */
#define BATCH_NR	2
#define BATCH_PAGES	2
#define BATCH_STEP	4

static int run_batch(struct matrix *m, int side)
{
	struct kvm_gmem_range ranges[BATCH_NR];
	struct kvm_gmem_attributes_vec vec = {
		.ranges = (u64)ranges,
		.nr = BATCH_NR,
		.attributes = GMEM_PRIVATE,
	};
	int ret, i;

	for (i = 0; i < BATCH_NR; i++)
		ranges[i] = (struct kvm_gmem_range) {
			.offset = (m->k->head + i * BATCH_STEP) * P,
			.size = BATCH_PAGES * P,
		};
	ret = errno_of(ioctl(m->fd, KVM_GMEM_SET_ATTRIBUTES_VEC, &vec));
	m->done[side] = vec.done;
	return !ret && vec.done != BATCH_NR ? RET_WRONG : ret;
}

static void apply_batch(struct matrix *m, int side, u64 index, struct page *p)
{
	u64 i = index - m->k->head;

	if (index >= m->k->head && i % BATCH_STEP < BATCH_PAGES &&
	    i / BATCH_STEP < m->done[side])
		p->private = true;
}

/*
 * Operations: where the memory is
 */

static int set_policy(struct matrix *m, u32 mode, u32 flags, u64 nodes)
{
	struct kvm_gmem_policy policy = {
		.size = m->size,
		.mode = mode,
		.flags = flags,
		.nodemask = (u64)&nodes,
		.maxnode = 64,
	};

	return errno_of(ioctl(m->fd, KVM_GMEM_SET_POLICY, &policy));
}

static int run_policy(struct matrix *m, int side)
{
	return set_policy(m, MPOL_INTERLEAVE, 0, 3) ?:
	       set_policy(m, MPOL_DEFAULT, 0, 0);
}

static int run_mbind(struct matrix *m, int side)
{
	u64 nodes = 1;

	return errno_of(syscall(__NR_mbind, m->mem, m->size, MPOL_PREFERRED,
				&nodes, 64, 0));
}

static int run_migrate(struct matrix *m, int side)
{
	m->node = !m->node;
	return set_policy(m, MPOL_BIND, MPOL_MF_MOVE_ALL, BIT(m->node));
}

#define MOVED		(NR_EACH + 3)

static void setup_map_page(struct matrix *m, int side)
{
	u64 value;

	access_word(word_at(m->mem, m, MOVED, 0), &value, false);
}

/* Whether it moves, or is there at all, is no matter. */
static int run_move_pages(struct matrix *m, int side)
{
	void *page = m->mem + offset_of(m, MOVED);
	int status, node = 1, ret;

	ret = errno_of(syscall(__NR_move_pages, 0, 1, &page, &node, &status,
			       MPOL_MF_MOVE));
	if (!ret && status != 1)
		return status;
	return ret > 0 ? -EAGAIN : ret;
}

static int run_collapse(struct matrix *m, int side)
{
	struct kvm_gmem_collapse c = { .size = H };

	if (ioctl(m->fd, KVM_GMEM_COLLAPSE, &c))
		return -errno;
	return c.done && c.done != H ? RET_WRONG : 0;
}

#define LOST		2
#define LOST_MAPPED	(NR_EACH + 1)
#define SOFT		5
#define SOFT_MAPPED	(NR_EACH + 2)

static u64 pfn_of(struct matrix *m, u64 n)
{
	struct move_file f = { .fd = m->fd };

	return move_pfn(&f, offset_of(m, n));
}

static void setup_poison(struct matrix *m, int side)
{
	m->pfn[side] = pfn_of(m, LOST);
}

static void setup_poison_mapped(struct matrix *m, int side)
{
	m->pfn[side] = pfn_of(m, LOST_MAPPED);
}

static void setup_soft_offline(struct matrix *m, int side)
{
	m->pfn[side] = pfn_of(m, SOFT);
}

/* Not if the page has left the file before this has begun. */
static bool is_page_of_a_file(u64 pfn)
{
	u64 flags = pfn_flags(pfn);

	return flags & (BIT_ULL(KPF_UPTODATE) | BIT_ULL(KPF_COMPOUND_TAIL)) &&
	       !(flags & (BIT_ULL(KPF_SLAB) | BIT_ULL(KPF_ANON) |
			  BIT_ULL(KPF_BUDDY) | BIT_ULL(KPF_PGTABLE)));
}

static int run_poison(struct matrix *m, int side)
{
	if (!is_page_of_a_file(m->pfn[side]))
		return -ESTALE;
	return __poison_pfn(m->pfn[side], POISON_CORRUPT);
}

static int run_poison_mapped(struct matrix *m, int side)
{
	return errno_of(madvise(m->mem + offset_of(m, LOST_MAPPED), P,
				MADV_HWPOISON));
}

static void lose(struct page *p)
{
	u64 word;

	if (!p->present)
		return;
	for (word = 0; word < NR_WORDS; word++)
		p->word[word] = V_LOST;
}

static void apply_poison(struct matrix *m, int side, u64 index, struct page *p)
{
	if (index == index_of(m, LOST))
		lose(p);
}

static void apply_poison_mapped(struct matrix *m, int side, u64 index,
				struct page *p)
{
	if (index == index_of(m, LOST_MAPPED))
		lose(p);
}

static int run_soft_offline(struct matrix *m, int side)
{
	if (!is_page_of_a_file(m->pfn[side]))
		return -ESTALE;
	return soft_offline_pfn(m->pfn[side]);
}

/*
 * Operations: guest and KVM
 */

static void setup_guest_read(struct matrix *m, int side)
{
	job_set(m, side, JOB_READ, 0, ALL_PAGES);
	m->pending[side] = true;
}

static void setup_guest_write(struct matrix *m, int side)
{
	job_set(m, side, JOB_WRITE, tag_of(V_A + side), ALL_PAGES);
	m->pending[side] = true;
}

static void setup_string(struct matrix *m, int side)
{
	job_set(m, side, JOB_STRING, 0, ALL_PAGES);
	m->pending[side] = true;
}

static int run_guest(struct matrix *m, int side)
{
	int ret = job_run(m, side);

	m->pending[side] = ret;
	return ret;
}

/* The first one to touch 2 MiB may allocate all of it. */
static void touch(struct matrix *m, u64 index, struct page *p, bool this)
{
	if (this && (m->kind != PRIVATE || p->private)) {
		p->present = true;
		p->maybe = true;
	}
	if (this || m->kind == HUGE)
		p->maybe = true;
}

static void apply_guest_read(struct matrix *m, int side, u64 index,
			     struct page *p)
{
	touch(m, index, p, is_looked_at(m, index));
}

static void apply_guest_write(struct matrix *m, int side, u64 index,
			      struct page *p)
{
	u64 word;
	u8 *to;

	touch(m, index, p, is_looked_at(m, index));
	for (word = 0; word < NR_WORDS; word++) {
		to = m->kind == PRIVATE && !p->private ? &p->hva[word] :
							 &p->word[word];
		if (*to != V_LOST)
			*to = V_A + side;
	}
}

/* Reads of KVM's allocate nothing, or what the guest's would have. */
static void apply_kvm(struct matrix *m, int side, u64 index, struct page *p)
{
	if (m->kind == HUGE || (is_looked_at(m, index) &&
				index <= index_of(m, 2)))
		p->maybe = true;
}

static int set_msr(struct matrix *m, int side, u32 msr, u64 value)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = {
		.header.nmsrs = 1,
		.entry = { .index = msr, .data = value },
	};
	int ret = errno_of(ioctl(m->vcpu_fd[side], KVM_SET_MSRS, &msrs));

	return ret == 1 ? 0 : ret ?: -EINVAL;
}

/* KVM writes the wall clock at once, and the rest when the vCPU enters. */
static void setup_clock(struct matrix *m, int side)
{
	job_set(m, side, JOB_READ, 0, 0);
	m->pending[side] = true;
}

static int run_clock(struct matrix *m, int side)
{
	u64 gpa = gpa_of(m, 0) + KVM_OFFSET;
	int ret;

	ret = set_msr(m, side, MSR_KVM_WALL_CLOCK_NEW, gpa) ?:
	      set_msr(m, side, MSR_KVM_SYSTEM_TIME_NEW, (gpa + 64) | 1) ?:
	      set_msr(m, side, MSR_KVM_STEAL_TIME, (gpa + 128) | 1) ?:
	      run_guest(m, side);
	set_msr(m, side, MSR_KVM_SYSTEM_TIME_NEW, 0);
	set_msr(m, side, MSR_KVM_STEAL_TIME, 0);
	return ret;
}

static int run_pre_fault(struct matrix *m, int side)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA, .size = m->size };

	while (range.size) {
		if (ioctl(m->vcpu_fd[side], KVM_PRE_FAULT_MEMORY, &range) &&
		    errno != EINTR)
			return -errno;
	}
	return 0;
}

static void apply_pre_fault(struct matrix *m, int side, u64 index,
			    struct page *p)
{
	touch(m, index, p, true);
}

static int run_vm_end(struct matrix *m, int side)
{
	kvm_vm_free(m->vm);
	return 0;
}

/*
 * Operations: the host
 */

/* What the host sees of the head is shown by nothing but a conversion. */
static int run_host_read(struct matrix *m, int side)
{
	int ret = access_tail(m, side, false);
	u64 n, word, value;

	for (n = 0; n < NR_EACH; n++)
		for (word = 0; word < NR_WORDS; word++)
			if (!access_word(word_at(m->mem, m, n, word), &value,
					 false))
				m->seen[side][n][word] = value;
	return ret;
}

static void apply_host_read(struct matrix *m, int side, u64 index,
			    struct page *p)
{
	touch(m, index, p, index >= m->k->head);
	if (is_looked_at(m, index) && !p->private)
		p->maybe = true;
}

static int run_host_write(struct matrix *m, int side)
{
	return access_tail(m, side, true);
}

static void apply_host_write(struct matrix *m, int side, u64 index,
			     struct page *p)
{
	u64 word;

	if (index < m->k->head)
		return;
	touch(m, index, p, true);
	for (word = 0; word < NR_WORDS; word++)
		if (p->word[word] != V_LOST)
			p->word[word] = V_A + side;
}

/* By a system call that pins the pages. */
static int run_pin(struct matrix *m, int side)
{
	struct iovec local = {
		&m->seen[side][NR_EACH], sizeof(m->seen[side]) / 2,
	}, remote[NR_EACH * NR_WORDS];
	ssize_t ret;
	int i;

	for (i = 0; i < NR_EACH * NR_WORDS; i++)
		remote[i] = (struct iovec) {
			word_at(m->mem, m, NR_EACH + i / NR_WORDS,
				i % NR_WORDS), sizeof(u64),
		};
	ret = process_vm_readv(getpid(), &local, 1, remote,
			       NR_EACH * NR_WORDS, 0);
	if (ret < 0)
		return -errno;
	return ret == local.iov_len ? 0 : -EFAULT;
}

static void apply_tail(struct matrix *m, int side, u64 index, struct page *p)
{
	if (index >= m->k->head)
		touch(m, index, p, true);
}

static void apply_map(struct matrix *m, int side, u64 index, struct page *p)
{
	if (index == m->k->head)
		touch(m, index, p, true);
}

static int run_map(struct matrix *m, int side)
{
	char *mem = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 m->fd, 0);
	u64 value;
	int sig;

	if (mem == MAP_FAILED)
		return -errno;
	sig = access_word(word_at(mem, m, NR_EACH, 0), &value, false);
	munmap(mem, m->size);
	return sig ? RET_SIGNAL(sig) : 0;
}

static int wait_for(pid_t pid)
{
	int status;

	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) ? RET_SIGNAL(WTERMSIG(status)) :
				     -WEXITSTATUS(status);
}

/* A process that has file, mapping and VM comes and goes; it may be refused. */
static void apply_fork(struct matrix *m, int side, u64 index, struct page *p)
{
	if (index == m->k->head && MAPPED & BIT(m->kind))
		p->maybe = true;
}

static int run_fork(struct matrix *m, int side)
{
	pid_t pid = fork();
	u64 value;

	if (!pid) {
		if (m->mem)
			access_word(word_at(m->mem, m, NR_EACH, 0), &value,
				    false);
		_exit(0);
	}
	return wait_for(pid);
}

/* One that allocates in a group that has no room: it is killed if it has to. */
static int run_memcg(struct matrix *m, int side)
{
	pid_t pid = fork();

	if (!pid) {
		admin_cgroup_enter(&m->cg);
		_exit(__gmem_allocate(m->fd, 0, m->size) ? errno : 0);
	}
	return wait_for(pid);
}

static int run_cpu_hotplug(struct matrix *m, int side)
{
	return admin_write(CPU1, "0") ?: admin_write(CPU1, "1");
}

/*
 * The table
 */

#define ON_FILE		{ -EBADF, CLOSES }
#define ON_VM		{ -EBADF, ENDS }
#define IS_USED		{ -EAGAIN, USES | MOVES | POISONS | CONVERTS }

static const struct result by_vcpu[] = {
	ON_VM,
	/* The VM's other memory is gone, too. */
	{ RET_SIGNAL(SIGSEGV), ENDS },
	{ RET_EXIT(KVM_EXIT_SHUTDOWN), ENDS },
	{ -EFAULT, ENDS },
	{}
};

static const struct result by_guest[] = {
	ON_VM,
	{ RET_SIGNAL(SIGSEGV), ENDS },
	{ RET_EXIT(KVM_EXIT_SHUTDOWN), ENDS },
	{ -EFAULT, ENDS | SLOTS | CLOSES },
	{ -EHWPOISON, POISONS },
	{ RET_EXIT(KVM_EXIT_MMIO), SLOTS },
	{}
};

static const struct result by_host[] = {
	{ RET_SIGNAL(SIGSEGV), CLOSES },
	{ RET_SIGNAL(SIGBUS), CONVERTS | POISONS },
	{}
};

static const struct op ops[] = {
	{
		.name = "close", .kinds = ANY, .causes = CLOSES | MOVES,
		.run = run_close, .may = RESULTS(ON_FILE),
	}, {
		.name = "close_unbound", .kinds = ANY,
		.causes = CLOSES | SLOTS | MOVES,
		.run = run_close_unbound, .may = RESULTS(ON_FILE),
	}, {
		.name = "create", .kinds = ANY,
		.ioctls = { KVM_CREATE_GUEST_MEMFD },
		.run = run_create, .may = RESULTS(ON_VM),
	}, {
		.name = "punch_page", .kinds = ANY, .causes = MOVES,
		.run = run_punch_page, .apply = apply_punch_page,
		.failure = NOT_AT_ALL,
		.may = RESULTS(ON_FILE, { -EBUSY, USES | MOVES | POISONS }),
	}, {
		.name = "punch_all", .kinds = ANY, .causes = MOVES,
		.run = run_punch_all, .apply = apply_punch_all,
		.may = RESULTS(ON_FILE),
	}, {
		.name = "allocate", .kinds = ANY,
		.run = run_allocate, .apply = apply_allocate,
		.may = RESULTS(ON_FILE, { -EHWPOISON, POISONS }),
	}, {
		.name = "look", .kinds = ANY,
		.run = run_look, .may = RESULTS(ON_FILE, { -ENOENT, CLOSES }),
	}, {
		.name = "get_attributes", .kinds = CONV,
		.ioctls = { KVM_GMEM_GET_ATTRIBUTES },
		.run = run_get_attributes, .may = RESULTS(ON_FILE),
	}, {
		.name = "slot_delete", .kinds = ANY, .causes = SLOTS,
		.ioctls = { KVM_SET_USER_MEMORY_REGION2 },
		.run = run_slot_delete,
		.may = RESULTS(ON_VM, { -EINVAL, SLOTS }),
	}, {
		.name = "slot_anew", .kinds = ANY, .causes = SLOTS,
		.ioctls = { KVM_SET_USER_MEMORY_REGION2 },
		.run = run_slot_anew,
		.may = RESULTS({ -EBADF, ENDS | CLOSES }, { -EINVAL, SLOTS },
			       { -EEXIST, SLOTS }),
	}, {
		.name = "slot_flags", .kinds = ANY,
		.ioctls = { KVM_SET_USER_MEMORY_REGION2 },
		.run = run_slot_flags,
		.may = RESULTS({ -EBADF, ENDS | CLOSES }),
	}, {
		.name = "attr_private", .kinds = BIT(PRIVATE) | CONV,
		.causes = ATTRIBUTES,
		.ioctls = { KVM_SET_MEMORY_ATTRIBUTES },
		.run = run_attr_private, .apply = apply_attr_private,
		.may = RESULTS(ON_VM),
	}, {
		.name = "attr_shared", .kinds = BIT(PRIVATE) | CONV,
		.causes = ATTRIBUTES,
		.ioctls = { KVM_SET_MEMORY_ATTRIBUTES },
		.run = run_attr_shared, .apply = apply_attr_shared,
		.may = RESULTS(ON_VM),
	}, {
		.name = "to_private", .kinds = CONV, .causes = CONVERTS,
		.ioctls = { KVM_SET_MEMORY_ATTRIBUTES2 },
		.run = run_to_private, .apply = apply_to_private,
		.failure = NOT_AT_ALL, .may = RESULTS(ON_FILE, IS_USED),
	}, {
		.name = "to_private_wait", .kinds = CONV, .causes = CONVERTS,
		.ioctls = { KVM_SET_MEMORY_ATTRIBUTES2 },
		.run = run_to_private_wait, .apply = apply_to_private,
		.failure = NOT_AT_ALL, .may = RESULTS(ON_FILE, IS_USED),
	}, {
		.name = "to_shared", .kinds = CONV, .causes = CONVERTS,
		.ioctls = { KVM_SET_MEMORY_ATTRIBUTES2 },
		.run = run_to_shared, .apply = apply_to_shared,
		.failure = NOT_AT_ALL, .may = RESULTS(ON_FILE, IS_USED),
	}, {
		.name = "to_shared_wait", .kinds = CONV, .causes = CONVERTS,
		.ioctls = { KVM_SET_MEMORY_ATTRIBUTES2 },
		.run = run_to_shared_wait, .apply = apply_to_shared,
		.failure = NOT_AT_ALL, .may = RESULTS(ON_FILE, IS_USED),
	}, {
		.name = "batch", .kinds = CONV, .causes = CONVERTS,
		.ioctls = { KVM_GMEM_SET_ATTRIBUTES_VEC },
		.run = run_batch, .apply = apply_batch,
		.failure = AS_APPLIED, .may = RESULTS(ON_FILE, IS_USED),
	}, {
		.name = "policy", .kinds = ANY,
		.ioctls = { KVM_GMEM_SET_POLICY },
		.run = run_policy, .may = RESULTS(ON_FILE),
	}, {
		.name = "mbind", .kinds = MAPPED,
		.run = run_mbind, .may = RESULTS(ON_FILE),
	}, {
		.name = "migrate", .kinds = ANY, .file = NODE1,
		.causes = MOVES | USES,
		.ioctls = { KVM_GMEM_SET_POLICY },
		.run = run_migrate, .may = RESULTS(ON_FILE),
	}, {
		.name = "move_pages", .kinds = MAPPED, .file = NODE1,
		.needs = NEEDS_PAGES, .causes = MOVES | USES,
		.setup = setup_map_page,
		.run = run_move_pages,
		.may = RESULTS({ -EBUSY, ANYHOW }, { -EAGAIN, ANYHOW },
			       { -ENOENT, ANYHOW }, { -EFAULT, ANYHOW }),
	}, {
		.name = "collapse", .kinds = BIT(MOVABLE), .needs = NEEDS_ALL,
		.causes = MOVES | USES,
		.ioctls = { KVM_GMEM_COLLAPSE },
		.run = run_collapse, .may = RESULTS(ON_FILE),
	}, {
		.name = "poison", .kinds = ANY & ~BIT(SHARED),
		.needs = NEEDS_PAGES, .file = POISON_FILE,
		.causes = POISONS | USES, .by_frame = true,
		.setup = setup_poison, .run = run_poison,
		.apply = apply_poison,
		.may = RESULTS({ -EBUSY, MOVES }, { -ESTALE, MOVES },
			       { -EHWPOISON, POISONS | MOVES }),
	}, {
		.name = "poison_mapped", .kinds = MAPPED,
		.needs = NEEDS_PAGES, .file = POISON_FILE,
		.causes = POISONS | USES, .by_frame = true,
		.setup = setup_poison_mapped, .run = run_poison_mapped,
		.apply = apply_poison_mapped,
		.may = RESULTS({ -EBUSY, MOVES }, { -EHWPOISON, POISONS },
			       { -EFAULT, CONVERTS | CLOSES }),
	}, {
		.name = "soft_offline", .kinds = ANY,
		.needs = NEEDS_PAGES, .file = SOFT_FILE,
		.causes = MOVES | USES, .by_frame = true,
		.setup = setup_soft_offline, .run = run_soft_offline,
		.may = RESULTS({ -EBUSY, ANYHOW }, { -EIO, ANYHOW },
			       { -ESTALE, MOVES }),
	}, {
		.name = "guest_read", .kinds = ANY,
		.setup = setup_guest_read, .run = run_guest,
		.apply = apply_guest_read, .may = by_guest,
	}, {
		.name = "guest_write", .kinds = ANY,
		.setup = setup_guest_write, .run = run_guest,
		.apply = apply_guest_write, .may = by_guest,
	}, {
		.name = "string_io", .kinds = ANY, .by_bytes = true,
		.setup = setup_string, .run = run_guest,
		.apply = apply_kvm, .may = by_guest,
	}, {
		.name = "clock", .kinds = ANY,
		.setup = setup_clock, .run = run_clock,
		.apply = apply_kvm, .may = by_vcpu,
	}, {
		.name = "pre_fault", .kinds = ANY,
		.ioctls = { KVM_PRE_FAULT_MEMORY },
		.run = run_pre_fault, .apply = apply_pre_fault,
		.may = RESULTS(ON_VM, { -EFAULT, CLOSES | SLOTS | ENDS },
			       { -ENOENT, SLOTS }, { -EHWPOISON, POISONS },
			       { -EAGAIN, SLOTS | CONVERTS }),
	}, {
		.name = "vm_end", .kinds = ANY, .needs = NEEDS_NO_TWIN,
		.causes = ENDS, .run = run_vm_end,
	}, {
		.name = "host_read", .kinds = MAPPED, .causes = USES,
		.run = run_host_read, .apply = apply_host_read,
		.may = by_host,
	}, {
		.name = "host_write", .kinds = MAPPED, .causes = USES,
		.run = run_host_write, .apply = apply_host_write,
		.may = by_host,
	}, {
		.name = "pin", .kinds = MAPPED, .causes = USES,
		.by_bytes = true, .run = run_pin, .apply = apply_tail,
		.may = RESULTS({ -EFAULT, CLOSES | CONVERTS | POISONS }),
	}, {
		.name = "map", .kinds = MAPPED, .causes = USES,
		.run = run_map, .apply = apply_map,
		.may = RESULTS(ON_FILE, { RET_SIGNAL(SIGBUS), CONVERTS }),
	}, {
		.name = "fork", .kinds = ANY, .causes = USES,
		.run = run_fork, .apply = apply_fork,
	}, {
		.name = "memcg", .kinds = ANY, .file = GROUP_FILE,
		.causes = USES, .run = run_memcg, .apply = apply_allocate,
		.may = RESULTS(ON_FILE, { RET_SIGNAL(SIGKILL), ANYHOW },
			       { -ENOMEM, ANYHOW }, { -EHWPOISON, POISONS }),
	}, {
		.name = "cpu_hotplug", .kinds = ANY, .file = CPU1,
		.causes = HOTPLUGS, .run = run_cpu_hotplug,
		.may = RESULTS({ -EBUSY, ANYHOW }, { -EINVAL, HOTPLUGS }),
	},
};

#define NR_OPS		ARRAY_SIZE(ops)

/*
 * The model
 */

static bool may_be_skipped(struct matrix *m, int side)
{
	const struct op *op = m->op[side], *other = m->op[!side];

	if (op->by_frame && other->causes & MOVES)
		return true;
	return m->ret[side] && op->failure != AS_APPLIED;
}

static bool must_be_skipped(struct matrix *m, int side)
{
	return m->ret[side] && m->op[side]->failure == NOT_AT_ALL;
}

static void apply(struct matrix *m, int side, u64 index, struct page *p)
{
	if (m->op[side]->apply)
		m->op[side]->apply(m, side, index, p);
}

static struct page page_before(struct matrix *m, u64 index)
{
	struct page p = m->before[!is_looked_at(m, index)];

	if (is_conv(m))
		p.private = index < m->k->head;
	return p;
}

static void permit_page(struct permitted *ok, const struct page *p)
{
	u64 word;

	for (word = 0; word < NR_WORDS; word++) {
		ok->word[word] |= BIT(p->word[word]);
		ok->hva[word] |= BIT(p->hva[word]);
	}
	ok->private |= BIT(p->private);
	ok->present &= p->present;
	ok->maybe |= p->maybe;
}

/* Both orders, with and without what has failed. */
static struct permitted permit(struct matrix *m, u64 index)
{
	struct permitted ok = { .present = true };
	int first, skip, i, side;
	struct page p;

	for (i = 0; i < 8; i++) {
		first = i & 1;
		skip = i >> 1;
		for (side = A; side <= B; side++)
			if (skip & BIT(side) ? !may_be_skipped(m, side) :
					       must_be_skipped(m, side))
				break;
		if (side <= B)
			continue;
		p = page_before(m, index);
		if (!(skip & BIT(first)))
			apply(m, first, index, &p);
		if (!(skip & BIT(!first)))
			apply(m, !first, index, &p);
		permit_page(&ok, &p);
	}
	return ok;
}

/*
 * The check
 */

static const char *result_name(int ret, char *text)
{
	if (ret <= RET_WRONG)
		strcpy(text, "wrong");
	else if (ret <= RET_EXIT(0))
		sprintf(text, "exit %s", exit_reason_str(RET_EXIT(0) - ret));
	else if (ret <= RET_SIGNAL(0))
		sprintf(text, "signal %d", RET_SIGNAL(0) - ret);
	else
		sprintf(text, "%d", ret);
	return text;
}

static bool __printf(2, 3) complain(struct matrix *m, const char *fmt, ...)
{
	char text[256], a[64], b[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ksft_print_msg("%s:%s:%s: %s; A = %s, B = %s, %s\n", m->k->name,
		       m->op[A]->name, m->op[B]->name, text,
		       result_name(m->ret[A], a), result_name(m->ret[B], b),
		       m->full ? "full" : "empty");
	return false;
}

static bool check_result(struct matrix *m, int side)
{
	const struct op *op = m->op[side];
	const struct result *may;

	if (!m->ret[side])
		return true;
	for (may = op->may; may && may->ret; may++)
		if (may->ret == m->ret[side] &&
		    (may->because == ANYHOW ||
		     may->because & m->op[!side]->causes))
			return true;
	return complain(m, "%s may not return that", op->name);
}

static bool is_seen(struct matrix *m, int side, u64 n, u64 word, u8 ok)
{
	u64 raw = m->seen[side][n][word], i, nr_right = 0;
	enum value v;
	u8 right = 0;

	if (!m->op[side]->by_bytes)
		return ok & BIT(value_of(m, n, word, raw));
	for (v = V_ZERO; v < V_LOST; v++)
		for (i = 0; i < 8 && ok & BIT(v); i++)
			if (!((raw ^ word_of(m, n, word, v)) >> 8 * i & 0xff))
				right |= BIT(i);
	for (i = 0; i < 8; i++)
		nr_right += !!(right & BIT(i));
	return nr_right == 8;
}

/* What was read must have been there: before, or after what the other did. */
static bool check_seen_word(struct matrix *m, int side, u64 n, u64 word)
{
	u64 index = index_of(m, n);
	struct page p = page_before(m, index);
	bool by_host = m->op[side]->run == run_host_read;
	u8 ok = 0;

	if (m->seen[side][n][word] == JOB_UNSEEN)
		return true;
	/* The host must not see what is private. */
	if (!by_host || !p.private)
		ok |= BIT(p.word[word]);
	apply(m, !side, index, &p);
	if (!by_host || !p.private)
		ok |= BIT(p.word[word]) & ~BIT(V_LOST);
	if (m->kind == PRIVATE && m->op[!side]->causes & ATTRIBUTES)
		ok |= BIT(p.hva[word]);
	if (is_seen(m, side, n, word, ok))
		return true;
	return complain(m, "%s saw 0x%lx (%u) in word %lu of page %lu, not one of 0x%x",
			m->op[side]->name, m->seen[side][n][word],
			value_of(m, n, word, m->seen[side][n][word]), word, n,
			ok);
}

static bool check_seen(struct matrix *m, int side)
{
	u64 n, word;

	if (m->op[side]->setup == setup_guest_read && !m->ended)
		memcpy(m->seen[side], m->job[side]->seen,
		       sizeof(m->seen[side]));
	if (m->nr_device[side] == sizeof(m->device[side]))
		memcpy(&m->seen[side][1][0], m->device[side],
		       sizeof(m->device[side]));
	for (n = 0; n < NR_PAGES; n++)
		for (word = 0; word < NR_WORDS; word++)
			if (!check_seen_word(m, side, n, word))
				return false;
	return true;
}

static int pre_fault(struct matrix *m, u64 n)
{
	struct kvm_pre_fault_memory range = {
		.gpa = gpa_of(m, n),
		.size = P,
	};
	int ret;

	do {
		ret = errno_of(ioctl(m->vcpu_fd[CHECK], KVM_PRE_FAULT_MEMORY,
				     &range));
	} while (ret == -EINTR);
	return ret;
}

static bool either_causes(struct matrix *m, u32 causes)
{
	return (m->op[A]->causes | m->op[B]->causes) & causes;
}

/* How much memory the file has, before anything looks at it. */
static bool check_allocated(struct matrix *m)
{
	u64 index, min = 0, max = 0, nr = gmem_allocated(m->fd) / P;
	struct permitted ok;

	for (index = 0; index < m->nr_pages; index++) {
		ok = permit(m, index);
		min += ok.present;
		max += ok.maybe;
	}
	return (nr >= min && nr <= max) ||
	       complain(m, "%lu pages, not %lu to %lu", nr, min, max);
}

/* Which pages are private: of a file with a state, what it says. */
static void read_state(struct matrix *m, bool *private)
{
	u64 n, index, end = 0, size, attributes = 0, resident;
	int ret;

	for (n = 0; n < NR_PAGES; n++) {
		index = index_of(m, n);
		private[n] = m->kind == PRIVATE;
		while (is_conv(m) && end <= index) {
			size = m->size - end * P;
			ret = __gmem_get(m->fd, end * P, &size, &attributes,
					 &resident);
			TEST_ASSERT(!ret && size, "no state: %d", ret);
			end += size / P;
		}
		private[n] |= !!(attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE);
	}
}

/* What the guest finds, page by page. */
static bool scan(struct matrix *m, u8 values[NR_PAGES][NR_WORDS],
		 u64 raw[NR_PAGES][NR_WORDS])
{
	struct job *j = m->job[CHECK];
	u64 n, word, wanted = 0, i = 0;
	int ret = 0;

	for (n = 0; n < NR_PAGES; n++) {
		if (either_causes(m, POISONS))
			ret = pre_fault(m, n);
		if (ret && ret != -EHWPOISON)
			return complain(m, "page %lu cannot be had: %d", n, ret);
		if (!ret)
			wanted |= BIT(n);
	}
	job_set(m, CHECK, JOB_READ, 0, wanted);
	ret = job_run(m, CHECK);
	if (ret)
		return complain(m, "the guest cannot look: %d", ret);
	for (n = 0; n < NR_PAGES; n++) {
		for (word = 0; word < NR_WORDS; word++) {
			raw[n][word] = 0;
			values[n][word] = V_LOST;
			if (!(wanted & BIT(n)))
				continue;
			raw[n][word] = j->seen[i][word];
			values[n][word] = value_of(m, n, word, raw[n][word]);
		}
		i += !!(wanted & BIT(n));
	}
	return true;
}

/* A page that the host may not see, and others, which are the guest's. */
static bool check_host(struct matrix *m, u64 n, bool private, u8 *values,
		       u64 *raw)
{
	u64 word, value;
	int sig;

	for (word = 0; word < NR_WORDS; word++) {
		sig = access_word(word_at(m->mem, m, n, word), &value, false);
		if (private || values[word] == V_LOST) {
			return sig == SIGBUS ||
			       complain(m, "the host has page %lu", n);
		} else if (sig || value != raw[word]) {
			return complain(m, "page %lu: signal %d, host 0x%lx, guest 0x%lx",
					n, sig, value, raw[word]);
		}
	}
	return true;
}

/* One side of a private file's slot, which the attribute has selected. */
static bool check_sides(struct matrix *m, u8 view[NR_PAGES][NR_WORDS],
			u8 values[NR_PAGES][NR_WORDS])
{
	struct permitted ok;
	bool by_file, by_hva;
	u64 n, word, hva;
	enum value v;

	for (n = 0; n < NR_PAGES; n++) {
		ok = permit(m, index_of(m, n));
		by_file = ok.private & BIT(true);
		by_hva = ok.private & BIT(false);
		for (word = 0; word < NR_WORDS; word++) {
			hva = *word_at(m->hva, m, n, word);
			v = value_of(m, n, word, hva);
			if (!(ok.hva[word] & BIT(v)))
				return complain(m, "0x%lx (%u) at userspace_addr of page %lu",
						hva, v, n);
			by_file &= view[n][word] == values[n][word];
			by_hva &= view[n][word] == v;
		}
		if (!by_file && !by_hva)
			return complain(m, "page %lu is on the wrong side", n);
	}
	return true;
}

static bool check_words(struct matrix *m, u64 n, const u8 *permitted,
			const u8 *values, const u64 *raw)
{
	u64 word;

	for (word = 0; word < NR_WORDS; word++)
		if (!(permitted[word] & BIT(values[word])))
			return complain(m, "0x%lx (%u) in word %lu of page %lu, not one of 0x%x",
					raw[word], values[word], word, n,
					permitted[word]);
	return true;
}

static bool check_contents(struct matrix *m)
{
	u8 view[NR_PAGES][NR_WORDS], values[NR_PAGES][NR_WORDS];
	u64 raw[NR_PAGES][NR_WORDS], n;
	bool private[NR_PAGES];
	struct permitted ok;

	if (!scan(m, view, raw))
		return false;
	memcpy(values, view, sizeof(values));
	if (m->kind == PRIVATE && either_causes(m, ATTRIBUTES)) {
		ASSERT_EQ(set_attributes(m, 0, NR_PAGES,
					 KVM_MEMORY_ATTRIBUTE_PRIVATE), 0);
		if (!scan(m, values, raw) || !check_sides(m, view, values))
			return false;
	}
	read_state(m, private);
	for (n = 0; n < NR_PAGES; n++) {
		ok = permit(m, index_of(m, n));
		if (is_conv(m) && !(ok.private & BIT(private[n])))
			return complain(m, "page %lu is %s", n,
					private[n] ? "private" : "shared");
		if (!check_words(m, n, ok.word, values[n], raw[n]))
			return false;
		if (m->mem && !check_host(m, n, private[n], values[n], raw[n]))
			return false;
	}
	return true;
}

/* Nothing of a closed file is left in the guest. */
static bool check_closed(struct matrix *m)
{
	int ret = pre_fault(m, 0);

	return ret == -EFAULT || (ret == -ENOENT && either_causes(m, SLOTS)) ||
	       complain(m, "the file is closed, its page has %d", ret);
}

static void find_ends(struct matrix *m)
{
	m->closed = either_causes(m, CLOSES);
	m->ended = either_causes(m, ENDS);
}

/* To be undone; the frame of a page that has left the file is others'. */
static void remember_poison(struct matrix *m)
{
	int side;

	for (side = A; side <= B; side++)
		if (m->op[side]->by_frame && pfn_is_poisoned(m->pfn[side]) &&
		    (side == A || m->pfn[A] != m->pfn[B]))
			poison_remember(m->pfn[side]);
}

/* The slot may be there or not, with this file. */
static void slot_again(struct matrix *m)
{
	int ret;

	slot_delete(m);
	ret = slot_bind(m);
	TEST_ASSERT(!ret, "the slot cannot be created: %d", ret);
}

static bool check_state(struct matrix *m)
{
	if (m->ended)
		return true;
	if (m->closed)
		return check_closed(m);
	if (either_causes(m, SLOTS))
		slot_again(m);
	return check_allocated(m) && check_contents(m);
}

static void count_result(struct results *r, int ret)
{
	int i;

	for (i = 0; i < NR_RESULTS - 1 && r->nr[i] && r->ret[i] != ret; i++)
		;
	r->ret[i] = ret;
	r->nr[i]++;
}

/*
 * From one loop to the next
 */

static void file_open(struct matrix *m)
{
	m->fd = vm_create_guest_memfd(m->vm, m->size, m->k->flags);
	if (MAPPED & BIT(m->kind))
		m->mem = gmem_mmap_aligned(m->fd, m->size);
}

static void file_close(struct matrix *m)
{
	if (m->mem)
		munmap(m->mem, m->size);
	m->mem = NULL;
	if (!m->closed)
		TEST_ASSERT(!close(m->fd), "close(): errno %d", errno);
}

static void vm_start(struct matrix *m)
{
	struct kvm_vcpu *vcpu;
	int i;

	m->vm = __vm_create_type(VM_MODE_DEFAULT, NR_VCPUS, m->nr_pages,
				 m->k->vm_type);
	m->vm_fd = m->vm->fd;
	for (i = 0; i < NR_VCPUS; i++) {
		vcpu = vm_vcpu_add(m->vm, i, guest_main);
		vcpu_args_set(vcpu, 1, (u64)i);
		m->vcpu_fd[i] = vcpu->fd;
		m->run[i] = vcpu->run;
		m->job[i] = addr_gva2hva(m->vm, (vm_vaddr_t)&jobs[i]);
	}
	virt_map(m->vm, GPA, GPA, m->nr_pages);
	file_open(m);
	ASSERT_EQ(slot_bind(m), 0);
	ASSERT_EQ(set_flags(m, 0), 0);
	if (m->kind == PRIVATE)
		ASSERT_EQ(set_attributes(m, 0, NR_PAGES,
					 KVM_MEMORY_ATTRIBUTE_PRIVATE), 0);
}

/* What a vCPU was about to do, it does now, when nothing depends on it. */
static void finish_jobs(struct matrix *m)
{
	int side, ret, tries;

	for (side = A; side <= B; side++) {
		ret = 0;
		for (tries = 0; m->pending[side] && tries < 100; tries++) {
			ret = job_run(m, side);
			m->pending[side] = ret;
		}
		TEST_ASSERT(!m->pending[side], "%s: vCPU %d does not end: %d",
			    m->op[side]->name, side, ret);
	}
}

static void unpoison(struct matrix *m)
{
	if (m->op[A]->by_frame || m->op[B]->by_frame)
		poison_undo_all();
}

static void repair(struct matrix *m)
{
	if (m->ended) {
		file_close(m);
		unpoison(m);
		memset(m->pending, 0, sizeof(m->pending));
		m->closed = false;
		m->ended = false;
		vm_start(m);
		return;
	}
	if (m->closed) {
		file_close(m);
		file_open(m);
		slot_again(m);
	}
	m->closed = false;
	gmem_punch_hole(m->fd, 0, m->size);
	unpoison(m);
	finish_jobs(m);
}

static bool check(void *ctx)
{
	struct matrix *m = ctx;
	int side;

	find_ends(m);
	remember_poison(m);
	for (side = A; side <= B; side++) {
		count_result(&m->results[side], m->ret[side]);
		if (!check_result(m, side) || !check_seen(m, side))
			return false;
	}
	if (!check_state(m))
		return false;
	repair(m);
	return true;
}

static void set_before(struct matrix *m, u32 needs)
{
	bool rest = needs & NEEDS_ALL || (m->kind == HUGE && m->full);
	u8 value = m->full ? V_INIT : V_ZERO;

	m->before[0] = (struct page) {
		.word = { value, value },
		.hva = { V_HVA, V_HVA },
		.private = m->kind == PRIVATE,
		.present = m->full,
		.maybe = m->full,
	};
	m->before[1] = (struct page) {
		.hva = { V_HVA, V_HVA },
		.private = m->kind == PRIVATE,
		.present = rest,
		.maybe = rest,
	};
}

/* All is empty; the head is private, the tail is shared. */
static void fill(struct matrix *m, u32 needs)
{
	u64 n, word;

	if (is_conv(m)) {
		gmem_to_private(m->fd, 0, m->k->head * P);
		gmem_to_shared(m->fd, m->k->head * P, NR_EACH * P);
	}
	if (m->hva)
		for (n = 0; n < NR_PAGES; n++)
			for (word = 0; word < NR_WORDS; word++)
				*word_at(m->hva, m, n, word) =
					word_of(m, n, word, V_HVA);
	if (needs & NEEDS_ALL)
		gmem_allocate(m->fd, 0, m->size);
	if (m->full) {
		job_set(m, CHECK, JOB_WRITE, tag_of(V_INIT), ALL_PAGES);
		ASSERT_EQ(job_run(m, CHECK), 0);
	}
}

static void setup(void *ctx)
{
	struct matrix *m = ctx;
	u32 needs = m->op[A]->needs | m->op[B]->needs;
	u64 i;
	int side;

	/* With and without memory, in turns. */
	loop++;
	m->full = loop % 2 || needs & (NEEDS_PAGES | NEEDS_ALL);
	gmem_punch_hole(m->fd, 0, m->size);
	fill(m, needs);
	set_before(m, needs);
	memset(m->nr_device, 0, sizeof(m->nr_device));
	memset(m->pfn, 0, sizeof(m->pfn));
	for (side = A; side <= B; side++) {
		for (i = 0; i < NR_PAGES * NR_WORDS; i++)
			m->seen[side][i / NR_WORDS][i % NR_WORDS] = JOB_UNSEEN;
		if (m->op[side]->setup)
			m->op[side]->setup(m, side);
	}
}

/* A CPU that goes away takes a thread's place with it. */
static void stay_on_cpu(struct matrix *m, int side)
{
	if (!either_causes(m, HOTPLUGS))
		return;
	if (m->pinned[side])
		sched_setaffinity(0, sizeof(m->cpus[side]), &m->cpus[side]);
	else
		sched_getaffinity(0, sizeof(m->cpus[side]), &m->cpus[side]);
	m->pinned[side] = true;
}

static void run_side(struct matrix *m, int side)
{
	int sig = sigsetjmp(jump, 0);

	if (!sig) {
		can_jump = true;
		m->ret[side] = m->op[side]->run(m, side);
	} else {
		m->ret[side] = RET_SIGNAL(sig);
	}
	can_jump = false;
}

static void run_a(void *ctx)
{
	stay_on_cpu(ctx, A);
	run_side(ctx, A);
}

static void run_b(void *ctx)
{
	stay_on_cpu(ctx, B);
	run_side(ctx, B);
}

/*
 * Pairs
 */

struct pair {
	const struct op *a, *b;
};

static void print_results(const struct results *r, char *text)
{
	char name[64];
	int i;

	for (i = 0; i < NR_RESULTS && r->nr[i]; i++)
		text += sprintf(text, " %s x%u", result_name(r->ret[i], name),
				r->nr[i]);
}

static bool run_pair(struct matrix *m, const struct pair *pair, u64 ms,
		     struct race_stats *stats)
{
	char name[96], a[512] = "", b[512] = "";
	struct race_ops race = {
		.name = name,
		.setup = setup,
		.run_a = run_a,
		.run_b = run_b,
		.check = check,
	};
	bool ok;

	snprintf(name, sizeof(name), "%s:%s:%s", m->k->name, pair->a->name,
		 pair->b->name);
	m->op[A] = pair->a;
	m->op[B] = pair->b;
	memset(m->results, 0, sizeof(m->results));
	memset(m->pinned, 0, sizeof(m->pinned));
	vm_start(m);
	ok = race_run(&race, m, MAX_LOOPS, ms, stats);
	print_results(&m->results[A], a);
	print_results(&m->results[B], b);
	ksft_print_msg("%s: %u loops, %u overlaps; A:%s; B:%s\n", name,
		       stats->loops, stats->overlaps, a, b);
	/* After a failure, too: the next pair begins anew. */
	if (!m->ended)
		kvm_vm_free(m->vm);
	file_close(m);
	unpoison(m);
	m->closed = false;
	m->ended = false;
	memset(m->pending, 0, sizeof(m->pending));
	gmem_assert_files_returned(m->files_before);
	return ok;
}

static bool is_available(const struct op *op, enum kind_nr kind)
{
	return op->kinds & BIT(kind) &&
	       (!op->file || !access(op->file, F_OK));
}

static u64 collect_pairs(enum kind_nr kind, struct pair *pairs)
{
	u64 i, j, nr = 0;

	for (i = 0; i < NR_OPS; i++) {
		if (ops[i].kinds & BIT(kind) && !is_available(&ops[i], kind))
			ksft_print_msg("%s: no %s, no %s\n", kinds[kind].name,
				       ops[i].file, ops[i].name);
		for (j = i; j < NR_OPS; j++) {
			if (!is_available(&ops[i], kind) ||
			    !is_available(&ops[j], kind) ||
			    (i == j && ops[i].needs & NEEDS_NO_TWIN))
				continue;
			pairs[nr++] = (struct pair) { &ops[i], &ops[j] };
		}
	}
	return nr;
}

static u64 from_env(const char *name, u64 value)
{
	const char *env = getenv(name);

	return env ? strtoull(env, NULL, 0) : value;
}

static void shuffle(struct pair *pairs, u64 nr)
{
	struct race_rng rng = { .state = from_env("MATRIX_SEED", race_seed()) };
	struct pair p;
	u64 i, j;

	ksft_print_msg("MATRIX_SEED=0x%lx\n", rng.state);
	for (i = nr; i > 1; i--) {
		j = race_random_below(&rng, i);
		p = pairs[i - 1];
		pairs[i - 1] = pairs[j];
		pairs[j] = p;
	}
}

static bool is_named(enum kind_nr kind, const struct op *a, const struct op *b,
		     const char *name)
{
	char text[96];

	snprintf(text, sizeof(text), "%s:%s:%s", kinds[kind].name, a->name,
		 b->name);
	return !strcmp(text, name);
}

static bool is_of_kind(const char *name, enum kind_nr kind)
{
	size_t len = strlen(kinds[kind].name);

	return !strncmp(name, kinds[kind].name, len) && name[len] == ':';
}

/* Return: 1 with MATRIX_PAIR, which is the first then. */
static u64 select_pair(enum kind_nr kind, struct pair *pairs, u64 nr)
{
	const char *name = getenv("MATRIX_PAIR");
	enum kind_nr other;
	u64 i;

	if (!name)
		return nr;
	for (i = 0; i < nr; i++)
		if (is_named(kind, pairs[i].a, pairs[i].b, name) ||
		    is_named(kind, pairs[i].b, pairs[i].a, name)) {
			pairs[0] = pairs[i];
			return 1;
		}
	for (other = 0; other < NR_KINDS; other++)
		if (other != kind && is_of_kind(name, other))
			gmem_skip("MATRIX_PAIR is of another kind");
	TEST_FAIL("MATRIX_PAIR %s is no pair", name);
	return 0;
}

static void matrix_init(struct matrix *m, enum kind_nr kind)
{
	struct sigaction action = {
		.sa_sigaction = on_signal,
		/* Handlers jump out, with no signal blocked. */
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	memset(m, 0, sizeof(*m));
	m->kind = kind;
	m->k = &kinds[kind];
	m->nr_pages = m->k->head + NR_EACH;
	m->size = m->nr_pages * P;
	if (kind == PRIVATE)
		m->hva = gmem_alloc_hva(GPA, m->size);
	m->flags_mem = gmem_alloc_hva(FLAGS_GPA, FLAGS_SIZE);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	host_set_thp("madvise");
	if (!access(POISON_FILE, F_OK))
		poison_require();
	if (!access(CPU1, F_OK))
		gmem_undo_by_write(CPU1, "1");
	if (!access(GROUP_FILE, F_OK)) {
		admin_cgroup_create(&m->cg, "matrix");
		ASSERT_EQ(admin_cgroup_write(&m->cg, "memory.max", "0"), 0);
	}
	m->files_before = gmem_nr_files();
}

static void matrix_run(enum kind_nr kind)
{
	u64 ms = from_env("MATRIX_MS", DEFAULT_MS), nr, i, end, now, free_kb;
	u64 nr_met = 0, nr_loops = 0, nr_failed = 0;
	static struct pair pairs[NR_OPS * NR_OPS];
	struct race_stats stats;
	static struct matrix m;

	nr = collect_pairs(kind, pairs);
	shuffle(pairs, nr);
	nr = select_pair(kind, pairs, nr);
	if (!getenv("MATRIX_PAIR"))
		ms /= NR_KINDS;
	matrix_init(&m, kind);
	free_kb = gmem_free_kb();
	alarm(GMEM_TEST_TIMEOUT + ms / 1000);
	end = gmem_now() + ms * MS;
	for (i = 0; i < nr; i++) {
		now = gmem_now();
		if (now >= end)
			break;
		if (!run_pair(&m, &pairs[i], max((end - now) / MS / (nr - i),
						 (u64)MIN_PAIR_MS), &stats))
			nr_failed++;
		nr_met += !!stats.overlaps;
		nr_loops += stats.loops;
	}
	ksft_print_msg("%s: %lu pairs, %lu met, %lu loops; %lu not tried, %lu failed\n",
		       kinds[kind].name, nr, nr_met, nr_loops, nr - i,
		       nr_failed);
	TEST_ASSERT(nr_met && !nr_failed, "%lu pairs failed", nr_failed);
	gmem_assert_mem_returned(free_kb, TOLERANCE_KB);
}

static void test_private(void)
{
	matrix_run(PRIVATE);
}

static void test_shared(void)
{
	matrix_run(SHARED);
}

static void test_convertible(void)
{
	matrix_run(CONVERTIBLE);
}

static void test_huge(void)
{
	matrix_run(HUGE);
}

static void test_movable(void)
{
	matrix_run(MOVABLE);
}

/* Those of the uapi header. */
static const struct {
	const char *name;
	unsigned long nr;
} ioctls[] = {
#define IOCTL(name)	{ #name, name }
	IOCTL(KVM_SET_USER_MEMORY_REGION2),
	IOCTL(KVM_SET_MEMORY_ATTRIBUTES),
	IOCTL(KVM_SET_MEMORY_ATTRIBUTES2),
	IOCTL(KVM_CREATE_GUEST_MEMFD),
	IOCTL(KVM_PRE_FAULT_MEMORY),
	IOCTL(KVM_GMEM_SET_ATTRIBUTES_VEC),
	IOCTL(KVM_GMEM_GET_ATTRIBUTES),
	IOCTL(KVM_GMEM_SET_POLICY),
	IOCTL(KVM_GMEM_COLLAPSE),
};

static bool has_row(unsigned long nr)
{
	u64 i, j;

	for (i = 0; i < NR_OPS; i++)
		for (j = 0; j < ARRAY_SIZE(ops[i].ioctls); j++)
			if (ops[i].ioctls[j] == nr)
				return true;
	return false;
}

static void test_every_ioctl_has_a_row(void)
{
	u64 i;

	for (i = 0; i < ARRAY_SIZE(ioctls); i++)
		TEST_ASSERT(has_row(ioctls[i].nr), "no row has %s",
			    ioctls[i].name);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_every_ioctl_has_a_row),
	GMEM_TEST(test_private),
	GMEM_TEST(test_shared),
	GMEM_TEST(test_convertible),
	GMEM_TEST(test_huge),
	GMEM_TEST(test_movable),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
