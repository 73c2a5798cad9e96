// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel looks for no build ID in a guest_memfd.
 *
 * perf_event_open() with attr.build_id has the kernel look for an ELF note in the
 * first page of what is mapped, in the page cache and not through the mapping:
 * what is there need not be accessible.  So a file that begins like a program
 * would tell what its private memory contains.
 */
#define _GNU_SOURCE /* for memfd_create(2) */
#include <linux/elf.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "guest_memfd_convert.h"

#define P		GMEM_PAGE_SIZE
#define FILE_SIZE	GMEM_FILE_SIZE
#define RING_SIZE	(8 * P)
#define NOTE		128
#define ID_SIZE		20
#define NT_BUILD_ID	3	/* with the name "GNU" */

struct record {
	struct perf_event_header header;
	u32 pid, tid;
	u64 addr, len, pgoff;
	u8 id_size;
	u8 reserved[3];
	u8 id[ID_SIZE];
};

struct perf {
	int fd;
	struct perf_event_mmap_page *ring;
};

static void perf_start(struct perf *p)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.size = sizeof(attr),
		.mmap = 1,
		.mmap_data = 1,
		.mmap2 = 1,
		.build_id = 1,
	};

	p->fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	TEST_ASSERT(p->fd >= 0, "perf_event_open, errno %d", errno);
	p->ring = mmap(NULL, P + RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		       p->fd, 0);
	TEST_ASSERT(p->ring != MAP_FAILED, "mmap, errno %d", errno);
}

static void perf_end(struct perf *p)
{
	munmap(p->ring, P + RING_SIZE);
	close(p->fd);
}

/* Map the file; return the size of the build ID in the record of that. */
static int map_and_look(struct perf *p, int fd, u8 *id)
{
	const char *data = (const char *)p->ring + P;
	struct record r = {};
	u64 tail, i;
	char *mem;

	/* The ring itself, for one, has been recorded. */
	tail = p->ring->data_head;
	p->ring->data_tail = tail;
	mem = mmap(NULL, P, PROT_READ, MAP_SHARED, fd, 0);
	TEST_ASSERT(mem != MAP_FAILED, "mmap, errno %d", errno);
	munmap(mem, P);

	TEST_ASSERT(p->ring->data_head != tail, "no record");
	for (i = 0; i < sizeof(r) && tail + i < p->ring->data_head; i++)
		((char *)&r)[i] = data[(tail + i) % RING_SIZE];
	p->ring->data_tail = p->ring->data_head;

	TEST_ASSERT(r.header.type == PERF_RECORD_MMAP2 &&
		    r.addr == (u64)mem && r.len == P,
		    "type %u, addr 0x%lx, len 0x%lx", r.header.type, r.addr,
		    r.len);
	if (!(r.header.misc & PERF_RECORD_MISC_MMAP_BUILD_ID))
		return 0;
	memcpy(id, r.id, ID_SIZE);
	return r.id_size;
}

/* A page that begins like a shared object with a build ID. */
static void make_object(char *mem)
{
	struct elf64_hdr *ehdr = (void *)mem;
	struct elf64_phdr *phdr = (void *)(mem + sizeof(*ehdr));
	struct elf64_note *nhdr = (void *)(mem + NOTE);

	memset(mem, 0, P);
	memcpy(ehdr->e_ident, ELFMAG, SELFMAG);
	ehdr->e_ident[EI_CLASS] = ELFCLASS64;
	ehdr->e_type = ET_DYN;
	ehdr->e_phoff = sizeof(*ehdr);
	ehdr->e_phnum = 1;
	phdr->p_type = PT_NOTE;
	phdr->p_offset = NOTE;
	phdr->p_filesz = sizeof(*nhdr) + 4 + ID_SIZE;
	nhdr->n_namesz = 4;
	nhdr->n_descsz = ID_SIZE;
	nhdr->n_type = NT_BUILD_ID;
	memcpy(nhdr + 1, "GNU", 4);
	memset((char *)(nhdr + 1) + 4, 0x5a, ID_SIZE);
}

/* Without this, the other tests could not fail. */
static void test_build_id_is_found_in_ordinary_memory(void)
{
	int fd = memfd_create("object", 0);
	u8 id[ID_SIZE] = {};
	struct perf p;
	char *mem;

	TEST_ASSERT(fd >= 0 && !ftruncate(fd, P), "memfd, errno %d", errno);
	mem = gmem_mmap(fd, P, 0);
	make_object(mem);
	perf_start(&p);
	ASSERT_EQ(map_and_look(&p, fd, id), ID_SIZE);
	ASSERT_EQ(id[0], 0x5a);
	perf_end(&p);
	munmap(mem, P);
	close(fd);
}

static void test_build_id_is_not_taken_from_shared_memory(void)
{
	u8 id[ID_SIZE] = {};
	struct gmem_map m;
	struct perf p;

	gmem_map_setup(&m, FILE_SIZE);
	make_object(m.mem);
	perf_start(&p);
	ASSERT_EQ(map_and_look(&p, m.fd, id), 0);
	perf_end(&p);
	gmem_map_teardown(&m);
}

static void test_build_id_is_not_taken_from_private_memory(void)
{
	u8 id[ID_SIZE] = {};
	struct gmem_map m;
	struct perf p;

	gmem_conv_setup(&m, FILE_SIZE);
	make_object(m.mem);
	gmem_to_private(m.fd, 0, P);
	perf_start(&p);
	ASSERT_EQ(map_and_look(&p, m.fd, id), 0);
	perf_end(&p);
	gmem_map_teardown(&m);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_build_id_is_found_in_ordinary_memory),
	GMEM_TEST(test_build_id_is_not_taken_from_shared_memory),
	GMEM_TEST(test_build_id_is_not_taken_from_private_memory),
};

int main(int argc, char *argv[])
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
