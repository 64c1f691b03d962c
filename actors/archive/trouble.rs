//! Says once that writing fails, and once that it works again.

use std::io;
use std::rc::Rc;

use super::handle::Shared;

pub(super) struct Trouble {
    name: Rc<str>,
    failing: bool,
    shared: Rc<Shared>,
}

impl Trouble {
    pub(super) fn new(name: Rc<str>, shared: Rc<Shared>) -> Self {
        Self {
            name,
            shared,
            failing: false,
        }
    }

    /// Takes note of how a write ended; whether it went well.
    pub(super) fn note<T>(&mut self, outcome: io::Result<T>) -> Option<T> {
        let name = &self.name;
        match outcome {
            Ok(done) => {
                if self.failing {
                    log::warn!("history file {name}: it can be written again");
                }
                self.set(false);
                Some(done)
            }
            Err(error) => {
                if !self.failing {
                    log::error!(
                        "history file {name}: {error}; events are delivered, but may not survive a \
                         restart; writing is tried again every second or two"
                    );
                }
                self.set(true);
                None
            }
        }
    }

    fn set(&mut self, failing: bool) {
        if self.failing != failing {
            self.failing = failing;
            self.shared.failing.set(failing);
        }
    }
}
