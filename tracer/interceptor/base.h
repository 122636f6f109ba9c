/* Types, words of the shared memory, copying. */

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "layout.h"
#include "calls.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

/* The server's registers, as entry.S leaves them. */
struct frame {
    u64 rax;
    u64 args[6]; /* rdi rsi rdx r10 r8 r9 */
    u64 others[7]; /* rbx rbp r12 r13 r14 r15 rcx */
    u64 flags;
    u64 rsp;
};

/* The head of a record (docs/log-format.md); result and arguments follow, of 32 bits each if it is NARROW. */
struct head {
    u32 length;
    u8 kind;
    u8 logged;
    u16 number;
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

/* struct msghdr */
struct message {
    void *name;
    u32 name_length;
    u32 padding;
    const struct iovec *buffers;
    u64 count;
    void *control;
    u64 control_length;
    u32 flags;
    u32 more_padding;
};

#define KIND_CALL 1
#define NARROW 0x40
#define FAST 0x80
#define ROLE_IN 1
#define ROLE_OUT 2
#define ROLE_SENT 3
#define ROLE_PEER 4
#define ROLE_LOCAL 5
#define ROLE_PATH 7
#define ADDRESSED 0x8000
#define MAX_IOVEC 1024
#define MAX_STRING 4096
#define MAX_OPTION 64
#define MAX_NAME 128
/* What sendfile moves at once. */
#define MAX_CHUNK (64 << 10)
#define EFAULT 14
/* The flag by which an access that is not aligned faults. */
#define ALIGNMENT_CHECK 0x40000
#define SYS_lseek 8
#define SYS_pread64 17
#define SYS_getsockname 51
#define SYS_futex 202
#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
/* How far ahead lines of the ring are asked for, and for a record that is not begun yet. */
#define FAR 4352
#define NEXT 256

long make(const struct frame *frame);
long own(long number, long a, long b, long c, long d);

#define number_of(pointer) ((long)(uintptr_t)(pointer))

#define WORD(type, offset) (*(volatile type *)(uintptr_t)(LAYOUT_CONTROL + (offset)))
#define TABLE(offset) ((const volatile u8 *)(uintptr_t)(LAYOUT_CONTROL + (offset)))
#define ring_at(position) ((u8 *)(uintptr_t)(LAYOUT_RING + ((position) & (LAYOUT_RING_LEN - 1))))
#define output_at(position) ((u8 *)(uintptr_t)(LAYOUT_OUTPUT + ((position) & (LAYOUT_OUTPUT_LEN - 1))))
#define barrier() __asm__ volatile("" ::: "memory")

static inline void fence(void) { __asm__ volatile("lock; orq $0, -8(%%rsp)" ::: "memory", "cc"); }

/* Asks for the lines of the ring that are written next: another processor has read them. */
static inline void will_write(const u8 *at, u64 length) {
    if (length > FAR) length = FAR;
    for (u64 i = 0; i < length; i += 64) __asm__ volatile("prefetchw (%0)" ::"r"(at + i));
}

/* And for those that are read next: another processor has written them. */
static inline void will_read(const u8 *at, u64 length) {
    if (length > FAR) length = FAR;
    for (u64 i = 0; i < length; i += 64) __asm__ volatile("prefetcht0 (%0)" ::"r"(at + i));
}

static inline u64 padded(u64 length) { return (length + 7) & ~(u64)7; }

static inline u64 load(const u8 *at) {
    u64 word;
    __builtin_memcpy(&word, at, 8);
    return word;
}

static inline void store(u8 *at, u64 word) { __builtin_memcpy(at, &word, 8); }

static inline u32 load_half(const u8 *at) {
    u32 word;
    __builtin_memcpy(&word, at, 4);
    return word;
}

static inline void store_half(u8 *at, u32 word) { __builtin_memcpy(at, &word, 4); }

/* Each `i` whose bit is set in `bits`, ascending. */
#define EACH_BIT(i, bits) \
    for (u32 left_ = (bits), i; left_ && (i = (u32)__builtin_ctz(left_), 1); left_ &= left_ - 1)

/* Bytes of result and arguments of a record, padded. */
static inline u64 numbers_length(u8 logged, u64 width) {
    u64 length = width;
    for (u32 left = logged & 0x3f; left; left &= left - 1) length += width;
    return padded(length);
}

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
