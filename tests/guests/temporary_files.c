// mkstemp(3), mkdtemp(3), tmpfile(3), O_TMPFILE: random names, files without a name.
#include "guest.h"

int main(void) {
    char name[] = "made-XXXXXX", dir[] = "dir-XXXXXX", text[16] = "";
    int fd = OK(mkstemp(name));
    printf("%s\n", name);
    CHECK(write(fd, "temporary", 9) == 9 && pread(fd, text, sizeof text, 0) == 9);
    CHECK(mkdtemp(dir));
    printf("%s\n", dir);
    OK(unlink(name));
    OK(rmdir(dir));
    int nameless = open(".", O_TMPFILE | O_RDWR, 0600);
    printf("O_TMPFILE: %s\n", nameless < 0 ? strerror(errno) : "yes");
    FILE *file = tmpfile();
    CHECK(file && fputs("line one\nline two\n", file) >= 0);
    rewind(file);
    char line[32];
    while (fgets(line, sizeof line, file)) printf("%s", line);
    CHECK(fclose(file) == 0);
    return 0;
}
