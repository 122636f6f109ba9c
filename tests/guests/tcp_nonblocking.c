// connect(2) without waiting: EINPROGRESS, EALREADY or EISCONN; a full socket: EAGAIN.
#include "loopback.h"

int main(void) {
    struct sockaddr_in address;
    int listener = listening(0, &address);
    int client = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    FAILS(EINPROGRESS, connect(client, (struct sockaddr *)&address, sizeof address));
    CHECK(await(client, POLLOUT) == POLLOUT);
    int error = -1;
    socklen_t length = sizeof error;
    OK(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &length));
    CHECK(error == 0);
    OK(connect(client, (struct sockaddr *)&address, sizeof address));
    FAILS(EISCONN, connect(client, (struct sockaddr *)&address, sizeof address));
    int server = OK(accept(listener, NULL, NULL));
    static char block[65536];
    memset(block, 't', sizeof block);
    long sent = 0, received = 0, n;
    while ((n = send(client, block, sizeof block, 0)) > 0) sent += n;
    CHECK(errno == EAGAIN && sent > 0);
    printf("%ld bytes until EAGAIN\n", sent);
    OK(shutdown(client, SHUT_WR));
    while ((n = OK(read(server, block, sizeof block))) > 0) {
        received += n;
        for (long i = 0; i < n; i += 997) CHECK(block[i] == 't');
    }
    printf("%ld bytes arrived\n", received);
    CHECK(received == sent);
    return 0;
}
