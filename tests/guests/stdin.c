// stdin: three words here
// Standard input is read to its end.
// output: fixed
#include "guest.h"

int main(void) {
    char line[100], rest[10];
    CHECK(fgets(line, sizeof line, stdin));
    printf("read: %s", line);
    CHECK(strcmp(line, "three words here\n") == 0);
    CHECK(!fgets(line, sizeof line, stdin) && feof(stdin));
    CHECK(read(0, rest, sizeof rest) == 0);
    return 0;
}
