//! When a frame is worth compressing.

use std::str::FromStr;

use crate::pair::address::PeerAddress;

/// Frames with fewer bytes of records are left alone: they fit in a packet as they are, and a client may be waiting for them.
/// At this length compressing and decompressing take 2 us together (one core of a virtual machine, logs of a key-value server and
/// nginx), which pays on a line of up to 1 Gbit/s; from 64 KiB on it pays up to 2 or 4 Gbit/s.
const SHORT: usize = 1024;
/// At most so many frames are passed over before one is tried again.
const LONGEST_PAUSE: u32 = 64;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compress {
    /// Compression where it pays.
    #[default]
    Auto,
    /// Every frame that gets smaller is compressed.
    Always,
    /// No frame is compressed.
    Never,
}

impl Compress {
    const ALL: [Self; 3] = [Self::Auto, Self::Always, Self::Never];

    /// As it is typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// For a log that goes to `backup`: towards this machine it does not pay, for nothing is shorter on the way.
    #[must_use]
    pub fn towards(self, backup: &PeerAddress) -> Self {
        if self == Self::Auto && backup.is_local() { Self::Never } else { self }
    }
}

impl FromStr for Compress {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|compress| compress.name() == name);
        found.ok_or_else(|| format!("there is no compression `{name}`, expected auto, always or never"))
    }
}

/// Says of each frame whether to try it and whether the outcome is worth keeping. A log that does not compress costs nearly
/// nothing: after a frame that was tried in vain the next ones are passed over, twice as many each time.
#[derive(Debug, Clone, Default)]
pub struct Economy {
    compress: Compress,
    /// Frames that are passed over after a vain attempt.
    pause: u32,
    /// Those of them that are still to come.
    left: u32,
}

impl Economy {
    /// For the frames of one log, in order.
    #[must_use]
    pub fn new(compress: Compress) -> Self {
        Self { compress, ..Self::default() }
    }

    /// Whether to try the next frame, which has `length` bytes of records. If so, [`Economy::keeps`] is to be asked next.
    #[must_use]
    pub fn tries(&mut self, length: usize) -> bool {
        match self.compress {
            Compress::Never => false,
            Compress::Always => true,
            Compress::Auto if length < SHORT => false,
            Compress::Auto => {
                let passes = self.left > 0;
                self.left = self.left.saturating_sub(1);
                !passes
            }
        }
    }

    /// Whether a frame whose `length` bytes were compressed to `compressed` is to be stored so: it saves an eighth at least,
    /// or anything where compression was asked for always.
    #[must_use]
    pub fn keeps(&mut self, length: usize, compressed: usize) -> bool {
        if self.compress == Compress::Always {
            return compressed < length;
        }
        let keeps = compressed <= length - length.div_ceil(8);
        self.pause = if keeps { 0 } else { (2 * self.pause).clamp(1, LONGEST_PAUSE) };
        self.left = self.pause;
        keeps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: usize = 1 << 16;

    /// The indices of the frames that are tried, of `count` frames, none of which gets smaller.
    fn tried_in_vain(economy: &mut Economy, count: usize) -> Vec<usize> {
        (0..count).filter(|_| economy.tries(LONG) && !economy.keeps(LONG, LONG + 9)).collect()
    }

    #[test]
    fn names_are_read_back() {
        for compress in Compress::ALL {
            assert_eq!(compress.name().parse(), Ok(compress));
        }
        assert!("gzip".parse::<Compress>().unwrap_err().contains("`gzip`, expected auto, always or never"));
    }

    #[test]
    fn towards_this_machine_only_who_asks_for_it_compresses() {
        for address in ["127.0.0.1:7", "127.3.2.1:7", "[::1]:7", "[::ffff:127.0.0.1]:7", "unix:backup"] {
            assert_eq!(Compress::Auto.towards(&address.parse().unwrap()), Compress::Never, "{address}");
            assert_eq!(Compress::Always.towards(&address.parse().unwrap()), Compress::Always, "{address}");
        }
        for address in ["10.0.0.1:7", "[fe80::1]:7", "[::ffff:10.0.0.1]:7"] {
            assert_eq!(Compress::Auto.towards(&address.parse().unwrap()), Compress::Auto, "{address}");
            assert_eq!(Compress::Never.towards(&address.parse().unwrap()), Compress::Never, "{address}");
        }
    }

    #[test]
    fn short_frames_are_left_alone_and_do_not_shorten_a_pause() {
        let mut economy = Economy::new(Compress::Auto);
        assert!(!economy.tries(SHORT - 8) && economy.tries(SHORT));
        assert!(!economy.keeps(SHORT, SHORT));
        assert!(!economy.tries(SHORT - 8) && !economy.tries(SHORT) && economy.tries(SHORT));
    }

    #[test]
    fn an_eighth_is_the_least_that_pays() {
        let mut economy = Economy::new(Compress::Auto);
        assert!(economy.keeps(8000, 7000) && !economy.keeps(8000, 7001));
        assert!(economy.keeps(1001, 875) && !economy.keeps(1001, 876));
    }

    #[test]
    fn vain_attempts_become_rare_but_never_cease() {
        let mut economy = Economy::new(Compress::Auto);
        assert_eq!(tried_in_vain(&mut economy, 400), [0, 2, 5, 10, 19, 36, 69, 134, 199, 264, 329, 394]);
    }

    #[test]
    fn one_frame_that_compresses_ends_the_pauses() {
        let mut economy = Economy::new(Compress::Auto);
        tried_in_vain(&mut economy, 1000);
        while !economy.tries(LONG) {}
        assert!(economy.keeps(LONG, LONG / 2));
        assert!(economy.tries(LONG) && economy.keeps(LONG, LONG / 2));
        assert_eq!(tried_in_vain(&mut economy, 6), [0, 2, 5]);
    }

    #[test]
    fn always_and_never_mean_what_they_say() {
        let mut always = Economy::new(Compress::Always);
        assert_eq!(tried_in_vain(&mut always, 5), [0, 1, 2, 3, 4]);
        assert!(always.tries(8) && always.keeps(64, 63) && !always.keeps(64, 64));
        assert!(tried_in_vain(&mut Economy::new(Compress::Never), 5).is_empty());
    }
}
