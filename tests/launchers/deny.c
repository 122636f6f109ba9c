// deny CALL PROGRAM [ARGUMENTS]: executes a program under a system-call filter that answers one call with EPERM, as a
// container's profile may do. CALL is ptrace, seccomp, or prctl-tsc: prctl(PR_SET_TSC).
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    int tsc = strcmp(argv[1], "prctl-tsc") == 0;
    int call = tsc ? SYS_prctl : strcmp(argv[1], "seccomp") == 0 ? SYS_seccomp : SYS_ptrace;
    struct sock_filter any[] = {
        LOAD(nr),
        UNLESS((unsigned)call, 1),
        RETURN(SECCOMP_RET_ERRNO | EPERM),
        RETURN(SECCOMP_RET_ALLOW),
    };
    struct sock_filter set_tsc[] = {
        LOAD(nr),
        UNLESS(SYS_prctl, 3),
        LOAD(args[0]),
        UNLESS(PR_SET_TSC, 1),
        RETURN(SECCOMP_RET_ERRNO | EPERM),
        RETURN(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {tsc ? sizeof set_tsc / sizeof *set_tsc : sizeof any / sizeof *any, tsc ? set_tsc : any};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("deny");
        return 2;
    }
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 2;
}
