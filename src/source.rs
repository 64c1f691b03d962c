//! The two places that options come from, with what is new and what is old in each told apart.

use std::path::Path;

use crate::config_file;
use crate::legacy::{self, Meaning};
use crate::suggest;
use crate::typed::Typed;
use crate::words::Word;

/// What the command line or the config file says.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// The new options.
    pub(crate) new: Typed,
    /// The old switches, as the new options that do their work; new ones win over them.
    pub(crate) old: Typed,
    /// Whether `-p=` is there, and with it the old defaults.
    pub(crate) old_defaults: bool,
    /// Whether `-ssl` is there.
    pub(crate) tls: bool,
    /// Whether `-nodaemon` is there.
    pub(crate) foreground: bool,
    /// The first old switch that needs `-p=` beside it, and where it stands.
    pub(crate) needs_port: Option<String>,
}

impl Source {
    /// Reads the words of a command line.
    pub(crate) fn command_line(words: &[Word]) -> Result<Self, String> {
        let mut source = Self::default();
        source.add_others(words)?;
        source.new = Typed::parse(words)?;
        Ok(source)
    }

    /// Reads the text of a config file; `path` is for error texts, which begin with `path:line`.
    pub(crate) fn file(path: &Path, text: &str) -> Result<Self, String> {
        const ELSEWHERE: [&str; 4] = ["config", "check", "help", "version"];
        let mut source = Self::default();
        let mut so_far = Vec::new();
        for line in config_file::lines(text) {
            let at = |why| format!("{}:{}: {why}", path.display(), line.number);
            for word in &line.words {
                if let Word::Option { name, .. } = word
                    && ELSEWHERE.contains(&name.as_str())
                {
                    return Err(at(format!("--{name} belongs on the command line")));
                }
            }
            let needed_before = source.needs_port.is_some();
            source.add_others(&line.words).map_err(at)?;
            if !needed_before {
                source.needs_port = source.needs_port.map(at);
            }
            // With all lines before it, so that an option given twice is told at its line.
            so_far.extend(line.words);
            source.new = Typed::parse(&so_far)
                .map_err(|why| format!("{}:{}: {why}", path.display(), line.number))?;
        }
        Ok(source)
    }

    /// Takes in everything but the new options; a later switch wins over an earlier one.
    fn add_others(&mut self, words: &[Word]) -> Result<(), String> {
        for word in words {
            match word {
                Word::Option { .. } => {}
                Word::Old(switch) => self.add_old(switch)?,
                Word::Stray(text) => return Err(suggest::no_word(text)),
            }
        }
        Ok(())
    }

    fn add_old(&mut self, switch: &str) -> Result<(), String> {
        let meaning = legacy::translate(switch)?;
        if !matches!(meaning, Meaning::OldDefaults(_)) {
            self.needs_port
                .get_or_insert_with(|| legacy::without_port(switch));
        }
        let (option, value) = match meaning {
            Meaning::Option(option, value) => (option, value),
            Meaning::OldDefaults(address) => {
                self.old_defaults = true;
                ("listen", Some(address))
            }
            Meaning::Delimiter(byte) => {
                self.old.delimiter = Some(byte);
                return Ok(());
            }
            Meaning::Cors(origin) => {
                self.old.cors = vec![origin];
                return Ok(());
            }
            Meaning::Foreground => {
                self.foreground = true;
                return Ok(());
            }
            Meaning::Tls => {
                self.tls = true;
                return Ok(());
            }
            Meaning::Help | Meaning::Version => {
                return Err(format!("{switch} belongs on the command line"));
            }
        };
        let word = Word::Option {
            name: option.to_owned(),
            value,
        };
        let name = switch.split('=').next().unwrap_or_default();
        let typed = Typed::parse(&[word]).map_err(|why| format!("{name}: {why}"))?;
        let earlier = std::mem::take(&mut self.old);
        self.old = typed.over(earlier);
        Ok(())
    }
}
