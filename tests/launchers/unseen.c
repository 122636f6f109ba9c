// Says its pid and where memory is that it has written to and never looks at; ends some calls after the next line of input.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile char unseen[4096] __attribute__((aligned(4096)));

int main(void) {
    char line[16];
    for (unsigned at = 0; at < sizeof unseen; at++) unseen[at] = (char)at;
    printf("%d %lx\n", getpid(), (unsigned long)unseen);
    fflush(stdout);
    int ended = !fgets(line, sizeof line, stdin);
    for (int call = 0; call < 100; call++) usleep(1000);
    return ended;
}
