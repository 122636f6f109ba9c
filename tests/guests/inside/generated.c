// Code that the program writes itself: in anonymous memory, changed and run again, made writable and executable in turns. Code of
// a file that is made writable and changed after its first use, and other code mapped to where code was.
// output: fixed
// fast: 8
#include "site.h"

// mov $number,%eax; syscall; cmp $-4095,%rax; ret
static const unsigned char template[] = {0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0xc3};

static void generate(unsigned char *at, uint32_t number) {
    memcpy(at, template, sizeof template);
    memcpy(at + 1, &number, 4);
}

static long run(unsigned char *at) {
    long (*code)(long, long, long);
    *(void **)&code = at;
    return code(-1, 0, 0);
}

// Three times, so that a patch of the first call shows in the next.
static void runs(unsigned char *at, long expected) {
    for (int i = 0; i < 3; i++) CHECK(run(at) == expected);
}

static unsigned char *file_code(void *where, const char *name, uint32_t number) {
    static unsigned char page[4096];
    memset(page, 0x90, sizeof page);
    generate(page + 256, number);
    int fd = file_with(name, "");
    CHECK(write(fd, page, sizeof page) == sizeof page);
    void *at = mmap(where, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | (where ? MAP_FIXED : 0), fd, 0);
    CHECK(at != MAP_FAILED);
    OK(close(fd));
    return (unsigned char *)at + 256;
}

int main(void) {
    long parent = getppid(), user = getuid();
    unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(code != MAP_FAILED);
    for (int round = 0; round < 4; round++) {
        generate(code, SYS_getppid);
        runs(code, parent);
        generate(code, SYS_getuid);
        runs(code, user);
        generate(code, SYS_fsync);
        runs(code, -EBADF);
    }
    printf("anonymous\n");
    for (int round = 0; round < 4; round++) {
        OK(mprotect(code, 4096, PROT_READ | PROT_WRITE));
        generate(code + 64 * round, round & 1 ? SYS_getppid : SYS_getuid);
        OK(mprotect(code, 4096, PROT_READ | PROT_EXEC));
        runs(code + 64 * round, round & 1 ? parent : user);
    }
    printf("in turns\n");

    unsigned char *file = file_code(NULL, "code", SYS_getppid), *page = file - 256;
    runs(file, parent);
    for (int round = 0; round < 3; round++) {
        OK(mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
        generate(file, SYS_getuid);
        runs(file, user);
        OK(mprotect(page, 4096, PROT_READ | PROT_EXEC));
        runs(file, user);
        OK(mprotect(page, 4096, PROT_READ | PROT_WRITE));
        memset(file, 0x90, sizeof template);
        generate(file + 3, SYS_fsync);
        OK(mprotect(page, 4096, PROT_READ | PROT_EXEC));
        runs(file, -EBADF);
    }
    printf("a file, changed\n");
    for (int round = 0; round < 4; round++) {
        CHECK(file_code(page, "other", round & 1 ? SYS_getppid : SYS_getuid) == file);
        runs(file, round & 1 ? parent : user);
    }
    printf("mapped over\n");
    for (int round = 0; round < 4; round++) {
        OK(munmap(page, 4096));
        CHECK(file_code(page, "other", round & 1 ? SYS_getppid : SYS_getuid) == file);
        runs(file, round & 1 ? parent : user);
    }
    printf("unmapped, mapped\n");
    runs(file, parent);
    OK(madvise(page, 4096, MADV_DONTNEED));
    runs(file, parent);
    runs(file, parent);
    printf("let go\n");
    return 0;
}
