//! What the doctor found, and how it is told.

use std::fmt::Write;

use serde_json::{Value, json};
use url::Url;

use super::advice::{self, Topic};
use super::between::Between;

/// What stands before the second line of a finding.
const INDENT: &str = "                       ";
/// The most columns of a finding's line.
const WIDTH: usize = 100;
/// What is looked at wherever a connection is made.
const CHECKS: [&str; 9] = [
    "status",
    "content type",
    "first bytes",
    "delivery",
    "compression",
    "end",
    "reconnect",
    "address",
    "silence",
];

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// Works, and is worth knowing.
    Note,
    /// Must be mended.
    Wrong,
    /// Could not be looked at, and the rest tells enough.
    Skipped,
    /// Could not be looked at for want of an option, and nobody can do without.
    Unchecked,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Wrong => "wrong",
            Self::Skipped => "skipped",
            Self::Unchecked => "unchecked",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    /// What was looked at, in one or two words.
    pub(crate) check: &'static str,
    pub(crate) level: Level,
    /// One sentence.
    pub(crate) text: String,
    /// What it is about, if lines of a proxy's configuration mend it.
    pub(crate) topic: Option<Topic>,
}

/// Everything that was found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) url: Url,
    /// The program that answers in front of hasses.
    pub(crate) between: Between,
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    /// Adds the result of a check.
    pub(crate) fn add(&mut self, check: &'static str, level: Level, text: impl Into<String>) {
        self.findings.push(Finding {
            check,
            level,
            text: text.into(),
            topic: None,
        });
    }

    /// Adds what is wrong, or a note, with the lines that mend it.
    pub(crate) fn mend(
        &mut self,
        check: &'static str,
        level: Level,
        topic: Topic,
        text: impl Into<String>,
    ) {
        self.findings.push(Finding {
            check,
            level,
            text: text.into(),
            topic: Some(topic),
        });
    }

    /// The exit code: 0 = all is well, 1 = something is wrong, 2 = the command line lacks what the doctor needs.
    pub(crate) fn code(&self) -> u8 {
        match (self.count(Level::Wrong), self.count(Level::Unchecked)) {
            (0, 0) => 0,
            (0, _) => 2,
            _ => 1,
        }
    }

    fn count(&self, level: Level) -> usize {
        let of_level = |finding: &&Finding| finding.level == level;
        self.findings.iter().filter(of_level).count()
    }

    /// The checks that have no result.
    fn unchecked(&self) -> Vec<&'static str> {
        let done = |check: &&str| {
            let mut findings = self.findings.iter();
            findings.any(|finding| {
                finding.check == *check
                    && !matches!(finding.level, Level::Skipped | Level::Unchecked)
            })
        };
        CHECKS.into_iter().filter(|check| !done(check)).collect()
    }

    /// The last line for people.
    fn verdict(&self) -> String {
        let told = match (self.count(Level::Wrong), self.count(Level::Unchecked)) {
            (0, 0) if self.unchecked().is_empty() => "All is well.",
            (0, 0) => "Nothing is wrong.",
            (0, _) => "Nothing wrong was found, but the doctor needs more to say that all is well.",
            (1, _) => "One thing is wrong. Mend it and look again.",
            (wrong, _) => {
                return format!(
                    "{wrong} things are wrong. Mend the first and look again: the others may \
                     follow from it.{}",
                    self.not_checked()
                );
            }
        };
        told.to_owned() + &self.not_checked()
    }

    fn not_checked(&self) -> String {
        match self.unchecked().as_slice() {
            [] => String::new(),
            checks => format!(" Not checked: {}.", checks.join(", ")),
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.url);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "between: {}\n", self.between.told());
        for finding in &self.findings {
            let mark = match finding.level {
                Level::Ok => "  ok   ",
                Level::Note => "  note ",
                Level::Wrong => " WRONG ",
                Level::Skipped => "  -    ",
                Level::Unchecked => "  ?    ",
            };
            let told = wrapped(&finding.text);
            let _ = writeln!(text, "{mark} {:<14} {told}", finding.check);
            for (program, lines) in self.advice(finding) {
                let _ = writeln!(text, "{INDENT}  {program}:");
                for line in lines.lines() {
                    let _ = writeln!(text, "{INDENT}    {line}");
                }
            }
        }
        text.push('\n');
        let advises = |finding| !self.advice(finding).is_empty();
        if self.between == Between::Nginx && self.findings.iter().any(advises) {
            text += "nginx takes changed lines in with: nginx -s reload\n";
        }
        text + &self.verdict() + "\n"
    }

    /// For programs: one JSON object and a newline.
    pub(crate) fn json(&self) -> String {
        let findings = self.findings.iter().map(|finding| {
            let advice: Vec<Value> = self
                .advice(finding)
                .into_iter()
                .map(|(program, lines)| json!({ "for": program, "lines": lines }))
                .collect();
            json!({
                "check": finding.check,
                "level": finding.level.word(),
                "text": finding.text,
                "advice": advice,
            })
        });
        let findings: Vec<Value> = findings.collect();
        let whole = json!({
            "url": self.url.as_str(),
            "between": self.between.name(),
            "well": self.code() == 0,
            "unchecked": self.unchecked(),
            "findings": findings,
        });
        format!("{whole}\n")
    }

    /// The lines that mend a finding: those of the program that stands between, or of all where that
    /// is not known.
    fn advice(&self, finding: &Finding) -> Vec<(&'static str, String)> {
        match finding.topic {
            Some(topic) if finding.level != Level::Ok => {
                advice::lines(topic, self.between, self.url.path())
            }
            _ => Vec::new(),
        }
    }
}

/// A finding's text in lines that a terminal shows whole.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && INDENT.len() + line + word.chars().count() >= WIDTH {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            *line += word;
        }
    }
    lines.join(&format!("\n{INDENT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_is_to_be_reloaded_where_its_lines_change() -> Result<(), url::ParseError> {
        let mut report = Report {
            url: "http://localhost/events?token=a".parse()?,
            between: Between::Nginx,
            findings: Vec::new(),
        };
        let reloads = |report: &Report| report.text().matches("nginx -s reload").count();
        report.add("status", Level::Ok, "200");
        assert_eq!(reloads(&report), 0);
        for _ in 0..2 {
            report.mend("silence", Level::Wrong, Topic::ReadTimeout, "it was cut");
        }
        assert_eq!(reloads(&report), 1);
        assert!(report.text().contains("# in location /events, in place of"));
        report.between = Between::Caddy;
        assert_eq!(reloads(&report), 0);
        Ok(())
    }

    #[test]
    fn long_findings_are_wrapped_and_lose_no_word() {
        let text = "word ".repeat(60) + &"x".repeat(200);
        let told = wrapped(&text);
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines.len() > 3, "{told}");
        for line in &lines[..lines.len() - 1] {
            assert!(line.len() < WIDTH, "{line}");
        }
        let words = |text: &str| text.split_whitespace().count();
        assert_eq!(words(&told), words(&text));
    }
}
