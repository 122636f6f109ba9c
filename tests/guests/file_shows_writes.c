// A mapped file shows what write(2), pwrite(2), writev(2), sendfile(2), copy_file_range(2) and ftruncate(2) do to it.
// output: fixed
#include "guest.h"

#include <sys/sendfile.h>

static const char *shared, *private, *second;

static void show(const char *name) {
    printf("%-16s %.16s | %.16s | %.8s\n", name, shared, private, second);
}

int main(void) {
    int fd = file_with("data", "0123456789abcdef"), other = file_with("other", "OTHER"), log;
    OK(ftruncate(fd, 3 * 4096));
    shared = OK(mmap(NULL, 2 * 4096, PROT_READ, MAP_SHARED, fd, 0));
    private = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    second = OK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 4096));
    show("at first");
    CHECK(pwrite(fd, "PW", 2, 4) == 2);
    show("pwrite");
    OK(lseek(fd, 8, SEEK_SET));
    CHECK(write(fd, "WRITE", 5) == 5);
    show("write");
    struct iovec parts[] = {{"v", 1}, {"ec", 2}};
    OK(lseek(fd, 4096 - 1, SEEK_SET));
    CHECK(writev(fd, parts, 2) == 3);
    show("across pages");
    OK(lseek(fd, 0, SEEK_SET));
    off_t from = 0, to = 4099;
    CHECK(sendfile(fd, other, &from, 3) == 3);
    show("sendfile");
    from = 0;
    CHECK(copy_file_range(other, &from, fd, &to, 5, 0) == 5);
    show("copy_file_range");
    ((char *)private)[15] = '!';
    CHECK(pwrite(fd, "hidden", 6, 10) == 6);
    show("behind a copy");
    log = OK(open("data", O_WRONLY | O_APPEND));
    OK(ftruncate(fd, 4096 + 2));
    show("ftruncate");
    CHECK(write(log, "app", 3) == 3);
    show("append");
    OK(munmap((void *)second, 4096));
    CHECK(pwrite(fd, "x", 1, 0) == 1);
    second = "";
    show("unmapped");
    return 0;
}
