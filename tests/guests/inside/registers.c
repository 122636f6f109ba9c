// Calls leave everything but rax, rcx and r11 as it was: general registers, flags, the stack pointer and what is below it, vector
// registers, control words. On a stack with nothing below its red zone, a misaligned one, and none at all.
// cflags: -mavx
// output: fixed
// fast: 130
#include "site.h"

#include <immintrin.h>
#include <sys/epoll.h>

// In the order in which the code below takes them.
struct general {
    uint64_t rbx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r12, r13, r14, r15, flags, rax;
};

struct general before, after;
uint64_t own_stack;
unsigned char vectors_before[16 * 32] __attribute__((aligned(32))), vectors_after[16 * 32] __attribute__((aligned(32)));
uint32_t mxcsr_before, mxcsr_after;
uint16_t control_before, control_after;

#define LOADS                                                                                                     \
    "ldmxcsr mxcsr_before(%rip); fldcw control_before(%rip)\n"                                                    \
    "vmovdqa vectors_before(%rip), %ymm0; vmovdqa 32+vectors_before(%rip), %ymm1\n"                               \
    "vmovdqa 64+vectors_before(%rip), %ymm2; vmovdqa 96+vectors_before(%rip), %ymm3\n"                            \
    "vmovdqa 128+vectors_before(%rip), %ymm4; vmovdqa 160+vectors_before(%rip), %ymm5\n"                          \
    "vmovdqa 192+vectors_before(%rip), %ymm6; vmovdqa 224+vectors_before(%rip), %ymm7\n"                          \
    "vmovdqa 256+vectors_before(%rip), %ymm8; vmovdqa 288+vectors_before(%rip), %ymm9\n"                          \
    "vmovdqa 320+vectors_before(%rip), %ymm10; vmovdqa 352+vectors_before(%rip), %ymm11\n"                        \
    "vmovdqa 384+vectors_before(%rip), %ymm12; vmovdqa 416+vectors_before(%rip), %ymm13\n"                        \
    "vmovdqa 448+vectors_before(%rip), %ymm14; vmovdqa 480+vectors_before(%rip), %ymm15\n"
#define STORES                                                                                                    \
    "stmxcsr mxcsr_after(%rip); fnstcw control_after(%rip)\n"                                                     \
    "vmovdqa %ymm0, vectors_after(%rip); vmovdqa %ymm1, 32+vectors_after(%rip)\n"                                 \
    "vmovdqa %ymm2, 64+vectors_after(%rip); vmovdqa %ymm3, 96+vectors_after(%rip)\n"                              \
    "vmovdqa %ymm4, 128+vectors_after(%rip); vmovdqa %ymm5, 160+vectors_after(%rip)\n"                            \
    "vmovdqa %ymm6, 192+vectors_after(%rip); vmovdqa %ymm7, 224+vectors_after(%rip)\n"                            \
    "vmovdqa %ymm8, 256+vectors_after(%rip); vmovdqa %ymm9, 288+vectors_after(%rip)\n"                            \
    "vmovdqa %ymm10, 320+vectors_after(%rip); vmovdqa %ymm11, 352+vectors_after(%rip)\n"                          \
    "vmovdqa %ymm12, 384+vectors_after(%rip); vmovdqa %ymm13, 416+vectors_after(%rip)\n"                          \
    "vmovdqa %ymm14, 448+vectors_after(%rip); vmovdqa %ymm15, 480+vectors_after(%rip)\n"

#define PROBE(name, site)                                                                                         \
    void name(void);                                                                                              \
    __asm__(".text\n" #name ":\n"                                                                                 \
            "pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n" LOADS                      \
            "movq %rsp, own_stack(%rip)\n"                                                                        \
            "movq before(%rip), %rbx; movq 8+before(%rip), %rdx; movq 16+before(%rip), %rsi\n"                    \
            "movq 24+before(%rip), %rdi; movq 32+before(%rip), %rbp; movq 48+before(%rip), %r8\n"                 \
            "movq 56+before(%rip), %r9; movq 64+before(%rip), %r10; movq 72+before(%rip), %r12\n"                 \
            "movq 80+before(%rip), %r13; movq 88+before(%rip), %r14; movq 96+before(%rip), %r15\n"                \
            "movq 112+before(%rip), %rax\n"                                                                       \
            "pushq 104+before(%rip); popfq; movq 40+before(%rip), %rsp\n" site                                    \
            "movq %rsp, 40+after(%rip); movq own_stack(%rip), %rsp; pushfq; popq 104+after(%rip); cld\n"          \
            "movq %rax, 112+after(%rip)\n"                                                                        \
            "movq %rbx, after(%rip); movq %rdx, 8+after(%rip); movq %rsi, 16+after(%rip)\n"                       \
            "movq %rdi, 24+after(%rip); movq %rbp, 32+after(%rip); movq %r8, 48+after(%rip)\n"                    \
            "movq %r9, 56+after(%rip); movq %r10, 64+after(%rip); movq %r12, 72+after(%rip)\n"                    \
            "movq %r13, 80+after(%rip); movq %r14, 88+after(%rip); movq %r15, 96+after(%rip)\n" STORES            \
            "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx; ret\n");

#define NUMBER(number) "movl $" #number ", %eax; syscall\n"
PROBE(probe_compared, "syscall; cmpq $-4095, %rax\n")
PROBE(probe_compared_4096, "syscall; cmpq $-4096, %rax\n")
PROBE(probe_read, NUMBER(0))
PROBE(probe_write, NUMBER(1))
PROBE(probe_writev, NUMBER(20))
PROBE(probe_clock_gettime, NUMBER(228))
PROBE(probe_epoll_wait, NUMBER(232))
PROBE(probe_getpid, NUMBER(39))
PROBE(probe_close, NUMBER(3))

// Carry, parity, auxiliary carry, zero, sign, direction, overflow; interrupts are on, bit 1 is always set.
#define ALL_FLAGS 0xed7
#define NO_FLAGS 0x202
#define ARITHMETIC 0x8d5

static unsigned char *stack;

static void probe(void (*through)(void), int compares, long number, long rdi, long rsi, long rdx, long r10, long result) {
    uint64_t pointers[] = {(uint64_t)stack + 128, (uint64_t)stack + 2048, (uint64_t)stack + 2048 - 3, (uint64_t)stack + 8192,
                           8, 0, ~(uint64_t)0};
    for (size_t at = 0; at < sizeof pointers / sizeof *pointers; at++) {
        for (int flags = 0; flags < 2; flags++) {
            before = (struct general){
                .rbx = 0x1111111111111111, .rdx = (uint64_t)rdx, .rsi = (uint64_t)rsi, .rdi = (uint64_t)rdi,
                .rbp = 0x2222222222222222, .rsp = pointers[at], .r8 = 0x3333333333333333, .r9 = 0x4444444444444444,
                .r10 = (uint64_t)r10, .r12 = 0x5555555555555555, .r13 = 0x6666666666666666, .r14 = 0x7777777777777777,
                .r15 = 0x8888888888888888, .flags = flags ? ALL_FLAGS : NO_FLAGS, .rax = (uint64_t)number,
            };
            for (int i = 0; i < 8192; i++) stack[i] = (unsigned char)(i * 7 + i / 256);
            for (size_t i = 0; i < sizeof vectors_before; i++) vectors_before[i] = (unsigned char)(i * 13 + at);
            memset(&after, 0, sizeof after);
            memset(vectors_after, 0, sizeof vectors_after);
            mxcsr_before = 0x1f80 ^ 0x6000 ^ 0x8000;
            control_before = 0x37f ^ 0xc00;
            through();
            CHECK((long)after.rax == result);
            CHECK(!memcmp(vectors_before, vectors_after, sizeof vectors_before));
            CHECK(mxcsr_after == mxcsr_before && control_after == control_before);
            uint64_t kept = ~(uint64_t)(compares ? ARITHMETIC : 0);
            CHECK((after.flags & kept) == (before.flags & kept));
            after.flags = before.flags;
            after.rax = before.rax;
            CHECK(!memcmp(&before, &after, sizeof before));
            for (int i = 0; i < 8192; i++) CHECK(stack[i] == (unsigned char)(i * 7 + i / 256));
        }
    }
    uint32_t usual = 0x1f80;
    uint16_t usual_control = 0x37f;
    __asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(usual), "m"(usual_control));
    _mm256_zeroall();
    printf("%ld: ok\n", number);
}

int main(void) {
    if (!__builtin_cpu_supports("avx")) return 0;
    unsigned char *area = mmap(NULL, 4096 * 4, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(area != MAP_FAILED);
    stack = area + 4096;
    OK(mprotect(stack, 8192, PROT_READ | PROT_WRITE));
    int in = file_with("in", ""), out = file_with("out", "");
    static char bytes[4096];
    memset(bytes, 'x', sizeof bytes);
    CHECK(pwrite(in, bytes, 4096, 0) == 4096);
    OK(lseek(in, 0, SEEK_SET));
    struct iovec vector[2] = {{bytes, 5}, {bytes + 100, 600}};
    struct timespec now;
    struct epoll_event events[4];
    int set = OK(epoll_create1(0)), ends[2];
    OK(pipe(ends));
    CHECK(write(ends[1], "x", 1) == 1);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x123456789abcdef0};
    OK(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event));

    probe(probe_read, 0, SYS_read, in, (long)bytes, 17, 0, 17);
    probe(probe_write, 0, SYS_write, out, (long)bytes, 300, 0, 300);
    probe(probe_writev, 0, SYS_writev, out, (long)vector, 2, 0, 605);
    probe(probe_clock_gettime, 0, SYS_clock_gettime, CLOCK_REALTIME, (long)&now, 0, 0, 0);
    probe(probe_epoll_wait, 0, SYS_epoll_wait, set, (long)events, 4, -1, 1);
    CHECK(events[0].data.u64 == 0x123456789abcdef0);
    probe(probe_getpid, 0, SYS_getpid, 1, 2, 3, 4, getpid());
    probe(probe_close, 0, SYS_close, 1000, 2, 3, 4, -EBADF);
    probe(probe_read, 0, SYS_read, in, 16, 17, 0, -EFAULT);
    probe(probe_compared, 1, SYS_read, in, (long)bytes, 17, 0, 17);
    probe(probe_compared, 1, SYS_write, out, (long)bytes, 300, 0, 300);
    probe(probe_compared, 1, SYS_epoll_wait, set, (long)events, 4, 0, 1);
    probe(probe_compared_4096, 1, SYS_writev, out, (long)vector, 2, 0, 605);
    probe(probe_compared_4096, 1, SYS_lseek, out, 5, SEEK_SET, 0, 5);
    return 0;
}
