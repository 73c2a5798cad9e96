// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process can find out about the memory of its guest: nothing through
 * the file, nothing at the address that KVM has beside it, nothing anywhere in
 * its own address space; only how much there is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "guest.h"
#include "vmm.h"

#define SECRET_BYTES	(SECRET_WORDS * sizeof(__u32))

/* Outside of what scan_process() looks at, or it would find its own copies. */
static __u32 chunk[MIB / sizeof(__u32)] __attribute__((aligned(4096)));

/*
 * 64 bits of eight words, as guest.S computes them: enough to recognise the
 * secret wherever it is, without ever having seen it.
 */
__u64 digest(const __u32 *words)
{
	__u32 a = 0, b = DIGEST_SEED;
	unsigned int i;

	for (i = 0; i < SECRET_WORDS; i++) {
		a = (a ^ words[i]) * DIGEST_MUL_A;
		b = ((b << 7 | b >> 25) + words[i]) * DIGEST_MUL_B;
	}
	return (__u64)b << 32 | a;
}

static unsigned int scan_chunk(size_t words, __u64 wanted)
{
	unsigned int hits = 0;
	size_t i;

	for (i = 0; i + SECRET_WORDS <= words; i++)
		if (chunk[i] && digest(chunk + i) == wanted)
			hits++;
	return hits;
}

struct scan {
	unsigned long long read, unreadable;
	unsigned int mappings, hits;
};

static void scan_range(struct scan *scan, int mem, unsigned long start,
		       unsigned long end, __u64 wanted)
{
	unsigned long pos = start;
	size_t len;
	ssize_t n;

	while (pos < end) {
		len = end - pos < sizeof(chunk) ? end - pos : sizeof(chunk);
		n = pread(mem, chunk, len, pos);
		if (n <= 0) {
			scan->unreadable += PAGE;
			pos = (pos | (PAGE - 1)) + 1;
			continue;
		}
		scan->read += n;
		scan->hits += scan_chunk(n / sizeof(*chunk), wanted);
		pos += n;
		/* The next chunk starts with the windows that straddle. */
		if (pos < end && (size_t)n >= SECRET_BYTES) {
			pos -= SECRET_BYTES - sizeof(*chunk);
			scan->read -= SECRET_BYTES - sizeof(*chunk);
		}
	}
}

/* Look for the eight words with that digest in all that /proc/self/maps has. */
void scan_process(const char *label, __u64 wanted, unsigned int expected)
{
	unsigned long start, end, own = (unsigned long)chunk;
	int mem = open("/proc/self/mem", O_RDONLY);
	FILE *maps = fopen("/proc/self/maps", "r");
	struct scan scan = {};
	char line[512];

	if (mem < 0 || !maps)
		die("/proc/self/mem or maps");
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx", &start, &end) != 2)
			die("/proc/self/maps: %s", line);
		scan.mappings++;
		if (start <= own && own < end) {
			scan_range(&scan, mem, start, own, wanted);
			start = own + sizeof(chunk);
		}
		scan_range(&scan, mem, start, end, wanted);
	}
	fclose(maps);
	close(mem);
	report(scan.hits == expected, label,
	       "%u times in %llu KiB, %u mappings; %llu KiB unreadable",
	       scan.hits, scan.read / KIB, scan.mappings,
	       scan.unreadable / KIB);
}

static void refused(const char *what, long ret, int expected)
{
	int err = errno;

	if (ret == -1)
		report(!expected || err == expected, what, "%s",
		       strerrorname_np(err));
	else
		report(false, what, "returned %ld", ret);
}

/* Every way to the content of a file that a process has; 0 is "any errno". */
void try_file(int gmem)
{
	char byte = 0, path[32];
	int fds[2];

	if (pipe(fds))
		die("pipe");
	refused("mmap shared", (long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
					  MAP_SHARED, gmem, 0), ENODEV);
	refused("mmap private", (long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE,
					   gmem, 0), ENODEV);
	refused("read", read(gmem, &byte, 1), EINVAL);
	refused("write", write(gmem, &byte, 1), EINVAL);
	refused("pread", pread(gmem, &byte, 1, 0), 0);
	refused("pwrite", pwrite(gmem, &byte, 1, 0), 0);
	refused("splice", splice(gmem, NULL, fds[1], NULL, PAGE, 0), 0);
	refused("sendfile", sendfile(fds[1], gmem, NULL, PAGE), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", gmem);
	refused("open again", open(path, O_RDWR), 0);
	close(fds[0]);
	close(fds[1]);
}

static bool all(const __u8 *buf, size_t len, __u8 value)
{
	while (len && *buf == value) {
		buf++;
		len--;
	}
	return !len;
}

/* Read where KVM was told that the shared side of the secret is. */
void try_address(const __u8 *addr, __u8 expected)
{
	__u8 buf[SECRET_BYTES] = {};
	struct iovec local = { buf, sizeof(buf) };
	struct iovec remote = { (void *)addr, sizeof(buf) };
	int mem = open("/proc/self/mem", O_RDONLY);
	ssize_t n;

	n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	report(n == sizeof(buf) && all(buf, n, expected), "process_vm_readv",
	       "%zd bytes at the secret's address, all 0x%02x: the decoy", n,
	       buf[0]);
	memset(buf, 0, sizeof(buf));
	n = pread(mem, buf, sizeof(buf), (unsigned long)addr);
	report(n == sizeof(buf) && all(buf, n, expected), "/proc/self/mem",
	       "%zd bytes at the secret's address, all 0x%02x: the decoy", n,
	       buf[0]);
	close(mem);
}

/* No mapping of this process is of the file. */
void try_maps(int gmem)
{
	unsigned int major, minor, total = 0, hits = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long ino;
	struct stat st;
	char line[512];

	if (!maps || fstat(gmem, &st))
		die("/proc/self/maps or fstat");
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%*s %*s %*s %x:%x %lu", &major, &minor,
			   &ino) != 3)
			die("/proc/self/maps: %s", line);
		total++;
		hits += ino == st.st_ino && makedev(major, minor) == st.st_dev;
	}
	fclose(maps);
	report(total && !hits, "/proc/self/maps",
	       "%u of %u mappings are of the file's inode %lu", hits, total,
	       (unsigned long)st.st_ino);
}

/* Sum up the numbers of the lines of @path that look like @format. */
static __u64 sum_lines(const char *path, const char *format)
{
	FILE *file = fopen(path, "r");
	unsigned long long n;
	char line[512];
	__u64 sum = 0;

	if (!file)
		die("%s", path);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, format, &n) == 1)
			sum += n;
	fclose(file);
	return sum;
}

/*
 * MemFree leaves out the free pages that are on the lists of a CPU, which the
 * kernel empties when it likes: read the lists before and after, until nothing
 * much moved between the two files.
 */
__u64 mem_free(void)
{
	__u64 lists, free, now = sum_lines("/proc/zoneinfo", " count: %llu");
	int tries = 100;

	do {
		lists = now;
		free = sum_lines("/proc/meminfo", "MemFree: %llu") * KIB;
		now = sum_lines("/proc/zoneinfo", " count: %llu");
	} while (llabs((long long)(now - lists)) > 64 && --tries);
	return free + now * PAGE;
}

__u64 file_bytes(int gmem)
{
	struct stat st;

	if (fstat(gmem, &st))
		die("fstat of the guest_memfd");
	return st.st_blocks * 512ULL;
}
