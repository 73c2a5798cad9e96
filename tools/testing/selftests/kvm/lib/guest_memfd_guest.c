// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that does as it is told, and the host's side of it.
 *
 * See guest_memfd_guest.h.  The first part is the guest's, and uses nothing
 * but loads, stores and ucall().  All accesses to the memory under test are
 * READ_ONCE() or WRITE_ONCE(), so that each is one load or store of a word.
 */
#include "guest_memfd_guest.h"
#include "guest_memfd_undo.h"
#include "processor.h"

static struct guest_cmd guest_cmds[GUEST_CMD_MAX_VCPUS];
static u8 guest_sides[GUEST_CMD_MAX_SIDES];

/* The guest. */

static void guest_bad(struct guest_cmd *cmd, u64 gpa, u64 value)
{
	if (cmd->nr_bad++)
		return;

	cmd->bad_gpa = gpa;
	cmd->bad_value = value;
}

static void guest_check_word(struct guest_cmd *cmd, u64 gpa)
{
	u64 value = READ_ONCE(*(u64 *)gpa);
	bool ok;

	if (cmd->op == GUEST_OP_CHECK_ZERO)
		ok = !value;
	else if (cmd->op == GUEST_OP_CHECK_EITHER)
		ok = !value || value == guest_pattern(gpa, cmd->tag);
	else
		ok = value == guest_pattern(gpa, cmd->tag);

	if (!ok)
		guest_bad(cmd, gpa, value);
}

static void guest_walk_page(struct guest_cmd *cmd, u64 page)
{
	u64 gpa;

	for (gpa = page; gpa < page + GMEM_PAGE_SIZE; gpa += cmd->word_step) {
		if (cmd->op == GUEST_OP_FILL)
			WRITE_ONCE(*(u64 *)gpa, guest_pattern(gpa, cmd->tag));
		else
			guest_check_word(cmd, gpa);
	}
}

static void guest_check_side(struct guest_cmd *cmd, u64 gpa, u8 side)
{
	u64 value = READ_ONCE(*(u64 *)gpa);
	u64 want = 0;

	if (side != GUEST_SIDE_ZERO)
		want = guest_pattern(gpa, cmd->tag + side);
	if (value != want)
		guest_bad(cmd, gpa, value);
}

static void guest_walk(struct guest_cmd *cmd)
{
	u64 gpa = cmd->gpa;
	u64 i;

	for (i = 0; i < cmd->nr_pages; i++, gpa += GMEM_PAGE_SIZE) {
		if (cmd->op == GUEST_OP_CHECK_SIDES)
			guest_check_side(cmd, gpa, guest_sides[i]);
		else
			guest_walk_page(cmd, gpa);
	}
}

static void guest_execute(struct guest_cmd *cmd)
{
	cmd->nr_bad = 0;

	switch (cmd->op) {
	case GUEST_OP_NOP:
		break;
	case GUEST_OP_READ:
		cmd->value = READ_ONCE(*(u64 *)cmd->gpa);
		break;
	case GUEST_OP_WRITE:
		WRITE_ONCE(*(u64 *)cmd->gpa, cmd->value);
		break;
	case GUEST_OP_CALL:
		cmd->value = ((u64 (*)(void))cmd->gpa)();
		break;
	default:
		guest_walk(cmd);
	}
}

void guest_cmd_loop(u64 index)
{
	for (;;) {
		guest_execute(&guest_cmds[index]);
		GUEST_SYNC(index);
	}
}

/* The host. */

u64 guest_word_step = sizeof(u64);

void guest_cmd_init(struct kvm_vcpu *vcpu)
{
	TEST_ASSERT(vcpu->id < GUEST_CMD_MAX_VCPUS, "too many vCPUs");
	vcpu_args_set(vcpu, 1, (u64)vcpu->id);
}

struct guest_cmd *guest_cmd_of(struct kvm_vcpu *vcpu)
{
	return addr_gva2hva(vcpu->vm, (vm_vaddr_t)&guest_cmds[vcpu->id]);
}

void guest_cmd_set(struct kvm_vcpu *vcpu, enum guest_op op, u64 gpa, u64 size,
		   u64 tag)
{
	*guest_cmd_of(vcpu) = (struct guest_cmd) {
		.op = op,
		.gpa = gpa,
		.nr_pages = size / GMEM_PAGE_SIZE,
		.word_step = guest_word_step,
		.tag = tag,
	};
}

int guest_cmd_run(struct kvm_vcpu *vcpu)
{
	int ret;

	do {
		ret = __vcpu_run(vcpu);
	} while (ret < 0 && errno == EINTR);

	return ret < 0 ? -errno : 0;
}

void guest_cmd_complete(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	TEST_ASSERT(vcpu->run->exit_reason == KVM_EXIT_IO,
		    "exit reason %u (%s)", vcpu->run->exit_reason,
		    exit_reason_str(vcpu->run->exit_reason));

	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		return;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		TEST_FAIL("ucall %lu", uc.cmd);
	}
}

void guest_cmd_finish(struct kvm_vcpu *vcpu)
{
	struct guest_cmd *cmd = guest_cmd_of(vcpu);
	int ret = guest_cmd_run(vcpu);

	TEST_ASSERT(!ret, "op %lu at 0x%lx: KVM_RUN = %d, exit reason %u (%s)",
		    cmd->op, cmd->gpa, ret, vcpu->run->exit_reason,
		    exit_reason_str(vcpu->run->exit_reason));
	guest_cmd_complete(vcpu);
	TEST_ASSERT(!cmd->nr_bad,
		    "op %lu at 0x%lx, tag %lu: %lu bad words, first 0x%lx at 0x%lx",
		    cmd->op, cmd->gpa, cmd->tag, cmd->nr_bad, cmd->bad_value,
		    cmd->bad_gpa);
}

void guest_do(struct kvm_vcpu *vcpu, enum guest_op op, u64 gpa, u64 size,
	      u64 tag)
{
	guest_cmd_set(vcpu, op, gpa, size, tag);
	guest_cmd_finish(vcpu);
}

u64 guest_read(struct kvm_vcpu *vcpu, u64 gpa)
{
	guest_do(vcpu, GUEST_OP_READ, gpa, 0, 0);
	return guest_cmd_of(vcpu)->value;
}

void guest_write(struct kvm_vcpu *vcpu, u64 gpa, u64 value)
{
	guest_cmd_set(vcpu, GUEST_OP_WRITE, gpa, 0, 0);
	guest_cmd_of(vcpu)->value = value;
	guest_cmd_finish(vcpu);
}

void guest_check_sides(struct kvm_vcpu *vcpu, u64 gpa, const u8 *sides,
		       u64 nr_pages, u64 tag)
{
	TEST_ASSERT(nr_pages <= GUEST_CMD_MAX_SIDES, "%lu pages", nr_pages);
	memcpy(addr_gva2hva(vcpu->vm, (vm_vaddr_t)guest_sides), sides,
	       nr_pages);
	guest_do(vcpu, GUEST_OP_CHECK_SIDES, gpa, nr_pages * GMEM_PAGE_SIZE,
		 tag);
}

void guest_expect_private_fault(struct kvm_vcpu *vcpu, u64 gpa)
{
	gmem_vcpu_run_memory_fault(vcpu, EFAULT, KVM_MEMORY_EXIT_FLAG_PRIVATE,
				   gpa & ~(GMEM_PAGE_SIZE - 1), GMEM_PAGE_SIZE);
}

void host_fill(void *hva, u64 gpa, u64 size, u64 tag)
{
	u64 i;

	for (i = 0; i < size; i += guest_word_step)
		*(u64 *)(hva + i) = guest_pattern(gpa + i, tag);
}

void host_check(const void *hva, u64 gpa, u64 size, u64 tag)
{
	u64 i, value;

	for (i = 0; i < size; i += guest_word_step) {
		value = *(u64 *)(hva + i);
		TEST_ASSERT(value == guest_pattern(gpa + i, tag),
			    "host sees 0x%lx at 0x%lx, tag %lu", value, gpa + i,
			    tag);
	}
}

void host_check_zero(const void *hva, u64 size)
{
	const u64 *word = hva;
	u64 i;

	for (i = 0; i < size / sizeof(u64); i++)
		TEST_ASSERT(!word[i], "host sees 0x%lx at offset 0x%lx",
			    word[i], i * sizeof(u64));
}

#define THP_ENABLED	"/sys/kernel/mm/transparent_hugepage/enabled"
#define COMPACT_MEMORY	"/proc/sys/vm/compact_memory"

void host_compact_memory(void)
{
	if (!access(COMPACT_MEMORY, W_OK))
		gmem_proc_write(COMPACT_MEMORY, "1");
}

void host_set_thp(const char *mode)
{
	static bool compacted;

	gmem_setting_write(THP_ENABLED, mode);
	/* So that there are large folios: others leave fragments. */
	if (!compacted)
		host_compact_memory();
	compacted = true;
}

void host_dirty_free_memory(u64 size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(mem != MAP_FAILED, "mmap(0x%lx) failed", size);
	memset(mem, 0xaa, size);
	munmap(mem, size);
}

u64 vcpu_get_stat(struct kvm_vcpu *vcpu, const char *name)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *descs, *desc;
	int fd = vcpu_get_stats_fd(vcpu);
	u64 value = -1ULL;
	u32 i;

	read_stats_header(fd, &header);
	descs = read_stats_descriptors(fd, &header);
	for (i = 0; i < header.num_desc; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		if (!strcmp(desc->name, name))
			read_stat_data(fd, &header, desc, &value, 1);
	}
	free(descs);
	close(fd);
	TEST_ASSERT(value != -1ULL, "no statistic %s", name);
	return value;
}

struct kvm_vm *guest_vm_create(u32 nr_vcpus, struct kvm_vcpu *vcpus[],
			       u64 size, struct gmem_slot *slot)
{
	struct kvm_vm *vm;
	u32 i;

	vm = gmem_vm_create(nr_vcpus, vcpus, guest_cmd_loop, size, slot);
	for (i = 0; i < nr_vcpus; i++)
		guest_cmd_init(vcpus[i]);
	return vm;
}
