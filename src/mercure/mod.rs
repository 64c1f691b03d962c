//! The options of the Mercure hub brought together, and its keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hasses_actors::auth::Keys;
use hasses_actors::config::Mercure;
use hasses_actors::model::mercure::{Draft, Identity};
use hasses_actors::model::retention::{Rule, RuleAge};
use hasses_actors::model::{Target, Token};

use crate::failure::Failure;
use crate::keys;
use crate::plan::Plan;
use crate::typed::Typed;

pub(crate) mod environment;

use environment::Environment;

/// The options that name keys.
const PUBLISH: &str = "--mercure-publish-key";
const SUBSCRIBE: &str = "--mercure-subscribe-key";

/// Where keys are.
#[derive(Debug, Default)]
pub(crate) struct KeyFiles {
    /// Of publishers and of subscribers, with the option that names each.
    files: Vec<(&'static str, PathBuf)>,
    /// What stands in the environment: the variable, its value, whether it is the publishers'.
    texts: Vec<(&'static str, String, bool)>,
}

/// What all options say about the hub; none without `--mercure`.
///
/// Errors: an option of the hub without `--mercure`; neither a subscribers' key nor
/// `--mercure-anonymous`.
pub(crate) fn plan(
    typed: &mut Typed,
    environment: &mut Environment,
    place: impl Fn(PathBuf) -> Result<PathBuf, Failure>,
) -> Result<Option<(Mercure, KeyFiles)>, Failure> {
    let Some(hub) = typed.mercure.take() else {
        return match stray(typed) {
            Some(option) => Err(Failure::usage(format!(
                "{option}: it is about the Mercure hub, and there is none; give --mercure URL too"
            ))),
            None => Ok(None),
        };
    };
    let mut keys = KeyFiles {
        files: Vec::new(),
        texts: std::mem::take(&mut environment.keys),
    };
    for (option, paths) in [
        (PUBLISH, std::mem::take(&mut typed.mercure_publish_key)),
        (SUBSCRIBE, std::mem::take(&mut typed.mercure_subscribe_key)),
    ] {
        if !paths.is_empty() {
            // What is typed stands in place of the environment.
            keys.texts
                .retain(|(_, _, publishers)| *publishers != (option == PUBLISH));
        }
        for path in paths {
            keys.files.push((option, place(path)?));
        }
    }
    let subscribers = keys.files.iter().any(|(option, _)| *option == SUBSCRIBE)
        || keys.texts.iter().any(|(_, _, publishers)| !publishers);
    if !subscribers && !typed.mercure_anonymous {
        return Err(Failure::usage(format!(
            "--mercure: nobody could subscribe; give {SUBSCRIBE} FILE, or --mercure-anonymous to let \
             everyone read what is public"
        )));
    }
    if typed.mercure_subscriptions {
        keep_for_a_while(typed, &hub);
    }
    let or_own = |list: &mut Vec<String>| {
        if list.is_empty() {
            vec![hub.origin().to_owned()]
        } else {
            std::mem::take(list)
        }
    };
    let mercure = Mercure {
        publish_keys: None,
        subscribe_keys: None,
        issuers: or_own(&mut typed.mercure_issuer),
        anonymous: typed.mercure_anonymous,
        subscriptions: typed.mercure_subscriptions,
        origins: or_own(&mut typed.mercure_origin),
        cookie: typed.mercure_cookie.take(),
        only: typed.mercure_version,
        grace: Duration::from_secs(typed.presence_grace.unwrap_or(10)),
        hub,
    };
    Ok(Some((mercure, keys)))
}

/// Has events about subscriptions kept for some minutes, unless a rule says otherwise: each has a topic of
/// its own, and very many together would take the others' place. Tokens, and so streams, usually live no
/// longer than that.
fn keep_for_a_while(typed: &mut Typed, hub: &Identity) {
    const AGE: Duration = Duration::from_secs(600);
    let Ok(prefix) = Token::of_topic(&format!("{}/", hub.subscriptions_path())) else {
        return;
    };
    let of = Target::Prefix(prefix);
    if !typed.history_for.iter().any(|rule| rule.of == of) {
        typed.history_for.push(Rule {
            of,
            count: 2,
            age: RuleAge::AtMost(AGE),
        });
    }
}

/// The first option that only a hub has a use for.
fn stray(typed: &Typed) -> Option<&'static str> {
    [
        (!typed.mercure_publish_key.is_empty(), PUBLISH),
        (!typed.mercure_subscribe_key.is_empty(), SUBSCRIBE),
        (!typed.mercure_issuer.is_empty(), "--mercure-issuer"),
        (typed.mercure_anonymous, "--mercure-anonymous"),
        (typed.mercure_subscriptions, "--mercure-subscriptions"),
        (!typed.mercure_origin.is_empty(), "--mercure-origin"),
        (typed.mercure_cookie.is_some(), "--mercure-cookie"),
        (typed.mercure_version.is_some(), "--mercure-version"),
    ]
    .into_iter()
    .find_map(|(given, option)| given.then_some(option))
}

/// Reads the hub's keys, whose files are meant in `folder`, into a plan's configuration; with what
/// should be better about them, one line each.
pub(crate) fn load(plan: &mut Plan, folder: &Path) -> Result<Vec<String>, String> {
    let Some(mercure) = plan.config.mercure.take() else {
        return Ok(Vec::new());
    };
    let mut mercure = Arc::unwrap_or_clone(mercure);
    let mut warnings = Vec::new();
    for (option, path) in &plan.mercure_keys.files {
        let (key, told) = keys::read(option, &folder.join(path))?;
        warnings.extend(told);
        add(&mut mercure, *option == PUBLISH, key);
    }
    for (name, text, publishers) in &plan.mercure_keys.texts {
        let key = Keys::read(text.as_bytes()).map_err(|error| format!("{name}: {error}"))?;
        add(&mut mercure, *publishers, key);
    }
    if mercure.publish_keys.is_none() {
        warnings.push(format!(
            "--mercure: nobody can publish to the hub; {PUBLISH} FILE lets them"
        ));
    }
    plan.config.mercure = Some(Arc::new(mercure));
    Ok(warnings)
}

/// Adds keys of publishers, or of subscribers.
fn add(mercure: &mut Mercure, publishers: bool, keys: Keys) {
    let known = if publishers {
        &mut mercure.publish_keys
    } else {
        &mut mercure.subscribe_keys
    };
    match known {
        Some(known) => known.extend(keys),
        None => *known = Some(keys),
    }
}

/// The files of keys, with the options that name them: what SIGHUP reads again.
impl KeyFiles {
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.files
            .iter()
            .map(|(option, path)| (*option, path.as_path()))
    }
}

/// The hub's URL.
pub(crate) fn url(text: &str) -> Result<Identity, String> {
    Identity::new(text)
}

/// `7` or `8`.
pub(crate) fn version(text: &str) -> Result<Draft, String> {
    match text {
        "7" => Ok(Draft::Seven),
        "8" => Ok(Draft::Eight),
        _ => Err("it needs 7 (0.x) or 8 (1.0)".to_owned()),
    }
}

/// An origin that credentials may come from: never `*`.
pub(crate) fn origin(text: &str) -> Result<String, String> {
    match text {
        "*" | "null" => Err(
            "it needs the origin of a page, such as https://www.example.com: \
             who may send credentials must be named"
                .to_owned(),
        ),
        text => crate::values::origin(text),
    }
}

/// A cookie's name (RFC 6265 §4.1.1).
pub(crate) fn cookie(text: &str) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_token) {
        Ok(text.to_owned())
    } else {
        Err("it needs the name of a cookie: letters, digits, '-' and '_'".to_owned())
    }
}

/// An issuer: any text of one line.
pub(crate) fn issuer(text: &str) -> Result<String, String> {
    if !text.is_empty() && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("it needs the iss of tokens, such as https://app.example.com".to_owned())
    }
}
