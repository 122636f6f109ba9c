// access(2) and faccessat2(2) on what is there and what is not.
#include "guest.h"

int main(void) {
    OK(close(file_with("here", "text")));
    OK(chmod("here", 0600));
    OK(access("here", F_OK));
    OK(access("here", R_OK | W_OK));
    FAILS(EACCES, access("here", X_OK));
    FAILS(ENOENT, access("nowhere", F_OK));
    FAILS(ENOTDIR, access("here/below", F_OK));
    OK(syscall(SYS_faccessat2, AT_FDCWD, "here", R_OK, AT_EACCESS));
    FAILS(ENOENT, syscall(SYS_faccessat2, AT_FDCWD, "", R_OK, 0));
    printf("access of /etc/shadow: %d\n", access("/etc/shadow", R_OK));
    return 0;
}
