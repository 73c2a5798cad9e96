// SPDX-License-Identifier: GPL-2.0-only
/*
 * What private memory costs.
 *
 * Each line is one piece of work, in nanoseconds, next to the figure that it
 * should not exceed: what ordinary memory needs for the same in the same run, or
 * a constant.  A constant is a number of instructions: it is meant for a
 * machine that is emulated such that one instruction takes one nanosecond
 * (qemu-system-x86_64 -accel tcg,thread=single -icount shift=0,sleep=off -smp 1
 * -cpu EPYC).  Anywhere else, the lines show just how fast the machine is.
 *
 * Options: -s MIB	size of the region, or of the largest one with -p
 *	    -m MODE	transparent_hugepage/enabled, default "always"
 *	    -a		ordinary memory instead: the shared side of the slot,
 *			anonymous memory of the VMM
 *	    -p		a plot: first touch and attributes at all sizes, as
 *			columns of work, bytes and ns
 *	    -g GIB	with -p: the largest range of attributes
 *	    -c		fail if a figure is exceeded
 */
#include <dirent.h>
#include <sys/mman.h>
#include <time.h>

#include "guest_memfd_guest.h"
#include "processor.h"

#define KIB		BIT_ULL(10)
#define MIB		BIT_ULL(20)
#define GIB		BIT_ULL(30)
#define REPEAT		16
/* Where there is no slot. */
#define FAR_GPA		BIT_ULL(41)

static u64 region = 256 * MIB;
static u64 largest_gib = 1024;
static bool ordinary;
static bool check;
static int nr_exceeded;

static u64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void report(const char *what, u64 cost, u64 limit)
{
	bool exceeded = limit && cost > limit;

	printf("%-52s %12lu %12lu%s\n", what, cost, limit,
	       exceeded ? "  above" : "");
	fflush(stdout);
	nr_exceeded += exceeded;
}

static u64 per_mib(u64 ns)
{
	return ns / (region / MIB);
}

/* The guest writes one word to each page. */
static u64 guest_touch(void)
{
	u64 gpa;

	for (gpa = GMEM_DATA_GPA; gpa < GMEM_DATA_GPA + region;
	     gpa += GMEM_PAGE_SIZE)
		WRITE_ONCE(*(u64 *)gpa, 1);
	return 0;
}

static u64 touch(struct guest_fixture *f)
{
	u64 start;

	guest_cmd_set(f->vcpu, GUEST_OP_CALL, (u64)guest_touch, 0, 0);
	start = now();
	guest_cmd_finish(f->vcpu);
	return now() - start;
}

static void start_vm(struct guest_fixture *f)
{
	if (ordinary)
		guest_start(f, region);
	else
		guest_start_private(f, region);
	sync_global_to_guest(f->vm, region);
	/* Whatever the first run of a vCPU costs. */
	guest_do(f->vcpu, GUEST_OP_NOP, 0, 0, 0);
}

static u64 thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* What all other processes have used of the CPU so far. */
static u64 others_ns(void)
{
	char path[64];
	struct dirent *entry;
	u64 ns, sum = 0;
	DIR *proc;
	FILE *f;

	proc = opendir("/proc");
	TEST_ASSERT(proc, "no /proc");
	while ((entry = readdir(proc))) {
		if (!atoi(entry->d_name) || atoi(entry->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/schedstat",
			 entry->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%lu", &ns) == 1)
			sum += ns;
		fclose(f);
	}
	closedir(proc);
	return sum;
}

/*
 * Ending a VM waits for grace periods, and leaves work to others: count what
 * all tasks do, and not the time that it takes.
 */
static u64 stop_vm(struct guest_fixture *f)
{
	u64 others = others_ns(), start = thread_ns(), own;

	close(f->slot.fd);
	gmem_free_hva(f->slot.hva, region);
	kvm_vm_release(f->vm);
	own = thread_ns() - start;
	/* What is left to others. */
	usleep(100000);
	return own + others_ns() - others;
}

/* Give all of the memory back, and allocate it again. */
static void drop(struct guest_fixture *f)
{
	if (ordinary)
		TEST_ASSERT(!madvise(f->slot.hva, region, MADV_DONTNEED),
			    "errno %d", errno);
	else
		gmem_punch_hole(f->slot.fd, 0, region);
}

static void allocate(struct guest_fixture *f)
{
	if (ordinary)
		TEST_ASSERT(!madvise(f->slot.hva, region, MADV_POPULATE_WRITE),
			    "errno %d", errno);
	else
		gmem_allocate(f->slot.fd, 0, region);
}

/* Per MiB, but for the last. */
struct costs {
	u64 touch;
	u64 punch;
	u64 allocate;
	u64 touch_again;
	u64 teardown;	/* without what a VM costs that has no memory mapped */
	u64 empty;
};

static void measure(struct costs *c)
{
	struct guest_fixture f;
	u64 start, all;

	start_vm(&f);
	c->empty = stop_vm(&f);

	start_vm(&f);
	c->touch = per_mib(touch(&f));
	start = now();
	drop(&f);
	c->punch = per_mib(now() - start);
	start = now();
	allocate(&f);
	c->allocate = per_mib(now() - start);
	c->touch_again = per_mib(touch(&f));
	all = stop_vm(&f);
	c->teardown = all > c->empty ? per_mib(all - c->empty) : 0;
}

/*
 * What is not to exceed a number is compared with that; giving memory back, with
 * what it costs to give ordinary memory of the VMM back.
 */
static void bench_touch_punch_teardown(void)
{
	struct costs c, other = {};
	bool compare = !ordinary;

	measure(&c);
	if (compare) {
		ordinary = true;
		measure(&other);
		ordinary = false;
	}
	report("first touch by the guest, per MiB", c.touch,
	       compare ? 148000 : 0);
	report("punch hole of mapped memory, per MiB", c.punch, other.punch);
	report("fallocate, per MiB", c.allocate, 0);
	report("fallocate, then first touch, sum per MiB",
	       c.allocate + c.touch_again, compare ? 152000 : 0);
	report("teardown with everything mapped, per MiB", c.teardown,
	       other.teardown);
	report("teardown with nothing mapped, all", c.empty, 0);
}

/* Private -> shared -> private; mapped before, if the guest looks at it. */
static u64 convert(struct guest_fixture *f, u64 size, bool look)
{
	u64 start, sum = 0;
	int i;

	for (i = 0; i < REPEAT; i++) {
		if (look)
			guest_read(f->vcpu, GMEM_DATA_GPA);
		start = now();
		vm_mem_set_shared(f->vm, GMEM_DATA_GPA, size);
		vm_mem_set_private(f->vm, GMEM_DATA_GPA, size);
		sum += now() - start;
	}
	return sum / REPEAT;
}

/*
 * A page in the middle of many that are private and shared by turns: made
 * private, it joins its neighbours to one range, and made shared it parts them.
 * The worse of the two.
 */
static void bench_fragmented(const char *what, u64 nr_ranges, u64 limit)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct kvm_memory_attributes attrs = {
		.address = FAR_GPA + (nr_ranges | 1) * GMEM_PAGE_SIZE,
		.size = GMEM_PAGE_SIZE,
	};
	u64 sum[2] = {}, clock = 0, start, i;
	int ret = 0;

	for (i = 0; i < nr_ranges; i++)
		vm_mem_set_private(vm, FAR_GPA + 2 * i * GMEM_PAGE_SIZE,
				   GMEM_PAGE_SIZE);
	/* What has been left to others. */
	usleep(100000);
	for (i = 0; i < 2 * REPEAT; i++) {
		start = now();
		clock += now() - start;
		attrs.attributes ^= KVM_MEMORY_ATTRIBUTE_PRIVATE;
		/* The system call alone, without the library's checks. */
		start = now();
		ret |= ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &attrs);
		sum[i % 2] += now() - start;
	}
	TEST_ASSERT(!ret, "KVM_SET_MEMORY_ATTRIBUTES: errno %d", errno);
	report(what, max(sum[0], sum[1]) / REPEAT - clock / (2 * REPEAT),
	       limit);
	kvm_vm_free(vm);
}

static void bench_attributes(void)
{
	struct guest_fixture f;
	u64 start;

	start_vm(&f);
	guest_fill(f.vcpu, GMEM_DATA_GPA, GMEM_HUGE_SIZE, 1);
	report("2 MiB private -> shared -> private",
	       convert(&f, GMEM_HUGE_SIZE, true), 15000);
	report("4 KiB of 2 MiB private -> shared -> private",
	       convert(&f, GMEM_PAGE_SIZE, false), 20000);

	start = now();
	vm_mem_set_private(f.vm, FAR_GPA, 64 * GIB);
	report("make 64 GiB private, no slots", now() - start, 30000);
	start = now();
	vm_mem_set_shared(f.vm, FAR_GPA, 64 * GIB);
	report("make 64 GiB shared again", now() - start, 30000);
	stop_vm(&f);

	bench_fragmented("attributes: change of a page among 1,024 ranges",
			 1024, 1200);
	bench_fragmented("attributes: change of a page among 65,536 ranges",
			 65536, 1300);
}

static u64 compact(void)
{
	u64 start;

	gmem_proc_write("/proc/sys/vm/compact_memory", "1");
	start = now();
	gmem_proc_write("/proc/sys/vm/compact_memory", "1");
	return now() - start;
}

static void bench_compaction(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int fd = vm_create_guest_memfd(vm, GIB, 0);
	u64 idle, full;

	if (gmem_meminfo_kb("MemAvailable") < 3 * GIB / 2 / 1024) {
		printf("no memory for the pass of compaction\n");
		return;
	}
	idle = compact();
	gmem_allocate(fd, 0, GIB);
	full = compact();
	report("compaction over 1 GiB of it, more than idle",
	       full > idle ? full - idle : 0, 3000000);
	close(fd);
	kvm_vm_free(vm);
}

static void plot_touch(void)
{
	u64 largest = region;
	struct guest_fixture f;

	for (region = 64 * KIB; region <= largest; region *= 4) {
		start_vm(&f);
		printf("touch\t%lu\t%lu\n", region, touch(&f));
		fflush(stdout);
		stop_vm(&f);
	}
	region = largest;
}

static void plot_attributes(void)
{
	struct guest_fixture f;
	u64 size, start;

	region = GMEM_HUGE_SIZE;
	start_vm(&f);
	for (size = 64 * KIB; size <= largest_gib * GIB; size *= 4) {
		start = now();
		vm_mem_set_private(f.vm, FAR_GPA, size);
		printf("attributes\t%lu\t%lu\n", size, now() - start);
		fflush(stdout);
		vm_mem_set_shared(f.vm, FAR_GPA, size);
	}
	stop_vm(&f);
}

int main(int argc, char *argv[])
{
	const char *mode = "always";
	bool plot = false;
	int opt;

	while ((opt = getopt(argc, argv, "s:m:g:apc")) != -1) {
		if (opt == 's')
			region = strtoull(optarg, NULL, 0) * MIB;
		else if (opt == 'm')
			mode = optarg;
		else if (opt == 'g')
			largest_gib = strtoull(optarg, NULL, 0);
		else if (opt == 'a')
			ordinary = true;
		else if (opt == 'p')
			plot = true;
		else if (opt == 'c')
			check = true;
		else
			return 2;
	}

	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	host_set_thp(mode);
	guest_word_step = GMEM_PAGE_SIZE;
	if (plot) {
		plot_touch();
		if (!ordinary)
			plot_attributes();
		return 0;
	}
	printf("%-52s %12s %12s\n", "work", "ns", "at most");
	bench_touch_punch_teardown();
	if (!ordinary) {
		bench_attributes();
		bench_compaction();
	}
	return check && nr_exceeded ? 1 : 0;
}
