// mkdir(2), rmdir(2), chdir(2), fchdir(2), getcwd(2), unlinkat(2).
#include "guest.h"

int main(void) {
    char start[4096], here[4096], small[2];
    CHECK(getcwd(start, sizeof start));
    printf("%s\n", start);
    OK(mkdir("outer", 0755));
    OK(mkdir("outer/inner", 0700));
    FAILS(EEXIST, mkdir("outer", 0755));
    FAILS(ENOENT, mkdir("no/where", 0755));
    int back = OK(open(".", O_RDONLY | O_DIRECTORY));
    OK(chdir("outer/inner"));
    CHECK(getcwd(here, sizeof here));
    CHECK(strncmp(here, start, strlen(start)) == 0 && strcmp(here + strlen(start), "/outer/inner") == 0);
    printf("%s\n", here);
    FAILS(ERANGE, syscall(SYS_getcwd, small, sizeof small));
    OK(close(file_with("file", "")));
    FAILS(ENOTDIR, chdir("file"));
    OK(fchdir(back));
    FAILS(ENOTEMPTY, rmdir("outer/inner"));
    OK(unlink("outer/inner/file"));
    OK(rmdir("outer/inner"));
    OK(unlinkat(back, "outer", AT_REMOVEDIR));
    FAILS(ENOENT, chdir("outer"));
    return 0;
}
