// Code that the program makes itself: written, called, rewritten and called again, in memory that is writable and executable, and
// in memory that is one after the other; with system calls in it.
// output: fixed
#include "guest.h"

typedef long (*function)(long, long);

static size_t emit(unsigned char *at, int multiplier, int addend) {
    // lea rax, [rdi + rsi]; imul rax, rax, multiplier; add rax, addend; ret
    unsigned char code[] = {0x48, 0x8d, 0x04, 0x37, 0x48, 0x69, 0xc0, 0, 0, 0, 0, 0x48, 0x05, 0, 0, 0, 0, 0xc3};
    memcpy(code + 7, &multiplier, 4);
    memcpy(code + 13, &addend, 4);
    memcpy(at, code, sizeof code);
    return sizeof code;
}

int main(void) {
    unsigned char *area = OK(mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    long sum = 0;
    for (int i = 0; i < 300; i++) {
        unsigned char *at = area + i % 50 * 64 + i % 3;
        emit(at, i + 2, -i);
        long result = ((function)(uintptr_t)at)(i, 3);
        CHECK(result == (long)(i + 3) * (i + 2) - i);
        sum += result;
    }
    printf("sum %ld\n", sum);
    // mov eax, edi; mov edi, esi; syscall; ret
    static const unsigned char call[] = {0x89, 0xf8, 0x89, 0xf7, 0x0f, 0x05, 0xc3};
    for (int i = 0; i < 20; i++) {
        unsigned char *at = area + 4096 + i * 37;
        memcpy(at, call, sizeof call);
        for (int k = 0; k < 30; k++) {
            CHECK(((function)(uintptr_t)at)(SYS_getppid, 0) == getppid());
            CHECK(((function)(uintptr_t)at)(SYS_close, -1) == -EBADF);
        }
        // Other code over it: the number of the call is in the code.
        unsigned char other[] = {0xb8, SYS_umask, 0, 0, 0, 0x89, 0xf7, 0x0f, 0x05, 0xc3};
        memcpy(at, other, sizeof other);
        long before = ((function)(uintptr_t)at)(0, 022 + i);
        CHECK(((function)(uintptr_t)at)(0, before) == 022 + i);
    }
    for (int i = 0; i < 10; i++) {
        OK(mprotect(area, 4096, PROT_READ | PROT_WRITE));
        emit(area, 7, i);
        OK(mprotect(area, 4096, PROT_READ | PROT_EXEC));
        CHECK(((function)(uintptr_t)area)(2, 3) == 35 + i);
    }
    return 0;
}
