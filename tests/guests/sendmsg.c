// sendmsg(2), recvmsg(2): several buffers, an address, ancillary data with the arrival time.
#include "loopback.h"

int main(void) {
    struct sockaddr_in a, b, from;
    int one = bound(SOCK_DGRAM, &a), two = bound(SOCK_DGRAM, &b), yes = 1;
    OK(setsockopt(two, SOL_SOCKET, SO_TIMESTAMP, &yes, sizeof yes));
    struct iovec out[] = {{"gather", 6}, {" and ", 5}, {"scatter", 7}};
    struct msghdr message = {.msg_name = &b, .msg_namelen = sizeof b, .msg_iov = out, .msg_iovlen = 3};
    CHECK(sendmsg(one, &message, 0) == 18);
    char first[5] = "", rest[30] = "", control[128];
    struct iovec in[] = {{first, 4}, {rest, sizeof rest}};
    message = (struct msghdr){.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = in, .msg_iovlen = 2,
                              .msg_control = control, .msg_controllen = sizeof control};
    CHECK(recvmsg(two, &message, 0) == 18);
    printf("%s|%s flags %x control %zu\n", first, rest, (unsigned)message.msg_flags, message.msg_controllen);
    CHECK(from.sin_port == a.sin_port && message.msg_namelen == sizeof from);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    CHECK(head && head->cmsg_type == SO_TIMESTAMP);
    struct timeval arrival;
    memcpy(&arrival, CMSG_DATA(head), sizeof arrival);
    printf("arrived at %ld.%06ld\n", arrival.tv_sec, arrival.tv_usec);
    message.msg_iovlen = 5000;
    FAILS(EMSGSIZE, sendmsg(one, &message, 0));
    int ends[2];
    tcp_pair(ends);
    message = (struct msghdr){.msg_iov = out, .msg_iovlen = 2};
    CHECK(sendmsg(ends[0], &message, MSG_NOSIGNAL) == 11);
    message = (struct msghdr){.msg_iov = in, .msg_iovlen = 2};
    CHECK(recvmsg(ends[1], &message, 0) == 11);
    printf("%s|%.7s\n", first, rest);
    return 0;
}
