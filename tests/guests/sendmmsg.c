// sendmmsg(2), recvmmsg(2): many datagrams in one call, each with its length; a timeout that is not used.
#include "loopback.h"

int main(void) {
    struct sockaddr_in a, b;
    int one = bound(SOCK_DGRAM, &a), two = bound(SOCK_DGRAM, &b);
    OK(connect(one, (struct sockaddr *)&b, sizeof b));
    char *texts[] = {"first", "the second", "3"}, buffers[4][8];
    struct iovec out[3], in[4];
    struct mmsghdr sent[3] = {0}, received[4] = {0};
    struct sockaddr_in from[4];
    for (int i = 0; i < 3; i++) {
        out[i] = (struct iovec){texts[i], strlen(texts[i])};
        sent[i].msg_hdr = (struct msghdr){.msg_iov = &out[i], .msg_iovlen = 1};
    }
    CHECK(sendmmsg(one, sent, 3, 0) == 3);
    CHECK(sent[0].msg_len == 5 && sent[1].msg_len == 10 && sent[2].msg_len == 1);
    for (int i = 0; i < 4; i++) {
        in[i] = (struct iovec){buffers[i], sizeof buffers[i]};
        received[i].msg_hdr = (struct msghdr){
            .msg_iov = &in[i], .msg_iovlen = 1, .msg_name = &from[i], .msg_namelen = sizeof from[i]};
    }
    struct timespec limit = {5, 0};
    int got = OK(recvmmsg(two, received, 4, MSG_WAITFORONE, &limit));
    for (int i = 0; i < got; i++) {
        printf("%.*s (%u bytes, flags %x) ", (int)(received[i].msg_len), buffers[i], received[i].msg_len,
               (unsigned)received[i].msg_hdr.msg_flags);
        print_address("from", &from[i]);
    }
    CHECK(got == 3 && received[1].msg_len == 8 && received[1].msg_hdr.msg_flags == MSG_TRUNC);
    printf("left of the timeout: %ld.%09ld\n", limit.tv_sec, limit.tv_nsec);
    FAILS(EAGAIN, recvmmsg(two, received, 4, MSG_DONTWAIT, NULL));
    return 0;
}
