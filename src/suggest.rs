//! "Did you mean": what somebody most likely wanted to write.

use crate::help;

/// The helpers of the shell.
pub(crate) const HELPERS: [&str; 8] = [
    "completions",
    "doctor",
    "help",
    "publish",
    "sign",
    "status",
    "subscribe",
    "version",
];

/// The known word that is nearest to `word`, if one is near.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let begins = |known: &str| word.len() > 2 && known.starts_with(word);
    let distance = |known: &'a str| {
        // What only lacks its end comes before what has a mistake.
        let distance = if begins(known) {
            0
        } else {
            strsim::damerau_levenshtein(word, known)
        };
        (distance, known)
    };
    let (distance, found) = known.map(distance).min()?;
    // At most one mistake in three letters.
    (distance * 3 <= word.len()).then_some(found)
}

/// Why `--name` is refused, where there is no such option.
pub(crate) fn no_option(name: &str) -> String {
    unknown(&format!("--{}", crate::failure::short(name)), name)
}

/// Why `-name` is refused, where the old daemon had no such switch either.
pub(crate) fn no_switch(word: &str) -> String {
    let name = word.trim_start_matches('-');
    unknown(&crate::failure::short(word), name)
}

fn unknown(shown: &str, name: &str) -> String {
    match nearest(name, help::options().map(|option| option.name)) {
        Some(meant) => format!("{shown} is not an option; did you mean --{meant}?"),
        None => format!("{shown} is not an option; hasses --help lists them"),
    }
}

/// Why a word that stands alone is refused.
pub(crate) fn no_word(word: &str) -> String {
    let shown = crate::failure::short(word);
    if let Some(meant) = nearest(word, HELPERS.into_iter()) {
        return format!("'{shown}' is not a command; did you mean hasses {meant}?");
    }
    if let Some(meant) = help::options().find(|option| option.name == word) {
        return format!("'{shown}' is not a command; did you mean --{}?", meant.name);
    }
    format!(
        "'{shown}' is neither a command nor an option; options are written --option value, and \
         hasses --help lists them"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        for (typed, told) in [
            ("lisen", "did you mean --listen?"),
            ("hist", "did you mean --history?"),
            ("max-client", "did you mean --max-clients?"),
            ("xyzzy", "hasses --help lists them"),
        ] {
            let found = no_option(typed);
            assert!(found.contains(told), "{typed}: {found}");
        }
        for (typed, told) in [
            (
                "-listen",
                "-listen is not an option; did you mean --listen?",
            ),
            ("-contrl", "did you mean --control?"),
            ("-x", "-x is not an option; hasses --help lists them"),
        ] {
            let found = no_switch(typed);
            assert!(found.contains(told), "{typed}: {found}");
        }
        for (typed, told) in [
            ("publsh", "did you mean hasses publish?"),
            ("stat", "did you mean hasses status?"),
            ("listen", "did you mean --listen?"),
            ("x", "options are written"),
        ] {
            let found = no_word(typed);
            assert!(found.contains(told), "{typed}: {found}");
        }
    }
}
