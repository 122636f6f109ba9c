// SCM_RIGHTS: a descriptor in a message is refused, and the message does not go out. Other control data does.
// refused: sendmsg with descriptors (SCM_RIGHTS)
#include "guest.h"

#include <sys/socket.h>

static char control[CMSG_SPACE(64)] __attribute__((aligned(8)));

static long send_with(int socket, int type, const void *value, size_t length) {
    char byte = 'd';
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(length)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = type;
    head->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(head), value, length);
    return sendmsg(socket, &message, 0);
}

int main(void) {
    int pair[2], fd = file_with("data", "stays here"), yes = 1;
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    OK(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes));
    FAILS(EINVAL, send_with(pair[0], SCM_RIGHTS, &fd, sizeof fd));
    struct ucred self = {getpid(), getuid(), getgid()}, sender;
    CHECK(send_with(pair[0], SCM_CREDENTIALS, &self, sizeof self) == 1);
    char byte, received[CMSG_SPACE(64)];
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = received, .msg_controllen = sizeof received};
    CHECK(recvmsg(pair[1], &message, MSG_DONTWAIT) == 1);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    CHECK(head && head->cmsg_type == SCM_CREDENTIALS);
    memcpy(&sender, CMSG_DATA(head), sizeof sender);
    CHECK(sender.pid == getpid());
    printf("pid %d uid %d gid %d\n", sender.pid, sender.uid, sender.gid);
    FAILS(EAGAIN, recvmsg(pair[1], &message, MSG_DONTWAIT));
    return 0;
}
