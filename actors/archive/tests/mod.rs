#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod damage;
mod faults;
mod limits;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, process};

use async_io::Timer;

use super::*;
use crate::model::mercure::{Draft, Update};
use crate::model::publication::Targets;
use crate::model::{ClientId, Limits, Publication, Target, Token};

const PLENTY: Limits = Limits {
    count: 1_000_000,
    bytes: 1 << 30,
    age: Duration::from_secs(3600),
};

/// A directory of its own for one test, gone afterwards.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("hasses-archive-{}-{name}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("history")
    }

    /// The names of all files but the history's.
    fn others(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "history")
            .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

fn record(id: u64, data: &str) -> Rc<Record> {
    Rc::new(Record {
        id: EventId(id),
        at: SystemTime::UNIX_EPOCH + Duration::from_micros(now()),
        publication: Publication::new(Target::Token(token("room1")), data),
        recipients: 0,
    })
}

fn now() -> u64 {
    frame::micros(SystemTime::now())
}

/// Opens a file; no note is expected.
fn open(path: &Path, limits: Limits) -> (Archive, Recovered) {
    let (archive, recovered) = Archive::open(path, limits).unwrap();
    assert_eq!(recovered.notes, Vec::<String>::new());
    (archive, recovered)
}

/// Lets the archive live until the story is told, and stop.
fn live<S: Future<Output = ()>>(mut archive: Archive, story: impl FnOnce(Handle) -> S) {
    archive.pause = Duration::from_millis(1);
    let (handle, mailbox) = archive.mailbox();
    let (guard, stop) = runtime::cancellation();
    let told = story(handle);
    let story = async {
        told.await;
        drop(guard);
    };
    let (outcome, ()) = async_io::block_on(zip(archive.run(mailbox, stop), story));
    assert_eq!(outcome, Ok(()));
}

/// Keeps records and stops cleanly.
fn keep(path: &Path, limits: Limits, records: &[Rc<Record>]) {
    live(open(path, limits).0, async |handle| {
        records.iter().for_each(|record| handle.keep(record));
    });
}

/// What a file has that was left as it is at this moment.
fn left(path: &Path, limits: Limits) -> Recovered {
    let copy = path.with_extension("copy");
    // In one go from the beginning, as the header must not be newer than the frames.
    fs::write(&copy, fs::read(path).unwrap()).unwrap();
    let recovered = Archive::open(&copy, limits).unwrap().1;
    fs::remove_file(&copy).unwrap();
    recovered
}

async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        Timer::after(Duration::from_millis(1)).await;
    }
}

/// The bytes of a record's frame.
fn length_of(record: &Record) -> usize {
    let mut frame = Vec::new();
    frame::put_record(record, 0, &mut frame);
    frame.len()
}

fn same(recovered: &[Record], kept: &[Rc<Record>]) {
    assert_eq!(recovered.len(), kept.len());
    assert!(recovered.iter().zip(kept).all(|(a, b)| *a == **b));
}

/// Records of every kind.
fn kinds() -> Vec<Rc<Record>> {
    let several = [
        Target::Token(token("a b-c")),
        Target::Prefix(token("é")),
        Target::All,
    ];
    let full = Publication {
        to: Targets::Many(several.into()),
        except: Some(ClientId::new("r*7").unwrap()),
        event: Some("tick".into()),
        data: "a\r\nb;c=d\0".into(),
        retain: true,
        private: Some(true),
        key: Some("k\x001".into()),
        update: None,
    };
    let all = Publication {
        event: Some("x".repeat(255).into()),
        ..Publication::new(Target::All, "")
    };
    let prefix = Publication {
        except: Some(ClientId::new(&"y".repeat(255)).unwrap()),
        ..Publication::new(Target::Prefix(token("pre")), "z".repeat(100_000))
    };
    let plain = Publication::new(Target::Token(token(&"t".repeat(255))), "é\n");
    let topic = |text: &str| Target::Token(Token::of_topic(text).unwrap());
    let update = Publication {
        to: Targets::Many([topic(&"u".repeat(4096)), topic("https://e/*"), Target::All].into()),
        event: Some("type".into()),
        private: Some(true),
        update: Some(Box::new(Update {
            id: Some("urn:x".into()),
            retry: Some(5),
            draft: Draft::Eight,
            about_subscription: false,
        })),
        ..Publication::new(Target::All, "\n")
    };
    let about = Publication {
        update: Some(Box::new(Update {
            about_subscription: true,
            ..Update::new(Draft::Seven)
        })),
        ..Publication::new(topic("a"), "b")
    };
    let of = |(n, publication)| {
        Rc::new(Record {
            id: EventId(1_000 + n),
            at: SystemTime::UNIX_EPOCH + Duration::from_micros(now() - 10 + n),
            publication,
            recipients: 0,
        })
    };
    (0..)
        .zip([full, all, prefix, plain, update, about])
        .map(of)
        .collect()
}

#[test]
fn a_clean_stop_loses_nothing() {
    let place = Place::new("clean");
    let kept = kinds();
    let (archive, fresh) = open(&place.file(), PLENTY);
    assert!(!fresh.clean && fresh.records.is_empty());
    assert_eq!(fresh.floor, fresh.since);
    let since = fresh.since;
    live(archive, async |handle| {
        kept.iter().for_each(|record| handle.keep(record));
        handle.given_out(EventId(since.0 + 5));
    });
    let (_archive, again) = open(&place.file(), PLENTY);
    same(&again.records, &kept);
    assert!(again.clean);
    assert_eq!((again.floor, again.since), (EventId(since.0 + 5), since));
}

#[test]
fn histories_join_over_several_lives() {
    let place = Place::new("lives");
    let kept: Vec<_> = (1..=30).map(|n| record(n, "x")).collect();
    for (life, part) in kept.chunks(10).enumerate() {
        let (archive, recovered) = open(&place.file(), PLENTY);
        assert_eq!(recovered.clean, life > 0);
        same(&recovered.records, &kept[..life * 10]);
        live(archive, async |handle| {
            part.iter().for_each(|r| handle.keep(r))
        });
    }
}

#[test]
fn events_reach_the_file_without_a_stop() {
    let place = Place::new("unclean");
    let kept = kinds();
    live(open(&place.file(), PLENTY).0, async |handle| {
        let begun = Instant::now();
        kept.iter().for_each(|record| handle.keep(record));
        let arrived = || left(&place.file(), PLENTY).records.len() == kept.len();
        until(arrived).await;
        assert!(begun.elapsed() < Duration::from_secs(1));
        let killed = left(&place.file(), PLENTY);
        same(&killed.records, &kept);
        assert!(!killed.clean);
        assert_eq!(killed.floor, handle.reserved());
        assert_eq!(killed.since, killed.floor);
    });
}

#[test]
fn ids_are_reserved_ahead_and_beyond_what_was_given_out() {
    let place = Place::new("reserve");
    let (archive, recovered) = open(&place.file(), PLENTY);
    let first = archive.mailbox().0.reserved();
    assert!(first.0 >= recovered.floor.0 + RESERVE.as_micros() as u64);
    // The clock was far ahead and goes back.
    let future = EventId(now() + 3_600_000_000);
    live(archive, async |handle| {
        handle.given_out(future);
        until(|| handle.reserved() > future).await;
        let killed = left(&place.file(), PLENTY);
        assert_eq!(killed.floor, handle.reserved());
    });
    let (archive, recovered) = open(&place.file(), PLENTY);
    assert!(recovered.clean);
    assert_eq!(recovered.floor, future);
    assert!(archive.mailbox().0.reserved() > future);
}

#[test]
fn no_id_is_reserved_beyond_the_last() {
    assert_eq!(
        syncer::ahead(EventId(EventId::END - 1)),
        EventId(EventId::END - 1)
    );
}

#[test]
fn a_file_is_for_one_daemon_alone() {
    let place = Place::new("lock");
    let first = open(&place.file(), PLENTY);
    let Err(refused) = Archive::open(&place.file(), PLENTY) else {
        panic!("two daemons on one file");
    };
    let name = place.file().display().to_string();
    assert_eq!(
        refused.0,
        format!("history file {name}: another daemon uses it")
    );
    drop(first);
    open(&place.file(), PLENTY);
    let mode = fs::metadata(place.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
}

#[test]
fn a_path_that_cannot_be_a_file_is_refused_by_name() {
    let place = Place::new("paths");
    let missing = place.0.join("none/history");
    for path in [&place.0, &missing, Path::new("/dev/null")] {
        let Err(refused) = Archive::open(path, PLENTY) else {
            panic!("{} is no file", path.display());
        };
        assert!(refused.0.contains(&path.display().to_string()), "{refused}");
    }
}
