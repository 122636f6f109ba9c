// quiet: prints a line and ends with status 0.
#include <stdio.h>

int main(void) {
    puts("here");
    return 0;
}
