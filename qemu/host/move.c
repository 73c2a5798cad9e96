// SPDX-License-Identifier: GPL-2.0-only
/*
 * Move all memory of a guest's guest_memfd to one node, to the other, and back,
 * while the guest counts in it.
 *
 * QEMU has no part in this: root has a duplicate of its descriptor, as a manager of
 * the host's memory could have.  mbind() and move_pages() want an address, which
 * private memory does not have.  The file has an ioctl for the same.
 *
 * Where the memory is tells the memory cgroup of QEMU and of this program, which
 * has touched some when it looked for the secret.  Nothing else in there is
 * unevictable.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "account.h"

#define CGROUPS		"/sys/fs/cgroup"
#define NODES		2
/* A page that a CPU of the guest is about to map does not move; next time it does. */
#define MOVE_SECONDS	60

/* Our kernel's; the headers of the machine that builds do not have it. */
#ifndef KVM_GMEM_SET_POLICY
struct kvm_gmem_policy {
	uint64_t offset;
	uint64_t size;
	uint32_t mode;
	uint32_t flags;
	uint64_t nodemask;
	uint64_t maxnode;
	uint64_t reserved[10];
};
#define KVM_GMEM_SET_POLICY	_IOW(0xae, 0xea, struct kvm_gmem_policy)
#endif

struct mover {
	const struct vm *vm;
	int fd;				/* the guest_memfd */
	int mem;			/* QEMU's */
	unsigned long shared;		/* where it has the shared page */
	long long kib[NODES];		/* on each node */
	struct gmem gmem;		/* at the same time */
};

static void go_to(const char *cgroup)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1)
		die("%s: %m", path);
	close(fd);
}

/* With all that is started from now on. */
void move_enter(void)
{
	mkdir(CGROUPS "/gmem-run", 0755);
	go_to(CGROUPS "/gmem-run");
}

void move_leave(void)
{
	go_to(CGROUPS);
	rmdir(CGROUPS "/gmem-run");
}

static void read_nodes(long long *kib)
{
	FILE *f = fopen(CGROUPS "/gmem-run/memory.numa_stat", "r");
	long long bytes[NODES];
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "unevictable N0=%lld N1=%lld", &bytes[0], &bytes[1]) != 2)
			continue;
		kib[0] = bytes[0] / 1024;
		kib[1] = bytes[1] / 1024;
	}
	if (f)
		fclose(f);
}

/* All of it, and on these nodes. */
static bool is_on(const struct mover *m, bool node0, bool node1)
{
	return m->kib[0] + m->kib[1] == m->gmem.resident &&
	       (node0 || !m->kib[0]) && (node1 || !m->kib[1]);
}

/* The kernel adds up what each CPU has counted every two seconds. */
static void find(struct mover *m, bool node0, bool node1)
{
	double end = seconds() + 10;

	do {
		usleep(100000);
		gmem_figures(m->vm->pid, &m->gmem);
		read_nodes(m->kib);
	} while (!is_on(m, node0, node1) && seconds() < end);
}

/* In how much memory the CPU of the guest that is behind has counted since, in KiB. */
static uint64_t counted(const struct mover *m, uint64_t *pages)
{
	uint64_t now[COUNTED_CPUS] = {}, least = UINT64_MAX;
	int i;

	if (pread(m->mem, now, sizeof(now), m->shared + COUNTED_OFFSET) != sizeof(now))
		return 0;
	for (i = 0; i < m->vm->cpus; i++) {
		if (now[i] - pages[i] < least)
			least = now[i] - pages[i];
		pages[i] = now[i];
	}
	return least * 4;
}

/* 0, or what errno says. */
static int move_to(const struct mover *m, int node, int *calls)
{
	unsigned long mask = 1ul << node;
	struct kvm_gmem_policy policy = {
		.size = m->gmem.size * 1024,
		.mode = MPOL_BIND,
		.flags = MPOL_MF_MOVE | MPOL_MF_STRICT,
		.nodemask = (uintptr_t)&mask,
		.maxnode = 64,
	};
	double end = seconds() + MOVE_SECONDS;

	for (*calls = 1; ioctl(m->fd, KVM_GMEM_SET_POLICY, &policy); ++*calls) {
		if (errno != EIO || seconds() > end)
			return errno;
		usleep(10000);
	}
	return 0;
}

/*
 * All memory has to be there then.  Each CPU of the guest has to have counted on, if
 * there was none before: else it may be over in no time.
 */
static void go(struct mover *m, int node)
{
	uint64_t pages[COUNTED_CPUS] = {}, meanwhile;
	char label[32], error[32] = "";
	bool all = !m->kib[node];
	double begin, took;
	int calls, err;

	counted(m, pages);
	begin = seconds();
	err = move_to(m, node, &calls);
	took = seconds() - begin;
	meanwhile = counted(m, pages);
	find(m, !node, node);
	snprintf(label, sizeof(label), "moves to node %d", node);
	if (err)
		snprintf(error, sizeof(error), "error %d, ", err);
	check(!err && is_on(m, !node, node) && (meanwhile || !all), label,
	      "%lld KiB there, %lld elsewhere; %s%d call%s, %.1f s; counts in %llu KiB",
	      m->kib[node], m->kib[!node], error, calls, calls > 1 ? "s" : "", took,
	      (unsigned long long)meanwhile);
}

static void go_round(struct mover *m)
{
	struct result *result = result_of(m->vm->kind);
	long long there;

	note("memory", "%lld KiB on node 0, %lld KiB on node 1", m->kib[0], m->kib[1]);
	go(m, 0);
	go(m, 1);
	there = m->kib[1];
	go(m, 0);
	result->moved = m->kib[0] < there ? m->kib[0] : there;
}

/* What root needs of QEMU. */
static bool get_hold(struct mover *m)
{
	const char *reply = monitor(m->vm, "gpa2hva 0x9f000");
	char path[64];
	int pidfd;

	reply = reply ? strstr(reply, " is 0x") : NULL;
	m->shared = reply ? strtoul(reply + 4, NULL, 16) : 0;
	snprintf(path, sizeof(path), "/proc/%d/mem", m->vm->pid);
	m->mem = open(path, O_RDONLY | O_CLOEXEC);
	gmem_figures(m->vm->pid, &m->gmem);
	pidfd = syscall(SYS_pidfd_open, m->vm->pid, 0);
	m->fd = syscall(SYS_pidfd_getfd, pidfd, m->gmem.fd, 0);
	close(pidfd);
	return m->shared && m->mem >= 0 && m->gmem.files == 1 && m->fd >= 0;
}

/* Returns false if the guest does not answer. */
bool move(struct vm *vm)
{
	struct mover m = { .vm = vm };
	long long huge;

	if (!vm_ask(vm, "count\n", &vm->counting)) {
		check(false, "guest counts", "no answer");
		return false;
	}
	note("guest counts", "in %lu KiB, on %d CPUs", vm->counting_kib, vm->cpus);
	if (get_hold(&m)) {
		find(&m, true, true);
		huge = m.gmem.huge;
		go_round(&m);
		check(m.gmem.huge >= huge, "huge pages", "%lld KiB, %lld KiB before",
		      m.gmem.huge, huge);
	} else {
		check(false, "guest_memfd", "cannot get hold of it");
	}
	close(m.fd);
	close(m.mem);
	if (vm_ask(vm, "stop\n", &vm->counted))
		check(true, "guest counted", "%llu passes, and no count went back", vm->passes);
	else
		check(false, "guest counted", "wrong, or not at all");
	return vm->counted;
}
