// waitid(2): WNOHANG while the child lives, WNOWAIT leaves it, and then it is gone.
#include "guest.h"

#include <sys/wait.h>

int main(void) {
    int gate[2];
    OK(pipe(gate));
    pid_t child = OK(fork());
    if (child == 0) {
        char byte;
        close(gate[1]);
        _exit(read(gate[0], &byte, 1) == 0 ? 5 : 6);
    }
    siginfo_t info = {.si_pid = 77};
    OK(waitid(P_PID, child, &info, WEXITED | WNOHANG));
    CHECK(info.si_pid == 0);
    FAILS(EINVAL, waitid(P_ALL, 0, &info, WNOHANG));
    OK(close(gate[1]));
    for (int i = 0; i < 2; i++) {
        OK(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
        CHECK(info.si_pid == child && info.si_code == CLD_EXITED && info.si_status == 5);
        CHECK(info.si_signo == SIGCHLD);
    }
    OK(waitid(P_PGID, getpgrp(), &info, WEXITED));
    CHECK(info.si_pid == child);
    printf("%d of user %d\n", info.si_pid, info.si_uid);
    FAILS(ECHILD, waitid(P_PID, child, &info, WEXITED));
    return 0;
}
