//! Overload, a full disk, and `kill -9`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::*;

/// The limits of a history for which the disk is full.
const MANY: Limits = Limits {
    count: 20_000,
    ..PLENTY
};

/// Tells a child process of a test what to do.
const PATH: &str = "HASSES_ARCHIVE_TEST";

#[test]
fn what_finds_no_room_is_a_hole() {
    let place = Place::new("hole");
    let base = now() + 1_000_000;
    let kept: Vec<_> = (0..20).map(|n| record(base + n, "x")).collect();
    let limits = Limits {
        bytes: 10 * kept[0].bytes(),
        ..PLENTY
    };
    live(open(&place.file(), limits).0, async |handle| {
        handle.keep(&kept[0]);
        until(|| handle.waiting() == 0).await;
        // Nobody takes any while these come: there is room for the last ten.
        kept[1..=15].iter().for_each(|record| handle.keep(record));
        assert_eq!(handle.lost(), 5);
        until(|| handle.waiting() == 0).await;
        kept[16..].iter().for_each(|record| handle.keep(record));
    });
    let recovered = open(&place.file(), limits).1;
    assert!(recovered.clean);
    assert_eq!(recovered.since, kept[5].id);
    same(&recovered.records, &[&kept[..1], &kept[6..]].concat());
}

#[test]
fn a_hole_is_not_forgotten() {
    let place = Place::new("end");
    let kept: Vec<_> = (0..20)
        .map(|n| record(now() + 1_000_000 + n, "x"))
        .collect();
    let limits = Limits {
        bytes: 10 * kept[0].bytes(),
        ..PLENTY
    };
    keep(&place.file(), limits, &kept);
    for _ in 0..2 {
        let (archive, recovered) = open(&place.file(), limits);
        assert!(recovered.clean);
        assert_eq!(recovered.since, kept[9].id);
        same(&recovered.records, &kept[10..]);
        live(archive, async |_| {});
    }
}

/// Runs one test of this program in a process of its own, with SIGXFSZ ignored.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg(format!("archive::tests::faults::{test}"))
        .env(PATH, path);
    command
}

fn path() -> Option<PathBuf> {
    env::var_os(PATH).map(PathBuf::from)
}

/// No file of this process may be longer, as on a disk that is full.
fn allow(bytes: u64) {
    let hard = getrlimit(Resource::RLIMIT_FSIZE).unwrap().1;
    setrlimit(Resource::RLIMIT_FSIZE, bytes.min(hard), hard).unwrap();
}

#[test]
fn a_full_disk_stops_nobody_and_is_written_again() {
    let place = Place::new("full");
    let status = child("the_disk_is_full", &place.file()).output().unwrap();
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stderr)
    );
    let recovered = open(&place.file(), MANY).1;
    assert!(recovered.clean);
    // Behind what was lost nothing is missing.
    let ids = recovered.records.iter().map(|record| record.id.0);
    let ids: Vec<u64> = ids.filter(|id| *id > recovered.since.0).collect();
    assert!(
        ids.iter()
            .copied()
            .eq(recovered.since.0 + 1..=recovered.floor.0)
    );
    assert_eq!(ids.len(), MANY.count + 1000);
}

#[test]
fn the_disk_is_full() {
    let Some(path) = path() else { return };
    let base = now() + 1_000_000;
    let data = "x".repeat(1000);
    let mut next = base;
    let mut keep = |handle: &Handle, count| {
        for _ in 0..count {
            handle.keep(&record(next, &data));
            next += 1;
        }
    };
    live(open(&path, MANY).0, async |handle| {
        keep(&handle, 10);
        let size = || fs::metadata(&path).unwrap().len();
        until(|| size() > header::DATA).await;
        let full = size() + 100;
        allow(full);
        keep(&handle, 1000);
        until(|| size() == full).await;
        // Space comes back before any was lost.
        allow(u64::MAX);
        until(|| left(&path, MANY).records.len() == 1010).await;
        assert_eq!(handle.lost(), 0);
        // Now it does not, for long.
        let full = size() + 100;
        allow(full);
        keep(&handle, 10);
        until(|| size() == full).await;
        keep(&handle, MANY.count as u64 + 1000);
        assert_eq!(handle.lost(), 1000);
        allow(u64::MAX);
        until(|| handle.waiting() == 0).await;
        keep(&handle, 1000);
    });
}

#[test]
fn after_a_kill_only_the_last_second_is_missing_and_no_id_comes_again() {
    let place = Place::new("kill");
    let mut floor = 0;
    for round in 1..=6 {
        let mut child = Running::start(child("events_without_end", &place.file()));
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut seen: Vec<(Instant, u64)> = Vec::new();
        while seen.len() < 40 * round {
            let line = lines.next().unwrap().unwrap();
            if let Some(id) = line.strip_prefix("id ") {
                seen.push((Instant::now(), id.parse().unwrap()));
            }
        }
        child.0.kill().unwrap();
        let killed = Instant::now();
        child.0.wait().unwrap();
        let rest = lines.map_while(Result::ok);
        let last = rest
            .filter_map(|line| line.strip_prefix("id ")?.parse().ok())
            .last();
        let last = last.unwrap_or(seen[seen.len() - 1].1);
        assert!(seen[0].1 > floor);

        let (archive, recovered) = Archive::open(&place.file(), SMALL).unwrap();
        drop(archive);
        assert!(!recovered.clean && recovered.floor.0 > last);
        assert!(place.others().is_empty(), "{:?}", recovered.notes);
        let ids: Vec<_> = recovered.records.iter().map(|record| record.id.0).collect();
        // The process before gave out no more after the last that it wrote down.
        assert!(
            ids.windows(2)
                .all(|pair| pair[1] == pair[0] + 1 || pair[1] > floor)
        );
        for record in &recovered.records {
            assert!(record.publication.data.starts_with(&record.id.to_string()));
        }
        let early = seen
            .iter()
            .rfind(|(at, _)| killed - *at > Duration::from_secs(1));
        assert!(early.is_none_or(|(_, id)| ids.last() >= Some(id)));
        floor = recovered.floor.0;
    }
}

const SMALL: Limits = Limits {
    count: 2000,
    bytes: 1 << 20,
    age: Duration::from_secs(3600),
};

#[test]
fn events_without_end() {
    let Some(path) = path() else { return };
    let (archive, recovered) = Archive::open(&path, SMALL).unwrap();
    let filling = "x".repeat(400);
    let mut next = recovered.floor.0 + 1;
    let mut out = std::io::stdout();
    live(archive, async |handle| {
        loop {
            while handle.waiting() < 1000 {
                assert!(EventId(next) <= handle.reserved());
                handle.keep(&record(next, &format!("{next} {filling}")));
                next += 1;
            }
            writeln!(out, "id {}", next - 1).unwrap();
            Timer::after(Duration::from_millis(1)).await;
        }
    });
}

/// A process that does not outlive the test.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::piped()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
