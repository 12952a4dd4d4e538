/* Makes system calls that a RUN should, or should not, be able to make, and says what came of it.
   Arguments are such that a call that gets through fails for another reason, or does no harm. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void try(const char *name, long number, long a, long b, long c) {
    errno = 0;
    long answer = syscall(number, a, b, c, 0L, 0L, 0L);
    const char *verdict = answer != -1       ? "allowed"
                          : errno == EPERM   ? "EPERM"
                          : errno == ENOSYS  ? "ENOSYS"
                                             : "allowed";
    printf("%s %s\n", name, verdict);
}

#define TRY(name, ...) try(#name, SYS_##name, __VA_ARGS__)

int main(void) {
    TRY(acct, 1, 0, 0);
    TRY(add_key, 1, 1, 0);
    TRY(bpf, -1, 0, 0);
    TRY(chroot, 1, 0, 0);
    TRY(clock_settime, 0, 1, 0);
    try("clone(CLONE_NEWUSER)", SYS_clone, 0x10000011 | 0x80000000L, 0, 0);
    TRY(clone3, 0, 0, 0);
    TRY(delete_module, 1, 0, 0);
    TRY(fanotify_init, -1, 0, 0);
    TRY(fsconfig, -1, 0, 0);
    TRY(fsmount, -1, 0, 0);
    TRY(fsopen, 1, 0, 0);
    TRY(fspick, -1, 1, 0);
    TRY(get_mempolicy, 0, 0, 0);
    TRY(getrandom, 0, 0, 0);
    TRY(init_module, 1, 0, 1);
    TRY(finit_module, -1, 1, 0);
    TRY(io_uring_enter, -1, 0, 0);
    TRY(io_uring_register, -1, 0, 0);
    TRY(io_uring_setup, 0, 0, 0);
    try("ioctl(TIOCSTI)", SYS_ioctl, -1, 0x5412, 0);
    try("ioctl(TIOCSTI), upper half set", SYS_ioctl, -1, 0x100005412, 0);
    try("ioctl(TIOCLINUX)", SYS_ioctl, -1, 0x541C, 0);
    try("ioctl(TCGETS)", SYS_ioctl, -1, 0x5401, 0);
    TRY(ioperm, 0, 1, 1);
    TRY(iopl, 3, 0, 0);
    TRY(kcmp, 1, 1, 99);
    TRY(kexec_file_load, -1, -1, 0);
    TRY(kexec_load, 0, 99, 0);
    TRY(keyctl, 99, 0, 0);
    TRY(landlock_create_ruleset, 0, 0, 1);
    TRY(mbind, 0, 0, 0);
    TRY(memfd_create, 1, -1, 0);
    TRY(mount, 0, 0, 0);
    TRY(mount_setattr, -1, 1, -1);
    TRY(move_mount, -1, 1, -1);
    TRY(move_pages, 0, 0, 0);
    TRY(name_to_handle_at, -1, 1, 1);
    TRY(open_by_handle_at, -1, 1, 0);
    TRY(open_tree, -1, 1, 0);
    TRY(openat2, -1, 1, 0);
    TRY(perf_event_open, 1, 0, -1);
    try("personality(0xffffffff)", SYS_personality, 0xffffffff, 0, 0);
    try("personality(ADDR_NO_RANDOMIZE)", SYS_personality, 0x40000, 0, 0);
    TRY(pidfd_getfd, -1, -1, 0);
    TRY(pidfd_open, -1, 0, 0);
    TRY(pivot_root, 1, 1, 0);
    TRY(process_madvise, -1, 0, 0);
    TRY(ptrace, 99, -1, 0);
    TRY(quotactl, -1, 1, 0);
    TRY(reboot, 0, 0, 0);
    TRY(request_key, 1, 1, 0);
    TRY(seccomp, 99, 0, 0);
    TRY(setns, -1, 0, 0);
    TRY(settimeofday, 1, 0, 0);
    try("socket(AF_ALG)", SYS_socket, 38, 5, 0);
    try("socket(AF_ALG), upper half set", SYS_socket, 0x100000026, 5, 0);
    try("socket(AF_INET)", SYS_socket, 2, 1, 0);
    try("socket(AF_NETLINK)", SYS_socket, 16, 3, 0);
    try("socket(AF_VSOCK)", SYS_socket, 40, 1, 0);
    TRY(swapoff, 1, 0, 0);
    TRY(swapon, 1, 0, 0);
    TRY(syslog, 2, 1, 1);
    TRY(umount2, 1, 0, 0);
    try("unshare(CLONE_FILES)", SYS_unshare, 0x400, 0, 0);
    try("unshare(CLONE_NEWUSER)", SYS_unshare, 0x10000000, 0, 0);
    TRY(userfaultfd, -1, 0, 0);
    TRY(vhangup, 0, 0, 0);
    try("number 999", 999, 0, 0, 0);
    try("x32 getpid", 0x40000000 | 39, 0, 0, 0);
    return 0;
}
