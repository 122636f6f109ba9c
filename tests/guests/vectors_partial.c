// Several buffers that are filled in part: readv(2), preadv(2), recvmsg(2), recvmmsg(2), sendmmsg(2); what lies behind
// stays as it was.
// output: fixed
#include "loopback.h"

static char first[4], second[8], third[8];
static struct iovec parts[] = {{first, 4}, {second, 8}, {third, 8}};

static void fill(void) {
    memset(first, '.', sizeof first);
    memset(second, '.', sizeof second);
    memset(third, '.', sizeof third);
}

static void show(const char *name, long result) {
    printf("%-9s %2ld %.4s %.8s %.8s\n", name, result, first, second, third);
    fill();
}

int main(void) {
    struct sockaddr_in a, b, from[3];
    int fd = file_with("data", "0123456789"), one = bound(SOCK_DGRAM, &a), two = bound(SOCK_DGRAM, &b), pair[2];
    fill();
    OK(lseek(fd, 0, SEEK_SET));
    show("readv", readv(fd, parts, 3));
    show("at end", readv(fd, parts, 3));
    show("preadv", preadv(fd, parts, 3, 7));
    show("none", readv(fd, parts, 0));
    tcp_pair(pair);
    CHECK(write(pair[0], "abcdef", 6) == 6);
    show("socket", readv(pair[1], parts, 3));
    OK(connect(one, (struct sockaddr *)&b, sizeof b));
    struct iovec out[] = {{"datagram", 8}, {"", 0}, {"three", 5}};
    struct mmsghdr send[3] = {{{.msg_iov = &out[0], .msg_iovlen = 1}, 99},
                              {{.msg_iov = &out[1], .msg_iovlen = 1}, 99},
                              {{.msg_iov = &out[0], .msg_iovlen = 3}, 99}};
    int sent = OK(sendmmsg(one, send, 3, 0));
    printf("sent %d: %u %u %u\n", sent, send[0].msg_len, send[1].msg_len, send[2].msg_len);
    struct mmsghdr receive[3];
    memset(receive, 0x55, sizeof receive);
    for (int i = 0; i < 3; i++)
        receive[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &parts[i],
                                             .msg_iovlen = 1};
    int got = OK(recvmmsg(two, receive, 3, MSG_DONTWAIT, NULL));
    for (int i = 0; i < got; i++) {
        CHECK(from[i].sin_port == a.sin_port);
        printf("message %d: %u bytes, flags %x\n", i, receive[i].msg_len, (unsigned)receive[i].msg_hdr.msg_flags);
    }
    show("recvmmsg", got);
    CHECK(send[0].msg_len == 8 && sendmmsg(one, send, 1, 0) == 1);
    got = OK(recvmmsg(two, receive, 3, MSG_DONTWAIT, NULL));
    print_hex("third header", &receive[2].msg_len, 4);
    show("one of 3", got);
    FAILS(EAGAIN, recvmmsg(two, receive, 3, MSG_DONTWAIT, NULL));
    return 0;
}
