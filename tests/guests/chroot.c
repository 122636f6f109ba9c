// chroot(2): the world shrinks, or the call is refused; a descriptor of outside stays usable.
#include "guest.h"

int main(void) {
    OK(mkdir("jail", 0755));
    OK(close(file_with("jail/inside", "kept inside")));
    int outside = file_with("outside", "kept outside");
    if (chroot("jail") != 0) {
        CHECK(errno == EPERM);
        printf("refused: %s\n", strerror(errno));
        return 0;
    }
    OK(chdir("/"));
    char text[32] = "", here[64];
    CHECK(getcwd(here, sizeof here));
    int fd = OK(open("/inside", O_RDONLY));
    CHECK(read(fd, text, sizeof text) == 11);
    printf("in %s: %s\n", here, text);
    FAILS(ENOENT, access("/outside", F_OK));
    FAILS(ENOENT, access("../outside", F_OK));
    CHECK(pread(outside, text, sizeof text, 0) == 12);
    printf("%s\n", text);
    return 0;
}
