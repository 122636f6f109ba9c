// SIGBUS: a mapped page behind the end of its file, recovered after the file has grown.
#include "guest.h"

static int fd;
static volatile sig_atomic_t faults;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    dprintf(1, "signal %d code %d, %p\n", signal, info->si_code, info->si_addr);
    CHECK(info->si_code == BUS_ADRERR);
    CHECK(++faults == 1);
    OK(ftruncate(fd, 8192));
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGBUS, &action, NULL));
    fd = file_with("data", "short");
    char *area = OK(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    printf("%s\n", area);
    fflush(stdout);
    volatile char *beyond = area + 4096;
    CHECK(beyond[3] == 0 && faults == 1);
    printf("the file has grown\n");
    return 0;
}
