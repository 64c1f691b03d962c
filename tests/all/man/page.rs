//! The man page: `hasses.1.in`, with what the program's own help says put in.

/// The page, made of `template`, in which `@name@` alone on a line stands for a help text.
/// `help` gives what the program says to these arguments.
pub(crate) fn page(template: &str, help: impl Fn(&str) -> String) -> String {
    let mut made = vec![
        r#".\" Made from tests/all/man/hasses.1.in and hasses help all: RENEW=1 cargo test --test all man::"#
            .to_owned(),
    ];
    for line in template.lines() {
        made.extend(match line {
            "@synopsis@" => usage(&help("help all")),
            "@options@" => body(
                help("help all")
                    .split_once("\n\n")
                    .map_or("", |(_, groups)| groups),
            ),
            "@publish@" | "@subscribe@" | "@status@" | "@doctor@" | "@sign@" | "@completions@" => {
                let name = line.trim_matches('@');
                let text = help(&format!("{name} --help"));
                let head = vec![format!(".SS hasses {name}")];
                [head, usage(&text), body(&text)].concat()
            }
            _ => vec![line.replace("@version@", help("--version").trim())],
        });
    }
    made.join("\n") + "\n"
}

/// The lines from `Usage:` to the first blank one, as they stand there.
fn usage(help: &str) -> Vec<String> {
    let lines = help.lines().take_while(|line| !line.is_empty());
    let lines = lines.map(|line| line.strip_prefix("Usage: ").unwrap_or(line.trim_start()));
    let mut made = vec![".nf".to_owned()];
    made.extend(lines.map(term));
    made.push(".fi".to_owned());
    made
}

/// What comes behind the usage: paragraphs, groups of options under their names, and examples.
fn body(help: &str) -> Vec<String> {
    let mut made = Vec::new();
    for paragraph in help.trim_end().split("\n\n").skip(1) {
        let mut lines = paragraph.lines().peekable();
        if paragraph.contains(":\n  --") {
            made.extend(
                lines
                    .next()
                    .map(|name| format!(".SS {}", text(name.trim_end_matches(':')))),
            );
        } else if !paragraph.starts_with(' ') {
            made.push(".PP".to_owned());
        } else if !paragraph.starts_with("  --") {
            made.extend([".PP", ".in +4n", ".EX"].map(str::to_owned));
            made.extend(lines.map(|line| text(line.trim_start())));
            made.extend([".EE", ".in"].map(str::to_owned));
            continue;
        }
        for line in lines {
            let option = line
                .strip_prefix("  ")
                .filter(|line| line.starts_with("--"));
            match option.and_then(|line| line.split_once("  ")) {
                Some((option, about)) => {
                    made.extend([".TP".to_owned(), term(option), text(about.trim_start())]);
                }
                None => made.push(text(line.trim_start())),
            }
        }
    }
    made
}

/// A line in which the names of options are bold.
fn text(line: &str) -> String {
    fonts(line, |_| false)
}

/// As [`text`], and what is in capitals stands for something else: it is in italics.
fn term(line: &str) -> String {
    fonts(line, |char| char.is_ascii_uppercase())
}

fn fonts(mut line: &str, is_variable: impl Fn(char) -> bool) -> String {
    let mut made = String::new();
    while let Some(first) = line.chars().next() {
        let end = match first {
            _ if line.starts_with("--") => {
                line.find(|char: char| char != '-' && !char.is_lowercase())
            }
            first if is_variable(first) => line.find(|char| !is_variable(char)),
            first => Some(first.len_utf8()),
        };
        let (part, rest) = line.split_at(end.unwrap_or(line.len()));
        let font = match first {
            '-' if part.len() > 1 => "B",
            first if is_variable(first) => "I",
            _ => "R",
        };
        made += &match font {
            "R" => escaped(part),
            _ => format!(r"\f{font}{}\fR", escaped(part)),
        };
        line = rest;
    }
    made
}

/// Text that means nothing to roff, and is printed in ASCII (man(7), groff_char(7)).
fn escaped(text: &str) -> String {
    let special = [
        ('\\', r"\e"),
        ('-', r"\-"),
        ('\'', r"\(aq"),
        ('`', r"\(ga"),
        ('^', r"\(ha"),
        ('~', r"\(ti"),
    ];
    let char = |char: char| match special.iter().find(|(known, _)| *known == char) {
        Some((_, escape)) => (*escape).to_owned(),
        None => char.to_string(),
    };
    text.chars().map(char).collect()
}
