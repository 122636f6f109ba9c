// echo PORT: a server on 127.0.0.1 that sends back what it gets, one client at a time. It prints `listening`, and ends with
// status 7 when it cannot bind.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons(argc > 1 ? (unsigned short)atoi(argv[1]) : 0);
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) {
        fprintf(stderr, "echo: %s\n", strerror(errno));
        return 7;
    }
    puts("listening");
    fflush(stdout);
    for (;;) {
        char buffer[4096];
        ssize_t got;
        int client = accept(listener, NULL, NULL);
        while ((got = read(client, buffer, sizeof buffer)) > 0)
            if (write(client, buffer, (size_t)got) != got) break;
        close(client);
    }
}
