// Code of a file that is moved with mremap(2) after its first use: it works where it is then, or it stays where it was.
// fast: 1
#include "site.h"

static const unsigned char template[] = {0x90, 0xb8, SYS_getppid, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0xc3};

static long run(unsigned char *at) {
    long (*code)(void);
    *(void **)&code = at;
    return code();
}

int main(void) {
    static unsigned char page[4096];
    memcpy(page + 256, template, sizeof template);
    int fd = file_with("code", "");
    CHECK(write(fd, page, sizeof page) == sizeof page);
    unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    CHECK(code != MAP_FAILED);
    for (int i = 0; i < 3; i++) CHECK(run(code + 256) == getppid());
    unsigned char *room = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(room != MAP_FAILED);
    unsigned char *moved = mremap(code, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, room + 65536);
    if (moved == MAP_FAILED) {
        CHECK(errno == EINVAL);
        moved = code;
        printf("it stays\n");
    }
    for (int i = 0; i < 3; i++) CHECK(run(moved + 256) == getppid());
    printf("done\n");
    return 0;
}
