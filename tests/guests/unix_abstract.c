// UNIX sockets with abstract names and with none: bound, listened at, found, refused; datagrams between them with the sender's name.
#include "loopback.h"

#include <stddef.h>
#include <sys/un.h>

static socklen_t named(struct sockaddr_un *address, const char *what) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int length = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "guest-%d-%s", getpid(), what);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

int main(void) {
    struct sockaddr_un server, client, from;
    socklen_t server_length = named(&server, "server"), client_length = named(&client, "client"), length = sizeof from;
    int listener = OK(socket(AF_UNIX, SOCK_STREAM, 0)), fd = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    FAILS(ECONNREFUSED, connect(fd, (struct sockaddr *)&server, server_length));
    OK(bind(listener, (struct sockaddr *)&server, server_length));
    FAILS(ECONNREFUSED, connect(fd, (struct sockaddr *)&server, server_length));
    OK(listen(listener, 4));
    OK(bind(fd, (struct sockaddr *)&client, client_length));
    OK(connect(fd, (struct sockaddr *)&server, server_length));
    int accepted = OK(accept(listener, (struct sockaddr *)&from, &length));
    CHECK(length == client_length && memcmp(&from, &client, length) == 0);
    printf("from @%.*s\n", (int)(length - 3), from.sun_path + 1);
    CHECK(write(fd, "hello", 5) == 5);
    char text[16] = "";
    CHECK(read(accepted, text, sizeof text) == 5);
    length = sizeof from;
    OK(getpeername(fd, (struct sockaddr *)&from, &length));
    CHECK(length == server_length && memcmp(&from, &server, length) == 0);
    int again = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    FAILS(EADDRINUSE, bind(again, (struct sockaddr *)&server, server_length));
    // The name is gone with the last descriptor.
    OK(close(listener));
    OK(bind(again, (struct sockaddr *)&server, server_length));

    int one = OK(socket(AF_UNIX, SOCK_DGRAM, 0)), other = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
    socklen_t one_length = named(&server, "one"), other_length = named(&client, "other");
    OK(bind(one, (struct sockaddr *)&server, one_length));
    OK(bind(other, (struct sockaddr *)&client, other_length));
    CHECK(sendto(one, "datagram", 8, 0, (struct sockaddr *)&client, other_length) == 8);
    length = sizeof from;
    CHECK(recvfrom(other, text, sizeof text, 0, (struct sockaddr *)&from, &length) == 8);
    CHECK(length == one_length && memcmp(&from, &server, length) == 0);
    // Bound by the kernel to a name of its choice.
    int unnamed = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
    OK(bind(unnamed, (struct sockaddr *)&(struct sockaddr_un){.sun_family = AF_UNIX}, sizeof(sa_family_t)));
    length = sizeof from;
    OK(getsockname(unnamed, (struct sockaddr *)&from, &length));
    CHECK(length == sizeof(sa_family_t) + 6);
    printf("chosen @%.5s\n", from.sun_path + 1);
    CHECK(sendto(unnamed, "x", 1, 0, (struct sockaddr *)&server, one_length) == 1);
    OK(close(other));
    FAILS(ECONNREFUSED, sendto(one, "x", 1, 0, (struct sockaddr *)&client, other_length));
    return 0;
}
