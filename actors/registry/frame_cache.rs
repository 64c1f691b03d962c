//! Replayed events as they were encoded, so that many streams which come back at once share them.

use std::hash::Hash;
use std::rc::Rc;

use foldhash::HashMap;

use crate::wire::sse::Frame;

/// Bytes of the frames that are held.
const HELD: usize = 2 << 20;
/// What holding one costs besides.
const HELD_EACH: usize = 160;

/// Frames by what tells one from another. They all go when there is no room for the next.
#[derive(Debug)]
pub(super) struct FrameCache<K> {
    frames: HashMap<K, Rc<Frame>>,
    bytes: usize,
}

impl<K> Default for FrameCache<K> {
    fn default() -> Self {
        Self {
            frames: HashMap::default(),
            bytes: 0,
        }
    }
}

impl<K: Eq + Hash> FrameCache<K> {
    /// The frame of this key, made if it is not there.
    pub(super) fn get(&mut self, key: K, make: impl FnOnce(&K) -> Frame) -> Rc<Frame> {
        if let Some(frame) = self.frames.get(&key) {
            return Rc::clone(frame);
        }
        let frame = Rc::new(make(&key));
        let bytes = frame.bytes(true).len() + HELD_EACH;
        if self.bytes + bytes > HELD {
            self.frames = HashMap::default();
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.frames.insert(key, Rc::clone(&frame));
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EventId;

    #[test]
    fn a_frame_is_made_once_and_all_go_when_there_is_no_room() {
        let mut cache = FrameCache::default();
        let mut made = 0;
        let data = "x".repeat(HELD / 4);
        for key in [1, 1, 2, 3, 1, 4, 4, 1] {
            cache.get(key, |_| {
                made += 1;
                Frame::event(EventId(1), None, &data)
            });
        }
        // 1, 2 and 3 have room; the fourth, and the first once more, are made anew.
        assert_eq!(made, 5);
        assert!(cache.bytes <= HELD);
    }
}
