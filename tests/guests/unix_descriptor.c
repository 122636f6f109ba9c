// SCM_RIGHTS: a process sends a descriptor to itself and receives another number for the same file.
#include "guest.h"

#include <sys/socket.h>

int main(void) {
    int pair[2], fd = file_with("data", "carried over");
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0}, byte = 'd';
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    CHECK(sendmsg(pair[0], &message, 0) == 1);
    OK(close(fd));
    memset(control, 0, sizeof control);
    CHECK(recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC) == 1);
    head = CMSG_FIRSTHDR(&message);
    CHECK(head && head->cmsg_type == SCM_RIGHTS);
    int received;
    memcpy(&received, CMSG_DATA(head), sizeof received);
    char text[16] = "";
    CHECK(pread(received, text, sizeof text, 0) == 12 && lseek(received, 0, SEEK_CUR) == 12);
    CHECK(fcntl(received, F_GETFD) == FD_CLOEXEC);
    printf("descriptor %d: %s\n", received, text);
    return 0;
}
