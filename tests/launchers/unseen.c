// Says its pid and where memory is that it has written to and never looks at; ends after the next line of input.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile char unseen[4096] __attribute__((aligned(4096)));

int main(void) {
    char line[16];
    for (unsigned at = 0; at < sizeof unseen; at++) unseen[at] = (char)at;
    printf("%d %lx\n", getpid(), (unsigned long)unseen);
    fflush(stdout);
    return !fgets(line, sizeof line, stdin);
}
