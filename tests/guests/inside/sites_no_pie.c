// A program with libraries, itself at a fixed address.
// cflags: -no-pie -fno-pie
// output: fixed
// fast: 50
#include "sites.h"
