// Output through stdio on stdout and stderr, interleaved, in all three ways of buffering.
// output: fixed
#include "guest.h"

int main(void) {
    fprintf(stderr, "first on stderr\n");
    printf("first on stdout\n");
    fprintf(stderr, "no line end, ");
    fprintf(stderr, "then one\n");
    fflush(stdout);
    CHECK(setvbuf(stdout, NULL, _IOLBF, 256) == 0);
    for (int i = 0; i < 5; i++) {
        printf("line %d on stdout\n", i);
        fprintf(stderr, "line %d on stderr\n", i);
    }
    CHECK(setvbuf(stdout, NULL, _IONBF, 0) == 0);
    printf("%c%s%d%f\n", 'u', "nbuffered", 42, 1.5);
    CHECK(setvbuf(stdout, NULL, _IOFBF, 100) == 0);
    for (int i = 0; i < 100; i++) printf("%03d ", i);
    printf("\n");
    CHECK(puts("puts") >= 0 && putchar('\n') == '\n');
    CHECK(fwrite("a\0b\n", 1, 4, stdout) == 4);
    perror("perror");
    return 0;
}
