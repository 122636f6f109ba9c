// socketpair(2): streams, datagrams and sequenced packets; a full buffer; end of file.
#include "guest.h"

#include <sys/socket.h>

int main(void) {
    int pair[2];
    char text[64] = "";
    OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
    FAILS(EAGAIN, read(pair[0], text, 1));
    CHECK(write(pair[0], "ping", 4) == 4 && write(pair[0], "pong", 4) == 4);
    CHECK(read(pair[1], text, sizeof text) == 8);
    printf("stream: %.8s\n", text);
    long total = 0, n;
    while ((n = write(pair[1], text, sizeof text)) > 0) total += n;
    CHECK(errno == EAGAIN);
    printf("%ld bytes fit\n", total);
    OK(close(pair[1]));
    while ((n = read(pair[0], text, sizeof text)) > 0) total -= n;
    CHECK(total == 0);

    OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
    CHECK(write(pair[0], "packet one", 10) == 10 && write(pair[0], "two", 3) == 3);
    CHECK(read(pair[1], text, 6) == 6 && read(pair[1], text + 6, sizeof text - 6) == 3);
    printf("packets: %.9s\n", text);
    OK(shutdown(pair[0], SHUT_WR));
    CHECK(read(pair[1], text, sizeof text) == 0);
    FAILS(EOPNOTSUPP, socketpair(AF_INET, SOCK_STREAM, 0, pair));
    FAILS(EFAULT, syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 8));
    return 0;
}
