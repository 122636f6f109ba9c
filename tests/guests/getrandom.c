// getrandom(2), getentropy(3), /dev/urandom, AT_RANDOM: bytes that come only once.
#include "guest.h"

#include <sys/auxv.h>
#include <sys/random.h>

int main(void) {
    unsigned char a[32] = {0}, b[32] = {0};
    CHECK(getrandom(a, sizeof a, 0) == sizeof a);
    CHECK(getrandom(b, sizeof b, GRND_NONBLOCK) == sizeof b);
    CHECK(memcmp(a, b, sizeof a) != 0);
    print_hex("getrandom", a, sizeof a);
    print_hex("again", b, sizeof b);
    OK(getentropy(a, sizeof a));
    print_hex("getentropy", a, sizeof a);
    int fd = OK(open("/dev/urandom", O_RDONLY | O_CLOEXEC));
    CHECK(read(fd, b, sizeof b) == sizeof b);
    print_hex("/dev/urandom", b, sizeof b);
    print_hex("AT_RANDOM", (void *)getauxval(AT_RANDOM), 16);
    FAILS(EFAULT, syscall(SYS_getrandom, 8, 16, 0));
    return 0;
}
