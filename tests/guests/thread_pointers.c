// arch_prctl(2), set_tid_address(2), thread-local storage: what a loader sets up, asked for and set again.
#include "guest.h"

#include <asm/prctl.h>

static __thread uint64_t local = 0x1122334455667788;
static __thread char buffer[5000];

int main(void) {
    unsigned long fs = 0, gs = 1, self;
    OK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
    OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
    __asm__("mov %%fs:0, %0" : "=r"(self));
    printf("fs %lx gs %lx local at %p\n", fs, gs, (void *)&local);
    CHECK(fs == self && local == 0x1122334455667788);
    uint64_t words[2] = {0, 4711}, read;
    OK(syscall(SYS_arch_prctl, ARCH_SET_GS, words));
    __asm__("mov %%gs:8, %0" : "=r"(read));
    CHECK(read == 4711);
    memset(buffer, 't', sizeof buffer);
    static int cleared = 5;
    CHECK(syscall(SYS_set_tid_address, &cleared) == gettid());
    FAILS(EINVAL, syscall(SYS_arch_prctl, 0x4711, 0));
    FAILS(EPERM, syscall(SYS_arch_prctl, ARCH_SET_GS, ~0ul));
    return 0;
}
