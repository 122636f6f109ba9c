/* The interceptor's own functions, for a test: it asks line by line, see in_c.rs. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "interceptor.c"

long make(const struct frame *frame) { return (long)frame->rax; }
long own(long number, long a, long b, long c, long d) { return number + a + b + c + d; }

#define ROOM (64 << 10)

/* The bytes of a line of hexadecimal digits, so that they end where memory does. */
static u8 *bytes_of(const char *text, u8 *room, u64 *length) {
    *length = strspn(text, "0123456789abcdef") / 2;
    u8 *at = room + ROOM - *length;
    for (u64 i = 0; i < *length; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], 0};
        at[i] = (u8)strtoul(digits, NULL, 16);
    }
    return at;
}

int main(void) {
    u8 *room = mmap(NULL, ROOM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED || mprotect(room + ROOM, 4096, PROT_NONE)) return 1;
    static char line[2 * ROOM + 16];
    struct digest digest = {DIGEST_SEED};
    u64 length;
    while (fgets(line, sizeof line, stdin)) {
        const u8 *at = bytes_of(line + 2, room, &length);
        if (line[0] == 'w') {
            digest_word(&digest, strtoull(line + 2, NULL, 16));
        } else if (line[0] == 'f') {
            /* A frame, with which a digest begins. */
            struct frame frame;
            memcpy(&frame, at, sizeof frame);
            digest = digest_registers(&frame);
        } else if (line[0] == 'b') {
            digest_bytes(&digest, at, length);
        } else if (line[0] == '=') {
            printf("%llx\n", (unsigned long long)digest_finish(&digest));
            digest.state = DIGEST_SEED;
        } else if (line[0] == 'r') {
            struct header header;
            memcpy(&header, at, sizeof header);
            printf("%u %u %u %u %lld %llx", header.length, header.kind, header.logged, header.number, (long long)header.result,
                   (unsigned long long)header.check);
            const u8 *end = at + header.length;
            at += sizeof header + 8 * (u64)__builtin_popcount(header.logged & 0x3f);
            const struct segment *segment = (const struct segment *)at;
            for (; (const u8 *)segment < end; segment = next(segment)) {
                const u8 *bytes;
                u64 args[6] = {0};
                u64 to = (u64)target(segment, &bytes, args);
                printf(" %u %u %u %llx %u", segment->length, segment->role & ~ADDRESSED, segment->arg,
                       (unsigned long long)to, segment->length ? bytes[0] : 0);
            }
            printf("\n");
        } else if (line[0] == 's') {
            /* A record as `record` puts it together: the same bytes as the other side's. */
            u8 *begin = room;
            struct header header = {.kind = KIND_CALL, .logged = FAST | 5, .number = 1, .result = -2, .check = 3};
            u8 *to = begin + sizeof header;
            store(to, 0x11);
            store(to + 8, 0x22);
            to = put_segment(to + 16, ROLE_IN, 1, 0, (const u8 *)"abc", 3);
            to = put_segment(to, ROLE_OUT, 2, 0x1234, (const u8 *)"12345678", 8);
            to = put_segment(to, ROLE_OUT, 3, 0, (const u8 *)"", 0);
            header.length = (u32)(to - begin);
            memcpy(begin, &header, sizeof header);
            for (u8 *byte = begin; byte < to; byte++) printf("%02x", *byte);
            printf("\n");
        }
    }
    return 0;
}
