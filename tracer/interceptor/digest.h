/* The digest of a record's check: common/src/digest.rs, word by word. */

struct digest {
    u64 state;
};

static inline u64 digest_fold(u64 x, u64 y) {
    unsigned __int128 product = (unsigned __int128)x * y;
    return (u64)product ^ (u64)(product >> 64);
}

#define DIGEST_TURNED(key, by) ((key) << (by) | (key) >> ((64 - (by)) % 64))
#define DIGEST_PAIR(by, x, y) digest_fold((x) ^ DIGEST_TURNED(DIGEST_A, by), (y) ^ DIGEST_TURNED(DIGEST_B, by))

/* The registers that the server has at its call: seven multiplications that do not wait for each other. rcx is where the call returns to. */
static inline struct digest digest_registers(const struct frame *frame) {
    const u64 *args = frame->args, *others = frame->others;
    u64 state = DIGEST_SEED;
    state ^= DIGEST_PAIR(0, args[0], args[1]);
    state ^= DIGEST_PAIR(8, args[2], args[3]);
    state ^= DIGEST_PAIR(16, args[4], args[5]);
    state ^= DIGEST_PAIR(24, others[0], others[1]);
    state ^= DIGEST_PAIR(32, others[2], others[3]);
    state ^= DIGEST_PAIR(40, others[4], others[5]);
    state ^= DIGEST_PAIR(48, others[6], frame->rsp);
    return (struct digest){state};
}

static inline void digest_block(struct digest *digest, u64 x, u64 y) {
    u64 state = digest->state;
    digest->state = digest_fold(state ^ x ^ DIGEST_A, (state << 32 | state >> 32) ^ y ^ DIGEST_B);
}

static inline void digest_word(struct digest *digest, u64 value) { digest_block(digest, value, 0); }

static void digest_bytes(struct digest *digest, const u8 *at, u64 length) {
    u64 left = length;
    for (; left >= 16; left -= 16, at += 16) digest_block(digest, load(at), load(at + 8));
    if (left >= 8)
        digest_block(digest, load(at), rest(at + 8, left - 8));
    else if (left)
        digest_block(digest, rest(at, left), 0);
    digest_word(digest, length ^ DIGEST_C);
}

static inline u64 digest_finish(const struct digest *digest) { return digest->state; }
