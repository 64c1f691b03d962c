//! Files that were cut, changed, or are of another kind.

use std::env;
use std::process::Command;

use proptest::prelude::*;

use super::*;

/// The bytes of a file with `records`, as it is after a clean stop, and as it is left by a kill.
fn files(place: &Place, records: &[Rc<Record>]) -> (Vec<u8>, Vec<u8>) {
    let path = place.file();
    let mut killed = Vec::new();
    live(open(&path, PLENTY).0, async |handle| {
        records.iter().for_each(|record| handle.keep(record));
        until(|| left(&path, PLENTY).records.len() == records.len()).await;
        killed = fs::read(&path).unwrap();
    });
    let clean = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    (clean, killed)
}

/// What is recovered of these bytes, and the files that were set aside.
fn recover(place: &Place, bytes: &[u8]) -> (Recovered, Vec<String>) {
    fs::write(place.file(), bytes).unwrap();
    let (archive, recovered) = Archive::open(&place.file(), PLENTY).unwrap();
    drop(archive);
    let others = place.others();
    for name in &others {
        assert!(name.starts_with("history.damaged-"));
        fs::remove_file(place.0.join(name)).unwrap();
    }
    (recovered, others)
}

fn some() -> Vec<Rc<Record>> {
    (1..=6)
        .map(|n| record(n * 10, &"x".repeat(n as usize * 3)))
        .collect()
}

/// How many of the records lie whole within `length` bytes.
fn whole(records: &[Rc<Record>], length: usize) -> usize {
    let mut end = header::DATA as usize;
    let fits = |record: &&Rc<Record>| {
        end += length_of(record);
        end <= length
    };
    records.iter().take_while(fits).count()
}

#[test]
fn a_torn_tail_is_cut_wherever_it_is_torn() {
    let place = Place::new("torn");
    let kept = some();
    let (_, killed) = files(&place, &kept);
    for length in header::DATA as usize..=killed.len() {
        let (recovered, others) = recover(&place, &killed[..length]);
        let count = whole(&kept, length);
        same(&recovered.records, &kept[..count]);
        assert!(others.is_empty() && !recovered.clean);
        let end = kept[..count].iter().map(|record| length_of(record));
        let torn = length - header::DATA as usize - end.sum::<usize>();
        let cut = format!(": {torn} bytes at its end were no whole event, and were cut off");
        assert_eq!(recovered.notes.len(), usize::from(torn > 0));
        assert!(recovered.notes.iter().all(|note| note.ends_with(&cut)));
        assert_eq!(
            fs::metadata(place.file()).unwrap().len() as usize,
            length - torn
        );
    }
}

#[test]
fn a_file_that_lacks_the_end_of_what_was_on_disk_is_no_clean_one() {
    let place = Place::new("short");
    let kept = some();
    let (clean, _) = files(&place, &kept);
    for length in (header::DATA as usize..clean.len()).step_by(7) {
        let (recovered, others) = recover(&place, &clean[..length]);
        let count = whole(&kept, length);
        same(&recovered.records, &kept[..count]);
        assert!(others.is_empty() && !recovered.clean);
        assert!(recovered.floor.0 > 60 && recovered.since == recovered.floor);
        assert!(recovered.notes[0].contains("cut off"), "{recovered:?}");
    }
}

#[test]
fn ids_begin_ahead_where_those_of_a_file_are_unknown() {
    let place = Place::new("unknown");
    let ahead = |bytes: &[u8]| {
        let recovered = recover(&place, bytes).0;
        assert_eq!(recovered.notes.len(), 1, "{recovered:?}");
        recovered.floor.0.saturating_sub(now())
    };
    let most = UNKNOWN.as_micros() as u64;
    let (clean, _) = files(&place, &some());
    let mut scrambled: Vec<u8> = clean.iter().map(|byte| !byte).collect();
    scrambled[..15].copy_from_slice(&clean[..15]);
    assert!((most - 60_000_000..=most).contains(&ahead(&scrambled)));
}

#[test]
fn daemons_that_crash_again_and_again_hardly_move_ids_on() {
    let place = Place::new("crashes");
    open(&place.file(), PLENTY);
    let first = open(&place.file(), PLENTY).1.floor;
    assert!(first.0 <= now() + RESERVE.as_micros() as u64);
    for crash in 1..20 {
        let floor = open(&place.file(), PLENTY).1.floor;
        assert_eq!(floor.0, first.0 + crash * ONES);
    }
}

#[test]
fn what_was_saved_of_a_damaged_file_is_kept_on() {
    let place = Place::new("saved");
    let kept = some();
    let (mut bytes, _) = files(&place, &kept);
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(place.file(), &bytes).unwrap();
    let (archive, recovered) = Archive::open(&place.file(), PLENTY).unwrap();
    // The damaged file is there as it was, under the name that the log tells.
    let [aside] = &place.others()[..] else {
        panic!("{:?}", place.others());
    };
    assert_eq!(fs::read(place.0.join(aside)).unwrap(), bytes);
    assert!(recovered.notes[0].ends_with(aside), "{recovered:?}");
    assert!(recovered.notes[1].ends_with("5 events were recovered"));
    let since = recovered.since;
    let next = record(recovered.floor.0 + 1, "next");
    live(archive, async |handle| handle.keep(&next));
    let recovered = open(&place.file(), PLENTY).1;
    assert!(recovered.clean);
    same(&recovered.records, &[&kept[..5], &[next]].concat());
    assert_eq!(recovered.since, since);
}

#[test]
fn a_file_shorter_than_its_header_is_set_aside_or_lives_on_one_copy() {
    let place = Place::new("headers");
    let (clean, _) = files(&place, &[]);
    for length in [1, 80, 81, 4096, 4176, 4177] {
        let (recovered, others) = recover(&place, &clean[..length]);
        assert_eq!(recovered.records, []);
        let copies = usize::from(length >= 81) + usize::from(length >= 4177);
        assert_eq!(others.len(), usize::from(copies == 0), "{length}");
        assert_eq!(recovered.notes.len(), usize::from(copies < 2), "{length}");
        assert_eq!(recovered.clean, copies > 0);
    }
}

#[test]
fn a_damaged_copy_of_the_header_loses_nothing() {
    let place = Place::new("copy");
    let kept = some();
    let (clean, _) = files(&place, &kept);
    for offset in [20, 4096 + 20] {
        let mut bytes = clean.clone();
        bytes[offset] ^= 0x10;
        let (recovered, others) = recover(&place, &bytes);
        same(&recovered.records, &kept);
        assert!(recovered.clean && others.is_empty() && recovered.notes.len() == 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_are_never_read_as_events(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
        in_frames in any::<bool>(),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let place = Place::new("flips");
        let kept = some();
        let (clean, killed) = FILES.with(|files| files.get_or_init(|| super::damage::files(&place, &kept)).clone());
        for mut bytes in [clean, killed] {
            for (index, flip) in &flips {
                let from = if in_frames { header::DATA as usize } else { 0 };
                let at = from + index.index(bytes.len() - from);
                bytes[at] ^= flip;
            }
            if cut {
                bytes.truncate(length.index(bytes.len()));
            }
            if !b"hasses history ".starts_with(&bytes[..bytes.len().min(15)]) && !bytes[4096.min(bytes.len())..].starts_with(b"hasses history ") {
                // Not to be known for one any more.
                continue;
            }
            let (recovered, _) = recover(&place, &bytes);
            let count = recovered.records.len();
            let written: Vec<_> = some_ids(&recovered);
            prop_assert_eq!(written, (1..=count as u64).map(|n| n * 10).collect::<Vec<_>>());
            for (n, record) in recovered.records.iter().enumerate() {
                prop_assert_eq!(&record.publication, &kept[n].publication);
            }
            prop_assert!(recovered.floor.0 > 60);
        }
    }

    #[test]
    fn a_file_of_another_kind_is_left_as_it_is(bytes in prop::collection::vec(any::<u8>(), 1..10_000)) {
        prop_assume!(!b"hasses history ".starts_with(&bytes[..bytes.len().min(15)]));
        let place = Place::new("any");
        fs::write(place.file(), &bytes).unwrap();
        let refused = Archive::open(&place.file(), PLENTY).map(|_| ()).unwrap_err();
        prop_assert!(refused.0.contains("is no history file"), "{}", refused);
        prop_assert_eq!(fs::read(place.file()).unwrap(), bytes);
        prop_assert_eq!(place.others(), Vec::<String>::new());
    }

    #[test]
    fn any_frames_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let header = Header { start: 0, ..Header::fresh() };
        let length = bytes.len() as u64;
        let found = recovery::read(|| Ok(&bytes[..]), length, &header, PLENTY).unwrap();
        prop_assert_eq!(found.records.len(), 0);
        // A body that its checksum vouches for may still be none.
        let mut frame = Vec::new();
        frame::put_raw(&bytes, header.salt, &mut frame);
        let length = frame.len() as u64;
        prop_assert!(recovery::read(|| Ok(&frame[..]), length, &header, PLENTY).is_ok());
    }
}

thread_local! {
    /// Made once: it takes a while.
    static FILES: std::cell::OnceCell<(Vec<u8>, Vec<u8>)> = const { std::cell::OnceCell::new() };
}

fn some_ids(recovered: &Recovered) -> Vec<u64> {
    recovered.records.iter().map(|record| record.id.0).collect()
}

#[test]
fn a_length_that_is_a_lie_takes_no_memory() {
    // In a process of its own: what the other tests take at the same time is not counted.
    const ALONE: &str = "HASSES_TEST_ALONE";
    if env::var_os(ALONE).is_none() {
        let name = "archive::tests::damage::a_length_that_is_a_lie_takes_no_memory";
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", name])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1 passed"), "{text}");
        return;
    }
    let place = Place::new("sparse");
    let kept = some();
    let (_, killed) = files(&place, &kept);
    fs::write(place.file(), &killed).unwrap();
    let file = fs::File::options().write(true).open(place.file()).unwrap();
    // A frame of 256 MiB, nearly all of it a hole of the file system.
    let salt = fs::read(place.file()).unwrap()[72..76].try_into().unwrap();
    let mut frame = Vec::new();
    frame::put_raw(&[3; 40], u32::from_le_bytes(salt), &mut frame);
    frame[..4].copy_from_slice(&0x1000_0000_u32.to_le_bytes());
    std::os::unix::fs::FileExt::write_all_at(&file, &frame, killed.len() as u64).unwrap();
    file.set_len(killed.len() as u64 + 0x1000_0000 + 8).unwrap();
    // Of limits for which such an event is too long.
    let limits = Limits {
        bytes: 1 << 20,
        ..PLENTY
    };
    let (_, recovered) = Archive::open(&place.file(), limits).unwrap();
    same(&recovered.records, &kept);
    assert!(peak() < 100_000, "{} KiB", peak());
}

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let line = lines.find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
