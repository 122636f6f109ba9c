// /dev/null, /dev/zero, /dev/full: read, written, mapped.
// output: fixed
#include "guest.h"

int main(void) {
    char text[16];
    int null = OK(open("/dev/null", O_RDWR)), zero = OK(open("/dev/zero", O_RDWR));
    int full = OK(open("/dev/full", O_RDWR));
    CHECK(read(null, text, sizeof text) == 0 && write(null, text, sizeof text) == sizeof text);
    memset(text, 'x', sizeof text);
    CHECK(read(zero, text, sizeof text) == sizeof text);
    print_hex("zero", text, sizeof text);
    FAILS(ENOSPC, write(full, text, 1));
    char *area = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0));
    CHECK(area[0] == 0);
    area[0] = 'w';
    CHECK(area[0] == 'w');
    FAILS(ENODEV, mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, null, 0));
    FILE *file = fopen("/dev/full", "w");
    CHECK(file && fputs("lost", file) >= 0 && fclose(file) == EOF && errno == ENOSPC);
    struct stat s;
    OK(fstat(null, &s));
    printf("device %lx\n", s.st_rdev);
    return 0;
}
