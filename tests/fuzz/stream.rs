//! Events as a browser reads them.

use fastrand::Rng;
use hasses_actors::model::EventId;
use hasses_actors::wire::http::{Body, BodyLength};
use hasses_actors::wire::json::event_name;
use hasses_actors::wire::sse::{Frame, LAST_CHUNK};

/// The last event id, the type and the data.
type Event = (String, String, String);

/// Whatever its text, a browser gets exactly that event, between its neighbours, chunked or not.
pub(crate) fn events(input: &[u8], rng: &mut Rng) {
    let text = String::from_utf8_lossy(input);
    let (name, data) = text.split_once('\n').unwrap_or(("", &text));
    let name = event_name(name).ok();
    let id = EventId(rng.u64(2..EventId::END - 1));
    let frames = [
        Frame::event(EventId(id.0 - 1), None, "before"),
        Frame::event(id, name.as_deref(), data),
        Frame::event(EventId(id.0 + 1), None, ""),
    ];
    let event = |id: u64, name: &str, data: &str| (id.to_string(), name.into(), data.into());
    // A browser gives every line end back as LF.
    let lines = data.replace("\r\n", "\n").replace('\r', "\n");
    let expected = [
        event(id.0 - 1, "", "before"),
        event(id.0, name.as_deref().unwrap_or_default(), &lines),
        event(id.0 + 1, "", ""),
    ];
    let plain = frames.each_ref().map(|frame| frame.bytes(false)).concat();
    assert_eq!(interpret(std::str::from_utf8(&plain).unwrap()), expected);
    let mut chunked = frames.each_ref().map(|frame| frame.bytes(true)).concat();
    chunked.extend_from_slice(LAST_CHUNK);
    let mut body = Body::new(BodyLength::Chunked, plain.len()).unwrap();
    assert_eq!(body.feed(&chunked), Ok(chunked.len()));
    assert!(body.is_complete());
    assert_eq!(body.take(), plain);
}

/// What an EventSource makes of a stream (WHATWG HTML §9.2.6).
fn interpret(stream: &str) -> Vec<Event> {
    let (mut id, mut name, mut data) = Event::default();
    let mut events = Vec::new();
    let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
    for line in stream.split_terminator('\n') {
        if line.is_empty() {
            let (name, mut data) = (std::mem::take(&mut name), std::mem::take(&mut data));
            if data.pop().is_some() {
                events.push((id.clone(), name, data));
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" if !value.contains('\0') => id = value.into(),
            "event" => name = value.into(),
            "data" => data.extend([value, "\n"]),
            _ => {}
        }
    }
    events
}
