//! What the doctor found, and how it is told.

use std::fmt::Write;

use serde_json::{Value, json};

use super::advice::{self, Topic};
use super::between::Between;

/// What stands before the second line of a finding.
const INDENT: &str = "                       ";
/// The most columns of a finding's line.
const WIDTH: usize = 100;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// Works, and is worth knowing.
    Note,
    /// Must be mended.
    Wrong,
    /// Could not be looked at.
    Skipped,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Wrong => "wrong",
            Self::Skipped => "skipped",
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
    pub(crate) url: String,
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

    /// Whether nothing is wrong.
    pub(crate) fn is_well(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.level != Level::Wrong)
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
        let count = |level| {
            let of_level = |finding: &&Finding| finding.level == level;
            self.findings.iter().filter(of_level).count()
        };
        let verdict = match (count(Level::Wrong), count(Level::Skipped)) {
            (0, 0) => "All is well.".to_owned(),
            (0, skipped) => format!("Nothing is wrong; {skipped} checks could not be made."),
            (1, _) => "One thing is wrong.".to_owned(),
            (wrong, _) => format!(
                "{wrong} things are wrong. Mend the first and look again: the others may follow from it."
            ),
        };
        text + "\n" + &verdict + "\n"
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
            "url": self.url,
            "between": self.between.name(),
            "well": self.is_well(),
            "findings": findings,
        });
        format!("{whole}\n")
    }

    /// The lines that mend a finding: those of the program that stands between, or of all where that
    /// is not known.
    fn advice(&self, finding: &Finding) -> Vec<(&'static str, &'static str)> {
        match finding.topic {
            Some(topic) if finding.level != Level::Ok => advice::lines(topic, self.between),
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
