//! What the history file says of itself, written twice so that one damaged copy loses nothing.
//!
//! ```text
//! copy = "hasses history 2", turn, start, synced, dropped, complete, reserved, newest: u64 each,
//!        salt: u32, flags: u8, CRC-32 of all this: u32
//! flags = 1 clean | 2 sealed
//! ```
//!
//! The first versions wrote "hasses history 1", and have only the first of the flags.
//!
//! The copies stand at 0 and [`COPY`]; frames begin at [`DATA`]. The newer one, by its turn, counts.

use crate::model::EventId;

/// Where the second copy stands: in another block of the disk than the first, whichever way that
/// tears.
pub(super) const COPY: u64 = 4096;
/// Where frames begin.
pub(super) const DATA: u64 = 2 * COPY;

const MAGIC: &[u8; 16] = b"hasses history 2";
const OLD_MAGIC: &[u8; 16] = b"hasses history 1";
/// What every version's file begins with.
pub(super) const ANY_MAGIC: &[u8] = b"hasses history ";

const CLEAN: u8 = 1;
const SEALED: u8 = 2;
/// The bytes of a copy.
pub(super) const LENGTH: usize = 16 + 7 * 8 + 4 + 1 + 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// How often the header was written.
    pub(super) turn: u64,
    /// Where the first frame is: [`DATA`], but for the time of a trim.
    pub(super) start: u64,
    /// Up to where the frames are known to be on disk.
    pub(super) synced: u64,
    /// In an old file: events up to this id are no longer kept.
    pub(super) dropped: EventId,
    /// Every event to be kept that is newer than this, is in the file, or was dropped.
    pub(super) complete: EventId,
    /// No greater id than this was given out.
    pub(super) reserved: EventId,
    /// When clean: the newest id given out.
    pub(super) newest: EventId,
    /// The file's own number, part of every frame's checksum.
    pub(super) salt: u32,
    /// Whether everything was written down before the daemon ended.
    pub(super) clean: bool,
    /// Whether nothing counts that stands behind `synced`.
    pub(super) sealed: bool,
    /// Whether the file was written by one of the first versions; not written.
    pub(super) is_old: bool,
}

/// No offset is so far into a file, and no daemon lived for so many turns.
const FAR: u64 = 1 << 48;

impl Header {
    /// That of a new file, which was never written.
    pub(super) fn fresh() -> Self {
        Self {
            turn: 0,
            start: DATA,
            synced: DATA,
            dropped: EventId(0),
            complete: EventId(0),
            reserved: EventId(0),
            newest: EventId(0),
            salt: fastrand::u32(..),
            clean: false,
            sealed: false,
            is_old: false,
        }
    }

    pub(super) fn encode(&self) -> [u8; LENGTH] {
        let numbers = [
            self.turn,
            self.start,
            self.synced,
            self.dropped.0,
            self.complete.0,
            self.reserved.0,
            self.newest.0,
        ];
        let mut bytes = [0; LENGTH];
        bytes[..16].copy_from_slice(MAGIC);
        for (place, number) in bytes[16..72].as_chunks_mut().0.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        bytes[72..76].copy_from_slice(&self.salt.to_le_bytes());
        bytes[76] = u8::from(self.clean) | if self.sealed { SEALED } else { 0 };
        let checksum = crc32fast::hash(&bytes[..77]);
        bytes[77..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `None` when these bytes are no header as it was written.
    pub(super) fn decode(bytes: &[u8; LENGTH]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk()?;
        if crc32fast::hash(content) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let (magic, rest) = content.split_first_chunk::<16>()?;
        let (numbers, rest) = rest.split_first_chunk::<56>()?;
        let (salt, rest) = rest.split_first_chunk::<4>()?;
        let rest: &[u8; 1] = rest.first_chunk()?;
        let mut numbers = numbers.as_chunks().0.iter().map(|n| u64::from_le_bytes(*n));
        let mut next = || numbers.next();
        let header = Self {
            turn: next()?,
            start: next()?,
            synced: next()?,
            dropped: EventId(next()?),
            complete: EventId(next()?),
            reserved: EventId(next()?),
            newest: EventId(next()?),
            salt: u32::from_le_bytes(*salt),
            clean: rest[0] & CLEAN != 0,
            sealed: rest[0] & SEALED != 0,
            is_old: magic == OLD_MAGIC,
        };
        // A right checksum is no proof of sense.
        let offsets = (DATA..FAR).contains(&header.start) && header.synced < FAR;
        let ids = [
            header.dropped,
            header.complete,
            header.reserved,
            header.newest,
        ];
        let ids = ids.iter().all(|id| id.0 < EventId::END);
        let sound = offsets && ids && header.turn < FAR;
        ((magic == MAGIC || header.is_old) && sound).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn ids_that_no_id_can_be_are_no_header() {
        let mut header = Header::fresh();
        header.start = DATA;
        for id in [EventId::END, u64::MAX] {
            for field in 0..4 {
                let mut wrong = header;
                let fields = [
                    &mut wrong.dropped,
                    &mut wrong.complete,
                    &mut wrong.reserved,
                    &mut wrong.newest,
                ];
                for (place, value) in fields.into_iter().enumerate() {
                    if place == field {
                        *value = EventId(id);
                    }
                }
                assert_eq!(Header::decode(&wrong.encode()), None);
            }
        }
        assert_eq!(Header::decode(&header.encode()), Some(header));
    }

    #[test]
    fn a_header_is_read_as_written_or_not_at_all() {
        let header = Header {
            turn: 1,
            start: DATA + 2,
            synced: 3,
            dropped: EventId(4),
            complete: EventId(5),
            reserved: EventId(6),
            newest: EventId(7),
            salt: 8,
            clean: true,
            sealed: true,
            is_old: false,
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes).unwrap(), header);
        for bit in 0..LENGTH * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&flipped), None);
        }
    }
}
