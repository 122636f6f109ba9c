// The C library's string functions, which choose their code by the processor: all alignments, ends at a page without a neighbour.
// output: fixed
#include "guest.h"

#include <wchar.h>

int main(void) {
    char *area = OK(mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OK(mprotect(area + 2 * 4096, 4096, PROT_NONE));
    OK(mprotect(area, 4096, PROT_READ | PROT_WRITE));
    char *end = area + 2 * 4096, other[600];
    unsigned long sum = 0;
    for (size_t length = 0; length < 300; length++) {
        char *text = end - length - 1;
        for (size_t i = 0; i < length; i++) text[i] = (char)('a' + (i * 7 + length) % 26);
        text[length] = 0;
        CHECK(strlen(text) == length && strnlen(text, length / 2) == length / 2);
        CHECK(memchr(text, 0, length + 1) == text + length && rawmemchr(text, 0) == text + length);
        char *copy = other + length % 64;
        CHECK(stpcpy(copy, text) == copy + length);
        CHECK(strcmp(copy, text) == 0 && memcmp(copy, text, length + 1) == 0 && strcasecmp(copy, text) == 0);
        char *found = strrchr(text, 'e');
        sum = sum * 31 + (found ? (unsigned long)(found - text) : 999);
        sum = sum * 31 + strspn(text, "abcdefghijkl") + strcspn(text, "xyz");
        if (length > 20) {
            char *middle = strstr(text, copy + length - 5);
            CHECK(middle);
            sum = sum * 31 + (unsigned long)(middle - text);
            copy[length - 1] ^= 1;
            CHECK(strcmp(copy, text) != 0 && strncmp(copy, text, length - 1) == 0);
        }
        memmove(text - 33, text, length + 1);
        memset(end - length / 2, (int)length, length / 2);
        sum = sum * 31 + (unsigned char)text[-1];
    }
    wchar_t wide[100] = L"wide characters";
    CHECK(mbstowcs(wide, "of many bytes", 100) == 13);
    printf("%016lx %lc\n", sum, (wint_t)wide[3]);
    return 0;
}
