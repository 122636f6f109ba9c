// Computes for as many rounds as each line of a client says, without a call, and answers what came of it. With no port: three times the rounds given, to the output.
// output: fixed
#include "../servers/server.h"

static unsigned long table[4096];

// Executed now and then, for a breakpoint that counts.
__attribute__((noinline)) static void mark(void) { __asm__ volatile(""); }

static unsigned long compute(unsigned long rounds) {
    unsigned long x = 1;
    for (unsigned long i = 0; i < rounds; i++) {
        x = x * 6364136223846793005UL + 1442695040888963407UL;
        table[x >> 52] += x ^ i;
        if ((i & 0x3ffff) == 0) mark();
    }
    return table[x >> 52] ^ x;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    unsigned long rounds = strtoul(argv[2], NULL, 10);
    int port = atoi(argv[1]);
    if (port == 0) {
        for (int i = 0; i < 3; i++) {
            printf("%lx\n", compute(rounds));
            fflush(stdout);
        }
        return 0;
    }
    for (int listener = listening_at(port);;) {
        int fd = OK(accept(listener, NULL, NULL));
        char line[64], answer[64];
        for (ssize_t length; (length = OK(read(fd, line, sizeof line - 1))) > 0;) {
            line[length] = 0;
            int written = snprintf(answer, sizeof answer, "%lx\n", compute(strtoul(line, NULL, 10)));
            send_all(fd, answer, (size_t)written);
        }
        OK(close(fd));
    }
}
