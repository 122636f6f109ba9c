// signal: 6
// A program that ends by SIGABRT and leaves a core, as far as the limit lets it.
#include "guest.h"

#include <sys/resource.h>

int main(void) {
    struct rlimit limit;
    OK(getrlimit(RLIMIT_CORE, &limit));
    limit.rlim_cur = limit.rlim_max;
    OK(setrlimit(RLIMIT_CORE, &limit));
    printf("ends\n");
    fflush(stdout);
    abort();
}
