/* A call is made, and its record written. */

#pragma once

#include "gather.h"
#include "ring.h"

static int overlap(const struct iovec *buffer, const void *other, u64 length) {
    u64 start = (u64)(uintptr_t)other;
    return buffer->address < start + length && buffer->address + buffer->length > start;
}

/* The longest that the record of this call can get. */
static u64 longest(const struct call *call, const u64 *args) {
    u64 length = sizeof(struct head) + 7 * 8;
    for (u32 i = 0; i < call->pointers; i++) {
        const struct pointer *pointer = &pointers[call->first + i];
        u64 bytes = known_length(pointer, args);
        if (!args[pointer->arg] || pointer->direction == DIRECTION_BULK || pointer->direction == DIRECTION_DIGEST) continue;
        if (pointer->length == LENGTH_RESULT)
            bytes = pointer->bound < 6 ? args[pointer->bound] : 0;
        if (pointer->length == LENGTH_RESULT && pointer->scale > 1) bytes = (bytes & 0x7fffffff) * pointer->scale;
        if (pointer->length == LENGTH_CSTRING) bytes = MAX_STRING;
        if (pointer->length == LENGTH_VALUE) bytes = MAX_NAME;
        if (bytes > LAYOUT_MAX_RECORD) return bytes;
        length += 16 + padded(bytes);
        if (pointer->length == LENGTH_IOVEC || pointer->length == LENGTH_MSGHDR) {
            u64 count;
            const struct iovec *vector = buffers_of(pointer, args, &count);
            /* The lengths and flags of a message. */
            if (pointer->length == LENGTH_MSGHDR) length += 48;
            for (u64 j = 0; j < count; j++) {
                if (vector[j].length > LAYOUT_MAX_RECORD) return LAYOUT_MAX_RECORD + 1;
                /* What the call writes there would be taken for the vector afterwards. */
                if (overlap(&vector[j], vector, count * sizeof *vector)) return LAYOUT_MAX_RECORD + 1;
                if (pointer->length == LENGTH_MSGHDR &&
                    overlap(&vector[j], (const void *)(uintptr_t)args[pointer->arg], sizeof(struct message)))
                    return LAYOUT_MAX_RECORD + 1;
                length += 16 + padded(vector[j].length);
            }
        }
    }
    return length;
}

static u8 *put_segment(u8 *at, u16 role, u16 arg, u64 address, const u8 *bytes, u64 length) {
    /* In one piece: what is stored in parts is slow to load. */
    u16 full = address ? role | ADDRESSED : role;
    store(at, (u32)length | (u64)full << 32 | (u64)arg << 48);
    at += sizeof(struct segment);
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

/* `capacity` is what the caller's buffer takes, for a call that puts the length it needs in the place of that. */
static u8 *put_outputs(u8 *at, const struct call *call, const u64 *args, i64 result, u32 capacity) {
    u64 positive = result > 0 ? (u64)result : 0;
    for (u32 i = 0; i < call->pointers; i++) {
        const struct pointer *pointer = &pointers[call->first + i];
        const u8 *bytes = (const u8 *)(uintptr_t)args[pointer->arg];
        int writes = pointer->direction == DIRECTION_INOUT || (pointer->direction == DIRECTION_OUT && result >= 0);
        if (!bytes || !writes) continue;
        if (pointer->length == LENGTH_IOVEC || pointer->length == LENGTH_MSGHDR) {
            u64 count;
            const struct iovec *vector = buffers_of(pointer, args, &count);
            for (u64 j = 0; j < count && positive; j++) {
                u64 length = vector[j].length < positive ? vector[j].length : positive;
                positive -= length;
                if (length)
                    at = put_segment(at, ROLE_OUT, pointer->arg, vector[j].address,
                                     (const u8 *)(uintptr_t)vector[j].address, length);
            }
            if (pointer->length == LENGTH_MSGHDR) {
                u64 address = args[pointer->arg];
                at = put_segment(at, ROLE_OUT, pointer->arg, address + 8, bytes + 8, 4);
                at = put_segment(at, ROLE_OUT, pointer->arg, address + 40, bytes + 40, 12);
            }
            continue;
        }
        u64 length = known_length(pointer, args);
        if (pointer->length == LENGTH_VALUE) {
            length = *(const u32 *)(uintptr_t)args[pointer->other];
            if (length > capacity) length = capacity;
        }
        if (pointer->length == LENGTH_RESULT) {
            length = positive * pointer->scale;
            /* recv(2) with MSG_TRUNC gives the length of what it cut. */
            if (pointer->scale == 1 && pointer->bound < 6 && length > args[pointer->bound]) length = args[pointer->bound];
        }
        if (length) at = put_segment(at, ROLE_OUT, pointer->arg, 0, bytes, length);
    }
    return at;
}

/* Tells the consumer to take what is in the ring. */
static void tell(void) {
    WORD(u32, LAYOUT_OWED) = 0;
    WORD(u64, LAYOUT_TOLD) = WORD(u64, LAYOUT_HEAD);
    fence();
    if (WORD(u32, LAYOUT_FILLED_SLEEPS)) wake(LAYOUT_FILLED);
}

/* One wake for all that the server puts out before it waits for something: to wake another thread costs more than a call. */
static void settle(const struct call *call, u64 fd) {
    u32 owed = WORD(u32, LAYOUT_OWED);
    if (!owed) return;
    int waits = call->waits || (call->right && fd < LAYOUT_DESCRIPTORS_LEN && (TABLE(LAYOUT_DESCRIPTORS)[fd] & LAYOUT_BLOCKS));
    if (waits || owed >= LAYOUT_MAX_OWED)
        tell();
    else
        WORD(u32, LAYOUT_OWED) = owed + 1;
}

static int may(u64 fd, u8 right) {
    return (u32)fd < LAYOUT_DESCRIPTORS_LEN && (TABLE(LAYOUT_DESCRIPTORS)[(u32)fd] & right);
}

static void allow(u64 fd, u8 rights) {
    if ((u32)fd < LAYOUT_DESCRIPTORS_LEN) WORD(u8, LAYOUT_DESCRIPTORS + (u32)fd) = rights;
}

static void set_waits(u64 fd, int waits) {
    u8 rights = TABLE(LAYOUT_DESCRIPTORS)[(u32)fd] & (u8)~LAYOUT_BLOCKS;
    allow(fd, rights | (waits ? LAYOUT_BLOCKS : 0));
}

/* Makes sure that memory can be written, while the call can still be left to the tracer. */
static void touch(u64 address, u64 length) {
    if (!length) return;
    __asm__ volatile("lock; orb $0, (%0)" ::"r"(address) : "memory", "cc");
    __asm__ volatile("lock; orb $0, (%0)" ::"r"(address + length - 1) : "memory", "cc");
}

/* A record that is being written. */
struct draft {
    const struct call *call;
    u8 *begin, *at;
    /* 0 or NARROW, as far as the arguments say. */
    u8 narrow;
    struct digest digest;
    u32 capacity;
};

/* The arguments that are logged, behind the place of the result. `all` gets the bits that any of them has. */
static inline u8 *put_halves(u8 *at, u8 logged, const u64 *args, u64 *all) {
    at += 4;
    *all = 0;
    EACH_BIT(i, logged) {
        *all |= args[i];
        store_half(at, (u32)args[i]);
        at += 4;
    }
    if ((u64)(uintptr_t)at & 4) {
        store_half(at, 0);
        at += 4;
    }
    return at;
}

static inline u8 *put_words(u8 *at, u8 logged, const u64 *args) {
    at += 8;
    EACH_BIT(i, logged) {
        store(at, args[i]);
        at += 8;
    }
    return at;
}

/* The result needs 64 bits: the arguments get them as well, what stands behind them moves. */
static __attribute__((noinline)) void widen(struct draft *draft, const u64 *args) {
    u8 *numbers = draft->begin + sizeof(struct head);
    u64 old = numbers_length(draft->call->logged, 4), new = numbers_length(draft->call->logged, 8);
    for (u8 *from = draft->at; from > numbers + old;) {
        from -= 8;
        store(from + (new - old), load(from));
    }
    put_words(numbers, draft->call->logged, args);
    draft->at += new - old;
    draft->narrow = 0;
}

/* Begins the record of a call; `most` is the longest that it can get. */
static inline __attribute__((always_inline)) struct draft draft(const struct call *call, const struct frame *frame, u64 most) {
    const u64 *args = frame->args;
    struct draft draft = {.call = call, .digest = digest_inputs(call, frame)};
    if (!is_free(most)) await_room(LAYOUT_HEAD, LAYOUT_TAIL, LAYOUT_RING_LEN, most);
    draft.begin = ring_at(WORD(u64, LAYOUT_HEAD));
    u8 *numbers = draft.begin + sizeof(struct head);
    u64 all;
    draft.at = put_halves(numbers, call->logged, args, &all);
    draft.narrow = all >> 32 ? 0 : NARROW;
    if (!draft.narrow) draft.at = put_words(numbers, call->logged, args);
    draft.at = put_inputs(draft.at, call, args);
    /* While the call is made the lines come that its result needs. */
    will_write(draft.at, most - (u64)(draft.at - draft.begin));
    return draft;
}

/* Makes the server's call, perhaps with other arguments than it has. From here on until the record is done nothing may fail. */
static inline __attribute__((always_inline)) i64 made(struct draft *draft, const struct frame *call) {
    WORD(u64, LAYOUT_DIGEST) = draft->digest.state;
    WORD(u32, LAYOUT_MADE) = 0;
    barrier();
    i64 result = make(call);
    WORD(u32, LAYOUT_MADE) = 1;
    barrier();
    return result;
}

/* Gives the record its head and its result. The record's length. */
static inline u64 put_head(struct draft *draft, u64 number, const u64 *args, i64 result) {
    if (draft->narrow && result != (i32)result) widen(draft, args);
    u64 length = (u64)(draft->at - draft->begin);
    u64 flags = draft->call->logged | draft->narrow | FAST;
    store(draft->begin, length | (u64)KIND_CALL << 32 | flags << 40 | number << 48);
    store(draft->begin + 8, digest_finish(&draft->digest));
    if (draft->narrow)
        store_half(draft->begin + 16, (u32)result);
    else
        store(draft->begin + 16, (u64)result);
    return length;
}

static inline __attribute__((always_inline)) int finish(struct draft *draft, struct frame *frame, i64 result) {
    const struct call *call = draft->call;
    draft->at = put_outputs(draft->at, call, frame->args, result, draft->capacity);
    if (call->bulk < NO_BULK && result > 0) digest_bulk(&draft->digest, call, frame->args, (u64)result, NULL);
    u64 length = put_head(draft, call->number, frame->args, result);
    barrier();
    u64 head = WORD(u64, LAYOUT_HEAD) + length;
    WORD(u64, LAYOUT_HEAD) = head;
    WORD(u64, LAYOUT_CALLS)++;
    WORD(u32, LAYOUT_MADE) = 0;
    if (call->urgent && !WORD(u32, LAYOUT_OWED)) WORD(u32, LAYOUT_OWED) = WORD(u32, LAYOUT_AWAITED);
    if (is_much(head)) tell();
    /* And while the server goes on those of its next record. */
    will_write(ring_at(head), NEXT);
    frame->rax = (u64)result;
    return 1;
}

static __attribute__((noinline)) int record_accept(struct frame *frame, const struct call *call) {
    u64 *args = frame->args;
    u32 *length = (u32 *)(uintptr_t)args[2], capacity = args[1] ? *length : 0;
    if (capacity > MAX_NAME) return 0;
    if (args[1]) touch(args[2], 4);
    touch(args[1], capacity);
    struct draft record = draft(call, frame, sizeof(struct head) + 512);
    record.capacity = capacity;
    /* The kernel tells the peer here also when the connection is gone already. */
    u8 peer[MAX_NAME], name[MAX_NAME];
    u32 peer_length = sizeof peer, name_length = sizeof name;
    struct frame other = *frame;
    other.args[1] = (u64)(uintptr_t)peer;
    other.args[2] = (u64)(uintptr_t)&peer_length;
    i64 result = made(&record, &other);
    if (result >= 0) {
        if (args[1]) {
            copy((u8 *)(uintptr_t)args[1], peer, capacity < peer_length ? capacity : peer_length);
            *length = peer_length;
        }
        own(SYS_getsockname, result, number_of(name), number_of(&name_length), 0);
        record.at = put_segment(record.at, ROLE_PEER, 0, 0, peer, peer_length);
        record.at = put_segment(record.at, ROLE_LOCAL, 0, 0, name, name_length);
        int waits = call->number == SYS_ACCEPT || !(args[3] & 04000); /* SOCK_NONBLOCK */
        allow((u64)result, LAYOUT_OF_ACCEPTED | (waits ? LAYOUT_BLOCKS : 0));
    }
    return finish(&record, frame, result);
}

/* What is sent is read into the record, and written from there. */
static __attribute__((noinline)) int record_sendfile(struct frame *frame, const struct call *call) {
    u64 *args = frame->args;
    u64 from = (u32)args[1], count = args[3] < MAX_CHUNK ? args[3] : MAX_CHUNK;
    i64 *offset = (i64 *)(uintptr_t)args[2];
    if (!may(from, LAYOUT_MAY_READ)) return 0;
    if (offset) touch(args[2], 8);
    struct draft record = draft(call, frame, sizeof(struct head) + 128 + padded(count));
    i64 position = offset ? *offset : own(SYS_lseek, (long)from, 0, 1, 0);
    if (position < 0) return 0;
    u8 *data = record.at + sizeof(struct segment);
    i64 result = own(SYS_pread64, (long)from, number_of(data), (long)count, position);
    if (result < 0 || (result == 0 && WORD(u32, LAYOUT_PENDING))) return 0;
    if (result > 0) {
        struct frame other = *frame;
        other.rax = 1; /* write */
        other.args[1] = (u64)(uintptr_t)data;
        other.args[2] = (u64)result;
        result = made(&record, &other);
    }
    if (result > 0) {
        struct segment segment = {.length = (u32)result, .role = ROLE_SENT, .arg = 1};
        __builtin_memcpy(record.at, &segment, sizeof segment);
        for (u64 i = (u64)result; i < padded((u64)result); i++) data[i] = 0;
        record.at = data + padded((u64)result);
        if (offset)
            *offset = position + result;
        else
            own(SYS_lseek, (long)from, position + result, 0, 0);
    }
    return finish(&record, frame, result);
}

static int record(struct frame *frame, const struct call *call) {
    u64 *args = frame->args;
    settle(call, (u32)args[0]);
    if (call->right && !may(args[0], call->right)) return 0;
    if (call->number == SYS_ACCEPT || call->number == SYS_ACCEPT4) return record_accept(frame, call);
    if (call->number == SYS_SENDFILE) return record_sendfile(frame, call);
    u64 most = longest(call, args);
    if (most > LAYOUT_MAX_RECORD) return 0;
    struct draft record = draft(call, frame, most);
    i64 result;
    if (call->number == SYS_GETPID || call->number == SYS_GETTID) {
        if (WORD(u32, LAYOUT_PENDING)) return 0;
        result = WORD(i64, LAYOUT_PID);
    } else {
        result = made(&record, frame);
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
    if (call->number == SYS_CLOSE) allow(args[0], 0);
    if (call->number == SYS_IOCTL && result == 0) set_waits(args[0], !*(const int32_t *)(uintptr_t)args[2]);
    if (call->number == SYS_FCNTL && args[1] == 4 && result == 0) set_waits(args[0], !(args[2] & 04000)); /* F_SETFL, O_NONBLOCK */
    if (call->opens && result >= 0) allow((u64)result, LAYOUT_OF_READABLE);
    return finish(&record, frame, result);
}
