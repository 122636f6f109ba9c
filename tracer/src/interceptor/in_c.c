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
            struct head head;
            memcpy(&head, at, sizeof head);
            const u8 *end = at + head.length;
            at += sizeof head;
            int narrow = head.logged & NARROW;
            i64 result = narrow ? (i32)load_half(at) : (i64)load(at);
            printf("%u %u %u %u %lld %llx", head.length, head.kind, head.logged, head.number, (long long)result,
                   (unsigned long long)head.check);
            at += numbers_length(head.logged, narrow ? 4 : 8);
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
            const struct call call = {.logged = 5};
            struct draft draft = {.call = &call, .begin = room};
            const u64 args[6] = {0x11, 0, 0x22};
            i64 result = strtoll(line + 2, NULL, 10);
            u64 all;
            draft.at = put_halves(room + sizeof(struct head), call.logged, args, &all);
            draft.at = put_segment(draft.at, ROLE_IN, 1, 0, (const u8 *)"abc", 3);
            draft.at = put_segment(draft.at, ROLE_OUT, 2, 0x1234, (const u8 *)"12345678", 8);
            draft.at = put_segment(draft.at, ROLE_OUT, 3, 0, (const u8 *)"", 0);
            draft.narrow = NARROW;
            draft.digest.state = 3;
            put_head(&draft, 1, args, result);
            for (u8 *byte = draft.begin; byte < draft.at; byte++) printf("%02x", *byte);
            printf("\n");
        }
    }
    return 0;
}
