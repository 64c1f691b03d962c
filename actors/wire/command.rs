//! One text piece read as a message or a command.

use std::borrow::Cow;

use memchr::memchr;

use crate::model::LogLevel;
use crate::model::{ClientId, Publication, Target};

use super::address::{address, client_id};
use super::refusal::{Kind, shown};

pub use super::address::target;
pub use super::refusal::Refusal;

/// What a text piece asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `ADDRESS=TEXT`.
    Publish(Publication),
    /// `status`: figures, in the log's layout.
    Status,
    /// `clientlist`: who is connected, in the log's layout.
    ClientList,
    /// `numberofclients`.
    NumberOfClients,
    /// `subscribedclients:TARGET`.
    SubscribedClients(Target),
    /// `loglevel_quiet`, `loglevel_normal`, `loglevel_debug`.
    SetLogLevel(LogLevel),
    /// `reinit_enable`, `reinit_disable`.
    SetReinit(bool),
    /// `disconnect:ID`: closes the streams with that id.
    Disconnect(ClientId),
    /// `tcpstatus`: the figures as JSON.
    TcpStatus,
    /// `tcpclientlist`: who is connected, as JSON.
    TcpClientList,
    /// `tcpnumberofclients`, as JSON.
    TcpNumberOfClients,
    /// `tcpsubscribedclients:TARGET`, as JSON.
    TcpSubscribedClients(Target),
}

/// Reads a piece: with a `=` in it, it is a message, else it must be a command.
///
/// `max_message` bounds the bytes after the `=`. Bytes that are no UTF-8 are replaced by U+FFFD;
/// `invalid_utf8` counts the pieces that had any.
pub fn parse(piece: &[u8], max_message: usize, invalid_utf8: &mut u64) -> Result<Command, Refusal> {
    if let Some(equals) = memchr(b'=', piece)
        && piece.len() - equals - 1 > max_message
    {
        return Err(Refusal::too_long(piece, max_message));
    }
    let text = decode(piece, invalid_utf8);
    match memchr(b'=', text.as_bytes()) {
        Some(equals) => {
            let (to, except) = address(&text[..equals])?;
            Ok(Command::Publish(Publication {
                except,
                ..Publication::new(to, &text[equals + 1..])
            }))
        }
        None => command(&text),
    }
}

/// The bytes as text; what is no UTF-8 in them is replaced by U+FFFD and counted as one.
pub(crate) fn decode<'a>(bytes: &'a [u8], invalid_utf8: &mut u64) -> Cow<'a, str> {
    // The strict check is much faster than the replacing one, and nearly always enough.
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            *invalid_utf8 += 1;
            String::from_utf8_lossy(bytes)
        }
    }
}

fn command(text: &str) -> Result<Command, Refusal> {
    let command = match text.split_once(':') {
        Some(("subscribedclients", to)) => Command::SubscribedClients(target(to)?),
        Some(("tcpsubscribedclients", to)) => Command::TcpSubscribedClients(target(to)?),
        Some(("disconnect", id)) => Command::Disconnect(client_id(id)?),
        Some(_) => return Err(unknown(text)),
        None => match text {
            "status" => Command::Status,
            "clientlist" => Command::ClientList,
            "numberofclients" => Command::NumberOfClients,
            "loglevel_quiet" => Command::SetLogLevel(LogLevel::Quiet),
            "loglevel_normal" => Command::SetLogLevel(LogLevel::Normal),
            "loglevel_debug" => Command::SetLogLevel(LogLevel::Debug),
            "reinit_enable" => Command::SetReinit(true),
            "reinit_disable" => Command::SetReinit(false),
            "tcpstatus" => Command::TcpStatus,
            "tcpclientlist" => Command::TcpClientList,
            "tcpnumberofclients" => Command::TcpNumberOfClients,
            _ => return Err(unknown(text)),
        },
    };
    Ok(command)
}

fn unknown(text: &str) -> Refusal {
    let right = if text.starts_with('{') {
        "JSON must begin its own line"
    } else {
        "a message is TOKEN=TEXT, a command is status, clientlist, numberofclients, \
         subscribedclients:TOKEN, loglevel_quiet, loglevel_normal, loglevel_debug, \
         reinit_enable, reinit_disable or disconnect:ID"
    };
    Refusal::new(
        Kind::UnknownCommand,
        format!("{} is no message and no command: {right}", shown(text)),
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::model::Token;
    use proptest::prelude::*;

    fn token(name: &str) -> Target {
        Target::Token(Token::new(name).unwrap())
    }

    fn read(piece: &str) -> Result<Command, Refusal> {
        let mut invalid = 0;
        let command = parse(piece.as_bytes(), 100, &mut invalid);
        assert_eq!(invalid, 0);
        command
    }

    #[test]
    fn the_first_equals_sign_ends_the_address() {
        for (piece, data) in [
            ("room1=hello", "hello"),
            ("room1=", ""),
            ("room1=a=b==", "a=b=="),
            ("room1= x ", " x "),
        ] {
            assert_eq!(
                read(piece),
                Ok(Command::Publish(Publication::new(token("room1"), data)))
            );
        }
        let spared = Publication {
            except: Some(ClientId::new("7").unwrap()),
            ..Publication::new(Target::All, "x")
        };
        assert_eq!(read("*-7=x"), Ok(Command::Publish(spared)));
        assert_eq!(
            read("status=x"),
            Ok(Command::Publish(Publication::new(token("status"), "x")))
        );
    }

    #[test]
    fn a_command_is_its_exact_name() {
        for (piece, command) in [
            ("status", Command::Status),
            ("clientlist", Command::ClientList),
            ("numberofclients", Command::NumberOfClients),
            (
                "subscribedclients:a-b",
                Command::SubscribedClients(token("a-b")),
            ),
            (
                "subscribedclients:a:b",
                Command::SubscribedClients(token("a:b")),
            ),
            (
                "subscribedclients:*",
                Command::SubscribedClients(Target::All),
            ),
            ("loglevel_quiet", Command::SetLogLevel(LogLevel::Quiet)),
            ("loglevel_normal", Command::SetLogLevel(LogLevel::Normal)),
            ("loglevel_debug", Command::SetLogLevel(LogLevel::Debug)),
            ("reinit_enable", Command::SetReinit(true)),
            ("reinit_disable", Command::SetReinit(false)),
            (
                "disconnect:7",
                Command::Disconnect(ClientId::new("7").unwrap()),
            ),
            ("tcpstatus", Command::TcpStatus),
            ("tcpclientlist", Command::TcpClientList),
            ("tcpnumberofclients", Command::TcpNumberOfClients),
            (
                "tcpsubscribedclients:a",
                Command::TcpSubscribedClients(token("a")),
            ),
        ] {
            assert_eq!(read(piece), Ok(command), "{piece}");
        }
        for (piece, reason) in [
            ("Status", "unknown_command"),
            (" status", "unknown_command"),
            ("status:", "unknown_command"),
            ("subscribedclients", "unknown_command"),
            ("subscribedclients:", "bad_address"),
            ("subscribedclients:a*b", "bad_address"),
            ("disconnect:", "bad_id"),
            ("hello", "unknown_command"),
        ] {
            assert_eq!(read(piece).unwrap_err().reason(), reason, "{piece}");
        }
        let hint = read(r#"{"to":"a"}"#).unwrap_err().to_string();
        assert!(hint.ends_with("JSON must begin its own line"), "{hint}");
    }

    #[test]
    fn the_data_alone_is_measured() {
        assert!(read(&format!("room1={}", "x".repeat(100))).is_ok());
        let refusal = read(&format!("room1={}", "x".repeat(101))).unwrap_err();
        assert!(refusal.is_too_long());
    }

    #[test]
    fn invalid_bytes_are_replaced_and_counted_once_a_message() {
        let mut invalid = 0;
        let read = parse(b"a\xff=\xc3(\xe2\x82", 4, &mut invalid);
        let expected = Publication::new(token("a\u{fffd}"), "\u{fffd}(\u{fffd}");
        assert_eq!(read, Ok(Command::Publish(expected)));
        assert_eq!(invalid, 1);
    }

    proptest! {
        #[test]
        fn any_data_arrives(data in any::<String>()) {
            let mut invalid = 0;
            let read = parse(format!("room1={data}").as_bytes(), 1 << 20, &mut invalid);
            prop_assert_eq!(read, Ok(Command::Publish(Publication::new(token("room1"), data))));
        }

        #[test]
        fn no_piece_breaks_a_line(piece in any::<Vec<u8>>()) {
            if let Err(refusal) = parse(&piece, 10, &mut 0) {
                prop_assert!(!refusal.to_string().contains(char::is_control));
            }
        }
    }
}
