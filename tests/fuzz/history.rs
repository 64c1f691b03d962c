//! History files that were damaged, or made by someone else.
//!
//! The kept inputs have both copies of the header one after the other and then the frames, without
//! the empty space between, so that changes hit what means something.

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs, process};

use hasses_actors::Failure;
use hasses_actors::inside::Archive;
use hasses_actors::model::Limits;
use hasses_actors::model::{EventId, Record};

use crate::engine::{assert_safe, corpus};

/// The bytes of one copy of the header, its checksum included.
const HEADER: usize = 81;
/// The room that a copy has in the file.
const BLOCK: usize = 4096;
/// How a history file of any version begins.
const MAGIC: &[u8] = b"hasses history ";
/// Where the salt stands in a header.
const SALT: std::ops::Range<usize> = 72..76;

/// A directory of its own, gone afterwards.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("hasses-fuzz-{}-{name}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// What is recovered of a file with this content, or why it cannot be used.
    fn open(&self, input: &[u8]) -> Result<Vec<Record>, Failure> {
        let path = self.0.join("history");
        fs::write(&path, file(input)).unwrap();
        let limits = Limits {
            count: 1000,
            bytes: 1 << 20,
            // The kept events never become too old.
            age: Duration::from_secs(1000 * 365 * 86400),
        };
        let opened = Archive::open(&path, limits).map(|(_, recovered)| recovered);
        // The file and what was set aside.
        for entry in fs::read_dir(&self.0).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let recovered = opened?;
        let ids: Vec<_> = recovered.records.iter().map(|record| record.id).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
        assert!(
            ids.iter()
                .all(|id| *id <= recovered.floor && id.0 < EventId::END)
        );
        Ok(recovered.records)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A second panic would hide the first.
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

/// The file that an input stands for.
fn file(input: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    for (part, end) in [(0..HEADER, BLOCK), (HEADER..2 * HEADER, 2 * BLOCK)] {
        file.extend_from_slice(&input[part.start.min(input.len())..part.end.min(input.len())]);
        if input.len() > part.end {
            file.resize(end, 0);
        }
    }
    file.extend_from_slice(input.get(2 * HEADER..).unwrap_or_default());
    file
}

/// Where each frame of an input stands, as far as there are whole ones.
fn frames(input: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut frames = Vec::new();
    let mut start = 2 * HEADER;
    while let Some(length) = input.get(start..).and_then(|rest| rest.first_chunk()) {
        let end = start + 8 + u32::from_le_bytes(*length) as usize;
        if end > input.len() {
            break;
        }
        frames.push(start..end);
        start = end;
    }
    frames
}

/// Every event that a kept input has in it, also one that would not be recovered.
pub(crate) fn written(place: &Place) -> Vec<Record> {
    let alone = |input: &Vec<u8>| -> Vec<Record> {
        let frame = |frame: std::ops::Range<usize>| {
            place
                .open(&[&input[..2 * HEADER], &input[frame]].concat())
                .unwrap()
        };
        frames(input).into_iter().flat_map(frame).collect()
    };
    let written: Vec<_> = corpus(&["history"]).iter().flat_map(alone).collect();
    assert!(written.len() > 20);
    written
}

/// Of a damaged file only what was written is recovered, in its order. A file that does not begin
/// as a history file may be refused: it may be somebody else's.
pub(crate) fn damaged(place: &Place, written: &[Record], input: &[u8]) {
    match place.open(input) {
        Ok(records) => {
            for record in records {
                assert!(written.contains(&record), "{record:?} was never written");
            }
        }
        Err(Failure(text)) => {
            let begins = &input[..MAGIC.len().min(input.len())];
            assert!(!MAGIC.starts_with(begins), "{text}");
            assert!(text.contains("is no history file"), "{text}");
            assert_safe(&text);
        }
    }
}

/// A file whose checksums are right, whatever else is in it, is read or refused by its name.
pub(crate) fn forged(place: &Place, input: &[u8]) {
    let mut input = input.to_vec();
    let Some((headers, _)) = input.split_at_mut_checked(2 * HEADER) else {
        return;
    };
    for header in headers.chunks_mut(HEADER) {
        let sum = crc32fast::hash(&header[..HEADER - 4]);
        header[HEADER - 4..].copy_from_slice(&sum.to_le_bytes());
    }
    let salt = headers[SALT].to_vec();
    for frame in frames(&input) {
        let frame = &mut input[frame];
        let mut sum = crc32fast::Hasher::new();
        for part in [&salt, &frame[..4], &frame[8..]] {
            sum.update(part);
        }
        frame[4..8].copy_from_slice(&sum.finalize().to_le_bytes());
    }
    if let Err(Failure(text)) = place.open(&input) {
        assert!(text.starts_with("history file "));
        assert_safe(&text);
    }
}
