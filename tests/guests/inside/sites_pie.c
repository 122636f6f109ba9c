// A program that ld.so puts together of several libraries.
// cflags: -pie -fPIE -Wl,--no-as-needed -lm -lresolv -lgcc_s
// output: fixed
// fast: 50
#include "sites.h"
