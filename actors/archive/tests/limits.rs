//! What is kept, and how large the file gets.

use super::*;

/// Keeps 1 KiB records under steady load, and gives the largest size that the file was seen to have.
fn press(path: &Path, limits: Limits, count: u64) -> u64 {
    let data = "x".repeat(1024);
    let mut largest = 0;
    live(open(path, limits).0, async |handle| {
        for n in 1..=count {
            while handle.waiting() > 200 {
                largest = largest.max(fs::metadata(path).unwrap().len());
                futures_lite::future::yield_now().await;
            }
            handle.keep(&record(n, &data));
        }
    });
    largest.max(fs::metadata(path).unwrap().len())
}

#[test]
fn the_file_has_at_most_twice_the_bytes() {
    let place = Place::new("bytes");
    let limits = Limits {
        bytes: 1 << 20,
        ..PLENTY
    };
    let largest = press(&place.file(), limits, 20_000);
    assert!(
        largest <= header::DATA + 2 * limits.bytes as u64,
        "{largest}"
    );
    assert!(largest > limits.bytes as u64);
    let recovered = open(&place.file(), limits).1;
    let bytes: usize = recovered.records.iter().map(Record::bytes).sum();
    assert!(bytes <= limits.bytes && bytes > limits.bytes - 2048);
    ends_at(&recovered, 20_000);
}

#[test]
fn the_file_has_at_most_twice_the_count() {
    let place = Place::new("count");
    for count in [1, 7, 500] {
        let limits = Limits { count, ..PLENTY };
        let largest = press(&place.file(), limits, 5_000);
        let frame = frame::length(&record(1, &"x".repeat(1024))).unwrap();
        assert!(
            largest <= header::DATA + 2 * (count * frame) as u64,
            "{largest}"
        );
        let recovered = open(&place.file(), limits).1;
        assert_eq!(recovered.records.len(), count);
        ends_at(&recovered, 5_000);
        fs::remove_file(place.file()).unwrap();
    }
}

/// The records are the last up to `newest`, and just the id before them is no gap.
fn ends_at(recovered: &Recovered, newest: u64) {
    assert!(recovered.clean);
    let first = newest + 1 - recovered.records.len() as u64;
    let ids = recovered.records.iter().map(|record| record.id.0);
    assert!(ids.eq(first..=newest));
}

#[test]
fn what_is_dropped_is_said() {
    let place = Place::new("since");
    let limits = Limits { count: 3, ..PLENTY };
    let base = now() + 1_000_000;
    let kept: Vec<_> = (0..10).map(|n| record(base + 10 * n, "x")).collect();
    keep(&place.file(), limits, &kept);
    let (archive, recovered) = open(&place.file(), limits);
    same(&recovered.records, &kept[7..]);
    assert_eq!(recovered.since, kept[6].id);
    live(archive, async |_| {});
    // The bounds of this start count, not those of the last.
    let recovered = open(&place.file(), Limits { count: 1, ..PLENTY }).1;
    same(&recovered.records, &kept[9..]);
    assert_eq!(recovered.since, kept[8].id);
}

#[test]
fn what_is_too_old_is_not_recovered() {
    let place = Place::new("age");
    let old = Rc::new(Record {
        at: SystemTime::now() - Duration::from_secs(7200),
        ..Record::clone(&record(now() + 1_000_000, "old"))
    });
    let young = record(old.id.0 + 1, "young");
    keep(&place.file(), PLENTY, &[Rc::clone(&old), Rc::clone(&young)]);
    let recovered = open(&place.file(), PLENTY).1;
    same(&recovered.records, &[young]);
    assert_eq!(recovered.since, old.id);
}

#[test]
fn a_clock_that_goes_back_drops_nothing() {
    let place = Place::new("back");
    let young = record(now() + 86_400_000_000, "ahead");
    let ahead = Rc::new(Record {
        at: young.at + Duration::from_secs(86_400),
        ..Record::clone(&young)
    });
    let back = record(ahead.id.0 + 1, "back");
    keep(
        &place.file(),
        PLENTY,
        &[Rc::clone(&ahead), Rc::clone(&back)],
    );
    let recovered = open(&place.file(), PLENTY).1;
    assert_eq!(recovered.floor, back.id);
    same(&recovered.records, &[ahead, back]);
}

#[test]
fn of_a_record_over_the_limit_nothing_before_it_is_kept() {
    let place = Place::new("large");
    let limits = Limits {
        bytes: 1000,
        ..PLENTY
    };
    let base = now() + 1_000_000;
    let (first, large) = (record(base, "x"), record(base + 1, &"x".repeat(1000)));
    let last = record(base + 2, "x");
    for _ in 0..2 {
        // The second time there is a file with some in it.
        let (archive, _) = open(&place.file(), limits);
        live(archive, async |handle| {
            for record in [&first, &large, &last] {
                until(|| handle.waiting() == 0).await;
                handle.keep(record);
            }
        });
        let (archive, recovered) = open(&place.file(), limits);
        drop(archive);
        same(&recovered.records, std::slice::from_ref(&last));
        assert_eq!(recovered.since, large.id);
        fs::remove_file(place.file()).unwrap();
    }
}

#[test]
fn a_frame_counts_for_no_more_than_its_record() {
    for record in kinds() {
        let mut frame = Vec::new();
        frame::put_record(&record, 0, &mut frame);
        assert_eq!(frame::length(&record), Some(frame.len()));
        assert!(frame.len() - frame::FIXED + Record::OVERHEAD <= record.bytes());
    }
}

#[test]
fn limits_may_change_while_it_runs() {
    let place = Place::new("change");
    let base = now() + 1_000_000;
    let kept: Vec<_> = (0..10).map(|n| record(base + n, "x")).collect();
    live(open(&place.file(), PLENTY).0, async |handle| {
        kept[..9].iter().for_each(|record| handle.keep(record));
        handle.set_limits(Limits { count: 2, ..PLENTY });
        handle.keep(&kept[9]);
    });
    let recovered = open(&place.file(), Limits { count: 2, ..PLENTY }).1;
    same(&recovered.records, &kept[8..]);
    assert_eq!(recovered.since, kept[7].id);
}
