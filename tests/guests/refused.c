// refused: 5
// What cannot be replicated: the recorder refuses it by an error that it names, and the program goes on.
#include "guest.h"

#include <sys/prctl.h>
#include <sys/socket.h>

static void show(const char *name, long result) { printf("%s: %ld, %s\n", name, result, strerror(errno)); }

int main(void) {
    unsigned char resident = 9;
    char *area = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    show("mincore", mincore(area, 4096, &resident));

    signal(SIGUSR1, SIG_IGN);
    show("rt_sigqueueinfo", sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 99}));

    int death_signal = -1;
    show("prctl", prctl(PR_GET_PDEATHSIG, &death_signal));

    struct {
        struct cmsghdr head;
        int fd;
    } control = {{.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}, 1};
    struct iovec data = {"d", 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int pair[2];
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    show("a descriptor sent", sendmsg(pair[0], &message, 0));

    show("io_uring_setup", syscall(SYS_io_uring_setup, 1, area));
    return 0;
}
