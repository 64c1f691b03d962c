//! What is kept, and how large the file gets.

use std::collections::VecDeque;

use super::*;

/// A history as simple as can be: the last `count` events, and one from the beginning.
struct Last {
    handle: Handle,
    first: Rc<Record>,
    kept: VecDeque<Rc<Record>>,
    bytes: usize,
    count: usize,
    /// What is to be copied.
    copies: Option<VecDeque<Rc<Record>>>,
    largest: u64,
    path: PathBuf,
}

impl Last {
    fn new(handle: Handle, path: &Path, count: usize, first: Rc<Record>) -> Self {
        handle.keep(&first);
        Self {
            handle,
            bytes: length_of(&first),
            first,
            kept: VecDeque::new(),
            count,
            copies: None,
            largest: 0,
            path: path.into(),
        }
    }

    /// Keeps one more, and goes on with copies.
    fn keep(&mut self, record: Rc<Record>) {
        self.handle.keep(&record);
        self.bytes += length_of(&record);
        self.kept.push_back(record);
        if self.kept.len() > self.count {
            self.bytes -= self.kept.pop_front().map_or(0, |record| length_of(&record));
        }
        if self.handle.wants_copies(self.bytes as u64) {
            self.handle.begin_copies();
            self.copies = Some(
                [&self.first]
                    .into_iter()
                    .chain(&self.kept)
                    .cloned()
                    .collect(),
            );
        }
        let Some(copies) = &mut self.copies else {
            return;
        };
        let mut portion = Vec::new();
        for copy in copies.drain(..copies.len().min(3)) {
            // It may have gone meanwhile.
            if self.kept.contains(&copy) || copy == self.first {
                self.handle.copy(&copy, &mut portion);
            }
        }
        self.handle.hand_over(portion);
        if copies.is_empty() {
            let mut marks = Vec::new();
            self.handle.copy_mark(&Target::All, EventId(7), &mut marks);
            self.handle.hand_over(marks);
            self.handle.end_copies();
            self.copies = None;
        }
    }

    async fn rest(&mut self) {
        while self.handle.waiting() > 50 {
            futures_lite::future::yield_now().await;
        }
        self.largest = self.largest.max(fs::metadata(&self.path).unwrap().len());
    }

    /// Waits until what is recovered has everything that is kept, in order. A look may come while all is
    /// moved in the file, which a kill would not see half done.
    async fn is_there(&self) {
        let kept: Vec<_> = [&self.first].into_iter().chain(&self.kept).collect();
        let has_all = || {
            let recovered = left(&self.path, PLENTY);
            let ids: Vec<EventId> = recovered.records.iter().map(|record| record.id).collect();
            let found = kept.iter().all(|record| {
                let at = ids.binary_search(&record.id);
                at.is_ok_and(|at| recovered.records[at] == ***record)
            });
            found && ids.is_sorted_by(|a, b| a < b)
        };
        let begun = Instant::now();
        until(|| has_all() || begun.elapsed() > Duration::from_secs(20)).await;
        assert!(has_all());
    }
}

#[test]
fn a_kept_event_survives_thousands_that_are_let_go_and_the_file_stays_small() {
    let place = Place::new("last");
    let path = place.file();
    let (count, data) = (300, "x".repeat(1000));
    let base = now() + 1_000_000;
    for life in 0..3 {
        let (archive, _) = open(&path, PLENTY);
        live(archive, async |handle| {
            let first = record(base + life * 100_000, "the first");
            let mut last = Last::new(handle, &path, count, first);
            for n in 1..10_000 {
                last.keep(record(base + life * 100_000 + n, &data));
                last.rest().await;
                if n % 1500 == 0 {
                    until(|| last.handle.waiting() == 0).await;
                    last.is_there().await;
                }
            }
            let kept = last.bytes as u64;
            assert!(
                last.largest < 3 * kept + 300_000,
                "{} for {kept}",
                last.largest
            );
            until(|| last.handle.waiting() == 0).await;
            Timer::after(Duration::from_millis(150)).await;
            let size = fs::metadata(&path).unwrap().len();
            assert!(size < 2 * kept + 100_000, "{size} for {kept}");
        });
        let recovered = open(&path, PLENTY).1;
        assert!(recovered.clean);
        assert_eq!(
            recovered.records.first().unwrap().publication.data.as_ref(),
            "the first"
        );
        assert!(recovered.marks.contains(&(Target::All, EventId(7))));
    }
}

#[test]
fn copies_that_were_never_finished_count_for_nothing() {
    let place = Place::new("unfinished");
    let kept: Vec<_> = (1..=10).map(|n| record(n * 10, "x")).collect();
    live(open(&place.file(), PLENTY).0, async |handle| {
        kept[..5].iter().for_each(|record| handle.keep(record));
        handle.begin_copies();
        let mut portion = Vec::new();
        kept[..3]
            .iter()
            .for_each(|record| handle.copy(record, &mut portion));
        handle.copy_mark(&Target::All, EventId(7), &mut portion);
        handle.hand_over(portion);
        kept[5..].iter().for_each(|record| handle.keep(record));
    });
    let (archive, recovered) = open(&place.file(), PLENTY);
    same(&recovered.records, &kept);
    assert_eq!(
        recovered.marks,
        [(Target::All, EventId(7))],
        "a mark is true whoever wrote it"
    );
    // And once more, finished now, with what is new among them.
    let more: Vec<_> = (11..=12).map(|n| record(n * 10, "x")).collect();
    live(archive, async |handle| {
        handle.begin_copies();
        let mut portion = Vec::new();
        kept[4..]
            .iter()
            .for_each(|record| handle.copy(record, &mut portion));
        handle.keep(&more[0]);
        handle.copy_mark(&Target::All, EventId(8), &mut portion);
        handle.copy_missing(EventId(5), &mut portion);
        handle.hand_over(portion);
        handle.end_copies();
        handle.keep(&more[1]);
    });
    let recovered = open(&place.file(), PLENTY).1;
    same(&recovered.records, &[&kept[4..], &more[..]].concat());
    assert_eq!(recovered.marks, [(Target::All, EventId(8))]);
    assert!(recovered.clean && recovered.since >= EventId(5));
}

#[test]
fn what_a_slow_disk_lost_is_made_up_for() {
    let place = Place::new("lacks");
    let base = now() + 1_000_000;
    let kept: Vec<_> = (0..20).map(|n| record(base + n, "x")).collect();
    let limits = Limits {
        bytes: 10 * kept[0].bytes(),
        ..PLENTY
    };
    let mut since = EventId(0);
    live(open(&place.file(), limits).0, async |handle| {
        // Nobody takes any while these come.
        kept.iter().for_each(|record| handle.keep(record));
        assert_eq!(handle.lost(), 10);
        until(|| handle.wants_copies(1 << 20)).await;
        handle.begin_copies();
        let mut portion = Vec::new();
        kept[..8]
            .iter()
            .for_each(|record| handle.copy(record, &mut portion));
        handle.hand_over(portion);
        until(|| handle.waiting() == 0).await;
        let mut portion = Vec::new();
        kept[8..]
            .iter()
            .for_each(|record| handle.copy(record, &mut portion));
        handle.hand_over(portion);
        handle.end_copies();
        assert!(!handle.wants_copies(1 << 20));
        since = kept[9].id;
    });
    let recovered = open(&place.file(), limits).1;
    same(&recovered.records, &kept);
    assert!(recovered.since < since, "nothing is missing any more");
}

#[test]
fn a_file_of_the_first_versions_is_read() {
    let place = Place::new("old");
    for (name, records) in [("clean", 3), ("killed", 3)] {
        let bytes = fs::read(format!(
            "{}/../tests/corpus/history/{name}",
            env!("CARGO_MANIFEST_DIR")
        ))
        .unwrap();
        assert!(bytes.starts_with(b"hasses history 1"), "{name}");
        fs::write(place.file(), bytes).unwrap();
        let (archive, recovered) = Archive::open(&place.file(), PLENTY).unwrap();
        let _ = records;
        let old = recovered.records.clone();
        let next = record(recovered.floor.0 + 1, "next");
        live(archive, async |handle| handle.keep(&next));
        let again = open(&place.file(), PLENTY).1;
        assert!(again.clean);
        assert_eq!(again.records[..old.len()], old[..]);
        assert_eq!(again.records[old.len()..], [Record::clone(&next)]);
        assert!(
            fs::read(place.file())
                .unwrap()
                .starts_with(b"hasses history 2")
        );
    }
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
fn a_file_for_much_larger_limits_is_read_in_bounded_memory() {
    let place = Place::new("larger");
    let base = now() + 1_000_000;
    let data = "x".repeat(10_000);
    let kept: Vec<_> = (0..1000).map(|n| record(base + n, &data)).collect();
    keep(&place.file(), PLENTY, &kept);
    let limits = Limits {
        bytes: 500_000,
        ..PLENTY
    };
    let recovered = open(&place.file(), limits).1;
    let bytes: usize = recovered.records.iter().map(Record::bytes).sum();
    assert!((1_900_000..=2_000_000).contains(&bytes), "{bytes}");
    let first = &recovered.records[0];
    assert_eq!(recovered.since.0, first.id.0 - 1);
    assert_eq!(recovered.records.last(), Some(&*kept[999]));
}
