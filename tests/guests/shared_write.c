// A file that is written by memory: its mappings show each other's writes and those of calls, calls show those of memory.
// output: fixed
#include "guest.h"

#include <sys/sendfile.h>

enum { PAGE = 4096 };

static char *first, *second;
static int fd;

static void show(const char *name) {
    char text[17] = {0};
    CHECK(pread(fd, text, 16, 0) >= 0);
    printf("%-16s %.16s | %.16s | %s\n", name, first, second, text);
}

int main(void) {
    fd = file_with("data", "0123456789abcdef");
    int other = file_with("other", "OTHER"), reading = OK(open("data", O_RDONLY));
    OK(ftruncate(fd, 4 * PAGE));
    first = OK(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    second = OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reading, 0));
    FAILS(EACCES, mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reading, 0));
    memcpy(first, "mem", 3);
    show("by memory");
    CHECK(pwrite(fd, "PW", 2, 4) == 2);
    first[6] = first[5];
    show("pwrite");
    OK(lseek(fd, 8, SEEK_SET));
    CHECK(write(fd, "WRITE", 5) == 5);
    show("write");
    off_t from = 0, to = 2;
    OK(lseek(fd, 0, SEEK_SET));
    CHECK(sendfile(fd, other, &from, 3) == 3);
    show("sendfile");
    from = 0;
    CHECK(copy_file_range(other, &from, fd, &to, 5, 0) == 5);
    show("copy_file_range");
    // Read from the file into the file's own memory.
    CHECK(pread(fd, first + 12, 4, 0) == 4);
    show("pread");
    OK(msync(first, 2 * PAGE, MS_SYNC));
    OK(msync(first, PAGE, MS_ASYNC));

    // A mapping that becomes writable, moves, grows, goes and comes again.
    char *third = OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE));
    OK(mprotect(third, PAGE, PROT_READ | PROT_WRITE));
    strcpy(third, "third");
    printf("the other page: %s\n", first + PAGE);
    strcpy(first + PAGE + 5, " of them");
    third = OK(mremap(third, PAGE, 3 * PAGE, MREMAP_MAYMOVE));
    strcpy(third + 2 * PAGE, "the last page");
    char text[32] = {0};
    CHECK(pread(fd, text, 31, 3 * PAGE) == 31);
    printf("%s, %s\n", third, text);
    OK(munmap(first + PAGE, PAGE));
    strcpy(third, "nobody else sees this now");
    char *again = OK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE));
    printf("%s\n", again);
    OK(madvise(again, PAGE, MADV_DONTNEED));
    printf("%s\n", again);
    OK(mprotect(again, PAGE, PROT_NONE));
    strcpy(third, "nor this");
    CHECK(pwrite(fd, "NOR", 3, PAGE) == 3);
    OK(mprotect(again, PAGE, PROT_READ));
    printf("%s\n", again);

    // What is cut off is zeros when the file grows again, and so is a hole.
    OK(ftruncate(fd, PAGE + 4));
    OK(ftruncate(fd, 4 * PAGE));
    printf("%s, %d\n", third, third[2 * PAGE]);
    strcpy(third + PAGE, "a page to punch");
    OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE, PAGE));
    printf("[%s]\n", third + PAGE);
    strcpy(third + PAGE, "gone soon");
    OK(truncate("data", PAGE));
    OK(truncate("data", 4 * PAGE));
    printf("[%s] [%s] %.3s\n", third + PAGE, again, first);
    OK(close(OK(open("data", O_WRONLY | O_TRUNC))));
    OK(ftruncate(fd, 4 * PAGE));
    printf("[%.3s] [%s]\n", first, second);

    // Without a name, and without a descriptor.
    OK(unlink("data"));
    OK(close(reading));
    strcpy(first, "by memory alone");
    show("unlinked");
    OK(close(fd));
    strcpy(first + 10, "again");
    printf("%s\n", second);
    OK(munmap(first, PAGE));
    OK(munmap(third, 3 * PAGE));

    // Many files, one after the other.
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "file-%d", i % 7);
        fd = OK(open(text, O_RDWR | O_CREAT, 0600));
        OK(ftruncate(fd, PAGE));
        int *count = OK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | (i % 2 ? MAP_POPULATE : 0), fd, 0));
        *count += i;
        printf("%s: %d\n", text, *count);
        if (i % 3) OK(munmap(count, PAGE));
        OK(close(fd));
    }
    return 0;
}
