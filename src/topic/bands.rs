//! Which text last had a band of a fingerprint: a table of one word a band, for it is asked sixteen times a mention and
//! each asking is a walk to far memory. In: bands and numbers of texts. Out: the number that was put last.

/// Bits of a band: which of sixteen, and four bytes.
const BAND_BITS: u32 = 36;
/// Numbers are kept by what is left when this divides them; a window holds far fewer texts, so none is taken for another.
const ROUND: u64 = (1 << (64 - BAND_BITS)) - 1;
/// Slots of an empty table.
const SLOTS: usize = 64;

/// Open addressing with linear probing; a slot is band and number, 0 where free.
#[derive(Clone, Debug)]
pub(crate) struct Bands {
    slots: Vec<u64>,
    held: usize,
}

impl Default for Bands {
    fn default() -> Bands {
        Bands { slots: vec![0; SLOTS], held: 0 }
    }
}

fn slot(band: u64, number: u64) -> u64 {
    (band << (64 - BAND_BITS)) | (number % ROUND + 1)
}

fn band_of(slot: u64) -> u64 {
    slot >> (64 - BAND_BITS)
}

impl Bands {
    fn home(&self, band: u64) -> usize {
        (band.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - self.slots.len().trailing_zeros())) as usize
    }

    /// Where a band stands, or the free slot where it would.
    fn find(&self, band: u64) -> usize {
        let mut at = self.home(band);
        while self.slots[at] != 0 && band_of(self.slots[at]) != band {
            at = (at + 1) & (self.slots.len() - 1);
        }
        at
    }

    /// The number last put under a band, where it is not below `first`.
    pub(crate) fn get(&self, band: u64, first: u64) -> Option<u64> {
        let found = self.slots[self.find(band)];
        let kept = (found & ROUND).checked_sub(1)?;
        Some(first + (kept + ROUND - first % ROUND) % ROUND)
    }

    /// Puts a number under a band.
    pub(crate) fn put(&mut self, band: u64, number: u64) {
        let at = self.find(band);
        self.held += usize::from(self.slots[at] == 0);
        self.slots[at] = slot(band, number);
        if self.held * 4 > self.slots.len() * 3 {
            let old = std::mem::take(&mut self.slots);
            self.slots = vec![0; old.len() * 2];
            for one in old.into_iter().filter(|one| *one != 0) {
                let at = self.find(band_of(one));
                self.slots[at] = one;
            }
        }
    }

    /// Takes a number away from a band, where it is still the last put there.
    pub(crate) fn take(&mut self, band: u64, number: u64) {
        let mut hole = self.find(band);
        if self.slots[hole] != slot(band, number) {
            return;
        }
        self.held -= 1;
        let mask = self.slots.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            if self.slots[at] == 0 {
                break;
            }
            // What may stand in the hole moves there: its home is no nearer than the hole.
            let home = self.home(band_of(self.slots[at]));
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
        }
        self.slots[hole] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_a_map_from_bands_to_the_last_number(
            start in prop_oneof![Just(0u64), Just(ROUND - 50), Just(3 * ROUND - 20)],
            steps in proptest::collection::vec((0u64..90, any::<bool>()), 0..400)) {
            let (mut bands, mut map) = (Bands::default(), BTreeMap::new());
            for (at, (band, put)) in steps.iter().enumerate() {
                let (band, number) = (band * 0x1_0000_0001 % (1 << BAND_BITS), start + at as u64);
                if *put {
                    bands.put(band, number);
                    map.insert(band, number);
                } else if let Some(old) = map.remove(&band) {
                    bands.take(band, old + 1);
                    prop_assert_eq!(bands.get(band, start), Some(old), "another number takes nothing away");
                    bands.take(band, old);
                }
                prop_assert_eq!(bands.held, map.len());
            }
            for band in (0..90).map(|band| band * 0x1_0000_0001 % (1 << BAND_BITS)) {
                prop_assert_eq!(bands.get(band, start), map.get(&band).copied());
            }
        }
    }
}
