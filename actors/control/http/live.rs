//! `GET /live`: the figures of [`wire::report`](crate::wire::report) as an event stream. Nothing is
//! computed, or counted, for it while nobody watches.

use std::time::{Duration, SystemTime};

use async_io::Timer;
use futures_lite::FutureExt;

use super::super::Publisher;
use super::super::connection::{Broken, Connection};
use super::flow::Flow;
use super::{Done, Unanswered};
use crate::config::{Config, SubscribeAll};
use crate::logger;
use crate::messages::publisher::{self, Search};
use crate::model::Cors;
use crate::wire::address;
use crate::wire::http::Request;
use crate::wire::report::{Figures, More, Setup, Tokens, live};

/// Between two events.
const PERIOD: Duration = Duration::from_secs(1);

/// Sends an event a second until the reader leaves or the daemon stops.
pub(super) async fn show(
    publisher: &Publisher,
    connection: &mut Connection,
    request: &Request,
) -> Result<Done, Unanswered> {
    let _streaming = publisher.streaming()?;
    let kind = "text/event-stream; charset=utf-8";
    let flow = Flow::begin(publisher, connection, request, kind).await?;
    let Some(mut flow) = flow else {
        return Ok(Done::Flowed { goes_on: false });
    };
    // Warnings may name clients and what they asked for.
    let tells_all = publisher.shows_lists(request);
    let (mut before, mut newest) = (None, 0);
    loop {
        let (figures, tokens) = look(publisher).await?;
        let mut more = More {
            settings: setup(&publisher.settings.now(), &figures),
            ..More::default()
        };
        if before.is_none() {
            let samples = |reply| publisher::Request::Samples { reply };
            more.past = publisher.sequencer.call(samples).await?;
        }
        if tells_all {
            more.recent = logger::recent::since(newest);
            newest = more.recent.last().map_or(newest, |note| note.number);
        }
        let now = SystemTime::now();
        let data = live(&figures, before.as_ref(), &tokens, &more, now);
        flow.write(&format!("data: {data}\n\n")).await?;
        before = Some(figures);
        if pause(publisher, flow.connection()).await? {
            flow.end().await?;
            return Ok(Done::Flowed { goes_on: false });
        }
    }
}

/// How the daemon is set up.
fn setup(config: &Config, figures: &Figures) -> Setup {
    Setup {
        key: config.subscribe_keys.is_some(),
        secret: config.control_secret.is_some(),
        all: config.subscribe_all == SubscribeAll::Anyone,
        presence: config
            .presence
            .iter()
            .map(|target| address::text(target).into_owned())
            .collect(),
        history_file: config.history_file.is_some(),
        bus: figures.bus.as_ref().map(|bus| bus.up.get()),
        cors: match &config.cors {
            Cors::Any => "*".into(),
            Cors::Only(origins) => origins.join(" "),
        },
        max_clients: config.max_clients as u64,
        max_clients_per_ip: config.max_clients_per_ip.map(|most| most as u64),
        max_publishers: config.max_publishers as u64,
        max_message: config.max_message as u64,
    }
}

/// Waits for the next event's time; whether there is to be none. What the reader sends is thrown away.
async fn pause(publisher: &Publisher, connection: &mut Connection) -> Result<bool, Broken> {
    let time = async {
        Timer::after(PERIOD).await;
        Ok(false)
    };
    let stop = publisher.stop.cancelled_then(Ok(true));
    let left = async {
        while connection.read_more().await? > 0 {
            connection.take();
        }
        Ok(true)
    };
    time.or(stop).or(left).await
}

async fn look(publisher: &Publisher) -> Result<(Figures, Tokens), Broken> {
    let sequencer = &publisher.sequencer;
    let (figures, messages) = sequencer
        .call(|reply| publisher::Request::Watch { reply })
        .await?;
    let mut search = Search {
        best: Vec::new(),
        next: Some(0),
    };
    while search.next.is_some() {
        search = sequencer
            .call(|reply| publisher::Request::Search { search, reply })
            .await?;
    }
    let subscribers = search.best;
    let tokens = Tokens {
        subscribers,
        messages,
    };
    Ok((figures, tokens))
}
