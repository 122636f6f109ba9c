// Two megabytes of output in writes of many sizes: a log has to check it all.
// output: fixed
#include "guest.h"

static char text[200000];

int main(void) {
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof text; i++) {
        state = state * 1664525 + 1013904223;
        text[i] = i % 80 == 79 ? '\n' : (char)(' ' + (state >> 24) % 95);
    }
    size_t sizes[] = {1, 7, 4095, 4096, 4097, 65536, 65537, 200000};
    for (int round = 0; round < 6; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t done = 0;
            while (done < sizes[i]) done += (size_t)OK(write(1, text + done, sizes[i] - done));
        }
    }
    return 0;
}
