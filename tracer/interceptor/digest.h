/* The digest of a record's check: common/src/digest.rs, word by word. */

struct digest {
    u64 state;
};

static inline struct digest digest_new(void) { return (struct digest){DIGEST_SEED}; }

static inline void digest_block(struct digest *digest, u64 x, u64 y) {
    u64 state = digest->state;
    unsigned __int128 product =
        (unsigned __int128)(state ^ x ^ DIGEST_A) * ((state << 32 | state >> 32) ^ y ^ DIGEST_B);
    digest->state = (u64)product ^ (u64)(product >> 64);
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
