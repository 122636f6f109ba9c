// The time-stamp counter, read by code that the program makes itself or that becomes code later: it never goes back, and what is computed from it is
// the same in a replay. So it is when the program has become itself again.
// output: fixed
#include "counter.h"

// As rdtsc has it.
static const unsigned char rdtscp[] = {0x0f, 0x01, 0xf9, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0xc3};

static unsigned char *own(int protection) {
    return OK(mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

int main(int argc, char **argv) {
    // Mapped while it is harmless.
    static const unsigned char nothing[] = {0x31, 0xc0, 0xc3};
    int changing = file_with("changing", "");
    CHECK(write(changing, nothing, sizeof nothing) == sizeof nothing);
    unsigned char *code = OK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, changing, 0));
    CHECK(((reader)(uintptr_t)code)() == 0);
    CHECK(pwrite(changing, rdtsc, sizeof rdtsc, 0) == sizeof rdtsc);
    read_often(code, "a shared file that changes");
    unsigned char *anything = own(PROT_READ | PROT_WRITE | PROT_EXEC);
    memcpy(anything + 100, rdtsc, sizeof rdtsc);
    read_often(anything + 100, "writable code");
    unsigned char *later = own(PROT_READ | PROT_WRITE);
    memcpy(later + 50, rdtscp, sizeof rdtscp);
    OK(mprotect(later, 4096, PROT_READ | PROT_EXEC));
    read_often(later + 50, "memory that becomes code");
    int fd = file_with("data", "");
    CHECK(write(fd, rdtsc, sizeof rdtsc) == sizeof rdtsc);
    unsigned char *data = OK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
    OK(mprotect(data, 4096, PROT_READ | PROT_EXEC));
    read_often(data, "a file that becomes code");
    // By the program's own code as well.
    uint64_t before = __builtin_ia32_rdtsc();
    CHECK(before > last && __builtin_ia32_rdtsc() > before);
    if (argc > 1) return 0;
    fflush(stdout);
    execl(argv[0], argv[0], "again", (char *)NULL);
    return 1;
}
