// The auxiliary vector: everything that the kernel tells a program at its start.
#include "guest.h"

#include <link.h>
#include <sys/auxv.h>

extern char **environ;

int main(void) {
    char **end = environ;
    while (*end) end++;
    int entries = 0;
    for (ElfW(auxv_t) *entry = (ElfW(auxv_t) *)(end + 1); entry->a_type != AT_NULL; entry++, entries++)
        printf("%lu: %lx\n", entry->a_type, entry->a_un.a_val);
    CHECK(entries > 10);
    printf("program %s, platform %s\n", (char *)getauxval(AT_EXECFN), (char *)getauxval(AT_PLATFORM));
    CHECK(getauxval(AT_PAGESZ) == 4096 && getauxval(AT_UID) == getuid());
    printf("hwcap %lx %lx, secure %lu\n", getauxval(AT_HWCAP), getauxval(AT_HWCAP2), getauxval(AT_SECURE));
    errno = 0;
    CHECK(getauxval(4711) == 0 && errno == ENOENT);
    return 0;
}
