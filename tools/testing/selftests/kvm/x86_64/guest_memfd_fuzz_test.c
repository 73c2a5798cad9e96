// SPDX-License-Identifier: GPL-2.0
/*
 * Bad input for everything that a guest_memfd and its VM can be asked for.
 *
 * Each operation has a generator.  It begins with valid arguments, of which
 * it damages some, takes what would need too much memory out of them, and
 * issues the call.  What must hold:
 *
 * - An errno is one that the documentation has for the operation.
 * - On a file of another kind, what is for a guest_memfd or for KVM fails.
 * - A call that fails leaves the file as it was, where nobody else uses it.
 * - Afterwards the VM and a new one work, and all files are gone.
 *
 * A world is two VMs, with private memory and without, some files of each,
 * and descriptors of other kinds.  A worker is a thread that makes calls.  A
 * timer signals it, so that no call that can be interrupted blocks for long.
 * Files are closed and made anew all the time; their descriptors are the only
 * ones that are, so that a stale one is closed or another guest_memfd.
 *
 * Environment: FUZZ_CALLS (of all tests together), FUZZ_SEED (repeat a run, as
 * far as threads permit).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <linux/compiler.h>
#include <linux/falloc.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "guest_memfd_convert.h"
#include "guest_memfd_task.h"
#include "guest_memfd_undo.h"
#include "race.h"

#define P		GMEM_PAGE_SIZE
#define DEFAULT_CALLS	40000
#define TICK_NS		(20 * MS)

#define NR_WORKERS	3
#define NR_FILES	12
#define NR_SLOTS	6
#define SLOT_NONE	0x7ffc	/* numbers from here on do not exist */
#define NR_ERRNOS	134
#define MAX_WORDS	32

/* Files, but for the two big ones, which have no more than BIG_MEM in memory */
#define FILE_SIZE	(2 * GMEM_HUGE_SIZE + 5 * P)
#define BIG_MEM		(16ULL << 20)
#define WINDOW		(2 * GMEM_HUGE_SIZE)
#define ARENA_SIZE	(4ULL << 20)

/* Of slots: more costs memory for KVM's own tables, or is refused. */
#define SLOT_MAX	(BIT_ULL(32) + 2 * P)
#define SLOT_REFUSED	BIT_ULL(44)

/* Host memory for slots: mapped at first, then nothing for a long way. */
#define HVA_SIZE	(2 * BIT_ULL(32) + BIT_ULL(21))
#define HVA_MAPPED	(4ULL << 20)

#define TASK_END	BIT_ULL(47)
#define SECRET		0x5ec4e7be5ec4e7beULL

#define NOBODY		65534

enum { PRIVATE_VM, PLAIN_VM, NR_VMS };

/* Descriptors of other kinds. */
enum {
	OTHER_VM, OTHER_VCPU, OTHER_KVM, OTHER_NONE, OTHER_CLOSED, OTHER_PATH,
	OTHER_PATH_NULL, OTHER_MEMFD, OTHER_EVENTFD, OTHER_NULL, OTHER_DIR,
	NR_OTHERS
};

/* A file of the pool: which VM, and how it is created. */
struct kind {
	int vm;
	u64 flags;
	u64 size;
};

#define HUGE_MOVABLE	(GUEST_MEMFD_FLAG_HUGEPAGE | GUEST_MEMFD_FLAG_MOVABLE)

static const struct kind kinds[NR_FILES] = {
	/* The first two are convertible, see start_holding() and the secret. */
	{ PRIVATE_VM, GMEM_SHARED_FLAGS, FILE_SIZE },
	{ PRIVATE_VM, GUEST_MEMFD_FLAG_MMAP, FILE_SIZE },
	{ PRIVATE_VM, GMEM_SHARED_FLAGS | HUGE_MOVABLE, FILE_SIZE },
	{ PRIVATE_VM, GUEST_MEMFD_FLAG_MMAP | HUGE_MOVABLE, FILE_SIZE },
	{ PRIVATE_VM, HUGE_MOVABLE, FILE_SIZE },
	{ PRIVATE_VM, GUEST_MEMFD_FLAG_HUGEPAGE, FILE_SIZE },
	{ PRIVATE_VM, GUEST_MEMFD_FLAG_MMAP, BIT_ULL(62) },
	{ PLAIN_VM, 0, FILE_SIZE },
	{ PLAIN_VM, GUEST_MEMFD_FLAG_MMAP, FILE_SIZE },
	{ PLAIN_VM, GMEM_SHARED_FLAGS, FILE_SIZE },
	{ PLAIN_VM, GMEM_SHARED_FLAGS | HUGE_MOVABLE, FILE_SIZE },
	{ PLAIN_VM, GUEST_MEMFD_FLAG_HUGEPAGE, GMEM_MAX_FILE_SIZE },
};

struct known_slot {
	bool there;
	u64 gpa;
};

struct world {
	struct kvm_vm *vm[NR_VMS];
	/* Of the first VM: one runs, one is for KVM_PRE_FAULT_MEMORY. */
	struct kvm_vcpu *vcpus[2];
	struct gmem_slot slot;
	int vcpu_fd[NR_VMS];
	int files[NR_FILES];
	int others[NR_OTHERS];
	char *hva;
	bool guest_busy;	/* with a command */

	/* By VM, address space and number; a guess if there are threads. */
	struct known_slot known[NR_VMS][2][NR_SLOTS + 1];
};

struct stats {
	u64 calls;
	u64 ok;
	u64 err[NR_ERRNOS];
};

struct op;

struct worker {
	struct world *world;
	struct race_rng rng;
	struct stats *stats;	/* one for each operation */
	const u8 *ops;		/* numbers of the operations it is about */
	int nr_ops;
	u64 nr_calls;
	u64 nr_bad;
	bool alone;		/* nothing else uses the files */
	bool foreign;		/* in another process than the VMs' */
	pthread_t thread;

	/* Memory: for arguments; the same, read-only; for mappings. */
	char *page;
	char *page_ro;
	char *arena;
	char *map;		/* of a convertible file */
	int pipe[2];

	/* Of the call at hand. */
	bool wrong_fd;
	bool ptr_good;
	bool may_change;	/* although it fails */
	u64 words[MAX_WORDS];
	int nr_words;
};

struct op {
	const char *name;
	/* Return: 0 or more, or -errno. */
	int (*call)(struct worker *w);
	short errnos[10];
	/* Fails with EIO in another process. */
	bool of_vm;
	/* For a guest_memfd or KVM only: fails on all else. */
	bool is_ours;
};

static u64 seed;

/*
 * Numbers
 */

static u64 below(struct worker *w, u64 bound)
{
	return race_random_below(&w->rng, bound);
}

static bool one_in(struct worker *w, u64 n)
{
	return !below(w, n);
}

/* An index of @array. */
#define ANY(w, array)	below(w, ARRAY_SIZE(array))

/* Near a power of 2 at which something may go wrong. */
static u64 edge(struct worker *w)
{
	static const u8 bits[] = { 12, 21, 30, 31, 32, 43, 47, 52, 62, 63 };
	static const s64 deltas[] = { 0, 0, 1, -1, 4096, -4096, 4095, -4097 };

	switch (below(w, 8)) {
	case 0:
		return deltas[ANY(w, deltas)];
	case 1:
		return race_random(&w->rng) >> below(w, 64);
	default:
		return BIT_ULL(bits[ANY(w, bits)]) + deltas[ANY(w, deltas)];
	}
}

/* A range of pages in [0, max), often one of huge pages or all. */
static void range(struct worker *w, u64 max, u64 *start, u64 *size)
{
	u64 unit = one_in(w, 3) && max > GMEM_HUGE_SIZE ? GMEM_HUGE_SIZE : P;
	u64 nr = max / unit, first;

	if (one_in(w, 16)) {
		*start = 0;
		*size = max & ~(P - 1);
		return;
	}
	first = below(w, nr);
	*start = first * unit;
	*size = (one_in(w, 2) ? 1 : 1 + below(w, nr - first)) * unit;
}

/* Spoil a field or two of a struct. */
static void damage(struct worker *w, void *args, size_t size, bool half)
{
	size_t width = half ? sizeof(u32) : sizeof(u64);
	u64 i, value, nr = size / width, n = below(w, 8);

	/* Most calls remain valid. */
	for (n = n < 5 ? 0 : n / 7 + 1; n; n--) {
		i = below(w, nr) * width;
		value = 0;
		memcpy(&value, args + i, width);
		switch (below(w, 4)) {
		case 0:
			value ^= BIT_ULL(below(w, half ? 32 : 64));
			break;
		case 1:
			value += one_in(w, 2) ? 1 : -1;
			break;
		default:
			value = edge(w);
		}
		memcpy(args + i, &value, width);
	}
}

/* To show what a call was, should it be needed. */
static void note(struct worker *w, const void *args, size_t size)
{
	w->nr_words = min_t(size_t, size / sizeof(u64), MAX_WORDS);
	memcpy(w->words, args, w->nr_words * sizeof(u64));
}

#define NOTE(w, ...) do {						\
	u64 __args[] = { __VA_ARGS__ };					\
									\
	note(w, __args, sizeof(__args));				\
} while (0)

/*
 * Memory
 */

static __thread sigjmp_buf fault_env;
static __thread bool fault_expected;

static void on_fault(int sig)
{
	if (!fault_expected) {
		signal(sig, SIG_DFL);
		return;
	}
	fault_expected = false;
	siglongjmp(fault_env, 1);
}

/* Return: 0, or -EFAULT if memory on one of the sides cannot be accessed. */
static int try_copy(void *to, const void *from, size_t size)
{
	const char *in = from;
	char *out = to;
	size_t i;

	if (sigsetjmp(fault_env, 0))
		return -EFAULT;
	WRITE_ONCE(fault_expected, true);
	for (i = 0; i < size; i++)
		WRITE_ONCE(out[i], READ_ONCE(in[i]));
	WRITE_ONCE(fault_expected, false);
	return 0;
}

/* Where nothing is mapped, nothing that is not ours can come. */
static void reserve(void *addr, u64 size)
{
	if (!size)
		return;
	addr = mmap(addr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
		    MAP_NORESERVE | (addr ? MAP_FIXED : 0), -1, 0);
	TEST_ASSERT(addr != MAP_FAILED, "mmap() failed, errno %d", errno);
}

static char *reserve_new(u64 size)
{
	char *mem = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
			 MAP_NORESERVE, -1, 0);

	TEST_ASSERT(mem != MAP_FAILED, "mmap() failed, errno %d", errno);
	return mem;
}

/*
 * Where the arguments are.  Mostly so that not one byte more can be accessed.
 */
static void *place(struct worker *w, const void *args, size_t size)
{
	w->ptr_good = false;
	memset(w->page, 0, P);
	memcpy(w->page + P - size, args, size);

	switch (below(w, 32)) {
	case 0:
		return NULL;
	case 1:
		return (void *)(TASK_END - 8);
	case 2:
		return (void *)-(long)P;
	case 3:		/* begins in a page, and goes on in nothing */
		return w->page + P - 8;
	case 4:
		return w->page + P;
	case 5:
		return w->page_ro + P - size;
	case 6:		/* in the memory of a file */
		w->may_change = true;
		try_copy(w->map, args, size);
		return w->map;
	case 7:
		memcpy(w->page + 1, args, size);
		return w->page + 1;
	default:
		w->ptr_good = true;
		return w->page + P - size;
	}
}

/*
 * Descriptors
 */

/* Of no kind that could do it: @but is the number of one that could. */
static int other_fd(struct worker *w, int but)
{
	int nr;

	w->wrong_fd = true;
	do {
		nr = below(w, NR_OTHERS);
	} while (nr == but);
	return w->world->others[nr];
}

static int file_nr(struct worker *w)
{
	return below(w, NR_FILES);
}

static int file_fd(struct worker *w, int nr)
{
	return __atomic_load_n(&w->world->files[nr], __ATOMIC_RELAXED);
}

/* A file to operate on, seldom something else. */
static int target(struct worker *w, int *nr)
{
	*nr = file_nr(w);
	return one_in(w, 16) ? other_fd(w, -1) : file_fd(w, *nr);
}

/* The same, but mostly a file that the operation is for: with @flag, of @vm. */
static int target_with(struct worker *w, int *nr, u64 flag, int vm)
{
	int fd;

	do {
		w->wrong_fd = false;
		fd = target(w, nr);
	} while (!one_in(w, 8) && (kinds[*nr].vm != vm ||
				   !(kinds[*nr].flags & flag)));
	return fd;
}

static int convertible(struct worker *w, int *nr)
{
	return target_with(w, nr, GUEST_MEMFD_FLAG_MMAP, PRIVATE_VM);
}

static bool is_big(int nr)
{
	return kinds[nr].size > FILE_SIZE;
}

/* Offsets in the big files: mostly where there may be something. */
static u64 file_range(struct worker *w, int nr, u64 *offset)
{
	u64 size;

	if (is_big(nr) && one_in(w, 4)) {
		*offset = edge(w) & (P - 1) ? below(w, BIT_ULL(50)) * P : edge(w);
		return edge(w);
	}
	range(w, FILE_SIZE, offset, &size);
	return size;
}

static int create_file(struct world *world, int nr)
{
	const struct kind *kind = &kinds[nr];
	struct kvm_vm *vm = world->vm[kind->vm];
	u64 valid = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);

	return vm_create_guest_memfd(vm, kind->size, kind->flags & valid);
}

/*
 * State of a file
 */

struct snapshot {
	int fd;
	struct gmem_state state;
	u64 attributes;		/* a sum over all runs */
};

static u64 sum_attributes(int fd)
{
	struct kvm_gmem_get_attributes get = {};
	u64 end, sum = 0;
	struct stat st;

	if (fstat(fd, &st))
		return 0;
	for (end = st.st_size; get.offset < end; get.offset += get.size) {
		get.size = end - get.offset;
		if (ioctl(fd, KVM_GMEM_GET_ATTRIBUTES, &get))
			return 0;
		sum = sum * 31 + get.offset + get.attributes;
		sum = sum * 31 + get.resident;
	}
	return sum;
}

static void remember(struct worker *w, struct snapshot *s, int fd)
{
	s->fd = -1;
	if (!w->alone || w->wrong_fd)
		return;
	s->fd = fd;
	gmem_state_get(fd, &s->state);
	s->attributes = sum_attributes(fd);
}

/* @ret is what the call has returned. */
static void compare(struct worker *w, const struct snapshot *s, int ret,
		    const char *what)
{
	if (s->fd < 0 || ret >= 0 || w->may_change)
		return;
	gmem_state_assert_same(s->fd, &s->state, what);
	TEST_ASSERT(sum_attributes(s->fd) == s->attributes,
		    "%s = %d has changed attributes, seed 0x%lx", what, ret,
		    seed);
}

/*
 * An ioctl whose argument is a struct, which is put where it may not be.  With
 * @what, its name, it is one on a file.
 */
static int issue(struct worker *w, int fd, unsigned long cmd, void *args,
		 size_t size, const char *what)
{
	struct snapshot before;
	void *ptr;
	int ret;

	note(w, args, size);
	ptr = place(w, args, size);
	before.fd = -1;
	if (what)
		remember(w, &before, fd);
	ret = errno_of(ioctl(fd, cmd, ptr));
	if (w->ptr_good)
		memcpy(args, ptr, size);
	/* The ranges before the first that fails remain converted. */
	if (cmd == KVM_GMEM_SET_ATTRIBUTES_VEC)
		w->may_change |= !w->ptr_good ||
			((struct kvm_gmem_attributes_vec *)args)->done;
	compare(w, &before, ret, what);
	return ret;
}

/*
 * Operations on a VM
 */

/* Return: a file descriptor, which is mostly that of a VM. */
static int vm_fd(struct worker *w, int *nr)
{
	*nr = below(w, NR_VMS);
	return one_in(w, 16) ? other_fd(w, OTHER_VM) : w->world->vm[*nr]->fd;
}

static int call_create(struct worker *w)
{
	static const u64 flags[] = { 0, GUEST_MEMFD_FLAG_MMAP,
		GMEM_SHARED_FLAGS, GUEST_MEMFD_FLAG_INIT_SHARED, HUGE_MOVABLE };
	struct kvm_create_guest_memfd args = {
		.size = (1 + below(w, 1024)) * P,
		.flags = flags[ANY(w, flags)],
	};
	int fd, nr, ret, next = -1;

	if (one_in(w, 4))
		args.size = edge(w);
	damage(w, &args, sizeof(args), false);
	fd = vm_fd(w, &nr);
	if (w->alone) {
		next = dup(STDOUT_FILENO);
		close(next);
	}
	ret = issue(w, fd, KVM_CREATE_GUEST_MEMFD, &args, sizeof(args), NULL);
	if (ret >= 0)
		close(ret);
	if (w->alone) {
		fd = dup(STDOUT_FILENO);
		TEST_ASSERT(fd == next, "fd %d is in use after %d", next, ret);
		close(fd);
	}
	return ret;
}

/* In the address space of the guest: mostly where it can look. */
static u64 guest_range(struct worker *w, u64 *gpa)
{
	u64 size;

	if (one_in(w, 8)) {
		*gpa = edge(w);
		return edge(w);
	}
	range(w, WINDOW, gpa, &size);
	*gpa += GMEM_DATA_GPA;
	return size;
}

/* Anywhere, but never where the process itself has something. */
static u64 host_address(struct worker *w, u64 value, u64 size)
{
	u64 start = (uintptr_t)w->world->hva;

	if (value >= TASK_END || (!value && size <= 16 * P))
		return value;
	return start + ((value - start) & (BIT_ULL(32) - 1));
}

static void bound_slot(struct worker *w,
		       struct kvm_userspace_memory_region2 *args)
{
	u32 id = args->slot & 0xffff;

	/* Slot 0 is the library's; others are deleted when all is over. */
	if (!id || (id > NR_SLOTS && id < SLOT_NONE))
		args->slot += 1 + id % NR_SLOTS - id;
	if (args->memory_size > SLOT_MAX && args->memory_size < SLOT_REFUSED)
		args->memory_size = SLOT_MAX;
	args->userspace_addr = host_address(w, args->userspace_addr,
					    args->memory_size);
}

static struct known_slot *known_slot(struct worker *w, int vm, u32 slot)
{
	return &w->world->known[vm][slot >> 16][slot & 0xffff];
}

/* Follow what becomes of the slots: exact if nothing else changes them. */
static void slot_done(struct worker *w, int vm, u32 slot, u64 gpa, u64 size,
		      int ret)
{
	struct known_slot *known;

	if (!ret) {
		known = known_slot(w, vm, slot);
		WRITE_ONCE(known->there, !!size);
		known->gpa = gpa;
		return;
	}
	if (!w->alone || !one_in(w, 32))
		return;
	known = known_slot(w, vm, 1 + below(w, NR_SLOTS));
	TEST_ASSERT(!known->there ||
		    !gmem_gpa_is_free(w->world->vm[vm], known->gpa, P),
		    "a slot is gone, seed 0x%lx", seed);
}

static void fill_region(struct worker *w, int vm,
			struct kvm_userspace_memory_region2 *args)
{
	static const u32 flags[] = {
		KVM_MEM_GUEST_MEMFD, KVM_MEM_GUEST_MEMFD, KVM_MEM_GUEST_MEMFD,
		0, KVM_MEM_READONLY, KVM_MEM_LOG_DIRTY_PAGES, 7,
	};
	u64 gpa, size;

	size = guest_range(w, &gpa);
	/* Leave room for more. */
	if (one_in(w, 2) && size > 32 * P)
		size = 32 * P;
	*args = (struct kvm_userspace_memory_region2) {
		.slot = 1 + below(w, NR_SLOTS),
		.flags = flags[ANY(w, flags)],
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)w->world->hva + gpa % P +
				  below(w, 512) * P,
	};
	if (one_in(w, 8))
		args->slot |= 1 << 16;
	/* Mostly what is possible: a slot that is there goes, and another comes. */
	if (READ_ONCE(known_slot(w, vm, args->slot)->there) != one_in(w, 8))
		args->memory_size = 0;
	if (one_in(w, 16))
		args->userspace_addr = edge(w);
}

/* More memory than all files together have must not be bound. */
static void bound_binding(struct kvm_userspace_memory_region2 *args, int nr)
{
	if (!(args->flags & KVM_MEM_GUEST_MEMFD) || !is_big(nr))
		return;
	if (args->memory_size > BIG_MEM && args->memory_size < SLOT_REFUSED)
		args->memory_size = BIG_MEM;
}

static int call_region2(struct worker *w)
{
	struct kvm_userspace_memory_region2 args;
	int fd, vm, nr, ret;
	u64 offset, size;
	u32 slot;

	fd = vm_fd(w, &vm);
	fill_region(w, vm, &args);
	do {
		nr = file_nr(w);
	} while (kinds[nr].vm != vm && !one_in(w, 16));
	file_range(w, nr, &offset);
	if (!one_in(w, 8) && args.memory_size < FILE_SIZE)
		offset = below(w, (FILE_SIZE - args.memory_size) / P + 1) * P;
	args.guest_memfd_offset = offset;
	damage(w, &args, offsetof(typeof(args), pad1), true);
	/* pad1 and pad2 are ignored. */
	args.pad1 = edge(w);
	args.pad2[below(w, 14)] = edge(w);
	bound_slot(w, &args);
	bound_binding(&args, nr);
	args.guest_memfd = one_in(w, 16) ?
			   w->world->others[ANY(w, w->world->others)] :
					   file_fd(w, nr);

	slot = args.slot;
	offset = args.guest_phys_addr;
	size = args.memory_size;
	ret = issue(w, fd, KVM_SET_USER_MEMORY_REGION2, &args, sizeof(args),
		    NULL);
	slot_done(w, vm, slot, offset, size, ret);
	return ret;
}

static int call_region(struct worker *w)
{
	struct kvm_userspace_memory_region2 args2;
	struct kvm_userspace_memory_region args;
	int fd, vm, ret;
	u64 gpa, size;
	u32 slot;

	fd = vm_fd(w, &vm);
	fill_region(w, vm, &args2);
	if (!one_in(w, 8))
		args2.flags &= ~KVM_MEM_GUEST_MEMFD;
	damage(w, &args2, sizeof(args), true);
	bound_slot(w, &args2);
	memcpy(&args, &args2, sizeof(args));

	slot = args.slot;
	gpa = args.guest_phys_addr;
	size = args.memory_size;
	ret = issue(w, fd, KVM_SET_USER_MEMORY_REGION, &args, sizeof(args),
		    NULL);
	slot_done(w, vm, slot, gpa, size, ret);
	return ret;
}

static int call_attributes(struct worker *w)
{
	struct kvm_memory_attributes args = {};
	u64 gpa;
	int vm;

	args.size = guest_range(w, &gpa);
	args.address = gpa;
	if (one_in(w, 2))
		args.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE;
	damage(w, &args, sizeof(args), false);
	return issue(w, vm_fd(w, &vm), KVM_SET_MEMORY_ATTRIBUTES, &args,
		     sizeof(args), NULL);
}

static int call_pre_fault(struct worker *w)
{
	struct kvm_pre_fault_memory args = {}, before;
	int fd, ret;
	u64 gpa;

	args.size = guest_range(w, &gpa);
	args.gpa = gpa;
	damage(w, &args, sizeof(args), false);
	fd = one_in(w, 16) ? other_fd(w, OTHER_VCPU) :
			     w->world->vcpu_fd[ANY(w, w->world->vcpu_fd)];
	before = args;
	ret = issue(w, fd, KVM_PRE_FAULT_MEMORY, &args, sizeof(args), NULL);
	if (!w->ptr_good)
		return ret;
	TEST_ASSERT(ret || (args.size < before.size &&
			    args.gpa + args.size == before.gpa + before.size),
		    "0x%llx+0x%llx became 0x%llx+0x%llx", before.gpa,
		    before.size, args.gpa, args.size);
	TEST_ASSERT(!ret || !memcmp(&args, &before, sizeof(args)),
		    "failed, but is at 0x%llx+0x%llx", args.gpa, args.size);
	return ret;
}

/*
 * ioctls on a file
 */

static u64 convert_flags(struct worker *w)
{
	static const u64 flags[] = { 0, 0, KVM_MEMORY_ATTRIBUTES2_ZERO,
		KVM_MEMORY_ATTRIBUTES2_PRESERVE, GMEM_WAIT, GMEM_WAIT };

	return flags[ANY(w, flags)];
}

static u64 convert_timeout(struct worker *w, u64 flags)
{
	if (!(flags & GMEM_WAIT))
		return 0;
	/* The signal ends this one. */
	if (one_in(w, 64))
		return edge(w);
	return below(w, MS / 4);
}

static u64 bound_timeout(struct worker *w, u64 timeout)
{
	return timeout > MS && !one_in(w, 8) ? timeout % MS : timeout;
}

/* Have references to a page of the mapping, or give them up. */
static void change_holding(struct worker *w)
{
	struct iovec iov = { .iov_base = w->map, .iov_len = P };
	char buf[64];

	if (one_in(w, 2))
		vmsplice(w->pipe[1], &iov, 1, SPLICE_F_NONBLOCK);
	else
		while (read(w->pipe[0], buf, sizeof(buf)) > 0)
			;
}

static int call_attributes2(struct worker *w)
{
	struct kvm_memory_attributes2 args = {
		.flags = convert_flags(w),
		.attributes = one_in(w, 2) ? GMEM_PRIVATE : GMEM_SHARED,
	};
	u64 offset;
	int fd, nr;

	fd = convertible(w, &nr);
	if (one_in(w, 8)) {
		change_holding(w);
		w->wrong_fd = false;
		nr = 0;
		fd = file_fd(w, nr);
	}
	args.size = file_range(w, nr, &offset);
	args.offset = offset;
	args.timeout_ns = convert_timeout(w, args.flags);
	damage(w, &args, sizeof(args), false);
	args.timeout_ns = bound_timeout(w, args.timeout_ns);
	return issue(w, fd, KVM_SET_MEMORY_ATTRIBUTES2, &args, sizeof(args),
		     "KVM_SET_MEMORY_ATTRIBUTES2");
}

static int call_vec(struct worker *w)
{
	struct kvm_gmem_range ranges[20];
	struct kvm_gmem_attributes_vec args = {
		.flags = convert_flags(w),
		.attributes = one_in(w, 2) ? GMEM_PRIVATE : GMEM_SHARED,
		.nr = 1 + below(w, ARRAY_SIZE(ranges)),
	};
	u64 i, offset;
	int fd, nr;

	fd = convertible(w, &nr);
	if (one_in(w, 8)) {
		change_holding(w);
		w->wrong_fd = false;
		nr = 0;
		fd = file_fd(w, nr);
	}
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		ranges[i].size = file_range(w, nr, &offset);
		ranges[i].offset = offset;
	}
	if (one_in(w, 4))
		damage(w, ranges, sizeof(ranges), false);
	args.ranges = (uintptr_t)place(w, ranges, args.nr * sizeof(*ranges));
	/* The page of arguments is needed for the struct. */
	if (w->ptr_good)
		args.ranges = (uintptr_t)ranges;
	args.timeout_ns = convert_timeout(w, args.flags);
	damage(w, &args, sizeof(args), false);
	args.done = 0;
	args.timeout_ns = bound_timeout(w, args.timeout_ns);
	return issue(w, fd, KVM_GMEM_SET_ATTRIBUTES_VEC, &args, sizeof(args),
		     "KVM_GMEM_SET_ATTRIBUTES_VEC");
}

static int call_get(struct worker *w)
{
	struct kvm_gmem_get_attributes args = {};
	u64 offset, asked;
	int fd, nr, ret;

	fd = convertible(w, &nr);
	args.size = file_range(w, nr, &offset);
	args.offset = offset;
	damage(w, &args, sizeof(args), false);
	asked = args.size;
	ret = issue(w, fd, KVM_GMEM_GET_ATTRIBUTES, &args, sizeof(args),
		    "KVM_GMEM_GET_ATTRIBUTES");
	if (!ret && w->ptr_good)
		TEST_ASSERT(args.size && args.size <= asked &&
			    args.resident <= args.size &&
			    !(args.attributes & ~GMEM_PRIVATE),
			    "run of 0x%llx of 0x%lx, 0x%llx resident",
			    args.size, asked, args.resident);
	return ret;
}

static int call_policy(struct worker *w)
{
	static const u32 modes[] = { MPOL_DEFAULT, MPOL_PREFERRED, MPOL_BIND,
		MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_PREFERRED_MANY };
	static const u32 flags[] = { 0, 0, MPOL_MF_STRICT, MPOL_MF_MOVE,
		MPOL_MF_MOVE_ALL, MPOL_MF_STRICT | MPOL_MF_MOVE };
	struct kvm_gmem_policy args = {
		.mode = modes[ANY(w, modes)],
		.flags = flags[ANY(w, flags)],
	};
	u64 offset, nodes = 1 + below(w, 3);
	int fd, nr;

	fd = target(w, &nr);
	args.size = file_range(w, nr, &offset);
	args.offset = offset;
	if (args.mode != MPOL_DEFAULT && args.mode != MPOL_LOCAL) {
		args.nodemask = (uintptr_t)place(w, &nodes, sizeof(nodes));
		if (w->ptr_good)
			args.nodemask = (uintptr_t)&nodes;
		args.maxnode = 3 + below(w, 62);
	}
	damage(w, &args, sizeof(args), one_in(w, 2));
	return issue(w, fd, KVM_GMEM_SET_POLICY, &args, sizeof(args),
		     "KVM_GMEM_SET_POLICY");
}

static int call_collapse(struct worker *w)
{
	struct kvm_gmem_collapse args = {};
	u64 offset;
	int fd, nr;

	fd = target_with(w, &nr, GUEST_MEMFD_FLAG_MOVABLE, PRIVATE_VM);
	args.size = file_range(w, nr, &offset);
	args.offset = offset;
	damage(w, &args, sizeof(args), false);
	return issue(w, fd, KVM_GMEM_COLLAPSE, &args, sizeof(args),
		     "KVM_GMEM_COLLAPSE");
}

static const unsigned long known_cmds[] = {
	KVM_SET_MEMORY_ATTRIBUTES2, KVM_GMEM_SET_ATTRIBUTES_VEC,
	KVM_GMEM_GET_ATTRIBUTES, KVM_GMEM_SET_POLICY, KVM_GMEM_COLLAPSE,
};

static bool is_known(unsigned long cmd)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(known_cmds); i++)
		if (cmd == known_cmds[i])
			return true;
	return false;
}

/* KVM's letter, with a number, size or direction that no ioctl here has. */
static int call_unknown(struct worker *w)
{
	u64 args[16] = {};
	unsigned long cmd;

	/* KVM has many, so not on its other descriptors. */
	do {
		if (one_in(w, 2))
			cmd = known_cmds[ANY(w, known_cmds)] ^ BIT(below(w, 32));
		else
			cmd = _IOC(below(w, 4), KVMIO, below(w, 256),
				   below(w, 256));
	} while (_IOC_TYPE(cmd) != KVMIO || is_known(cmd));
	args[0] = cmd;
	return issue(w, file_fd(w, file_nr(w)), cmd, args, sizeof(args),
		     "unknown ioctl");
}

/*
 * Memory of a file
 */

#define PUNCH	(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)

static int call_fallocate(struct worker *w)
{
	static const u32 modes[] = { FALLOC_FL_KEEP_SIZE, FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_KEEP_SIZE, PUNCH, PUNCH, PUNCH, 0,
		FALLOC_FL_ZERO_RANGE, FALLOC_FL_COLLAPSE_RANGE,
		FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE };
	struct snapshot before;
	u64 args[3];
	int fd, nr, ret;

	fd = target(w, &nr);
	args[2] = file_range(w, nr, &args[1]);
	args[0] = modes[ANY(w, modes)];
	if (one_in(w, 8))
		args[0] ^= modes[ANY(w, modes)];
	damage(w, args + 1, 2 * sizeof(*args), false);
	if (one_in(w, 32))
		damage(w, args, sizeof(*args), false);
	if (is_big(nr) && !(args[0] & FALLOC_FL_PUNCH_HOLE))
		args[2] &= 64 * P - 1;
	note(w, args, sizeof(args));
	remember(w, &before, fd);
	ret = errno_of(fallocate(fd, args[0], args[1], args[2]));
	/* What has been allocated until then remains. */
	w->may_change = ret == -EINTR || ret == -ENOMEM;
	compare(w, &before, ret, "fallocate()");
	return ret;
}

/* A part of the worker's place for mappings. */
static u64 arena_range(struct worker *w, u64 *addr)
{
	u64 offset, size;

	range(w, ARENA_SIZE, &offset, &size);
	*addr = (uintptr_t)w->arena + offset;
	return size;
}

static int call_mmap(struct worker *w)
{
	static const u32 prots[] = { PROT_READ, PROT_WRITE, PROT_NONE,
		PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
		PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC };
	static const u32 flags[] = { MAP_SHARED, MAP_SHARED, MAP_SHARED,
		MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_SHARED | MAP_POPULATE,
		MAP_SHARED | MAP_NORESERVE, MAP_SHARED | MAP_HUGETLB,
		MAP_SHARED_VALIDATE | MAP_SYNC, 0 };
	u64 addr, len, offset, args[6];
	int fd, nr, flag;
	void *mem;

	fd = target(w, &nr);
	len = arena_range(w, &addr);
	if (one_in(w, 8))
		reserve((void *)addr, len);
	file_range(w, nr, &offset);
	flag = flags[ANY(w, flags)];
	if (one_in(w, 16))
		offset = edge(w);
	if (one_in(w, 8)) {
		addr = 0;
		len = edge(w);
		if (len > BIG_MEM)
			flag &= ~MAP_POPULATE;
	} else {
		flag |= one_in(w, 16) ? MAP_FIXED_NOREPLACE : MAP_FIXED;
	}
	NOTE(w, addr, len, prots[ANY(w, prots)], flag, fd, offset);
	memcpy(args, w->words, sizeof(args));
	mem = mmap((void *)addr, len, args[2], flag, fd, offset);
	if (mem == MAP_FAILED)
		return -errno;
	if (!addr)
		munmap(mem, len);
	else if (w->wrong_fd)
		reserve(mem, len);
	return 0;
}

static int call_mremap(struct worker *w)
{
	static const u32 flags[] = { 0, MREMAP_MAYMOVE, MREMAP_MAYMOVE,
		MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_FIXED,
		MREMAP_MAYMOVE | MREMAP_DONTUNMAP, MREMAP_DONTUNMAP, 8 };
	u64 old, old_len, new, new_len, tail;
	int err, flag = flags[ANY(w, flags)];
	void *mem;

	old_len = arena_range(w, &old);
	new_len = arena_range(w, &new);
	if (flag & MREMAP_DONTUNMAP && !one_in(w, 8))
		new_len = old_len;
	if (one_in(w, 8))
		old_len = one_in(w, 2) ? 0 : TASK_END + edge(w) % TASK_END;
	if (one_in(w, 8) && !(flag & MREMAP_FIXED))
		new_len = one_in(w, 2) ? 0 : TASK_END + edge(w) % TASK_END;
	if (one_in(w, 16))
		old++;
	NOTE(w, old, old_len, new_len, flag, new);
	mem = mremap((void *)old, old_len, new_len, flag, (void *)new);
	if (mem == MAP_FAILED) {
		err = errno;
		/* It may be unmapped nevertheless. */
		if (flag & MREMAP_FIXED)
			reserve((void *)new, new_len);
		return -err;
	}
	if ((u64)mem != old) {
		reserve((void *)old, old_len);
		if (!(flag & MREMAP_FIXED))
			munmap(mem, new_len);
	} else if (new_len < old_len) {
		tail = old + new_len;
		reserve((void *)tail, old_len - new_len);
	} else if (old + new_len > (u64)w->arena + ARENA_SIZE) {
		tail = (u64)w->arena + ARENA_SIZE;
		munmap((void *)tail, old + new_len - tail);
	}
	return 0;
}

/* A length that is too much must go round: there is other memory behind. */
static u64 wrong_range(struct worker *w, u64 *addr, u64 len)
{
	if (one_in(w, 16))
		*addr += 1 + below(w, P - 1);
	return one_in(w, 16) ? -(1 + below(w, 16)) * P : len;
}

static int call_madvise(struct worker *w)
{
	/*
	 * Neither MADV_HWPOISON nor MADV_SOFT_OFFLINE; nor MADV_MERGEABLE: the
	 * memory between the files' could then not be moved while a signal is
	 * pending (EINTR).
	 */
	static const int advices[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
		MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DONTFORK,
		MADV_DOFORK, MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
		MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK,
		MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ,
		MADV_POPULATE_WRITE, 24 /* DONTNEED_LOCKED */, 25 /* COLLAPSE */,
		5, 26, -1, INT_MAX,
	};
	int advice = advices[ANY(w, advices)];
	u64 addr, len;

	len = arena_range(w, &addr);
	len = wrong_range(w, &addr, len);
	NOTE(w, addr, len, advice);
	return errno_of(madvise((void *)addr, len, advice));
}

static int call_mprotect(struct worker *w)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_WRITE,
		PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_EXEC,
		PROT_READ | PROT_EXEC, PROT_READ | PROT_GROWSUP, 0x100 };
	int prot = prots[ANY(w, prots)];
	u64 addr, len;

	len = arena_range(w, &addr);
	len = wrong_range(w, &addr, len);
	NOTE(w, addr, len, prot);
	return errno_of(mprotect((void *)addr, len, prot));
}

/* Read or write a word of what is mapped, as any program does. */
static int call_touch(struct worker *w)
{
	u64 addr, word = 0x5a;
	int ret;

	arena_range(w, &addr);
	NOTE(w, addr);
	if (one_in(w, 2))
		return try_copy((void *)addr, &word, sizeof(word));
	ret = try_copy(&word, (void *)addr, sizeof(word));
	TEST_ASSERT(ret || word != SECRET, "private memory at 0x%lx, seed 0x%lx",
		    addr, seed);
	return ret;
}

/*
 * What a file can also be asked for
 */

/* Any length, and where that many bytes may or may not be. */
static void *any_buffer(struct worker *w, u64 *len)
{
	u64 word = 0;

	*len = one_in(w, 2) ? below(w, P) : edge(w);
	return place(w, &word, sizeof(word));
}

static int call_ftruncate(struct worker *w)
{
	struct snapshot before;
	u64 length;
	int fd, nr, ret;

	fd = target(w, &nr);
	length = one_in(w, 2) ? edge(w) : below(w, 1024) * P;
	NOTE(w, fd, length);
	/* Other files are not to grow. */
	if (w->wrong_fd)
		length = -1;
	remember(w, &before, fd);
	ret = errno_of(ftruncate(fd, length));
	compare(w, &before, ret, "ftruncate()");
	return ret;
}

static int call_lseek(struct worker *w)
{
	u64 offset = edge(w);
	int fd, nr, whence = below(w, SEEK_HOLE + 1);

	fd = target(w, &nr);
	NOTE(w, fd, offset, whence);
	return lseek(fd, offset, whence) == -1 ? -errno : 0;
}

static int call_read(struct worker *w)
{
	struct snapshot before;
	u64 len;
	void *buf;
	int fd, nr, ret;

	fd = target(w, &nr);
	buf = any_buffer(w, &len);
	NOTE(w, fd, (uintptr_t)buf, len);
	/* That would be more than the buffer has. */
	if (w->wrong_fd)
		len &= 7;
	remember(w, &before, fd);
	if (one_in(w, 2))
		ret = errno_of(read(fd, buf, len));
	else
		ret = errno_of(write(fd, buf, len));
	compare(w, &before, ret, "read() or write()");
	return ret;
}

static int call_pread(struct worker *w)
{
	u64 len, offset = edge(w) & INT64_MAX;
	struct snapshot before;
	void *buf;
	int fd, nr, ret;

	fd = target(w, &nr);
	buf = any_buffer(w, &len);
	NOTE(w, fd, (uintptr_t)buf, len, offset);
	if (w->wrong_fd)
		len &= 7;
	remember(w, &before, fd);
	if (one_in(w, 2))
		ret = errno_of(pread(fd, buf, len, offset));
	else
		ret = errno_of(pwrite(fd, buf, len, w->wrong_fd ? 0 : offset));
	compare(w, &before, ret, "pread() or pwrite()");
	return ret;
}

static int call_fstat(struct worker *w)
{
	struct stat st;
	int fd, nr, ret;

	fd = target(w, &nr);
	NOTE(w, fd);
	ret = errno_of(fstat(fd, &st));
	if (!ret && !w->wrong_fd && w->alone)
		TEST_ASSERT(st.st_size == kinds[nr].size, "size 0x%lx, wanted 0x%lx",
			    st.st_size, kinds[nr].size);
	return ret;
}

/* What would change the file or its owner. */
static int call_fchmod(struct worker *w)
{
	struct snapshot before;
	int fd, nr, ret;

	fd = target(w, &nr);
	/* Not those of other tests. */
	if (w->wrong_fd)
		fd = -1;
	NOTE(w, fd);
	remember(w, &before, fd);
	switch (below(w, 3)) {
	case 0:
		ret = errno_of(fchmod(fd, edge(w) & 07777));
		break;
	case 1:
		ret = errno_of(fchown(fd, edge(w), edge(w)));
		break;
	default:
		ret = errno_of(fsync(fd));
	}
	compare(w, &before, ret, "fchmod(), fchown() or fsync()");
	return ret;
}

/*
 * The guest: reads and writes where there may be memory.
 */

/* What keeps it from going on may be there for good. */
static void let_guest_go_on(struct worker *w)
{
	struct kvm_vm *vm = w->world->vm[PRIVATE_VM];

	if (!one_in(w, 8))
		return;
	__vm_set_memory_attributes(vm, 0, 2 * GMEM_DATA_GPA, 0);
	__vm_set_user_memory_region2(vm, 1 + below(w, NR_SLOTS), 0, 0, 0, NULL,
				     -1, 0);
}

static int call_run(struct worker *w)
{
	struct kvm_vcpu *vcpu = w->world->vcpus[0];
	u64 offset, size;
	int ret;

	if (!w->world->guest_busy) {
		range(w, WINDOW, &offset, &size);
		guest_cmd_set(vcpu, one_in(w, 2) ? GUEST_OP_READ :
						   GUEST_OP_WRITE,
			      GMEM_DATA_GPA + offset, 0, 0);
		w->world->guest_busy = true;
	}
	ret = errno_of(__vcpu_run(vcpu));
	if (ret == -EFAULT)
		let_guest_go_on(w);
	if (ret < 0 || vcpu->run->exit_reason == KVM_EXIT_MMIO)
		return ret;
	guest_cmd_complete(vcpu);
	w->world->guest_busy = false;
	return 0;
}

/*
 * The table: errnos as in Documentation/virt/kvm/api.rst for ioctls, in
 * Documentation/virt/kvm/guest_memfd.rst for all that is done to files, and
 * what the manual has for such calls anyway.  EINTR only where it is not said to
 * be for a process that is being killed; EHWPOISON for none.
 */

enum {
	CREATE, REGION2, REGION, ATTRIBUTES, PRE_FAULT,
	ATTRIBUTES2, VEC, GET, POLICY, COLLAPSE, UNKNOWN,
	FALLOCATE, MMAP, MREMAP, MADVISE, MPROTECT, TOUCH,
	FTRUNCATE, LSEEK, READ, PREAD, FSTAT, FCHMOD,
	/* By one worker only. */
	RUN,
	NR_OPS
};

static const struct op ops[NR_OPS] = {
	[CREATE] = { "KVM_CREATE_GUEST_MEMFD", call_create,
		{ EFAULT, EINVAL, EMFILE, ENFILE, ENOMEM }, true, true },
	[REGION2] = { "KVM_SET_USER_MEMORY_REGION2", call_region2,
		{ EFAULT, EINVAL, EEXIST, EBADF, ENOMEM }, true, true },
	[REGION] = { "KVM_SET_USER_MEMORY_REGION", call_region,
		{ EFAULT, EINVAL, EEXIST, ENOMEM }, true, true },
	[ATTRIBUTES] = { "KVM_SET_MEMORY_ATTRIBUTES", call_attributes,
		{ EFAULT, EINVAL, ENOMEM }, true, true },
	[PRE_FAULT] = { "KVM_PRE_FAULT_MEMORY", call_pre_fault,
		{ EAGAIN, EFAULT, EINTR, EINVAL, ENOENT, ENOMEM, EOPNOTSUPP },
		true, true },
	[ATTRIBUTES2] = { "KVM_SET_MEMORY_ATTRIBUTES2", call_attributes2,
		{ EAGAIN, EFAULT, EINTR, EINVAL, ENOMEM, EOPNOTSUPP },
		false, true },
	[VEC] = { "KVM_GMEM_SET_ATTRIBUTES_VEC", call_vec,
		{ EAGAIN, EFAULT, EINTR, EINVAL, ENOMEM, EOPNOTSUPP },
		false, true },
	[GET] = { "KVM_GMEM_GET_ATTRIBUTES", call_get,
		{ EFAULT, EINVAL }, false, true },
	[POLICY] = { "KVM_GMEM_SET_POLICY", call_policy,
		{ EFAULT, EINVAL, EIO, ENOMEM, EPERM }, false, true },
	[COLLAPSE] = { "KVM_GMEM_COLLAPSE", call_collapse,
		{ EFAULT, EINVAL, ENOMEM, EOPNOTSUPP }, false, true },
	[UNKNOWN] = { "unknown ioctl", call_unknown, { ENOTTY }, false, true },
	[FALLOCATE] = { "fallocate()", call_fallocate,
		{ EOPNOTSUPP, EINVAL, EFBIG, ENOMEM, EINTR, EBUSY } },
	[MMAP] = { "mmap()", call_mmap,
		{ EPERM, ENODEV, EINVAL, ENOMEM, EOVERFLOW, EEXIST,
		  EOPNOTSUPP } },
	[MREMAP] = { "mremap()", call_mremap, { EFAULT, EINVAL, ENOMEM } },
	[MADVISE] = { "madvise()", call_madvise,
		{ EINVAL, EFAULT, ENOMEM, EBADF, EACCES, EBUSY } },
	[MPROTECT] = { "mprotect()", call_mprotect,
		{ EACCES, EINVAL, ENOMEM } },
	[TOUCH] = { "touch", call_touch, { EFAULT } },
	[FTRUNCATE] = { "ftruncate()", call_ftruncate, { EINVAL }, false,
		true },
	[LSEEK] = { "lseek()", call_lseek, { ESPIPE } },
	[READ] = { "read(), write()", call_read, { EINVAL } },
	[PREAD] = { "pread(), pwrite()", call_pread, { ESPIPE } },
	[FSTAT] = { "fstat()", call_fstat, {} },
	[FCHMOD] = { "fchmod(), fchown(), fsync()", call_fchmod, { EINVAL } },
	[RUN] = { "KVM_RUN", call_run, { EFAULT, EINTR, ENOMEM } },
};

static const short wrong_fd_errnos[] = { EBADF, ENOTTY, EINVAL };

/* Success would be as wrong as an errno that is not in the table. */
static bool must_fail(const struct worker *w, const struct op *op)
{
	if (op->of_vm && w->foreign)
		return true;
	if (w->wrong_fd)
		return op->is_ours;
	return op == &ops[UNKNOWN] || op == &ops[FTRUNCATE] ||
	       op == &ops[LSEEK] || op == &ops[READ] || op == &ops[PREAD] ||
	       op == &ops[FCHMOD];
}

static bool is_in(const short *errnos, int nr, int err)
{
	int i;

	for (i = 0; i < nr; i++)
		if (errnos[i] == err)
			return true;
	return false;
}

static bool is_permitted(const struct worker *w, const struct op *op, int err)
{
	const int nr_wrong = ARRAY_SIZE(wrong_fd_errnos);

	if (op->of_vm && w->foreign && !w->wrong_fd)
		return err == EIO;
	if (w->wrong_fd && !op->is_ours)
		return true;
	/* KVM's, in another process. */
	if (w->wrong_fd && w->foreign && err == EIO)
		return true;
	if (w->wrong_fd)
		return is_in(wrong_fd_errnos, nr_wrong, err);
	/* Closed between the choice of the file and the call. */
	if (!w->alone && !w->foreign && err == EBADF)
		return true;
	return is_in(op->errnos, ARRAY_SIZE(op->errnos), err);
}

static void report_bad(struct worker *w, const struct op *op, int ret)
{
	char words[MAX_WORDS * 20], *p = words;
	int i;

	if (w->nr_bad++ > 4)
		return;
	*p = '\0';
	for (i = 0; i < w->nr_words; i++)
		p += sprintf(p, " 0x%lx", w->words[i]);
	ksft_print_msg("%s%s = %d (%s):%s\n", op->name,
		       w->wrong_fd ? " on another file" : "", ret,
		       ret < 0 ? strerror(-ret) : "success", words);
}

static void run_op(struct worker *w, int nr)
{
	const struct op *op = &ops[nr];
	struct stats *stats = &w->stats[nr];
	bool ok;
	int ret;

	w->wrong_fd = false;
	w->may_change = false;
	w->nr_words = 0;
	ret = op->call(w);
	stats->calls++;
	if (ret >= 0)
		stats->ok++;
	else if (-ret < NR_ERRNOS)
		stats->err[-ret]++;
	ok = ret < 0 ? is_permitted(w, op, -ret) : !must_fail(w, op);
	if (!ok)
		report_bad(w, op, ret);
}

/*
 * Workers
 */

static void on_tick(int sig)
{
}

static void set_handler(int sig, void (*fn)(int), int flags)
{
	struct sigaction action = { .sa_handler = fn, .sa_flags = flags };

	TEST_ASSERT(!sigaction(sig, &action, NULL), "sigaction() failed");
}

static timer_t start_ticks(void)
{
	struct itimerspec spec = {
		.it_interval.tv_nsec = TICK_NS,
		.it_value.tv_nsec = TICK_NS,
	};
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGUSR1,
		._sigev_un._tid = gmem_gettid(),
	};
	timer_t timer;

	TEST_ASSERT(!timer_create(CLOCK_MONOTONIC, &event, &timer) &&
		    !timer_settime(timer, 0, &spec, NULL), "no timer");
	return timer;
}

/* Close a file and make it anew; the big ones stay. */
static void replace_file(struct worker *w)
{
	int nr = file_nr(w), fd;

	if (is_big(nr) || w->foreign) {
		if (is_big(nr) && gmem_allocated(w->world->files[nr]) > BIG_MEM)
			__gmem_punch_hole(w->world->files[nr], 0,
					  kinds[nr].size);
		return;
	}
	fd = create_file(w->world, nr);
	close(__atomic_exchange_n(&w->world->files[nr], fd, __ATOMIC_RELAXED));
}

static void map_convertible(struct worker *w)
{
	w->map = mmap(w->map, 16 * P, PROT_READ | PROT_WRITE,
		      MAP_SHARED | (w->map ? MAP_FIXED : 0), file_fd(w, 0), 0);
	/* Somebody may just have closed it. */
	if (w->map == MAP_FAILED)
		w->map = NULL;
}

static void stir(struct worker *w)
{
	if (one_in(w, 4))
		map_convertible(w);
	else
		replace_file(w);
}

static void worker_start(struct worker *w)
{
	int fd = memfd_create("args", 0);

	TEST_ASSERT(fd >= 0 && !ftruncate(fd, P), "memfd_create() failed");
	w->page = reserve_new(2 * P);
	w->page = mmap(w->page, P, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, fd, 0);
	w->page_ro = mmap(NULL, P, PROT_READ, MAP_SHARED, fd, 0);
	TEST_ASSERT(w->page != MAP_FAILED && w->page_ro != MAP_FAILED, "mmap()");
	close(fd);
	w->arena = reserve_new(ARENA_SIZE);
	map_convertible(w);
	TEST_ASSERT(!pipe2(w->pipe, O_NONBLOCK), "pipe2() failed");
	w->stats = calloc(NR_OPS, sizeof(*w->stats));
	TEST_ASSERT(w->stats, "no memory");
}

static void worker_end(struct worker *w)
{
	close(w->pipe[0]);
	close(w->pipe[1]);
	munmap(w->arena, ARENA_SIZE);
	munmap(w->page, 2 * P);
	munmap(w->page_ro, P);
	if (w->map)
		munmap(w->map, 16 * P);
	free(w->stats);
}

/* What it is about, and now and then something else. */
static void *worker_run(void *arg)
{
	struct worker *w = arg;
	timer_t timer = start_ticks();
	u64 i;

	for (i = 0; i < w->nr_calls; i++) {
		if (one_in(w, 32))
			stir(w);
		if (w->nr_ops && !one_in(w, 8))
			run_op(w, w->ops[below(w, w->nr_ops)]);
		else
			run_op(w, below(w, RUN));
	}
	timer_delete(timer);
	return NULL;
}

static void *guest_run(void *arg)
{
	struct worker *w = arg;
	timer_t timer = start_ticks();
	u64 i;

	for (i = 0; i < w->nr_calls; i++)
		run_op(w, RUN);
	timer_delete(timer);
	return NULL;
}

static void print_stats(const struct worker *workers, int nr)
{
	int op, i, err;

	for (op = 0; op < NR_OPS; op++) {
		struct stats sum = {};
		char text[NR_ERRNOS * 8], *p = text;

		for (i = 0; i < nr; i++) {
			sum.calls += workers[i].stats[op].calls;
			sum.ok += workers[i].stats[op].ok;
			for (err = 0; err < NR_ERRNOS; err++)
				sum.err[err] += workers[i].stats[op].err[err];
		}
		*p = '\0';
		for (err = 0; err < NR_ERRNOS; err++)
			if (sum.err[err])
				p += sprintf(p, ", %s %lu",
					     strerrorname_np(err),
					     sum.err[err]);
		if (sum.calls)
			ksft_print_msg("%s: %lu calls, %lu succeeded%s\n",
				       ops[op].name, sum.calls, sum.ok, text);
		/* Else the generator has become too bad. */
		TEST_ASSERT(sum.ok || sum.calls < 500 ||
			    must_fail(&workers[0], &ops[op]), "no success");
	}
}

/*
 * Worlds
 */

static void open_others(struct world *world)
{
	char path[64];
	int *fd = world->others;

	fd[OTHER_VM] = ioctl(world->vm[0]->kvm_fd, KVM_CREATE_VM, 0);
	fd[OTHER_VCPU] = ioctl(fd[OTHER_VM], KVM_CREATE_VCPU, 0);
	fd[OTHER_KVM] = world->vm[0]->kvm_fd;
	fd[OTHER_NONE] = -1;
	fd[OTHER_CLOSED] = 1000;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", world->files[2]);
	fd[OTHER_PATH] = open(path, O_PATH);
	fd[OTHER_PATH_NULL] = open("/dev/null", O_PATH);
	fd[OTHER_MEMFD] = memfd_create("other", MFD_ALLOW_SEALING);
	fd[OTHER_EVENTFD] = eventfd(0, EFD_NONBLOCK);
	fd[OTHER_NULL] = open("/dev/null", O_RDWR);
	fd[OTHER_DIR] = open("/", O_RDONLY | O_DIRECTORY);
	TEST_ASSERT(!ftruncate(fd[OTHER_MEMFD], 16 * P) &&
		    !fcntl(fd[OTHER_MEMFD], F_ADD_SEALS, F_SEAL_GROW),
		    "no memfd");
}

static void map_hva(struct world *world)
{
	char *mem;

	world->hva = reserve_new(HVA_SIZE);
	mem = mmap(world->hva, HVA_MAPPED, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		   0);
	TEST_ASSERT(mem == world->hva &&
		    !mprotect(mem, HVA_MAPPED / 4, PROT_READ), "no memory");
}

static void world_start(struct world *world)
{
	int i;

	memset(world, 0, sizeof(*world));
	set_handler(SIGUSR1, on_tick, 0);
	set_handler(SIGBUS, on_fault, SA_NODEFER);
	set_handler(SIGSEGV, on_fault, SA_NODEFER);

	world->vm[PRIVATE_VM] = guest_vm_create(2, world->vcpus, WINDOW,
						&world->slot);
	gmem_slot_delete(&world->slot);
	world->vm[PLAIN_VM] = vm_create_barebones();
	world->vcpu_fd[PRIVATE_VM] = world->vcpus[1]->fd;
	world->vcpu_fd[PLAIN_VM] = __vm_vcpu_add(world->vm[PLAIN_VM], 0)->fd;
	for (i = 0; i < NR_FILES; i++)
		world->files[i] = create_file(world, i);
	open_others(world);
	map_hva(world);
}

/* If @known is exact, there is nothing else to delete. */
static void delete_slot(struct kvm_vm *vm, u32 slot,
			const struct known_slot *known, bool exact)
{
	int ret;

	ret = __vm_set_user_memory_region2(vm, slot, 0, 0, 0, NULL, -1, 0);
	ret = errno_of(ret);
	TEST_ASSERT(!ret || ret == -EINVAL, "slot 0x%x: %d", slot, ret);
	TEST_ASSERT(!exact || !ret == known->there,
		    "slot 0x%x: %d, seed 0x%lx", slot, ret, seed);
}

static void delete_slots(struct world *world, bool exact)
{
	int vm, as, id;

	for (vm = 0; vm < NR_VMS; vm++)
		for (as = 0; as < 2; as++)
			for (id = 1; id <= NR_SLOTS; id++)
				delete_slot(world->vm[vm], as << 16 | id,
					    &world->known[vm][as][id], exact);
}

#define CHECK_SIZE	(32 * P)

/* With two backings: both sides keep what the guest has written. */
static void check_guest(struct kvm_vcpu *vcpu, struct gmem_slot *slot)
{
	guest_word_step = P / 2;
	vm_mem_set_private(slot->vm, slot->gpa, CHECK_SIZE);
	guest_fill(vcpu, slot->gpa, CHECK_SIZE, 1);
	vm_mem_set_shared(slot->vm, slot->gpa, CHECK_SIZE);
	host_fill(slot->hva, slot->gpa, CHECK_SIZE, 2);
	guest_check(vcpu, slot->gpa, CHECK_SIZE, 2);
	guest_fill(vcpu, slot->gpa, CHECK_SIZE, 3);
	host_check(slot->hva, slot->gpa, CHECK_SIZE, 3);
	vm_mem_set_private(slot->vm, slot->gpa, CHECK_SIZE);
	guest_check(vcpu, slot->gpa, CHECK_SIZE, 1);
	vm_mem_set_shared(slot->vm, slot->gpa, CHECK_SIZE);
	guest_check(vcpu, slot->gpa, CHECK_SIZE, 3);
}

/* With one: private becomes shared as zeros, shared private as it is. */
static void check_convertible(struct gmem_conv_guest *g)
{
	guest_word_step = P / 2;
	guest_fill(g->vcpu, GMEM_DATA_GPA, CHECK_SIZE, 4);
	gmem_assert_sigbus(g->mem);
	gmem_to_shared(g->fd, 0, CHECK_SIZE);
	guest_check_zero(g->vcpu, GMEM_DATA_GPA, CHECK_SIZE);
	host_fill(g->mem, GMEM_DATA_GPA, CHECK_SIZE, 5);
	gmem_to_private(g->fd, 0, CHECK_SIZE);
	guest_check(g->vcpu, GMEM_DATA_GPA, CHECK_SIZE, 5);
}

static void check_fresh_vm(void)
{
	struct gmem_conv_guest g;

	gmem_conv_guest_start(&g, WINDOW, GUEST_MEMFD_FLAG_MMAP);
	check_convertible(&g);
	vm_set_user_memory_region2(g.vm, GMEM_DATA_SLOT, 0, GMEM_DATA_GPA, 0,
				   NULL, -1, 0);
	gmem_slot_bind(&g.slot);
	check_guest(g.vcpu, &g.slot);
	munmap(g.mem, g.size);
	close(g.fd);
	gmem_vm_free(g.vm, &g.slot);
}

static void check_world(struct world *world, bool exact)
{
	struct kvm_vcpu *vcpu = world->vcpus[0];

	delete_slots(world, exact);
	vm_set_memory_attributes(world->vm[PRIVATE_VM], 0, -P, 0);
	gmem_slot_bind(&world->slot);
	/* What the guest was doing ends now, or was nothing. */
	while (world->guest_busy) {
		TEST_ASSERT(!guest_cmd_run(vcpu), "the guest fails, errno %d",
			    errno);
		if (vcpu->run->exit_reason == KVM_EXIT_MMIO)
			continue;
		guest_cmd_complete(vcpu);
		world->guest_busy = false;
	}
	check_guest(vcpu, &world->slot);
}

static void world_end(struct world *world)
{
	int i;

	for (i = 0; i < NR_FILES; i++)
		close(world->files[i]);
	for (i = 0; i < NR_OTHERS; i++)
		if (i != OTHER_KVM && i != OTHER_CLOSED)
			close(world->others[i]);
	kvm_vm_free(world->vm[PLAIN_VM]);
	gmem_vm_free(world->vm[PRIVATE_VM], &world->slot);
	munmap(world->hva, HVA_SIZE);
}

/*
 * Tests
 */

/* What is there before and has to be there after. */
struct balance {
	s64 files;
	u64 kb;
};

#define SLACK_KB	(8 << 10)

static u64 total_calls;

static void balance_begin(struct balance *b)
{
	/* The runner does not know how many calls there are. */
	alarm(GMEM_TEST_TIMEOUT + total_calls / 1000);
	/* Some files have huge pages, and some have not. */
	gmem_setting_write("/sys/kernel/mm/transparent_hugepage/enabled",
			   "madvise");
	b->files = gmem_nr_files();
	b->kb = gmem_free_kb();
}

static void balance_end(const struct balance *b)
{
	check_fresh_vm();
	gmem_assert_files_returned(b->files);
	gmem_assert_mem_returned(b->kb, SLACK_KB);
}

struct plan {
	const u8 *ops;
	int nr_ops;
	int nr_workers;
	int percent;		/* of all calls */
	bool guest;		/* runs meanwhile */
	bool foreign;
};

static void start_workers(struct world *world, const struct plan *plan,
			  struct worker *workers)
{
	struct race_rng rng = { seed + plan->percent };
	u64 calls = total_calls * plan->percent / 100 / plan->nr_workers;
	int i;

	ksft_print_msg("FUZZ_SEED=0x%lx, %d x %lu calls\n", seed,
		       plan->nr_workers, calls);
	for (i = 0; i < plan->nr_workers; i++) {
		workers[i] = (struct worker) {
			.world = world,
			.rng = { race_random(&rng) },
			.ops = plan->ops,
			.nr_ops = plan->nr_ops,
			.nr_calls = calls,
			.alone = plan->nr_workers == 1 && !plan->foreign,
			.foreign = plan->foreign,
		};
		worker_start(&workers[i]);
	}
}

static void start_thread(struct worker *w, void *(*fn)(void *))
{
	TEST_ASSERT(!pthread_create(&w->thread, NULL, fn, w), "no thread");
}

static void run_workers(struct world *world, const struct plan *plan)
{
	struct worker workers[NR_WORKERS + 1];
	int i, nr = plan->nr_workers;
	u64 nr_bad = 0, start;

	start_workers(world, plan, workers);
	if (plan->guest) {
		workers[nr] = (struct worker) {
			.world = world,
			.rng = { ~seed },
			.nr_calls = workers[0].nr_calls,
		};
		worker_start(&workers[nr++]);
	}
	start = gmem_now();
	if (nr == 1) {
		worker_run(&workers[0]);
	} else {
		for (i = 0; i < nr; i++)
			start_thread(&workers[i], i < plan->nr_workers ?
						  worker_run : guest_run);
		for (i = 0; i < nr; i++)
			pthread_join(workers[i].thread, NULL);
	}
	ksft_print_msg("in %lu ms:\n", (gmem_now() - start) / MS);
	print_stats(workers, nr);
	for (i = 0; i < nr; i++) {
		nr_bad += workers[i].nr_bad;
		worker_end(&workers[i]);
	}
	TEST_ASSERT(!nr_bad, "%lu calls have returned what they should not",
		    nr_bad);
}

static void run_plan(const struct plan *plan)
{
	struct balance balance;
	struct world world;

	balance_begin(&balance);
	world_start(&world);
	run_workers(&world, plan);
	check_world(&world, plan->nr_workers == 1);
	world_end(&world);
	balance_end(&balance);
}

static void run_list(const u8 *list, int nr, int nr_workers, int percent)
{
	struct plan plan = {
		.ops = list,
		.nr_ops = nr,
		.nr_workers = nr_workers,
		.percent = percent,
	};

	run_plan(&plan);
}

/* One operation, in a process with one thread. */
#define TEST_ALONE(name, ...)						\
static void test_##name##_alone(void)					\
{									\
	static const u8 list[] = { __VA_ARGS__ };			\
									\
	run_list(list, ARRAY_SIZE(list), 1, 3);				\
}

/* Some, in threads that share everything. */
#define TEST_THREADS(name, ...)						\
static void test_##name##_in_threads(void)				\
{									\
	static const u8 list[] = { __VA_ARGS__ };			\
									\
	run_list(list, ARRAY_SIZE(list), NR_WORKERS, 7);		\
}

TEST_ALONE(create, CREATE)
TEST_ALONE(region2, REGION2)
TEST_ALONE(region, REGION)
TEST_ALONE(attributes, ATTRIBUTES)
TEST_ALONE(pre_fault, PRE_FAULT, PRE_FAULT, REGION2)
TEST_ALONE(attributes2, ATTRIBUTES2)
TEST_ALONE(attributes_vec, VEC)
TEST_ALONE(get_attributes, GET, GET, ATTRIBUTES2, FALLOCATE)
TEST_ALONE(policy, POLICY, POLICY, FALLOCATE)
TEST_ALONE(collapse, COLLAPSE, COLLAPSE, FALLOCATE)
TEST_ALONE(unknown_ioctl, UNKNOWN)
TEST_ALONE(fallocate, FALLOCATE)
TEST_ALONE(mmap, MMAP, MMAP, TOUCH)
TEST_ALONE(mremap, MREMAP, MREMAP, MMAP)
TEST_ALONE(madvise, MADVISE, MADVISE, MMAP)
TEST_ALONE(mprotect, MPROTECT, MPROTECT, MMAP, TOUCH)
TEST_ALONE(file_calls, FTRUNCATE, LSEEK, READ, PREAD, FSTAT, FCHMOD)

TEST_THREADS(vm_ioctls, CREATE, REGION2, REGION, ATTRIBUTES, PRE_FAULT)
TEST_THREADS(file_ioctls, ATTRIBUTES2, VEC, GET, POLICY, COLLAPSE, UNKNOWN)
TEST_THREADS(memory, FALLOCATE, MMAP, MREMAP, MADVISE, MPROTECT, TOUCH)
TEST_THREADS(file_calls, FTRUNCATE, LSEEK, READ, PREAD, FSTAT, FCHMOD)

static void test_all_in_threads_with_a_guest(void)
{
	struct plan plan = {
		.nr_workers = NR_WORKERS,
		.percent = 15,
		.guest = true,
	};

	run_plan(&plan);
}

static void become_nobody(void)
{
	TEST_ASSERT(!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
		    !setresuid(NOBODY, NOBODY, NOBODY), "no other user, errno %d",
		    errno);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static pid_t fork_child(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork() failed, errno %d", errno);
	return pid;
}

static void __noreturn child_end(void)
{
	fflush(stdout);
	_exit(0);
}

static void child_wait(pid_t pid)
{
	int status;

	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid() failed");
	TEST_ASSERT(WIFEXITED(status) && !WEXITSTATUS(status),
		    "the child has failed: 0x%x", status);
}

/* A user who may open /dev/kvm and nothing else can have all of it. */
static void nobody_creates(int kvm)
{
	struct kvm_create_guest_memfd args = { .size = FILE_SIZE };
	int vm, fd;

	vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	TEST_ASSERT(vm >= 0, "no VM, errno %d", errno);
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);
	TEST_ASSERT(fd >= 0, "no file, errno %d", errno);
	gmem_allocate(fd, 0, FILE_SIZE);
	close(fd);
	close(vm);
}

static void test_all_as_another_user(void)
{
	struct plan plan = { .nr_workers = NR_WORKERS, .percent = 5 };
	struct balance balance;
	struct world world;
	pid_t pid;

	balance_begin(&balance);
	pid = fork_child();
	if (!pid) {
		world_start(&world);
		become_nobody();
		nobody_creates(world.vm[PRIVATE_VM]->kvm_fd);
		run_workers(&world, &plan);
		check_world(&world, false);
		child_end();
	}
	child_wait(pid);
	balance_end(&balance);
}

/* All of a file is private, and its guest has a secret in each page. */
static void keep_secret(struct world *world)
{
	u64 offset;

	vm_set_user_memory_region2(world->vm[PRIVATE_VM], 1,
				   KVM_MEM_GUEST_MEMFD, GMEM_DATA_GPA, WINDOW,
				   NULL, world->files[1], 0);
	for (offset = 0; offset < WINDOW; offset += P)
		guest_write(world->vcpus[0], GMEM_DATA_GPA + offset, SECRET);
}

static void test_files_in_another_process(void)
{
	struct plan plan = {
		.nr_workers = NR_WORKERS,
		.percent = 5,
		.foreign = true,
	};
	struct balance balance;
	struct world world;
	struct worker w;
	pid_t pid;

	balance_begin(&balance);
	world_start(&world);
	keep_secret(&world);
	pid = fork_child();
	if (!pid) {
		become_nobody();
		run_workers(&world, &plan);
		child_end();
	}
	w = (struct worker) {
		.world = &world,
		.rng = { seed },
		.nr_calls = total_calls * plan.percent / 100,
	};
	worker_start(&w);
	guest_run(&w);
	child_wait(pid);
	print_stats(&w, 1);
	TEST_ASSERT(!w.nr_bad, "the guest has failed");
	worker_end(&w);
	check_world(&world, false);
	world_end(&world);
	balance_end(&balance);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_create_alone),
	GMEM_TEST(test_region2_alone),
	GMEM_TEST(test_region_alone),
	GMEM_TEST(test_attributes_alone),
	GMEM_TEST(test_pre_fault_alone),
	GMEM_TEST(test_attributes2_alone),
	GMEM_TEST(test_attributes_vec_alone),
	GMEM_TEST(test_get_attributes_alone),
	GMEM_TEST(test_policy_alone),
	GMEM_TEST(test_collapse_alone),
	GMEM_TEST(test_unknown_ioctl_alone),
	GMEM_TEST(test_fallocate_alone),
	GMEM_TEST(test_mmap_alone),
	GMEM_TEST(test_mremap_alone),
	GMEM_TEST(test_madvise_alone),
	GMEM_TEST(test_mprotect_alone),
	GMEM_TEST(test_file_calls_alone),
	GMEM_TEST(test_vm_ioctls_in_threads),
	GMEM_TEST(test_file_ioctls_in_threads),
	GMEM_TEST(test_memory_in_threads),
	GMEM_TEST(test_file_calls_in_threads),
	GMEM_TEST(test_all_in_threads_with_a_guest),
	GMEM_TEST(test_all_as_another_user),
	GMEM_TEST(test_files_in_another_process),
};

static u64 setting(const char *name, u64 value)
{
	const char *env = getenv(name);

	return env ? strtoull(env, NULL, 0) : value;
}

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	total_calls = setting("FUZZ_CALLS", DEFAULT_CALLS);
	seed = setting("FUZZ_SEED", race_seed());
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
