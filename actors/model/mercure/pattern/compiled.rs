//! All other patterns, compiled by the crate `urlpattern` on `regex-lite`.

use std::cell::RefCell;
use std::rc::Rc;

use foldhash::{HashMap, HashMapExt};
use regex_lite::{Regex, RegexBuilder};
use urlpattern::regexp::RegExp;
use urlpattern::{RegexSyntax, UrlPattern, UrlPatternInit, UrlPatternOptions};

use super::super::Identity;
use super::PatternError;

/// Compiled patterns that are kept at a time.
pub(super) const KEPT: usize = 256;
/// Bytes that one compiled expression of a pattern may need.
const MAX_COMPILED: usize = 256 * 1024;

/// A regular expression of the crate `regex-lite`.
pub(super) struct Lite(Regex);

impl RegExp for Lite {
    fn syntax() -> RegexSyntax {
        RegexSyntax::Rust
    }

    fn parse(pattern: &str, _flags: &str, _force: bool) -> Result<Self, ()> {
        let mut builder = RegexBuilder::new(pattern);
        builder
            .size_limit(MAX_COMPILED)
            .build()
            .map(Self)
            .map_err(|_| ())
    }

    fn matches<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        let captures = self.0.captures(text)?;
        let groups = captures.iter().skip(1);
        Some(
            groups
                .map(|group| group.map(|group| group.as_str()))
                .collect(),
        )
    }

    fn pattern_string(&self) -> &str {
        self.0.as_str()
    }
}

pub(super) type Compiled = UrlPattern<Lite>;

/// Whether a group ends that did not begin: the crate counts on it that none does.
fn ends_too_often(text: &str) -> bool {
    let (mut groups, mut expressions, mut escaped) = (0_usize, 0_usize, false);
    for byte in text.bytes() {
        match byte {
            _ if std::mem::take(&mut escaped) => {}
            b'\\' => escaped = true,
            b'(' => expressions += 1,
            b')' => expressions = expressions.saturating_sub(1),
            b'{' if expressions == 0 => groups += 1,
            b'}' if expressions == 0 && groups == 0 => return true,
            b'}' if expressions == 0 => groups -= 1,
            _ => {}
        }
    }
    false
}

pub(super) fn compile(text: &str, hub: &Identity) -> Result<Compiled, PatternError> {
    if ends_too_often(text) {
        return Err(PatternError("a '}' has no '{'".into()));
    }
    let refused = |error: urlpattern::Error| PatternError(error.to_string());
    let base = hub
        .resolve("")
        .ok_or_else(|| PatternError("no hub".into()))?;
    let init = UrlPatternInit::parse_constructor_string::<Lite>(text, Some(base));
    UrlPattern::parse(init.map_err(refused)?, UrlPatternOptions::default()).map_err(refused)
}

/// The compiled patterns that were used last, and when: a count.
struct Cache {
    compiled: HashMap<Box<str>, (Rc<Compiled>, u64)>,
    uses: u64,
}

thread_local! {
    // Shared by all that match patterns: a pattern's text says all that there is to know of it, as the
    // hub's URL is one for the process.
    static CACHE: RefCell<Cache> = RefCell::new(Cache {
        compiled: HashMap::new(),
        uses: 0,
    });
}

/// A pattern compiled, from the cache if it is there.
pub(super) fn compiled(text: &str, hub: &Identity) -> Result<Rc<Compiled>, PatternError> {
    CACHE.with_borrow_mut(|cache| {
        cache.uses += 1;
        let now = cache.uses;
        if let Some((compiled, used)) = cache.compiled.get_mut(text) {
            *used = now;
            return Ok(Rc::clone(compiled));
        }
        if cache.compiled.len() >= KEPT {
            let oldest = cache.compiled.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(text) = oldest.map(|(text, _)| text.clone()) {
                cache.compiled.remove(&text);
            }
        }
        let new = Rc::new(compile(text, hub)?);
        cache.compiled.insert(text.into(), (Rc::clone(&new), now));
        Ok(new)
    })
}
