// The environment, the arguments, and where they lie on the stack.
#include "guest.h"

extern char **environ;

int main(int argc, char **argv) {
    int local = 0, count = 0;
    printf("argc %d, argv[0] %s at %p, stack %p\n", argc, argv[0], (void *)argv[0], (void *)&local);
    for (char **one = environ; *one; one++, count++) printf("%p %s\n", (void *)*one, *one);
    printf("%d variables, PATH %s\n", count, getenv("PATH") ? "set" : "not set");
    OK(setenv("FRESH", "value", 1));
    CHECK(strcmp(getenv("FRESH"), "value") == 0);
    OK(unsetenv("FRESH"));
    CHECK(!getenv("FRESH"));
    printf("%s %s\n", program_invocation_name, program_invocation_short_name);
    return 0;
}
