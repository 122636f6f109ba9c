// SIGIO: a socket with O_ASYNC and an owner tells that something has come; without an owner nothing is told. FIOASYNC does the same.
// output: fixed
#include "loopback.h"

#include <sys/ioctl.h>

static volatile sig_atomic_t runs, code;

static void on_io(int signal, siginfo_t *info, void *context) {
    (void)context;
    CHECK(signal == SIGIO);
    code = info->si_code;
    runs++;
}

int main(void) {
    int ends[2], on = 1;
    char text[8];
    struct sigaction action = {.sa_sigaction = on_io, .sa_flags = SA_SIGINFO | SA_RESTART};
    OK(sigaction(SIGIO, &action, NULL));
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    OK(fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK));
    CHECK(fcntl(ends[0], F_GETFL) == (O_RDWR | O_ASYNC | O_NONBLOCK));
    CHECK(fcntl(ends[0], F_GETOWN) == 0);
    CHECK(write(ends[1], "one", 3) == 3);
    CHECK(runs == 0);
    OK(fcntl(ends[0], F_SETOWN, getpid()));
    CHECK(fcntl(ends[0], F_GETOWN) == getpid());
    CHECK(write(ends[1], "two", 3) == 3);
    CHECK(runs == 1);
    printf("%d signal, code %d\n", (int)runs, (int)code);
    CHECK(read(ends[0], text, sizeof text) == 6);
    int before = runs;
    OK(fcntl(ends[0], F_SETFL, 0));
    CHECK(write(ends[1], "tre", 3) == 3);
    CHECK(runs == before);
    OK(ioctl(ends[0], FIOASYNC, &on));
    CHECK(fcntl(ends[0], F_GETFL) == (O_RDWR | O_ASYNC));
    CHECK(write(ends[1], "for", 3) == 3);
    CHECK(runs > before);
    return 0;
}
