// A program without libraries at a fixed address.
// cflags: -static
// output: fixed
// fast: 50
#include "sites.h"
