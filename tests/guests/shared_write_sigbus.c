// A write by memory behind the end of a file is a SIGBUS; the file grows, and the same write is made again.
// output: fixed
#include "guest.h"

static int fd, faults;
static char *area;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    printf("fault %d: code %d at page %ld\n", ++faults, info->si_code, ((char *)info->si_addr - area) / 4096);
    OK(ftruncate(fd, 4096 * (((char *)info->si_addr - area) / 4096 + 1)));
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGBUS, &action, NULL));
    fd = file_with("data", "short");
    area = OK(mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    area[4] = 'T';
    for (int page = 1; page < 4; page += 2) memset(area + page * 4096, 'a' + page, 10);
    printf("%.5s %s %s, %d faults\n", area, area + 4096, area + 3 * 4096, faults);
    OK(ftruncate(fd, 3));
    volatile char *last = area + 4096;
    printf("%.5s, then %d\n", area, *last);
    return 0;
}
