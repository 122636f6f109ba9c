// splice(2), tee(2), vmsplice(2): ENOSYS, and nothing has moved; sendfile(2) and read(2) do it.
// refused: splice (system call 275)
#include "guest.h"

#include <sys/sendfile.h>

int main(void) {
    int from[2], to[2], fd = file_with("file", "some text");
    char text[16] = "";
    OK(pipe(from));
    OK(pipe(to));
    OK(lseek(fd, 0, SEEK_SET));
    FAILS(ENOSYS, splice(fd, NULL, from[1], NULL, 9, 0));
    CHECK(lseek(fd, 0, SEEK_CUR) == 0);
    CHECK(sendfile(from[1], fd, NULL, 9) == 9);
    FAILS(ENOSYS, tee(from[0], to[1], 9, 0));
    FAILS(ENOSYS, vmsplice(to[1], &(struct iovec){text, 4}, 1, 0));
    CHECK(read(from[0], text, sizeof text) == 9);
    printf("%s\n", text);
    return 0;
}
