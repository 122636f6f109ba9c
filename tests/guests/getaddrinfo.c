// getaddrinfo(3), getnameinfo(3) of numeric names: no name server is asked, configuration files may be read.
#include "loopback.h"

#include <netdb.h>

static void look_up(const char *host, const char *service) {
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    int error = getaddrinfo(host, service, &hints, &list);
    if (error) {
        printf("%s: %s\n", host, gai_strerror(error));
        return;
    }
    for (struct addrinfo *one = list; one; one = one->ai_next) {
        char name[64], port[16];
        CHECK(getnameinfo(one->ai_addr, one->ai_addrlen, name, sizeof name, port, sizeof port,
                          NI_NUMERICHOST | NI_NUMERICSERV) == 0);
        printf("%s %s: family %d %s %s\n", host ? host : "any", service, one->ai_family, name, port);
    }
    freeaddrinfo(list);
}

int main(void) {
    look_up("127.0.0.1", "80");
    look_up("::1", "443");
    look_up("192.0.2.7", "65535");
    look_up(NULL, "1234");
    look_up("not a number", "80");
    struct in_addr address;
    CHECK(inet_aton("127.1", &address) == 1 && address.s_addr == htonl(INADDR_LOOPBACK));
    struct servent *service = getservbyname("http", "tcp");
    printf("http: %d\n", service ? ntohs((uint16_t)service->s_port) : -1);
    return 0;
}
