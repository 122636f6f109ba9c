// A timer at 1 ms into code that makes no call: `storm KIND TICKS`. Each tick mixes the state that it finds into the result.
#include "../guest.h"

#include <immintrin.h>
#include <signal.h>
#include <sys/time.h>

static volatile unsigned long ticks, mixed, counter;
static unsigned long goal, table[4096];

static void tick(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)info;
    const ucontext_t *state = context;
    ticks++;
    // Where it was, and with what: the least shift of a position changes the result.
    mixed = mixed * 31 + counter;
    for (int i = 0; i <= REG_EFL; i++) mixed = mixed * 31 + (unsigned long)state->uc_mcontext.gregs[i];
}

static void memory(void) {
    for (unsigned long x = 1; ticks < goal;) {
        x = x * 6364136223846793005UL + 1442695040888963407UL;
        table[x >> 52] += x;
        counter = counter + 1;
    }
}

static void registers(void) {
    for (unsigned long x = 1; ticks < goal;) {
        for (int i = 0; i < 100000; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            __asm__ volatile("" : "+r"(x));
        }
        table[0] += x;
    }
}

static void strings(void) {
    static char one[1 << 20], other[1 << 20];
    while (ticks < goal) {
        void *to = one;
        size_t length = sizeof one;
        __asm__ volatile("rep stosb" : "+D"(to), "+c"(length) : "a"((int)counter) : "memory");
        const void *from = one;
        to = other, length = sizeof other;
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length)::"memory");
        counter = counter + (unsigned char)other[counter % sizeof other] + 1;
    }
}

static void x87(void) {
    for (long double x = 1.5L; ticks < goal;) {
        x = x * 1.0000001L + 0.5L;
        if (x > 1e10L) x = x / 3e9L;
        memcpy(table, &x, 10);
    }
}

__attribute__((target("avx512f"))) static void vectors_of_64_bytes(void) {
    __m512i one = _mm512_set1_epi64(3), other = _mm512_set1_epi64((long long)0x9e3779b97f4a7c15);
    while (ticks < goal) {
        for (int i = 0; i < 100000; i++) {
            one = _mm512_add_epi64(_mm512_xor_si512(one, other), _mm512_slli_epi64(one, 7));
            __asm__ volatile("" : "+v"(one));
        }
        _mm512_storeu_si512(table, one);
    }
}

__attribute__((target("avx2"))) static void vectors_of_32_bytes(void) {
    __m256i one = _mm256_set1_epi64x(3), other = _mm256_set1_epi64x((long long)0x9e3779b97f4a7c15);
    while (ticks < goal) {
        for (int i = 0; i < 100000; i++) {
            one = _mm256_add_epi64(_mm256_xor_si256(one, other), _mm256_slli_epi64(one, 7));
            __asm__ volatile("" : "+x"(one));
        }
        _mm256_storeu_si256((__m256i *)table, one);
    }
}

static void vectors(void) {
    if (__builtin_cpu_supports("avx512f")) {
        vectors_of_64_bytes();
    } else {
        CHECK(__builtin_cpu_supports("avx2"));
        vectors_of_32_bytes();
    }
}

static unsigned long fibonacci(int n) {
    counter = counter + 1;
    return n < 2 ? (unsigned long)n : fibonacci(n - 1) + fibonacci(n - 2);
}

static void recursion(void) {
    while (ticks < goal) table[0] += fibonacci(20);
}

static void spin(void) {
    while (ticks < goal) {}
}

static void trees(void) {
    // Pointers all over the heap.
    struct node {
        struct node *down[2];
        unsigned long key;
    } *root = NULL;
    for (unsigned long x = 1; ticks < goal; counter = counter + 1) {
        x = x * 6364136223846793005UL + 1442695040888963407UL;
        struct node **at = &root;
        while (*at && (*at)->key != x >> 52) at = &(*at)->down[x >> 52 > (*at)->key];
        if (!*at) {
            *at = calloc(1, sizeof **at);
            (*at)->key = x >> 52;
        }
        table[x >> 52] += (*at)->key + x;
    }
}

// Memory that is a file, through two of its mappings.
static void mapped(void) {
    int fd = OK(open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0600));
    OK(ftruncate(fd, 1 << 16));
    unsigned long *one = OK(mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    volatile unsigned long *other = OK(mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    for (unsigned long x = 1; ticks < goal; counter = counter + 1) {
        x = x * 6364136223846793005UL + 1442695040888963407UL;
        one[x >> 51] += x;
        __asm__ volatile("" ::: "memory");
        table[x >> 52] += other[x >> 51];
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} kinds[] = {{"memory", memory}, {"registers", registers}, {"strings", strings},     {"x87", x87},
             {"vectors", vectors}, {"recursion", recursion}, {"spin", spin}, {"trees", trees},
             {"mapped", mapped}};

int main(int argc, char **argv) {
    // Which storm, how many ticks, microseconds from one to the next.
    CHECK(argc == 3 || argc == 4);
    if (strncmp(argv[1], "exec-", 5) == 0) {
        // What a program leaves of its alternate stack shows in the frames of the next one.
        static char stack[65536];
        OK(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL));
        execv("/proc/self/exe", (char *[]){argv[0], argv[1] + 5, argv[2], argv[3], NULL});
    }
    goal = strtoul(argv[2], NULL, 10);
    struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGALRM, &action, NULL));
    long each = argc == 4 ? strtol(argv[3], NULL, 10) : 1000;
    struct timeval time = {each / 1000000, each % 1000000};
    struct itimerval often = {time, time}, never = {{0, 0}, {0, 0}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, argv[1]) != 0) continue;
        OK(setitimer(ITIMER_REAL, &often, NULL));
        kinds[i].run();
        OK(setitimer(ITIMER_REAL, &never, NULL));
        unsigned long sum = 0;
        for (size_t at = 0; at < 4096; at++) sum = sum * 31 + table[at];
        printf("%lu ticks, %lx, %lx\n", ticks, mixed, sum);
        return 0;
    }
    fprintf(stderr, "storm: no %s\n", argv[1]);
    return 2;
}
