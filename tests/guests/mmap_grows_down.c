// MAP_GROWSDOWN: an area that grows towards lower addresses as it is touched, page by page, also by the kernel's own writes.
#include "guest.h"

int main(void) {
    // Room below, so that nothing else stands in the way.
    char *room = OK(mmap(NULL, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    char *top = room + (60 << 20);
    OK(munmap(room, 64 << 20));
    char *area = OK(mmap(top - 4096, 4096, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0));
    for (int page = 1; page <= 200; page++) {
        CHECK(area[4096 - page * 4096] == 0);
        area[4096 - page * 4096 + 5] = (char)page;
    }
    int fd = OK(open("/dev/zero", O_RDONLY));
    memset(top - 200 * 4096, 1, 4096);
    CHECK(read(fd, top - 200 * 4096, 100) == 100);
    unsigned sum = 0;
    for (int page = 1; page <= 200; page++) sum = sum * 31 + (unsigned char)area[4096 - page * 4096 + 5];
    printf("sum %x, grown from %p to %p\n", sum, (void *)area, (void *)(top - 200 * 4096));
    OK(munmap(top - 200 * 4096, 200 * 4096));
    return 0;
}
