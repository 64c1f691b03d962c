//! Opening the history file, and making the best of the state it is in.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use chrono::Local;

use super::handle::Shared;
use super::header::{DATA, Header};
use super::recovery::{self, Found};
use super::store::Store;
use super::window::Window;
use super::{Archive, PAUSE, Recovered, UNKNOWN, frame, syncer};

use crate::model::{EventId, Limits, Record, Target};
use crate::runtime::Failure;

impl Archive {
    /// Opens the file, or makes it with mode 0640, for this daemon alone, and reads it. It waits for
    /// the disk, so it belongs before the start. A torn tail is cut; a damaged file is set aside under
    /// another name, and what could be read of it goes into a new one.
    ///
    /// # Errors
    /// The path can be neither opened nor made, is no regular file, is a file of another kind, is used by another daemon, cannot
    /// be read or written, or has no history in it and cannot be set aside; the text names it.
    pub fn open(path: &Path, limits: Limits) -> Result<(Self, Recovered), Failure> {
        let mut opening = Opening {
            path,
            limits,
            now: frame::micros(SystemTime::now()),
            notes: Vec::new(),
        };
        let store = Store::open(path)?;
        let state = match opening.read(&store)? {
            Some((header, found)) => opening.resume(store, header, found)?,
            None if store.is_new() => opening.begin(store, Duration::ZERO),
            None if store.length().is_ok_and(|length| length == 0) => {
                opening.note(&"it was there and is empty: if it had events, they are lost");
                opening.begin(store, UNKNOWN)
            }
            None if !store.is_ours() => {
                return Err(opening.failure(
                    &"it is there, and is no history file: it was left as it is; give the path of a \
                      history file, or of none",
                ));
            }
            None => {
                let fresh = opening.set_aside("has no header that can be read")?;
                opening.begin(fresh, UNKNOWN)
            }
        };
        opening.finish(state)
    }
}

struct Opening<'a> {
    path: &'a Path,
    limits: Limits,
    /// Microseconds since 1970.
    now: u64,
    notes: Vec<String>,
}

/// What to start with.
struct State {
    store: Store,
    /// As it is to be written, but for what every start changes.
    header: Header,
    window: Window,
    /// Frames that the file does not have.
    pending: Vec<u8>,
    records: Vec<Record>,
    marks: Vec<(Target, EventId)>,
    floor: EventId,
    clean: bool,
}

impl Opening<'_> {
    fn failure(&self, error: &dyn Display) -> Failure {
        Failure(format!("history file {}: {error}", self.path.display()))
    }

    fn note(&mut self, text: &dyn Display) {
        let note = self.failure(text).0;
        self.notes.push(note);
    }

    /// What the file says, if it has a header.
    fn read(&mut self, store: &Store) -> Result<Option<(Header, Found)>, Failure> {
        let (Some(header), copies) = store.header() else {
            return Ok(None);
        };
        if copies == 1 {
            self.note(&"one of the two copies of its header was damaged, the other is used");
        }
        let read = || {
            let frames = || store.frames(header.start);
            recovery::read(frames, store.length()?, &header, self.limits)
        };
        let found = read().map_err(|error| self.failure(&error))?;
        Ok(Some((header, found)))
    }

    /// A file that begins anew: no earlier id is known. Ids begin so far `ahead` of the clock.
    fn begin(&self, store: Store, ahead: Duration) -> State {
        let floor = self.now + ahead.as_micros() as u64;
        let floor = EventId(floor.min(EventId::END - 1));
        State {
            store,
            header: Header {
                complete: floor,
                ..Header::fresh()
            },
            window: Window::new(EventId(0), DATA),
            pending: Vec::new(),
            records: Vec::new(),
            marks: Vec::new(),
            floor,
            clean: false,
        }
    }

    /// The file as it was left, up to where it is sound.
    fn resume(&mut self, store: Store, header: Header, found: Found) -> Result<State, Failure> {
        let end = found.window.end();
        let length = store.length().unwrap_or(end);
        let lacking = end < header.synced;
        // The end of what was on the disk is missing, and what is there is sound.
        let torn = found.torn && length < header.synced;
        let damaged = lacking && !torn;
        let clean = header.clean && !lacking;
        let known = if clean {
            header.newest
        } else {
            header.reserved
        };
        let floor = known.max(found.newest);
        let complete = if clean {
            header.complete.max(found.window.missing())
        } else {
            floor
        };
        let mut state = State {
            store,
            header: Header { complete, ..header },
            window: found.window,
            pending: Vec::new(),
            records: found.records.into_iter().collect(),
            marks: found.marks,
            floor,
            clean,
        };
        if damaged {
            match self.set_aside(&format!("is damaged at byte {end}")) {
                Ok(fresh) => return Ok(self.carry_over(state, fresh)),
                Err(failure) => self.notes.push(failure.0),
            }
        }
        if lacking && length <= end {
            self.note(&"its end was cut off");
        }
        if length > end {
            let cut = length - end;
            if !header.sealed {
                self.note(&format!(
                    "{cut} bytes at its end were no whole event, and were cut off"
                ));
            }
            state.store.cut(end).map_err(|error| self.failure(&error))?;
        }
        state.header.synced = end;
        Ok(state)
    }

    /// A new file with what was read of a damaged one.
    fn carry_over(&mut self, old: State, store: Store) -> State {
        let header = Header {
            complete: old.header.complete,
            ..Header::fresh()
        };
        let mut window = Window::new(old.window.missing(), DATA);
        let mut pending = Vec::new();
        frame::put_base(header.salt, &mut pending);
        for (target, id) in &old.marks {
            frame::put_mark(target, *id, header.salt, &mut pending);
        }
        frame::put_hole(old.window.missing(), header.salt, &mut pending);
        for record in &old.records {
            frame::put_record(record, header.salt, &mut pending);
        }
        window.push(pending.len());
        self.note(&format!("{} events were recovered", old.records.len()));
        State {
            store,
            header,
            window,
            pending,
            ..old
        }
    }

    /// Says in the file that a daemon runs, and reserves its first ids.
    fn finish(mut self, state: State) -> Result<(Archive, Recovered), Failure> {
        let shared = Shared::new(state.floor, self.limits, state.header.salt);
        shared.size.set(state.window.size());
        let mut header = Header {
            turn: state.header.turn + 1,
            reserved: syncer::ahead(state.floor),
            clean: false,
            sealed: false,
            is_old: false,
            ..state.header
        };
        match state.store.write_header(&header) {
            Ok(()) => shared.reserved.set(header.reserved),
            // The old header would lie to the next start.
            Err(error) if state.header.turn > 0 => return Err(self.failure(&error)),
            Err(error) => {
                self.note(&format!("{error}; it will be tried again"));
                header.reserved = EventId(0);
            }
        }
        let recovered = Recovered {
            records: state.records,
            marks: state.marks,
            floor: state.floor,
            since: header.complete,
            clean: state.clean,
            notes: self.notes,
        };
        let archive = Archive {
            name: self.path.display().to_string().into(),
            store: state.store,
            header,
            window: state.window,
            pending: state.pending,
            shared: Rc::new(shared),
            pause: PAUSE,
        };
        Ok((archive, recovered))
    }

    /// Moves the file away and makes a new one in its place.
    fn set_aside(&mut self, what: &str) -> Result<Store, Failure> {
        let aside = free_name(self.path);
        fs::rename(self.path, &aside).map_err(|error| {
            let aside = aside.display();
            self.failure(&format!(
                "it {what}, and cannot be set aside as {aside}: {error}"
            ))
        })?;
        self.note(&format!(
            "it {what}, and was set aside as {}",
            aside.display()
        ));
        Store::open(self.path)
    }
}

/// `PATH.damaged-TIME`, with a number behind it if there is one already.
fn free_name(path: &Path) -> PathBuf {
    let time = Local::now().format("%Y%m%d-%H%M%S");
    let name = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{time}{suffix}"));
        PathBuf::from(name)
    };
    let mut aside = name("");
    let mut n = 1;
    while fs::symlink_metadata(&aside).is_ok() {
        n += 1;
        aside = name(&format!("-{n}"));
    }
    aside
}
