//! The text that programs read: the same in every run.

const SYLLABLES: [&str; 24] = [
    "ba", "que", "tor", "zen", "lim", "a", "str", "ode", "ful", "rix", "io", "ne", "mar", "ke", "ph", "ur", "ette",
    "go", "s", "ti", "wo", "lla", "y", "ing",
];

/// 4,000 lines of lower-case words, short ones more often than long ones.
pub(super) fn text() -> String {
    let mut state: u64 = 1;
    let mut below = move |count: usize| {
        // Knuth's MMIX generator; its upper bits are the good ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits fit") % count
    };
    let mut text = String::new();
    for _ in 0..4_000 {
        let words = 3 + below(12);
        for word in 0..words {
            if word > 0 {
                text.push(' ');
            }
            for _ in 0..=below(4) {
                text += SYLLABLES[below(SYLLABLES.len()).min(below(SYLLABLES.len()))];
            }
        }
        text.push('\n');
    }
    text
}
