// setsid(2) and setpgid(2): as a daemon in the foreground does, successful or refused.
#include "guest.h"

int main(void) {
    printf("pid %d group %d session %d\n", getpid(), getpgrp(), getsid(0));
    int leader = getpgrp() == getpid();
    pid_t session = setsid();
    if (session < 0) {
        CHECK(errno == EPERM && leader);
        printf("refused to the leader of a group\n");
    } else {
        CHECK(session == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
        printf("now session %d\n", session);
        FAILS(EPERM, setsid());
    }
    int set = setpgid(0, 0);
    printf("setpgid: %s\n", set ? strerror(errno) : "done");
    FAILS(EINVAL, setpgid(0, -5));
    FAILS(ESRCH, getsid(0x3fffffff));
    return 0;
}
