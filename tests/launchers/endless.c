// endless: reads random bytes until it is ended, so that its log grows as fast as it can.
#include <fcntl.h>
#include <unistd.h>

int main(void) {
    char buffer[65536];
    int random = open("/dev/urandom", O_RDONLY);
    while (read(random, buffer, sizeof buffer) > 0) {
    }
    return 3;
}
