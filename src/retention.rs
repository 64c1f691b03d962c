//! What the options say of events that are kept for replay.

use std::time::Duration;

use hasses_actors::model::retention::Rule;
use hasses_actors::model::{Policy, Retention, Target};

use crate::failure::Failure;

/// The policy of `--history`, `--history-age`, `--history-bytes` and `--history-for`.
///
/// # Errors
/// Two rules are for the same name.
pub(crate) fn policy(
    count: Option<usize>,
    age: Option<u64>,
    bytes: Option<usize>,
    rules: Vec<Rule>,
) -> Result<Policy, Failure> {
    for (place, rule) in rules.iter().enumerate() {
        if rules[..place].iter().any(|before| before.of == rule.of) {
            let name = match &rule.of {
                Target::Token(token) => token.to_string(),
                Target::Prefix(prefix) => format!("{prefix}*"),
                Target::All => "*".to_owned(),
            };
            return Err(Failure::usage(format!(
                "--history-for: there are two rules for {name:?}; give one"
            )));
        }
    }
    let default = Retention {
        count: count.unwrap_or(1000),
        age: Some(Duration::from_secs(age.unwrap_or(3600))),
    };
    Ok(Policy::new(default, bytes.unwrap_or(16 << 20)).with_rules(rules))
}
