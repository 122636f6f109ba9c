// dlopen(3) of the mathematics library at run time, a symbol called, a library that is not there.
#include "guest.h"

#include <dlfcn.h>

int main(void) {
    void *library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
    CHECK(library);
    double (*cosine)(double);
    *(void **)&cosine = dlsym(library, "cos");
    CHECK(cosine);
    printf("cos(0.5) = %.17g, at %p\n", cosine(0.5), *(void **)&cosine);
    CHECK(!dlsym(library, "no_such_symbol"));
    printf("%s\n", dlerror());
    CHECK(!dlopen("libnot-there.so.9", RTLD_NOW));
    printf("%s\n", dlerror());
    Dl_info info;
    CHECK(dladdr(*(void **)&cosine, &info));
    printf("%s in %s, base %p\n", info.dli_sname, info.dli_fname, info.dli_fbase);
    CHECK(dlclose(library) == 0);
    return 0;
}
