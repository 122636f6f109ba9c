// fsync(2), fdatasync(2), sync_file_range(2), syncfs(2), posix_fadvise(2).
#include "guest.h"

int main(void) {
    int fd = file_with("data", "to be kept");
    OK(fsync(fd));
    CHECK(write(fd, "!", 1) == 1);
    OK(fdatasync(fd));
    CHECK(write(fd, "!", 1) == 1);
    OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
    CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL) == 0);
    int dir = OK(open(".", O_RDONLY | O_DIRECTORY));
    printf("fsync of the directory: %d\n", fsync(dir));
    int ends[2];
    OK(pipe(ends));
    FAILS(EINVAL, fsync(ends[0]));
    FAILS(EINVAL, sync_file_range(fd, 0, 0, 0x80));
    FAILS(EBADF, fdatasync(99));
    return 0;
}
