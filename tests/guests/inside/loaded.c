// A library that is loaded at run time, used, let go and loaded again, at the same place as a rule.
// output: fixed
// fast: 150
// library: yes
#include "site.h"

#include <dlfcn.h>

int main(void) {
    const char *path = getenv("GUEST_LIBRARY");
    CHECK(path);
    void *first = NULL;
    int again = 0;
    for (int round = 0; round < 8; round++) {
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        CHECK(library);
        long (*ask_parent)(void), (*ask_user)(void), (*put)(int, const void *, long);
        *(void **)&ask_parent = dlsym(library, "ask_parent");
        *(void **)&ask_user = dlsym(library, "ask_user");
        *(void **)&put = dlsym(library, "put");
        CHECK(ask_parent && ask_user && put);
        if (!first) first = *(void **)&put;
        again += first == *(void **)&put;
        for (int i = 0; i < 10; i++) {
            CHECK(ask_parent() == getppid());
            CHECK(ask_user() == getuid());
        }
        CHECK(put(1, "loaded\n", 7) == 7);
        CHECK(put(1, "used\n", 5) == 5);
        CHECK(dlclose(library) == 0);
        CHECK(!dlopen(path, RTLD_NOW | RTLD_NOLOAD));
    }
    CHECK(again > 1);
    return 0;
}
