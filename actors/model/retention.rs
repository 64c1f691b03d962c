//! How much of each target's past is kept for replay, and the rules that say so.

use std::fmt;
use std::time::Duration;

use foldhash::HashMap;

use super::{Limits, Target, Token};

/// How much is kept of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events; 0 = none are kept.
    pub count: usize,
    /// How old an event may grow; none = any age.
    pub age: Option<Duration>,
}

/// One rule: for a whole token, or for all tokens and prefixes that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// A token, a prefix, or [`Target::All`] for everything.
    pub of: Target,
    /// What is kept of it; the age is none where the rule says none of its own.
    pub count: usize,
    /// How old an event may grow.
    pub age: RuleAge,
}

/// The age that a rule gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleAge {
    /// The age that holds where there is no rule.
    Default,
    /// Any age.
    Forever,
    /// At most this one.
    AtMost(Duration),
}

/// What is kept of every target, and the bytes that all of it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What holds where no rule does.
    default: Retention,
    /// Bytes of all kept events together, with what keeping them costs.
    pub bytes: usize,
    rules: Vec<Rule>,
    exact: HashMap<Token, Retention>,
    /// By the text that names begin with; empty for all.
    prefixes: HashMap<Box<str>, Retention>,
    /// The lengths of those texts, the longest first, each once.
    lengths: Vec<usize>,
}

/// The longest age of a rule: a hundred years.
const LONGEST: u64 = 100 * 365 * 86_400;
/// The largest count of a rule.
const MOST: usize = 100_000_000;

impl Policy {
    /// The same retention for every target.
    pub fn new(default: Retention, bytes: usize) -> Self {
        Self {
            default,
            bytes,
            rules: Vec::new(),
            exact: HashMap::default(),
            prefixes: HashMap::default(),
            lengths: Vec::new(),
        }
    }

    /// The same with rules. Of two rules for the same targets the later one counts.
    #[must_use]
    pub fn with_rules(mut self, rules: Vec<Rule>) -> Self {
        for rule in &rules {
            let age = match rule.age {
                RuleAge::Default => self.default.age,
                RuleAge::Forever => None,
                RuleAge::AtMost(age) => Some(age),
            };
            let count = rule.count;
            let retention = Retention { count, age };
            match &rule.of {
                Target::Token(token) => {
                    self.exact.insert(token.clone(), retention);
                }
                Target::Prefix(prefix) => {
                    self.prefixes.insert(prefix.as_str().into(), retention);
                }
                Target::All => {
                    self.prefixes.insert("".into(), retention);
                }
            }
        }
        let lengths = self.prefixes.keys().map(|prefix| prefix.len());
        self.lengths = lengths.collect();
        self.lengths.sort_unstable_by(|a, b| b.cmp(a));
        self.lengths.dedup();
        self.rules = rules;
        self
    }

    /// What holds for a target: the rule with its exact name, else the rule with the longest prefix of
    /// its name, else the default.
    pub fn of(&self, target: &Target) -> Retention {
        let name = match target {
            Target::Token(token) => match self.exact.get(token) {
                Some(exact) => return *exact,
                None => token.as_str(),
            },
            Target::Prefix(prefix) => prefix.as_str(),
            Target::All => "",
        };
        let begins = |length: &usize| self.prefixes.get(name.get(..*length)?);
        let rule = self.lengths.iter().find_map(begins);
        rule.copied().unwrap_or(self.default)
    }

    /// Whether anything is kept of any target.
    pub fn keeps(&self) -> bool {
        let rules = self.exact.values().chain(self.prefixes.values());
        let mut all = rules.chain([&self.default]);
        self.bytes > 0 && all.any(|retention| retention.count > 0)
    }

    /// What bounds events of all targets that wait together, for a disk or for other nodes.
    pub fn together(&self) -> Limits {
        let mut limits = Limits {
            count: usize::MAX,
            bytes: self.bytes,
            age: Duration::ZERO,
        };
        if !self.keeps() {
            limits.count = 0;
        }
        let rules = self.exact.values().chain(self.prefixes.values());
        for retention in rules.chain([&self.default]) {
            if retention.count > 0 {
                let age = retention.age.unwrap_or(Duration::from_secs(LONGEST));
                limits.age = limits.age.max(age);
            }
        }
        limits
    }
}

impl Rule {
    /// Reads `TOKEN COUNT`, `TOKEN COUNT/AGE` or `TOKEN COUNT/forever`. TOKEN may be a prefix, `pre*`, or
    /// `*`, and may have blanks in it: the last blank ends it. AGE is a number and one of s, m, h and d.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "it needs TOKEN COUNT or TOKEN COUNT/AGE, such as 'price-* 1/forever'";
        let (name, limits) = text.trim_end().rsplit_once([' ', '\t']).ok_or(form)?;
        let name = name.trim_end();
        let of = match name.strip_suffix('*') {
            Some("") => Target::All,
            Some(prefix) => Target::Prefix(token(prefix)?),
            None => Target::Token(token(name)?),
        };
        let (count, age) = match limits.split_once('/') {
            None => (limits, RuleAge::Default),
            Some((count, "forever")) => (count, RuleAge::Forever),
            Some((count, age)) => (count, RuleAge::AtMost(duration(age)?)),
        };
        let digits = count.bytes().all(|byte| byte.is_ascii_digit());
        match count.parse() {
            Ok(count) if digits && count <= MOST => Ok(Self { of, count, age }),
            _ => Err(format!(
                "its COUNT needs a whole number of events (0 to {MOST}); {form}"
            )),
        }
    }
}

fn token(name: &str) -> Result<Token, String> {
    Token::new(name).map_err(|error| format!("its TOKEN {error}"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        "its AGE needs a whole number and a unit, such as 30s, 15m, 12h or 7d, or 'forever'"
            .to_owned()
    };
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number = &text[..text.len() - 1];
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| digits).ok_or_else(wrong)?;
    match number.checked_mul(seconds) {
        Some(seconds @ 1..=LONGEST) => Ok(Duration::from_secs(seconds)),
        _ => Err("its AGE may be 1s to 36500d; for any age say 'forever'".to_owned()),
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events", self.count)?;
        match self.age {
            Some(age) => write!(f, " of at most {} s", age.as_secs()),
            None => f.write_str(" of any age"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn rule(text: &str) -> Rule {
        Rule::parse(text).unwrap()
    }

    fn target(name: &str) -> Target {
        match name.strip_suffix('*') {
            Some("") => Target::All,
            Some(prefix) => Target::Prefix(Token::new(prefix).unwrap()),
            None => Target::Token(Token::new(name).unwrap()),
        }
    }

    #[test]
    fn a_rule_is_read() {
        let seconds = |seconds| RuleAge::AtMost(Duration::from_secs(seconds));
        for (text, of, count, age) in [
            ("price-* 1/forever", "price-*", 1, RuleAge::Forever),
            ("answer-* 5000/15m", "answer-*", 5000, seconds(900)),
            ("a b 0", "a b", 0, RuleAge::Default),
            ("a  7/30s", "a", 7, seconds(30)),
            ("*\t3/2h", "*", 3, seconds(7200)),
            ("a/b 3/7d ", "a/b", 3, seconds(7 * 86_400)),
            ("a b* 3/1h", "a b*", 3, seconds(3600)),
            ("'a 3", "'a", 3, RuleAge::Default),
        ] {
            let of = target(of);
            assert_eq!(rule(text), Rule { of, count, age }, "{text}");
        }
    }

    #[test]
    fn a_wrong_rule_is_refused_with_what_would_be_right() {
        for (text, why) in [
            ("a", "TOKEN COUNT"),
            (" 5", "its TOKEN is empty"),
            ("a*b 5", "its TOKEN has a '*'"),
            ("a five", "whole number of events"),
            ("a +5", "whole number of events"),
            ("a -5", "whole number of events"),
            ("a 5/", "30s, 15m"),
            ("a 5/15", "30s, 15m"),
            ("a 5/m", "30s, 15m"),
            ("a 5/1.5h", "30s, 15m"),
            ("a 5/0s", "1s to 36500d"),
            ("a 5/40000d", "1s to 36500d"),
            ("a 5/é", "30s, 15m"),
            ("a 999999999", "0 to 100000000"),
        ] {
            let error = Rule::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn the_exact_name_wins_and_then_the_longest_prefix() {
        let default = Retention {
            count: 1000,
            age: Some(Duration::from_secs(3600)),
        };
        let rules = ["p* 1", "price* 2/5s", "price-eur 3/forever", "é* 4"].map(rule);
        let policy = Policy::new(default, 1).with_rules(rules.into());
        for (name, count, age) in [
            ("price-eur", 3, None),
            ("price-usd", 2, Some(5)),
            ("price", 2, Some(5)),
            ("price-eur*", 2, Some(5)),
            ("price*", 2, Some(5)),
            ("pric", 1, Some(3600)),
            ("p*", 1, Some(3600)),
            ("x", 1000, Some(3600)),
            ("è", 1000, Some(3600)),
            ("éa", 4, Some(3600)),
            ("*", 1000, Some(3600)),
        ] {
            let age = age.map(Duration::from_secs);
            assert_eq!(policy.of(&target(name)), Retention { count, age }, "{name}");
        }
        let policy = Policy::new(default, 1).with_rules(vec![rule("* 5"), rule("a 6")]);
        assert_eq!(policy.of(&Target::All).count, 5);
        assert_eq!(policy.of(&target("b*")).count, 5);
        assert_eq!(policy.of(&target("a")).count, 6);
    }

    #[test]
    fn nothing_is_kept_where_no_rule_says_so() {
        let none = Retention {
            count: 0,
            age: None,
        };
        assert!(!Policy::new(none, 100).keeps());
        let policy = Policy::new(none, 100).with_rules(vec![rule("a 1/10s")]);
        assert!(policy.keeps());
        assert_eq!(policy.together().age, Duration::from_secs(10));
    }
}
