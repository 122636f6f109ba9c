// rdtsc and rdtscp change rax and rdx, and rcx the second: not the other registers, flags, the stack pointer, nor what is below it. Before the
// site is patched and afterwards, on a stack, a misaligned one and none at all.
// output: fixed
// fast: 400
#include "site.h"

// In the order in which the code below takes them.
struct general {
    uint64_t rbx, rcx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, flags, rax, rdx;
};

struct general before, after;
uint64_t own_stack;

#define PROBE(name, site)                                                                                         \
    void name(void);                                                                                              \
    __asm__(".text\n" #name ":\n"                                                                                 \
            "pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"                            \
            "movq %rsp, own_stack(%rip)\n"                                                                        \
            "movq before(%rip), %rbx; movq 8+before(%rip), %rcx; movq 16+before(%rip), %rsi\n"                    \
            "movq 24+before(%rip), %rdi; movq 32+before(%rip), %rbp; movq 48+before(%rip), %r8\n"                 \
            "movq 56+before(%rip), %r9; movq 64+before(%rip), %r10; movq 72+before(%rip), %r11\n"                 \
            "movq 80+before(%rip), %r12; movq 88+before(%rip), %r13; movq 96+before(%rip), %r14\n"                \
            "movq 104+before(%rip), %r15; movq 120+before(%rip), %rax; movq 128+before(%rip), %rdx\n"             \
            "pushq 112+before(%rip); popfq; movq 40+before(%rip), %rsp\n" site                                    \
            "movq %rsp, 40+after(%rip); movq own_stack(%rip), %rsp; pushfq; popq 112+after(%rip); cld\n"          \
            "movq %rax, 120+after(%rip); movq %rdx, 128+after(%rip)\n"                                            \
            "movq %rbx, after(%rip); movq %rcx, 8+after(%rip); movq %rsi, 16+after(%rip)\n"                       \
            "movq %rdi, 24+after(%rip); movq %rbp, 32+after(%rip); movq %r8, 48+after(%rip)\n"                    \
            "movq %r9, 56+after(%rip); movq %r10, 64+after(%rip); movq %r11, 72+after(%rip)\n"                    \
            "movq %r12, 80+after(%rip); movq %r13, 88+after(%rip); movq %r14, 96+after(%rip)\n"                   \
            "movq %r15, 104+after(%rip)\n"                                                                        \
            "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx; ret\n");

PROBE(probe_rdtsc, "rdtsc; mov %eax, %eax; mov %edx, %edx\n")
PROBE(probe_rdtscp, "rdtscp; lfence\n")

// Carry, parity, auxiliary carry, zero, sign, direction, overflow; interrupts are on, bit 1 is always set.
#define ALL_FLAGS 0xed7
#define NO_DIRECTION 0xad7
#define NO_FLAGS 0x202
#define ONLY_OVERFLOW 0xa02

static unsigned char *stack;
static uint64_t last;

static void probe(void (*through)(void), int with_processor) {
    static const uint64_t flags[] = {ALL_FLAGS, NO_DIRECTION, NO_FLAGS, ONLY_OVERFLOW};
    uint64_t pointers[] = {(uint64_t)stack + 128, (uint64_t)stack + 2048 - 3, (uint64_t)stack + 8192, 8, 0, ~(uint64_t)0};
    for (size_t at = 0; at < sizeof pointers / sizeof *pointers; at++) {
        for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
            before = (struct general){
                .rbx = 0x1111111111111111, .rcx = 0x9999999999999999, .rsi = 0xaaaaaaaaaaaaaaaa, .rdi = 0xbbbbbbbbbbbbbbbb,
                .rbp = 0x2222222222222222, .rsp = pointers[at], .r8 = 0x3333333333333333, .r9 = 0x4444444444444444,
                .r10 = 0xcccccccccccccccc, .r11 = 0xdddddddddddddddd, .r12 = 0x5555555555555555, .r13 = 0x6666666666666666,
                .r14 = 0x7777777777777777, .r15 = 0x8888888888888888, .flags = flags[i], .rax = ~(uint64_t)0, .rdx = ~(uint64_t)0,
            };
            for (int byte = 0; byte < 8192; byte++) stack[byte] = (unsigned char)(byte * 7 + byte / 256);
            memset(&after, 0, sizeof after);
            through();
            CHECK(after.rax >> 32 == 0 && after.rdx >> 32 == 0);
            uint64_t counter = after.rdx << 32 | after.rax;
            CHECK(counter >= last);
            last = counter;
            if (with_processor) {
                CHECK(after.rcx >> 32 == 0);
                after.rcx = before.rcx;
            }
            after.rax = before.rax;
            after.rdx = before.rdx;
            CHECK(!memcmp(&before, &after, sizeof before));
            for (int byte = 0; byte < 8192; byte++) CHECK(stack[byte] == (unsigned char)(byte * 7 + byte / 256));
        }
    }
}

int main(void) {
    unsigned char *area = mmap(NULL, 4096 * 4, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(area != MAP_FAILED);
    stack = area + 4096;
    OK(mprotect(stack, 8192, PROT_READ | PROT_WRITE));
    for (int round = 0; round < 20; round++) {
        probe(probe_rdtsc, 0);
        probe(probe_rdtscp, 1);
        // The rate is known after some milliseconds.
        if (round < 4) OK(usleep(5000));
    }
    printf("ok\n");
    return 0;
}
