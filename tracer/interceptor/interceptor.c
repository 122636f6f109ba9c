/* The interceptor: makes calls in the server's process and records them, or answers them from the log. See docs/fast-layer.md.
 *
 * Freestanding: general registers only, no library, no state but the shared memory. Layouts and tables are generated from the
 * tracer's own (layout.h, calls.h). */

#include <stddef.h>
#include <stdint.h>

#include "layout.h"
#include "calls.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t i64;

/* The server's registers, as entry.S leaves them. */
struct frame {
    u64 rax;
    u64 args[6]; /* rdi rsi rdx r10 r8 r9 */
    u64 others[7]; /* rbx rbp r12 r13 r14 r15 rcx */
    u64 flags;
    u64 rsp;
};

/* The header of a record (docs/log-format.md). */
struct header {
    u32 length;
    u8 kind;
    u8 logged;
    u16 number;
    i64 result;
    u64 check;
};

/* The header of a segment; an address follows if bit 15 of the role is set. */
struct segment {
    u32 length;
    u16 role;
    u16 arg;
};

struct iovec {
    u64 address;
    u64 length;
};

#define KIND_CALL 1
#define FAST 0x80
#define ROLE_IN 1
#define ROLE_OUT 2
#define ADDRESSED 0x8000
#define MAX_IOVEC 1024
#define MAX_STRING 4096
#define EFAULT 14
/* The flag by which an access that is not aligned faults. */
#define ALIGNMENT_CHECK 0x40000
#define SYS_futex 202
#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
/* A consumer that sleeps is woken when this much is there, urgent or not. */
#define MUCH (64 << 10)

long make(const struct frame *frame);
long own(long number, long a, long b, long c, long d);

#define WORD(type, offset) (*(volatile type *)(uintptr_t)(LAYOUT_CONTROL + (offset)))
#define TABLE(offset) ((const volatile u8 *)(uintptr_t)(LAYOUT_CONTROL + (offset)))
#define ring_at(position) ((u8 *)(uintptr_t)(LAYOUT_RING + ((position) & (LAYOUT_RING_LEN - 1))))
#define output_at(position) ((u8 *)(uintptr_t)(LAYOUT_OUTPUT + ((position) & (LAYOUT_OUTPUT_LEN - 1))))
#define barrier() __asm__ volatile("" ::: "memory")

static inline void fence(void) { __asm__ volatile("lock; orq $0, -8(%%rsp)" ::: "memory", "cc"); }

static inline u64 padded(u64 length) { return (length + 7) & ~(u64)7; }

static inline u64 load(const u8 *at) {
    u64 word;
    __builtin_memcpy(&word, at, 8);
    return word;
}

static inline void store(u8 *at, u64 word) { __builtin_memcpy(at, &word, 8); }

static void copy(u8 *to, const u8 *from, u64 length) {
    if (length >= 256) {
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length)::"memory");
        return;
    }
    for (; length >= 8; length -= 8, to += 8, from += 8) store(to, load(from));
    for (; length; length--) *(volatile u8 *)to++ = *from++;
}

/* The last bytes of a buffer, fewer than 8, with zeros above. */
static u64 rest(const u8 *at, u64 length) {
    u64 word = 0;
    for (u64 i = 0; i < length; i++) word |= (u64)((const volatile u8 *)at)[i] << (8 * i);
    return word;
}

static int same(const u8 *one, const u8 *other, u64 length) {
    for (; length >= 8; length -= 8, one += 8, other += 8)
        if (load(one) != load(other)) return 0;
    return rest(one, length) == rest(other, length);
}

#include "digest.h"

static void sleep_on(u64 word, u32 value) {
    WORD(u32, LAYOUT_OWN) = 1;
    own(SYS_futex, (long)(LAYOUT_CONTROL + word), FUTEX_WAIT, value, 0);
    WORD(u32, LAYOUT_OWN) = 0;
}

static void wake(u64 word) {
    __atomic_fetch_add((u32 *)(uintptr_t)(LAYOUT_CONTROL + word), 1, __ATOMIC_SEQ_CST);
    WORD(u32, LAYOUT_OWN) = 1;
    own(SYS_futex, (long)(LAYOUT_CONTROL + word), FUTEX_WAKE, 1, 0);
    WORD(u32, LAYOUT_OWN) = 0;
}

/* Waits until `length` more bytes fit between the positions at `head` and `tail`. */
static void await_room(u64 head, u64 tail, u64 size, u64 length) {
    while (WORD(u64, head) + length - WORD(u64, tail) > size) {
        u32 value = WORD(u32, LAYOUT_DRAINED);
        WORD(u64, LAYOUT_WAITS)++;
        WORD(u32, LAYOUT_DRAINED_SLEEPS) = 1;
        fence();
        /* The consumer may be asleep in its turn: nothing in the ring was urgent. */
        if (WORD(u32, LAYOUT_FILLED_SLEEPS)) wake(LAYOUT_FILLED);
        if (WORD(u64, head) + length - WORD(u64, tail) > size) sleep_on(LAYOUT_DRAINED, value);
        WORD(u32, LAYOUT_DRAINED_SLEEPS) = 0;
    }
}

/* Bytes that a pointer covers, as far as that is known before the call. */
static u64 known_length(const struct pointer *pointer, const u64 *args) {
    u64 length;
    switch (pointer->length) {
    case LENGTH_FIXED:
        return pointer->scale;
    case LENGTH_ARG:
        return (args[pointer->other] & 0xffffffff) * pointer->scale;
    case LENGTH_FDSET:
        length = (i64)(int32_t)args[0] > 0 ? args[0] & 0x7fffffff : 0;
        return (length + 63) / 64 * 8;
    default:
        return 0;
    }
}

/* Length of a string with a bound; it is read, so that it is there. */
static u64 string_length(const u8 *at) {
    u64 length = 0;
    while (length < MAX_STRING && ((const volatile u8 *)at)[length]) length++;
    return length;
}

/* Whether the call can be handled in process as far as its arguments tell. */
static int is_simple(const struct call *call, const u64 *args) {
    for (int i = 0; i < 6; i++)
        if (call->outside_unless_zero >> i & 1 && args[i]) return 0;
    if (call->flags_arg < 6 && (u32)args[call->flags_arg] & ~call->flags) return 0;
    switch (call->number) {
    case SYS_FCNTL: /* F_GETFD, F_GETFL, F_SETFL */
        return (u32)args[1] == 1 || (u32)args[1] == 3 || (u32)args[1] == 4;
    case SYS_FUTEX: /* FUTEX_WAKE, private or not */
        return ((u32)args[1] & ~128u) == 1;
    case SYS_CLOCK_GETTIME:
        return (u32)args[0] < LAYOUT_CLOCKS;
    default:
        break;
    }
    for (u32 i = 0; i < call->pointers; i++) {
        const struct pointer *pointer = &pointers[call->first + i];
        /* A time left may be written where the time was read. */
        int outside = pointer->length == LENGTH_OTHER || pointer->direction == DIRECTION_OUT_ALWAYS;
        if (outside && args[pointer->arg]) return 0;
        if (pointer->length == LENGTH_IOVEC && args[pointer->other] > MAX_IOVEC) return 0;
        if (known_length(pointer, args) > LAYOUT_MAX_RECORD) return 0;
    }
    return 1;
}

/* The digest of what replay recomputes and the call reads at its beginning. */
static struct digest digest_inputs(const struct call *call, const u64 *args) {
    struct digest digest = digest_new();
    for (int i = 0; i < 6; i++)
        if (call->recomputed >> i & 1) digest_word(&digest, args[i]);
    for (u32 i = 0; i < call->pointers; i++) {
        const struct pointer *pointer = &pointers[call->first + i];
        const u8 *at = (const u8 *)(uintptr_t)args[pointer->arg];
        if (at && (pointer->direction == DIRECTION_DIGEST || pointer->direction == DIRECTION_INOUT))
            digest_bytes(&digest, at, known_length(pointer, args));
    }
    return digest;
}

/* The buffers that a call sends, up to its result, into the digest; their bytes into the output ring behind `output`, if that is not null. */
static void digest_bulk(struct digest *digest, const struct call *call, const u64 *args, u64 total, u8 *output) {
    const struct pointer *pointer = &pointers[call->first + call->bulk];
    const u8 *at = (const u8 *)(uintptr_t)args[pointer->arg];
    if (!at || !total) return;
    if (pointer->length != LENGTH_IOVEC) {
        digest_bytes(digest, at, total);
        if (output) copy(output, at, total);
        return;
    }
    const struct iovec *vector = (const struct iovec *)at;
    for (u64 i = 0; i < args[pointer->other] && total; i++) {
        u64 length = vector[i].length < total ? vector[i].length : total;
        total -= length;
        if (!length) continue;
        digest_bytes(digest, (const u8 *)(uintptr_t)vector[i].address, length);
        if (output) {
            copy(output, (const u8 *)(uintptr_t)vector[i].address, length);
            output += length;
        }
    }
}

/* The longest that the record of this call can get. */
static u64 longest(const struct call *call, const u64 *args) {
    u64 length = sizeof(struct header) + 6 * 8;
    for (u32 i = 0; i < call->pointers; i++) {
        const struct pointer *pointer = &pointers[call->first + i];
        u64 bytes = known_length(pointer, args);
        if (!args[pointer->arg] || pointer->direction == DIRECTION_BULK || pointer->direction == DIRECTION_DIGEST) continue;
        if (pointer->length == LENGTH_RESULT)
            bytes = pointer->bound < 6 ? args[pointer->bound] : 0;
        if (pointer->length == LENGTH_RESULT && pointer->scale > 1) bytes = (bytes & 0x7fffffff) * pointer->scale;
        if (pointer->length == LENGTH_CSTRING) bytes = MAX_STRING;
        if (bytes > LAYOUT_MAX_RECORD) return bytes;
        length += 16 + padded(bytes);
        if (pointer->length == LENGTH_IOVEC) {
            const struct iovec *vector = (const struct iovec *)(uintptr_t)args[pointer->arg];
            for (u64 j = 0; j < args[pointer->other]; j++) {
                if (vector[j].length > LAYOUT_MAX_RECORD) return LAYOUT_MAX_RECORD + 1;
                /* What the call writes there would be taken for the vector afterwards. */
                u64 end = (u64)(uintptr_t)(vector + args[pointer->other]);
                if (vector[j].address < end && vector[j].address + vector[j].length > (u64)(uintptr_t)vector)
                    return LAYOUT_MAX_RECORD + 1;
                length += 16 + padded(vector[j].length);
            }
        }
    }
    return length;
}

static u8 *put_segment(u8 *at, u16 role, u16 arg, u64 address, const u8 *bytes, u64 length) {
    struct segment segment = {.length = (u32)length, .role = address ? role | ADDRESSED : role, .arg = arg};
    __builtin_memcpy(at, &segment, sizeof segment);
    at += sizeof segment;
    if (address) {
        store(at, address);
        at += 8;
    }
    if (length & 7) store(at + (length & ~(u64)7), 0);
    copy(at, bytes, length);
    return at + padded(length);
}

/* What the call reads and the log keeps. */
static u8 *put_inputs(u8 *at, const struct call *call, const u64 *args) {
    for (u32 i = 0; i < call->pointers; i++) {
        const struct pointer *pointer = &pointers[call->first + i];
        const u8 *bytes = (const u8 *)(uintptr_t)args[pointer->arg];
        if (!bytes) continue;
        u64 length = pointer->length == LENGTH_CSTRING ? string_length(bytes) : known_length(pointer, args);
        if (pointer->direction == DIRECTION_IN) at = put_segment(at, ROLE_IN, pointer->arg, 0, bytes, length);
    }
    return at;
}

static u8 *put_outputs(u8 *at, const struct call *call, const u64 *args, i64 result) {
    u64 positive = result > 0 ? (u64)result : 0;
    for (u32 i = 0; i < call->pointers; i++) {
        const struct pointer *pointer = &pointers[call->first + i];
        const u8 *bytes = (const u8 *)(uintptr_t)args[pointer->arg];
        int writes = pointer->direction == DIRECTION_INOUT || (pointer->direction == DIRECTION_OUT && result >= 0);
        if (!bytes || !writes) continue;
        if (pointer->length == LENGTH_IOVEC) {
            const struct iovec *vector = (const struct iovec *)bytes;
            for (u64 j = 0; j < args[pointer->other] && positive; j++) {
                u64 length = vector[j].length < positive ? vector[j].length : positive;
                positive -= length;
                if (length)
                    at = put_segment(at, ROLE_OUT, pointer->arg, vector[j].address,
                                     (const u8 *)(uintptr_t)vector[j].address, length);
            }
            continue;
        }
        u64 length = known_length(pointer, args);
        if (pointer->length == LENGTH_RESULT) {
            length = positive * pointer->scale;
            /* recv(2) with MSG_TRUNC gives the length of what it cut. */
            if (pointer->scale == 1 && pointer->bound < 6 && length > args[pointer->bound]) length = args[pointer->bound];
        }
        if (length) at = put_segment(at, ROLE_OUT, pointer->arg, 0, bytes, length);
    }
    return at;
}

static int record(struct frame *frame, const struct call *call) {
    u64 *args = frame->args;
    if (call->right) {
        u32 fd = (u32)args[0];
        if (fd >= LAYOUT_DESCRIPTORS_LEN || !(TABLE(LAYOUT_DESCRIPTORS)[fd] & call->right)) return 0;
    }
    u64 most = longest(call, args);
    if (most > LAYOUT_MAX_RECORD) return 0;
    struct digest digest = digest_inputs(call, args);
    await_room(LAYOUT_HEAD, LAYOUT_TAIL, LAYOUT_RING_LEN, most);
    u64 head = WORD(u64, LAYOUT_HEAD);
    u8 *begin = ring_at(head);
    u8 *at = begin + sizeof(struct header);
    for (int i = 0; i < 6; i++)
        if (call->logged >> i & 1) {
            store(at, args[i]);
            at += 8;
        }
    at = put_inputs(at, call, args);
    i64 result;
    if (call->number == SYS_GETPID || call->number == SYS_GETTID) {
        if (WORD(u32, LAYOUT_PENDING)) return 0;
        result = WORD(i64, LAYOUT_PID);
    } else {
        WORD(u64, LAYOUT_DIGEST) = digest.state;
        WORD(u32, LAYOUT_MADE) = 0;
        barrier();
        result = make(frame);
        WORD(u32, LAYOUT_MADE) = 1;
        barrier();
    }
    if (result == -EFAULT) {
        /* What it has written before is found out by the tracer. */
        WORD(i64, LAYOUT_RESULT) = result;
        WORD(u32, LAYOUT_FINISH) = 1;
        WORD(u32, LAYOUT_MADE) = 0;
        return 0;
    }
    if (call->number == SYS_CLOCK_GETTIME && result == 0) {
        i64 offset = WORD(i64, LAYOUT_CLOCK_OFFSETS + 8 * args[0]);
        if (offset) {
            i64 *time = (i64 *)(uintptr_t)args[1];
            i64 all = time[0] * 1000000000 + time[1] + offset;
            time[0] = all / 1000000000;
            time[1] = all % 1000000000;
        }
    }
    if (call->number == SYS_CLOSE && (u32)args[0] < LAYOUT_DESCRIPTORS_LEN)
        WORD(u8, LAYOUT_DESCRIPTORS + (u32)args[0]) = 0;
    at = put_outputs(at, call, args, result);
    if (call->bulk < NO_BULK && result > 0) digest_bulk(&digest, call, args, (u64)result, NULL);
    struct header header = {
        .length = (u32)(at - begin),
        .kind = KIND_CALL,
        .logged = call->logged | FAST,
        .number = call->number,
        .result = result,
        .check = digest_finish(&digest),
    };
    __builtin_memcpy(begin, &header, sizeof header);
    barrier();
    WORD(u64, LAYOUT_HEAD) = head + header.length;
    WORD(u64, LAYOUT_CALLS)++;
    WORD(u32, LAYOUT_MADE) = 0;
    if (call->urgent || head + header.length - WORD(u64, LAYOUT_TAIL) >= MUCH) {
        fence();
        if (WORD(u32, LAYOUT_FILLED_SLEEPS)) wake(LAYOUT_FILLED);
    }
    frame->rax = (u64)result;
    return 1;
}

/* Waits for the next record. 0 when there will be none for the interceptor. */
static int await_record(void) {
    for (;;) {
        if (WORD(u64, LAYOUT_HEAD) != WORD(u64, LAYOUT_TAIL)) return 1;
        u32 value = WORD(u32, LAYOUT_FILLED);
        WORD(u32, LAYOUT_FILLED_SLEEPS) = 1;
        fence();
        int empty = WORD(u64, LAYOUT_HEAD) == WORD(u64, LAYOUT_TAIL) && WORD(u32, LAYOUT_MODE) == LAYOUT_MODE_REPLAY;
        if (empty) sleep_on(LAYOUT_FILLED, value);
        WORD(u32, LAYOUT_FILLED_SLEEPS) = 0;
        if (WORD(u32, LAYOUT_MODE) != LAYOUT_MODE_REPLAY) return 0;
    }
}

/* Where the bytes of a segment belong. */
static u8 *target(const struct segment *segment, const u8 **bytes, const u64 *args) {
    *bytes = (const u8 *)(segment + 1);
    if (segment->role & ADDRESSED) {
        u64 address = load(*bytes);
        *bytes += 8;
        return (u8 *)(uintptr_t)address;
    }
    return segment->arg < 6 ? (u8 *)(uintptr_t)args[segment->arg] : NULL;
}

static const struct segment *next(const struct segment *segment) {
    u64 header = segment->role & ADDRESSED ? 16 : 8;
    return (const struct segment *)((const u8 *)segment + header + padded(segment->length));
}

static int replay(struct frame *frame, const struct call *call) {
    u64 *args = frame->args;
    if (!await_record()) return 0;
    u64 tail = WORD(u64, LAYOUT_TAIL);
    const u8 *begin = ring_at(tail);
    struct header header;
    __builtin_memcpy(&header, begin, sizeof header);
    if (header.kind != KIND_CALL || header.number != call->number || header.logged != (call->logged | FAST)) return 0;
    const u8 *at = begin + sizeof header;
    for (int i = 0; i < 6; i++)
        if (call->logged >> i & 1) {
            if (load(at) != args[i]) return 0;
            at += 8;
        }
    const struct segment *first = (const struct segment *)at;
    const struct segment *end = (const struct segment *)(begin + header.length);
    const u8 *bytes;
    u32 inputs = 0;
    for (const struct segment *segment = first; segment < end; segment = next(segment)) {
        const u8 *to = target(segment, &bytes, args);
        u16 role = segment->role & ~ADDRESSED;
        if (role == ROLE_IN) {
            if (!to || !same(to, bytes, segment->length)) return 0;
            inputs |= 1u << segment->arg;
        } else if (role != ROLE_OUT || !to) {
            return 0;
        }
    }
    /* Inputs that the log lacks, or that are longer than there. */
    for (u32 i = 0; i < call->pointers; i++) {
        const struct pointer *pointer = &pointers[call->first + i];
        if (pointer->direction == DIRECTION_IN && (args[pointer->arg] != 0) != (inputs >> pointer->arg & 1)) return 0;
    }
    for (const struct segment *segment = first; segment < end; segment = next(segment)) {
        if ((segment->role & ~ADDRESSED) != ROLE_IN) continue;
        for (u32 i = 0; i < call->pointers; i++) {
            const struct pointer *pointer = &pointers[call->first + i];
            if (pointer->arg != segment->arg) continue;
            const u8 *from = target(segment, &bytes, args);
            u64 length = pointer->length == LENGTH_CSTRING ? string_length(from) : known_length(pointer, args);
            if (length != segment->length) return 0;
        }
    }
    struct digest digest = digest_inputs(call, args);
    u64 sent = call->bulk < NO_BULK && header.result > 0 ? (u64)header.result : 0;
    u64 piece = 8 + padded(sent);
    u64 output = WORD(u64, LAYOUT_OUTPUT_HEAD);
    if (sent) {
        if (piece > LAYOUT_OUTPUT_LEN / 4) return 0;
        await_room(LAYOUT_OUTPUT_HEAD, LAYOUT_OUTPUT_TAIL, LAYOUT_OUTPUT_LEN, piece);
        u8 *to = output_at(output);
        store(to + piece - 8, 0);
        store(to, sent);
        digest_bulk(&digest, call, args, sent, to + 8);
    }
    if (digest_finish(&digest) != header.check) return 0;
    for (const struct segment *segment = first; segment < end; segment = next(segment)) {
        u8 *to = target(segment, &bytes, args);
        if ((segment->role & ~ADDRESSED) == ROLE_OUT) copy(to, bytes, segment->length);
    }
    barrier();
    if (sent) WORD(u64, LAYOUT_OUTPUT_HEAD) = output + piece;
    barrier();
    WORD(u64, LAYOUT_TAIL) = tail + header.length;
    WORD(u64, LAYOUT_TAKEN)++;
    WORD(u64, LAYOUT_CALLS)++;
    frame->rax = (u64)header.result;
    /* Never ahead: what follows the call is executed when the log says that it happened. */
    (void)await_record();
    return 1;
}

/* 1 when the call is done and its result in rax; 0 when it is to be made outside. */
__attribute__((used)) int handle(struct frame *frame) {
    u32 mode = WORD(u32, LAYOUT_MODE);
    u64 number = frame->rax;
    /* Nothing here is aligned. */
    if (frame->flags & ALIGNMENT_CHECK) return 0;
    if (mode == LAYOUT_MODE_OUTSIDE || number >= LAYOUT_ALLOWED_LEN || !TABLE(LAYOUT_ALLOWED)[number]) return 0;
    u32 index = call_index[number];
    if (index == NO_CALL) return 0;
    const struct call *call = &calls[index];
    if (!is_simple(call, frame->args)) return 0;
    return mode == LAYOUT_MODE_RECORD ? record(frame, call) : replay(frame, call);
}

/* What the compiler may call for. */
__attribute__((used)) void *memcpy(void *to, const void *from, size_t length) {
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length)::"memory");
    return start;
}
