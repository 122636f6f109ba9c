// A program without libraries that is put anywhere.
// cflags: -static-pie -fPIE
// output: fixed
// fast: 50
#include "sites.h"
