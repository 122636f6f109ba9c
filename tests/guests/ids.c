// Who a process is: getpid(2), gettid(2), getppid(2), users, groups, process group and session.
#include "guest.h"

#include <grp.h>

int main(void) {
    uid_t r, e, s;
    gid_t rg, eg, sg, groups[64];
    printf("pid %d tid %d ppid %d\n", getpid(), gettid(), getppid());
    CHECK(getpid() == gettid());
    OK(getresuid(&r, &e, &s));
    OK(getresgid(&rg, &eg, &sg));
    printf("uid %u %u %u gid %u %u %u\n", r, e, s, rg, eg, sg);
    CHECK(r == getuid() && e == geteuid() && rg == getgid() && eg == getegid());
    int count = OK(getgroups(64, groups));
    CHECK(count == getgroups(0, NULL));
    printf("%d groups:", count);
    for (int i = 0; i < count; i++) printf(" %u", groups[i]);
    printf("\ngroup %d = %d session %d\n", getpgrp(), getpgid(0), getsid(0));
    CHECK(getpgrp() == getpgid(getpid()));
    OK(setresuid(r, e, s));
    OK(setresgid(rg, eg, sg));
    OK(setuid(getuid()));
    OK(setgid(getgid()));
    if (getuid() == 0) OK(setgroups((size_t)count, groups));
    FAILS(EINVAL, syscall(SYS_getgroups, -1, groups));
    FAILS(ESRCH, getpgid(0x3fffffff));
    FAILS(EFAULT, syscall(SYS_getresuid, 8, 8, 8));
    return 0;
}
