// ioctl(2): TCGETS and TIOCGWINSZ on no terminal, FIONBIO, FIOCLEX, FIONCLEX, FIONREAD; names and numbers of interfaces.
#include "guest.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <termios.h>

int main(void) {
    int ends[2], count = -1, yes = 1, no = 0;
    OK(pipe(ends));
    struct termios t;
    struct winsize w;
    FAILS(ENOTTY, ioctl(ends[0], TCGETS, &t));
    FAILS(ENOTTY, ioctl(ends[0], TIOCGWINSZ, &w));
    FAILS(ENOTTY, tcgetattr(0, &t));
    printf("stdout is a terminal: %d\n", isatty(1));
    CHECK(write(ends[1], "seven b", 7) == 7);
    OK(ioctl(ends[0], FIONREAD, &count));
    CHECK(count == 7);
    OK(ioctl(ends[0], FIONBIO, &yes));
    CHECK(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    OK(ioctl(ends[0], FIONBIO, &no));
    CHECK(!(fcntl(ends[0], F_GETFL) & O_NONBLOCK));
    OK(ioctl(ends[0], FIOCLEX));
    CHECK(fcntl(ends[0], F_GETFD) == FD_CLOEXEC);
    OK(ioctl(ends[0], FIONCLEX));
    CHECK(fcntl(ends[0], F_GETFD) == 0);
    int fd = file_with("data", "0123456789");
    OK(lseek(fd, 4, SEEK_SET));
    OK(ioctl(fd, FIONREAD, &count));
    CHECK(count == 6);
    FAILS(EBADF, ioctl(99, FIONREAD, &count));
    FAILS(EFAULT, ioctl(ends[0], FIONREAD, (int *)8));
    char name[IF_NAMESIZE];
    unsigned loopback = if_nametoindex("lo");
    CHECK(loopback > 0 && if_indextoname(loopback, name) && strcmp(name, "lo") == 0);
    CHECK(if_nametoindex("nothing") == 0 && errno == ENODEV);
    CHECK(!if_indextoname(1 << 30, name) && errno == ENXIO);
    return 0;
}
