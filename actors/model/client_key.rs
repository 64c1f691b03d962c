//! The name of one client among all that are connected.

/// Names one client: an index, and how many clients the slot had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey {
    /// The slot's index.
    pub index: u32,
    /// How many clients the slot had before.
    pub(crate) generation: u32,
}

impl ClientKey {
    /// As one number, for the poller.
    pub(crate) fn to_number(self) -> usize {
        (self.generation as usize) << 32 | self.index as usize
    }

    /// The key of such a number.
    pub(crate) fn from_number(number: usize) -> Self {
        Self {
            index: number as u32,
            generation: (number >> 32) as u32,
        }
    }
}
