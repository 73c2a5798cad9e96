// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest_memfd seen as a file: how it is created, what system calls may and
 * may not do to it, and where its descriptor may go.
 *
 * The contents are out of reach for host userspace. What can be observed is
 * st_size, which never changes, and st_blocks, which counts the allocated
 * pages. Every refused operation must leave both as they were.
 */
#define _GNU_SOURCE /* for splice(2) and copy_file_range(2) */
#include <linux/fs.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "guest_memfd_util.h"

#define P		GMEM_PAGE_SIZE
#define FILE_SIZE	GMEM_FILE_SIZE
#define MAX_FILE_SIZE	GMEM_MAX_FILE_SIZE
#define BIG_SIZE	(64ULL << 20)
#define NR_CYCLES	1000

static int count_fds(void)
{
	int fd, nr = 0;

	for (fd = 0; fd < 256; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

/*
 * Creation
 */

static void test_create_valid_sizes_give_that_size(void)
{
	static const u64 sizes[] = {
		P, 2 * P, 3 * P, GMEM_HUGE_SIZE - P, GMEM_HUGE_SIZE,
		GMEM_HUGE_SIZE + P, BIT_ULL(40), BIT_ULL(62), MAX_FILE_SIZE,
	};
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct gmem_state state;
	int fd, i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		fd = vm_create_guest_memfd(vm, sizes[i], 0);
		gmem_state_get(fd, &state);
		ASSERT_EQ(state.size, sizes[i]);
		ASSERT_EQ(state.blocks, 0UL);
		close(fd);
	}
	kvm_vm_free(vm);
}

static void test_create_bad_sizes_give_einval(void)
{
	static const u64 sizes[] = {
		0, P + 1, 2 * P - 1, GMEM_HUGE_SIZE + 1, MAX_FILE_SIZE - 1,
		MAX_FILE_SIZE + 1, BIT_ULL(63) - 1, BIT_ULL(63),
		BIT_ULL(63) + P, -P, -1ULL,
	};
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int nr = count_fds();
	u64 size;
	int i;

	for (size = 1; size < P; size++)
		GMEM_ASSERT_ERRNO(__vm_create_guest_memfd(vm, size, 0), EINVAL,
				  "size 0x%lx", size);
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		GMEM_ASSERT_ERRNO(__vm_create_guest_memfd(vm, sizes[i], 0),
				  EINVAL, "size 0x%lx", sizes[i]);
	ASSERT_EQ(count_fds(), nr);
	kvm_vm_free(vm);
}

/* Each flag bit alone: a file if the capability lists it, else EINVAL. */
static void check_flags(struct kvm_vm *vm, u64 known, u64 want)
{
	u64 valid = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);
	int bit, fd, nr = count_fds();

	ksft_print_msg("KVM_CAP_GUEST_MEMFD_FLAGS: 0x%lx\n", valid);
	ASSERT_EQ(valid & known, want);
	for (bit = 0; bit < 64; bit++) {
		if (valid & BIT_ULL(bit)) {
			fd = vm_create_guest_memfd(vm, P, BIT_ULL(bit));
			close(fd);
			continue;
		}
		GMEM_ASSERT_ERRNO(__vm_create_guest_memfd(vm, P, BIT_ULL(bit)),
				  EINVAL, "flag bit %d", bit);
		GMEM_ASSERT_ERRNO(__vm_create_guest_memfd(vm, P, valid |
							  BIT_ULL(bit)),
				  EINVAL, "valid flags and bit %d", bit);
	}
	fd = vm_create_guest_memfd(vm, P, valid);
	close(fd);
	ASSERT_EQ(count_fds(), nr);
	kvm_vm_free(vm);
}

static void test_create_flags_follow_the_capability(void)
{
	const u64 known = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;

	check_flags(vm_create_barebones(), known, known);
	check_flags(gmem_vm_create_barebones(), known, known);
}

/* /dev/kvm knows no VM, and has the flags of any. */
static void test_capabilities_can_be_asked_without_a_vm(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int i, kvm = open_kvm_dev_path_or_exit();
	long flags;

	for (i = 0; i < 512; i++)
		TEST_ASSERT(ioctl(kvm, KVM_CHECK_EXTENSION, i) >= 0,
			    "capability %d, errno %d", i, errno);
	flags = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);
	ASSERT_EQ(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS) &
		  flags, flags);
	close(kvm);
	kvm_vm_free(vm);
}

static void test_create_reserved_fields_give_einval(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct kvm_create_guest_memfd args;
	int i, nr = count_fds();

	for (i = 0; i < ARRAY_SIZE(args.reserved); i++) {
		args = (struct kvm_create_guest_memfd) { .size = P };
		args.reserved[i] = 1;
		GMEM_ASSERT_ERRNO(__vm_ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args),
				  EINVAL, "reserved[%d]", i);
		args.reserved[i] = BIT_ULL(63);
		GMEM_ASSERT_ERRNO(__vm_ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args),
				  EINVAL, "reserved[%d]", i);
	}
	ASSERT_EQ(count_fds(), nr);
	kvm_vm_free(vm);
}

static void test_create_bad_pointer_gives_efault(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int nr = count_fds();

	GMEM_ASSERT_ERRNO(ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, NULL), EFAULT,
			  "NULL");
	GMEM_ASSERT_ERRNO(ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, -P), EFAULT,
			  "kernel address");
	ASSERT_EQ(count_fds(), nr);
	kvm_vm_free(vm);
}

static void test_create_on_other_fds_gives_an_error(void)
{
	struct kvm_create_guest_memfd args = { .size = P };
	struct kvm_vm *vm = gmem_vm_create_barebones();
	struct kvm_vcpu *vcpu = __vm_vcpu_add(vm, 0);
	int fd = vm_create_guest_memfd(vm, P, 0);
	int nr = count_fds();

	GMEM_ASSERT_ERRNO(ioctl(vm->kvm_fd, KVM_CREATE_GUEST_MEMFD, &args),
			  EINVAL, "/dev/kvm");
	GMEM_ASSERT_ERRNO(ioctl(vcpu->fd, KVM_CREATE_GUEST_MEMFD, &args),
			  EINVAL, "vCPU");
	GMEM_ASSERT_ERRNO(ioctl(fd, KVM_CREATE_GUEST_MEMFD, &args), ENOTTY,
			  "guest_memfd");
	ASSERT_EQ(count_fds(), nr);
	close(fd);
	kvm_vm_free(vm);
}

static void test_two_files_are_distinct(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	int a = vm_create_guest_memfd(vm, 4 * P, 0);
	struct gmem_state before, other;
	int b;

	gmem_allocate(a, 0, P);
	gmem_state_get(a, &before);
	b = vm_create_guest_memfd(vm, 8 * P, 0);
	gmem_state_get(b, &other);
	TEST_ASSERT(before.ino != other.ino, "both files are inode %lu",
		    other.ino);
	ASSERT_EQ(other.size, 8 * P);
	ASSERT_EQ(other.blocks, 0UL);
	gmem_allocate(b, 0, 8 * P);
	gmem_state_assert_same(a, &before, "allocation in another file");
	gmem_punch_hole(b, 0, 8 * P);
	gmem_state_assert_same(a, &before, "a hole in another file");
	close(b);
	gmem_state_assert_same(a, &before, "closing another file");
	close(a);
	kvm_vm_free(vm);
}

static void test_create_fails_when_fds_run_out(void)
{
	struct kvm_vm *vm = gmem_vm_create_barebones();
	s64 files = gmem_nr_files();
	struct rlimit limit = { .rlim_cur = 64, .rlim_max = 64 };
	int fds[64], nr = 0, i;

	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit() failed");
	while (nr < ARRAY_SIZE(fds)) {
		fds[nr] = dup(0);
		if (fds[nr] < 0)
			break;
		nr++;
	}
	for (i = 0; i < NR_CYCLES; i++)
		GMEM_ASSERT_ERRNO(__vm_create_guest_memfd(vm, P, 0), EMFILE,
				  "no free fd");
	for (i = 0; i < nr; i++)
		close(fds[i]);
	i = vm_create_guest_memfd(vm, P, 0);
	close(i);
	kvm_vm_free(vm);
	gmem_assert_files_returned(files);
}

static void test_stat_is_true(void)
{
	struct gmem_file f;
	struct stat st;

	gmem_file_setup(&f);
	TEST_ASSERT(!fstat(f.fd, &st), "fstat() failed, errno %d", errno);
	ASSERT_EQ((u64)st.st_size, FILE_SIZE);
	ASSERT_EQ((long)st.st_blksize, sysconf(_SC_PAGESIZE));
	TEST_ASSERT(S_ISREG(st.st_mode), "mode is 0%o", st.st_mode);
	gmem_file_teardown(&f);
}

/*
 * Access through system calls
 */

static void test_read_and_write_are_refused(void)
{
	struct iovec iov;
	struct gmem_file f;
	char buf[64];
	int i;

	iov = (struct iovec) { .iov_base = buf, .iov_len = sizeof(buf) };
	gmem_file_setup(&f);
	memset(buf, 0x5a, sizeof(buf));
	GMEM_ASSERT_ERRNO(read(f.fd, buf, sizeof(buf)), EINVAL, "read");
	GMEM_ASSERT_ERRNO(write(f.fd, buf, sizeof(buf)), EINVAL, "write");
	GMEM_ASSERT_ERRNO(readv(f.fd, &iov, 1), EINVAL, "readv");
	GMEM_ASSERT_ERRNO(writev(f.fd, &iov, 1), EINVAL, "writev");
	for (i = 0; i < sizeof(buf); i++)
		TEST_ASSERT(buf[i] == 0x5a, "buffer changed");
	gmem_file_assert_unchanged(&f, "read or write");
	gmem_file_teardown(&f);
}

/* Which of the two depends on whether files have positions here. */
#define ASSERT_NO_POSITIONED_IO(expr) do {				\
	long __ret = (expr);						\
									\
	TEST_ASSERT(__ret == -1 && (errno == EINVAL || errno == ESPIPE), \
		    "%s = %ld, errno %d", #expr, __ret, errno);		\
} while (0)

static void test_positioned_io_is_refused(void)
{
	static const off_t offsets[] = { 0, P, FILE_SIZE - 1, FILE_SIZE };
	struct gmem_file f;
	char buf[64];
	int i;

	gmem_file_setup(&f);
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		memset(buf, 0x5a, sizeof(buf));
		ASSERT_NO_POSITIONED_IO(pread(f.fd, buf, 64, offsets[i]));
		TEST_ASSERT(buf[0] == 0x5a, "buffer changed");
		ASSERT_NO_POSITIONED_IO(pwrite(f.fd, buf, 64, offsets[i]));
		gmem_file_assert_unchanged(&f, "pread or pwrite");
	}
	gmem_file_teardown(&f);
}

static void test_splice_and_sendfile_are_refused(void)
{
	struct gmem_file f;
	int pipefd[2], out, avail;
	loff_t off = P, zero = 0;
	struct iovec iov;
	char buf[64];

	gmem_file_setup(&f);
	out = memfd_create("out", 0);
	TEST_ASSERT(out >= 0 && !pipe(pipefd), "no memfd or no pipe");
	iov = (struct iovec) { .iov_base = buf, .iov_len = sizeof(buf) };

	ASSERT_NO_POSITIONED_IO(splice(f.fd, NULL, pipefd[1], NULL, P, 0));
	ASSERT_NO_POSITIONED_IO(splice(f.fd, &off, pipefd[1], NULL, P, 0));
	ASSERT_NO_POSITIONED_IO(sendfile(out, f.fd, NULL, P));
	ASSERT_NO_POSITIONED_IO(sendfile(out, f.fd, &off, P));
	TEST_ASSERT(!ioctl(pipefd[0], FIONREAD, &avail) && !avail,
		    "%d bytes leaked into a pipe", avail);
	TEST_ASSERT(!lseek(out, 0, SEEK_END), "data leaked into a file");

	TEST_ASSERT(vmsplice(pipefd[1], &iov, 1, 0) == sizeof(buf),
		    "vmsplice() failed, errno %d", errno);
	ASSERT_NO_POSITIONED_IO(splice(pipefd[0], NULL, f.fd, NULL, 64, 0));
	ASSERT_NO_POSITIONED_IO(splice(pipefd[0], NULL, f.fd, &zero, 64, 0));
	TEST_ASSERT(!ioctl(pipefd[0], FIONREAD, &avail) && avail == 64,
		    "data was taken from the pipe");
	gmem_file_assert_unchanged(&f, "splice or sendfile");
	gmem_file_teardown(&f);
}

static void test_copies_to_and_from_are_refused(void)
{
	struct gmem_file f, g;
	loff_t in = 0, out = 0;
	int mem;

	gmem_file_setup(&f);
	gmem_file_setup(&g);
	mem = kvm_memfd_alloc(FILE_SIZE, false);
	TEST_ASSERT(copy_file_range(f.fd, &in, mem, &out, P, 0) == -1,
		    "copied from the file");
	TEST_ASSERT(copy_file_range(mem, &in, f.fd, &out, P, 0) == -1,
		    "copied to the file");
	TEST_ASSERT(copy_file_range(f.fd, &in, g.fd, &out, P, 0) == -1,
		    "copied from file to file");
	TEST_ASSERT(ioctl(f.fd, FICLONE, g.fd) == -1, "cloned");
	gmem_file_assert_unchanged(&f, "copy_file_range or clone");
	gmem_file_assert_unchanged(&g, "copy_file_range or clone");
	TEST_ASSERT(lseek(mem, 0, SEEK_DATA) == -1 && errno == ENXIO,
		    "data leaked into a memfd");
	close(mem);
	gmem_file_teardown(&f);
	gmem_file_teardown(&g);
}

static void test_lseek_is_refused(void)
{
	static const int whences[] = {
		SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE,
	};
	struct gmem_file f;
	int i;

	gmem_file_setup(&f);
	for (i = 0; i < ARRAY_SIZE(whences); i++)
		GMEM_ASSERT_ERRNO(lseek(f.fd, 0, whences[i]), ESPIPE,
				  "whence %d", whences[i]);
	gmem_file_assert_unchanged(&f, "lseek");
	gmem_file_teardown(&f);
}

static void assert_no_mmap(int fd, u64 len, int prot, int flags, off_t off)
{
	void *mem = mmap(NULL, len, prot, flags, fd, off);

	/* The file system may be mounted noexec, which is asked first. */
	TEST_ASSERT(mem == MAP_FAILED &&
		    (errno == ENODEV || (errno == EPERM && prot & PROT_EXEC)),
		    "mmap(len 0x%lx, prot %d, flags 0x%x, off 0x%lx) = %p, errno %d",
		    len, prot, flags, off, mem, errno);
}

static void test_mmap_gives_enodev(void)
{
	static const int flags[] = {
		MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE,
		MAP_SHARED | MAP_POPULATE, MAP_PRIVATE | MAP_NORESERVE,
		MAP_SHARED | MAP_LOCKED,
	};
	struct gmem_file f;
	int i, prot;

	gmem_file_setup(&f);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		for (prot = 0; prot < 8; prot++) {
			assert_no_mmap(f.fd, P, prot, flags[i], 0);
			assert_no_mmap(f.fd, FILE_SIZE, prot, flags[i], 0);
			assert_no_mmap(f.fd, P, prot, flags[i], FILE_SIZE);
		}
	}
	gmem_file_assert_unchanged(&f, "mmap");
	gmem_file_teardown(&f);
}

static void test_reopen_through_proc_gives_enxio(void)
{
	static const int flags[] = {
		O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_TRUNC, O_RDWR | O_APPEND,
		O_RDONLY | O_NONBLOCK,
	};
	char path[64];
	struct gmem_file f;
	int i;

	gmem_file_setup(&f);
	sprintf(path, "/proc/self/fd/%d", f.fd);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		GMEM_ASSERT_ERRNO(open(path, flags[i]), ENXIO, "flags 0x%x",
				  flags[i]);
		gmem_file_assert_unchanged(&f, "open");
	}
	TEST_ASSERT(linkat(AT_FDCWD, path, AT_FDCWD, "gmem-link",
			   AT_SYMLINK_FOLLOW) == -1 &&
		    (errno == EXDEV || errno == EROFS),
		    "linkat: errno %d", errno);
	TEST_ASSERT(truncate(path, 0) == -1, "truncate by path succeeded");
	gmem_file_assert_unchanged(&f, "link or truncate by path");
	gmem_file_teardown(&f);
}

static void test_ioctls_on_the_file_give_enotty(void)
{
	/* Not 0xd2 and 0xe8 to 0xef: kept for ioctls of the file itself. */
	static const unsigned long cmds[] = {
		0, -1, KVM_RUN, KVM_CREATE_VCPU, KVM_CREATE_VM,
		KVM_CHECK_EXTENSION, KVM_CREATE_GUEST_MEMFD,
		KVM_SET_USER_MEMORY_REGION2, _IO(KVMIO, 0xff), 0x5401,
	};
	u64 buf[64] = {};
	struct gmem_file f;
	int i;

	gmem_file_setup(&f);
	for (i = 0; i < ARRAY_SIZE(cmds); i++)
		GMEM_ASSERT_ERRNO(ioctl(f.fd, cmds[i], buf), ENOTTY,
				  "ioctl 0x%lx", cmds[i]);
	gmem_file_assert_unchanged(&f, "ioctl");
	gmem_file_teardown(&f);
}

/*
 * Size and inode attributes
 */

static void test_ftruncate_gives_einval(void)
{
	static const u64 sizes[] = {
		0, P, FILE_SIZE - P, FILE_SIZE - 1, FILE_SIZE, FILE_SIZE + 1,
		FILE_SIZE + P, MAX_FILE_SIZE, -1,
	};
	struct gmem_file f;
	int i;

	gmem_file_setup(&f);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		GMEM_ASSERT_ERRNO(ftruncate(f.fd, sizes[i]), EINVAL,
				  "size 0x%lx", sizes[i]);
		gmem_file_assert_unchanged(&f, "ftruncate");
	}
	gmem_file_teardown(&f);
}

/* Mode and owner may or may not change, memory and size must not. */
static void test_inode_attributes_do_not_affect_memory(void)
{
	static const struct timespec times[2];
	struct gmem_state now;
	struct gmem_file f;
	int mode, ret[3];

	gmem_file_setup(&f);
	mode = f.state.mode & 07777;
	ret[0] = fchmod(f.fd, 0);
	ret[1] = fchown(f.fd, 1, 1);
	ret[2] = futimens(f.fd, times);
	ksft_print_msg("fchmod %d, fchown %d, futimens %d\n", ret[0], ret[1],
		       ret[2]);
	gmem_state_get(f.fd, &now);
	ASSERT_EQ(now.size, f.state.size);
	ASSERT_EQ(now.blocks, f.state.blocks);
	ASSERT_EQ(now.ino, f.state.ino);
	ASSERT_EQ((int)now.mode & 07777, ret[0] ? mode : 0);
	gmem_file_teardown(&f);
}

static void test_xattrs_and_seals_are_refused(void)
{
	struct gmem_file f;

	gmem_file_setup(&f);
	TEST_ASSERT(fsetxattr(f.fd, "user.gmem", "x", 1, 0) == -1 &&
		    (errno == EOPNOTSUPP || errno == EPERM),
		    "fsetxattr: errno %d", errno);
	GMEM_ASSERT_ERRNO(fcntl(f.fd, F_ADD_SEALS, F_SEAL_SHRINK), EINVAL,
			  "F_ADD_SEALS");
	GMEM_ASSERT_ERRNO(fcntl(f.fd, F_GET_SEALS), EINVAL, "F_GET_SEALS");
	gmem_file_assert_unchanged(&f, "fsetxattr or seals");
	gmem_file_teardown(&f);
}

static void test_fd_flags_and_fdinfo_are_as_in_mainline(void)
{
	char path[64], link[128], info[1024];
	struct gmem_file f;
	int fd, n;

	gmem_file_setup(&f);
	ASSERT_EQ(fcntl(f.fd, F_GETFD), 0);
	ASSERT_EQ(fcntl(f.fd, F_GETFL) & O_ACCMODE, O_RDWR);

	sprintf(path, "/proc/self/fd/%d", f.fd);
	n = readlink(path, link, sizeof(link) - 1);
	TEST_ASSERT(n > 0, "readlink() failed, errno %d", errno);
	link[n] = '\0';
	TEST_ASSERT(strstr(link, "gmem") || strstr(link, "guest_memfd"),
		    "the file is called '%s'", link);

	sprintf(path, "/proc/self/fdinfo/%d", f.fd);
	fd = open(path, O_RDONLY);
	n = read(fd, info, sizeof(info) - 1);
	TEST_ASSERT(n > 0, "cannot read %s, errno %d", path, errno);
	info[n] = '\0';
	TEST_ASSERT(strstr(info, "flags:"), "fdinfo is '%s'", info);
	close(fd);
	gmem_file_assert_unchanged(&f, "fcntl or fdinfo");
	gmem_file_teardown(&f);
}

/*
 * The descriptor in other hands
 */

static void test_dup_is_the_same_file(void)
{
	struct gmem_file f;
	int fd;

	gmem_file_setup(&f);
	fd = dup(f.fd);
	gmem_state_assert_same(fd, &f.state, "dup");
	gmem_punch_hole(fd, 0, FILE_SIZE);
	ASSERT_EQ(gmem_allocated(f.fd), 0ULL);
	close(f.fd);
	gmem_allocate(fd, P, 2 * P);
	gmem_state_assert_same(fd, &f.state, "closing the original");
	f.fd = fd;
	gmem_file_teardown(&f);
}

static void test_fork_shares_the_file(void)
{
	struct gmem_file f;
	int status;
	pid_t pid;

	gmem_file_setup(&f);
	pid = fork();
	if (!pid) {
		gmem_state_assert_same(f.fd, &f.state, "fork");
		gmem_punch_hole(f.fd, P, P);
		gmem_allocate(f.fd, 8 * P, 4 * P);
		_exit(0);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && !status,
		    "child: status 0x%x", status);
	ASSERT_EQ(gmem_allocated(f.fd), 5 * P);
	gmem_punch_hole(f.fd, 0, FILE_SIZE);
	gmem_allocate(f.fd, P, 2 * P);
	gmem_file_assert_unchanged(&f, "the child's exit");
	gmem_file_teardown(&f);
}

static void make_socketpair(int *sv)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
		gmem_skip("no AF_UNIX sockets, errno %d", errno);
}

static void send_fd(int sock, int fd)
{
	char data = 'x', ctrl[CMSG_SPACE(sizeof(fd))] = {};
	struct iovec iov = { .iov_base = &data, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = ctrl,
		.msg_controllen = sizeof(ctrl),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	TEST_ASSERT(sendmsg(sock, &msg, 0) == 1, "sendmsg: errno %d", errno);
}

static int receive_fd(int sock)
{
	char data, ctrl[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { .iov_base = &data, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = ctrl,
		.msg_controllen = sizeof(ctrl),
	};
	int fd;

	TEST_ASSERT(recvmsg(sock, &msg, 0) == 1, "recvmsg: errno %d", errno);
	TEST_ASSERT(CMSG_FIRSTHDR(&msg), "no descriptor was passed");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static void test_passed_fd_outlives_the_sender(void)
{
	struct gmem_file f;
	int sv[2], fd;

	make_socketpair(sv);
	gmem_file_setup(&f);
	send_fd(sv[0], f.fd);
	close(f.fd);
	kvm_vm_free(f.vm);

	/* The message in flight now holds the file and, with it, the VM. */
	fd = receive_fd(sv[1]);
	gmem_state_assert_same(fd, &f.state, "passing the fd");
	gmem_allocate(fd, 0, FILE_SIZE);
	ASSERT_EQ(gmem_allocated(fd), FILE_SIZE);
	gmem_punch_hole(fd, 0, FILE_SIZE);
	ASSERT_EQ(gmem_allocated(fd), 0ULL);
	close(fd);
	close(sv[0]);
	close(sv[1]);
}

static void test_file_dropped_in_flight_is_freed(void)
{
	const u64 kb = BIG_SIZE / 1024;
	struct kvm_vm *vm;
	int sv[2], fd;
	u64 before;

	make_socketpair(sv);
	before = gmem_free_kb();
	vm = gmem_vm_create_barebones();
	fd = vm_create_guest_memfd(vm, BIG_SIZE, 0);
	gmem_allocate(fd, 0, BIG_SIZE);
	send_fd(sv[0], fd);
	close(fd);
	kvm_vm_free(vm);
	TEST_ASSERT(gmem_free_kb() + kb / 2 < before,
		    "memory was freed under a message in flight");
	close(sv[0]);
	close(sv[1]);
	gmem_assert_mem_returned(before, kb / 8);
}

static const struct gmem_test tests[] = {
	GMEM_TEST(test_create_valid_sizes_give_that_size),
	GMEM_TEST(test_create_bad_sizes_give_einval),
	GMEM_TEST(test_create_flags_follow_the_capability),
	GMEM_TEST(test_capabilities_can_be_asked_without_a_vm),
	GMEM_TEST(test_create_reserved_fields_give_einval),
	GMEM_TEST(test_create_bad_pointer_gives_efault),
	GMEM_TEST(test_create_on_other_fds_gives_an_error),
	GMEM_TEST(test_two_files_are_distinct),
	GMEM_TEST(test_create_fails_when_fds_run_out),
	GMEM_TEST(test_stat_is_true),
	GMEM_TEST(test_read_and_write_are_refused),
	GMEM_TEST(test_positioned_io_is_refused),
	GMEM_TEST(test_splice_and_sendfile_are_refused),
	GMEM_TEST(test_copies_to_and_from_are_refused),
	GMEM_TEST(test_lseek_is_refused),
	GMEM_TEST(test_mmap_gives_enodev),
	GMEM_TEST(test_reopen_through_proc_gives_enxio),
	GMEM_TEST(test_ioctls_on_the_file_give_enotty),
	GMEM_TEST(test_ftruncate_gives_einval),
	GMEM_TEST(test_inode_attributes_do_not_affect_memory),
	GMEM_TEST(test_xattrs_and_seals_are_refused),
	GMEM_TEST(test_fd_flags_and_fdinfo_are_as_in_mainline),
	GMEM_TEST(test_dup_is_the_same_file),
	GMEM_TEST(test_fork_shares_the_file),
	GMEM_TEST(test_passed_fd_outlives_the_sender),
	GMEM_TEST(test_file_dropped_in_flight_is_freed),
};

int main(void)
{
	gmem_require_vm_type(KVM_X86_SW_PROTECTED_VM);
	return gmem_run_tests(tests, ARRAY_SIZE(tests));
}
