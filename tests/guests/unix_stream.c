// A UNIX stream socket with a name in the file system: bind, listen, connect, accept, credentials of the peer.
#include "guest.h"

#include <sys/socket.h>
#include <sys/un.h>

int main(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"}, name;
    int listener = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    OK(bind(listener, (struct sockaddr *)&address, sizeof address));
    int client = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    FAILS(ECONNREFUSED, connect(client, (struct sockaddr *)&address, sizeof address));
    OK(listen(listener, 5));
    OK(connect(client, (struct sockaddr *)&address, sizeof address));
    socklen_t length = sizeof name;
    int server = OK(accept(listener, (struct sockaddr *)&name, &length));
    printf("peer's name has %u bytes\n", length);
    length = sizeof name;
    OK(getpeername(client, (struct sockaddr *)&name, &length));
    printf("connected to %s (%u bytes)\n", name.sun_path, length);
    struct ucred peer;
    length = sizeof peer;
    OK(getsockopt(server, SOL_SOCKET, SO_PEERCRED, &peer, &length));
    printf("peer is %d:%u:%u\n", peer.pid, peer.uid, peer.gid);
    CHECK(peer.pid == getpid() && peer.uid == getuid());
    char text[16] = "";
    CHECK(write(client, "over the wire", 13) == 13);
    OK(close(client));
    CHECK(read(server, text, sizeof text) == 13 && read(server, text + 13, 1) == 0);
    printf("%s\n", text);
    FAILS(EADDRINUSE, bind(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&address, sizeof address));
    OK(unlink("socket"));
    FAILS(ENOENT, connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&address, sizeof address));
    return 0;
}
