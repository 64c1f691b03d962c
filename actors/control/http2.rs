//! A connection of a publisher's that carries several streams: HTTP/2. Each request is answered by a
//! publisher's actor of its own, which has a place of its own.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;
use futures_lite::FutureExt;

use super::connection::{Broken, Connection};
use super::{Publisher, turn_away};
use crate::http2::{Begun, Carrier, Host, Turn};
use crate::runtime::supervisor::Stage;
use crate::runtime::{Signal, turn};
use crate::wire::http2::request::MOST;

/// How often a silent connection is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Where the streams of a publisher's connection are answered.
struct Streams {
    publisher: Rc<Publisher>,
    /// What tells the actors that they can go on.
    signals: RefCell<Vec<(usize, Rc<Signal>)>>,
    /// The carrier's own.
    carrier: Rc<Signal>,
}

impl Host for Streams {
    fn begin(&self, begun: Begun) {
        let publisher = &self.publisher;
        let (owner, signal) = (begun.id() as usize, Rc::<Signal>::default());
        self.signals.borrow_mut().push((owner, Rc::clone(&signal)));
        let connection = Ok(Connection::channel(begun.open(owner), signal));
        publisher.place.has_whole();
        publisher.place.carries(true);
        let config = publisher.settings.now();
        let (most, guarded) = (config.max_publishers, config.control_secret.is_some());
        let (name, sequencer) = (publisher.name.clone(), publisher.sequencer.clone());
        match publisher.place.another(most, guarded) {
            Some((place, given_up)) => {
                publisher.spawner.temporary(name, Stage::Intake, |stop| {
                    let one = publisher.of_stream(place, stop);
                    one.live(connection, given_up)
                });
            }
            None => publisher
                .spawner
                .temporary(name.clone(), Stage::Intake, |_| {
                    turn_away(Some(connection), name, most, sequencer)
                }),
        }
    }

    fn wake(&self, owner: usize, _readable: bool, _writable: bool) {
        let signals = self.signals.borrow();
        if let Some((_, signal)) = signals.iter().find(|(of, _)| *of == owner) {
            signal.give();
        }
    }

    fn gone(&self, owner: usize) {
        self.signals.borrow_mut().retain(|(of, _)| *of != owner);
        let any = !self.signals.borrow().is_empty();
        self.publisher.place.carries(any);
        self.carrier.give();
    }

    fn is_full(&self) {
        self.carrier.give();
    }
}

/// Answers what comes on a connection's streams until it ends.
pub(super) async fn carry(
    publisher: &Rc<Publisher>,
    connection: &mut Connection,
) -> Result<(), Broken> {
    let Some(socket) = connection.share() else {
        return Ok(());
    };
    let signal = Rc::<Signal>::default();
    let host = Rc::new(Streams {
        publisher: Rc::clone(publisher),
        signals: RefCell::default(),
        carrier: Rc::clone(&signal),
    });
    let mut carrier = Carrier::new(socket, host, connection.take(), MOST);
    let mut stopping = false;
    loop {
        let mut came = false;
        let turned = carrier.turn(|input| {
            let count = connection.add_to(input)?;
            came = count.is_some();
            Ok(count)
        })?;
        match turned {
            Turn::Left | Turn::Finished => return Ok(()),
            // There may be more to read.
            Turn::More | Turn::Waits if turned == Turn::More || came => turn::pause().await,
            Turn::More | Turn::Waits => {
                let signal = signal.given_then(Ok(()));
                let stop = async {
                    if stopping {
                        std::future::pending::<()>().await;
                    }
                    publisher.stop.cancelled_then(Ok(())).await
                };
                let look = async {
                    Timer::after(LOOK).await;
                    Ok(())
                };
                let moves = connection.moves(carrier.reads(), !carrier.is_clear());
                moves.or(signal).or(stop).or(look).await?;
            }
        }
        if publisher.stop.is_cancelled() && !std::mem::replace(&mut stopping, true) {
            carrier.stop();
        }
    }
}
