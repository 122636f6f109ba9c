// rep movs, stos, lods, scas and cmps, forwards and backwards, in all widths, overlapping, of no length, and over a page that a
// handler has yet to open: the instruction goes on where it was.
// output: fixed
#include "guest.h"

static char *area;
static volatile int faults;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    faults++;
    OK(mprotect((void *)((uintptr_t)info->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE));
}

static void movs(void *to, const void *from, size_t count, int backwards) {
    if (backwards) {
        to = (char *)to + count - 1;
        from = (const char *)from + count - 1;
        __asm__ volatile("std; rep movsb; cld" : "+D"(to), "+S"(from), "+c"(count)::"memory");
    } else {
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
    }
}

static unsigned sum(const char *bytes, size_t count) {
    unsigned sum = 0;
    for (size_t i = 0; i < count; i++) sum = sum * 31 + (unsigned char)bytes[i];
    return sum;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGSEGV, &action, NULL));
    area = OK(mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (int i = 0; i < 8 * 4096; i++) area[i] = (char)(i * 13 + i / 256);
    movs(area + 100, area, 20000, 1);
    printf("backwards %08x\n", sum(area, 8 * 4096));
    movs(area, area + 77, 20000, 0);
    printf("forwards %08x\n", sum(area, 8 * 4096));
    movs(area + 5, area, 4000, 0);
    printf("smeared %08x\n", sum(area, 8 * 4096));
    char *at = area + 8192;
    size_t count = 100;
    __asm__ volatile("rep stosq" : "+D"(at), "+c"(count) : "a"(0x1122334455667788) : "memory");
    CHECK(at == area + 8192 + 800 && count == 0);
    area[8192 + 500] = 'z';
    at = area + 8192;
    count = 800;
    __asm__ volatile("repne scasb" : "+D"(at), "+c"(count) : "a"('z') : "memory", "cc");
    printf("found at %ld, %zu left\n", (long)(at - area - 8192), count);
    char *one = area + 8192, *other = area + 8192 + 8;
    count = 100;
    __asm__ volatile("repe cmpsl" : "+S"(one), "+D"(other), "+c"(count)::"memory", "cc");
    printf("differs at %ld, %zu left\n", (long)(one - area - 8192), count);
    count = 0;
    at = NULL;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(0) : "memory");
    CHECK(at == NULL);
    // Into closed pages, both ways, and out of them.
    OK(mprotect(area + 20 * 4096, 20 * 4096, PROT_NONE));
    movs(area + 19 * 4096 + 7, area, 5 * 4096, 0);
    printf("%d faults, %08x\n", faults, sum(area + 19 * 4096, 6 * 4096));
    CHECK(faults == 5);
    movs(area + 31 * 4096 + 9, area, 8 * 4096, 1);
    printf("%d faults, %08x\n", faults, sum(area + 31 * 4096, 9 * 4096));
    CHECK(faults == 14);
    return 0;
}
