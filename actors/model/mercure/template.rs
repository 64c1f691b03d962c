//! URI Templates (RFC 6570), read backwards: whether a topic could have come of a template.
//!
//! A value may be any that an expansion could have: none, one, or several with commas. Matching keeps
//! the set of places in the topic that can be reached so far, so its cost is the product of the two
//! lengths and never more.

/// A template, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Expression(Box<Expression>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Expression {
    operator: Operator,
    variables: Box<[Variable]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    name: Box<str>,
    /// The most characters of the value (`:n`).
    most: Option<u16>,
    /// A list or a map is spread out (`*`).
    explodes: bool,
}

/// The table of RFC 6570 appendix A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operator {
    first: &'static str,
    separator: &'static str,
    /// What stands between a name and an empty value, if values have their names.
    named: Option<&'static str>,
    /// Whether reserved characters stand as they are.
    reserved: bool,
}

impl Operator {
    /// The operator of an expression's inside, and what follows it.
    fn split(inside: &str) -> (Self, &str) {
        let operator = |first, separator, named, reserved| Self {
            first,
            separator,
            named,
            reserved,
        };
        let rest = inside.get(1..).unwrap_or_default();
        match inside.bytes().next() {
            Some(b'+') => (operator("", ",", None, true), rest),
            Some(b'#') => (operator("#", ",", None, true), rest),
            Some(b'.') => (operator(".", ".", None, false), rest),
            Some(b'/') => (operator("/", "/", None, false), rest),
            Some(b';') => (operator(";", ";", Some(""), false), rest),
            Some(b'?') => (operator("?", "&", Some("="), false), rest),
            Some(b'&') => (operator("&", "&", Some("="), false), rest),
            _ => (operator("", ",", None, false), inside),
        }
    }
}

/// A segment of a template between two `/`, for an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Exactly this.
    Literal(&'a str),
    /// Something without `/`.
    Any,
    /// Anything, `/` too, up to the end.
    Rest,
}

impl Template {
    /// Reads a template; none if the text has no expression in it, or none that is one.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (inside, after) = after.split_once('}')?;
            if literal.contains('}') {
                return None;
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            parts.push(Part::Expression(Box::new(Expression::read(inside)?)));
            rest = after;
        }
        if parts.is_empty() || rest.contains('}') {
            return None;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Some(Self {
            parts: parts.into(),
        })
    }

    /// Whether an expansion can give this topic.
    pub fn matches(&self, topic: &str) -> bool {
        let mut places = Places::start(topic);
        for part in &self.parts {
            places = match part {
                Part::Literal(literal) => places.literal(literal),
                Part::Expression(expression) => expression.follow(&places),
            };
            if places.is_empty() {
                return false;
            }
        }
        places.reach_end()
    }

    /// The template's segments, as far as an index can use them.
    pub fn segments(&self) -> Vec<Segment<'_>> {
        let mut segments = Vec::new();
        // The segment that is being read: a literal so far, or something.
        let mut current: Option<&str> = Some("");
        for part in &self.parts {
            match part {
                Part::Literal(literal) => {
                    let mut pieces = literal.split('/');
                    let first = pieces.next().unwrap_or_default();
                    if !first.is_empty() {
                        // A literal behind an expression: no matter what, it is no plain one.
                        current = current.filter(|before| before.is_empty()).map(|_| first);
                    }
                    for piece in pieces {
                        segments.push(current.map_or(Segment::Any, Segment::Literal));
                        current = Some(piece);
                    }
                }
                Part::Expression(expression) => {
                    let operator = expression.operator;
                    if operator.reserved || operator.first == "/" {
                        segments.push(Segment::Rest);
                        return segments;
                    }
                    current = None;
                }
            }
        }
        segments.push(current.map_or(Segment::Any, Segment::Literal));
        segments
    }
}

impl Expression {
    fn read(inside: &str) -> Option<Self> {
        let (operator, list) = Operator::split(inside);
        let variables = list.split(',').map(Variable::read).collect::<Option<_>>()?;
        Some(Self {
            operator,
            variables,
        })
    }

    /// The places that are reached behind this expression: any of its variables may have no value.
    fn follow<'a>(&self, from: &Places<'a>) -> Places<'a> {
        let Operator {
            first, separator, ..
        } = self.operator;
        let mut some = from.none();
        for variable in &self.variables {
            let mut entry = from.literal(first);
            entry.add(&some.literal(separator));
            some.add(&variable.follow(&entry, self.operator));
        }
        some.add(from);
        some
    }
}

impl Variable {
    fn read(text: &str) -> Option<Self> {
        let (text, explodes) = match text.strip_suffix('*') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (name, most) = match text.split_once(':') {
            Some((name, most)) if !explodes && most.len() <= 4 => {
                let digits = most.bytes().all(|byte| byte.is_ascii_digit());
                (
                    name,
                    Some(most.parse().ok().filter(|most| digits && *most > 0)?),
                )
            }
            Some(_) => return None,
            None => (text, None),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.%".contains(&byte);
        (!name.is_empty() && name.bytes().all(is_name)).then(|| Self {
            name: name.into(),
            most,
            explodes,
        })
    }

    /// The places behind this variable's value.
    fn follow<'a>(&self, entry: &Places<'a>, operator: Operator) -> Places<'a> {
        let Operator {
            separator,
            named,
            reserved,
            ..
        } = operator;
        match (named, self.explodes) {
            (Some(empty), true) => entry.pairs(separator, empty.is_empty()),
            (Some(empty), false) => {
                let name = entry.literal(&self.name);
                let mut places = name.literal(empty);
                places.add(&self.value(&name.literal("="), reserved));
                places
            }
            (None, true) => entry.run(reserved, &[b"=", separator.as_bytes()].concat(), None),
            (None, false) => self.value(entry, reserved),
        }
    }

    fn value<'a>(&self, entry: &Places<'a>, reserved: bool) -> Places<'a> {
        match self.most {
            Some(most) => entry.run(reserved, b"", Some(most.into())),
            // The members of a list that is not spread out.
            None => entry.run(reserved, b",", None),
        }
    }
}

/// The places in a topic that can be reached: before each of its bytes, and behind the last.
#[derive(Debug, Clone)]
struct Places<'a> {
    topic: &'a [u8],
    reached: Vec<bool>,
}

impl<'a> Places<'a> {
    fn start(topic: &'a str) -> Self {
        let mut reached = vec![false; topic.len() + 1];
        reached[0] = true;
        Self {
            topic: topic.as_bytes(),
            reached,
        }
    }

    fn none(&self) -> Self {
        Self {
            topic: self.topic,
            reached: vec![false; self.reached.len()],
        }
    }

    fn is_empty(&self) -> bool {
        !self.reached.contains(&true)
    }

    fn reach_end(&self) -> bool {
        self.reached.last() == Some(&true)
    }

    fn add(&mut self, others: &Self) {
        for (reached, other) in self.reached.iter_mut().zip(&others.reached) {
            *reached |= other;
        }
    }

    fn literal(&self, literal: &str) -> Self {
        let mut next = self.none();
        for (place, _) in self
            .reached
            .iter()
            .enumerate()
            .filter(|(_, reached)| **reached)
        {
            if self.topic[place..].starts_with(literal.as_bytes()) {
                next.reached[place + literal.len()] = true;
            }
        }
        next
    }

    /// Behind any number of characters of a value, `most` at most, `besides` being allowed too.
    fn run(&self, reserved: bool, besides: &[u8], most: Option<usize>) -> Self {
        let mut next = self.none();
        // How many characters may still come.
        let mut left: Option<usize> = None;
        for place in 0..self.reached.len() {
            if self.reached[place] {
                left = left.max(Some(most.unwrap_or(usize::MAX)));
            }
            next.reached[place] = left.is_some();
            let Some(&byte) = self.topic.get(place) else {
                break;
            };
            let allowed = self.is_value(place, reserved) || besides.contains(&byte);
            let weight = usize::from(!self.is_within_encoding(place));
            left = left
                .filter(|_| allowed)
                .and_then(|left| left.checked_sub(weight));
        }
        next
    }

    /// Behind one `name=value` or several; `bare`: an empty value may lack its `=`.
    fn pairs(&self, separator: &str, bare: bool) -> Self {
        let mut next = self.none();
        let (mut at_start, mut in_name, mut in_value) = (false, false, false);
        for place in 0..self.reached.len() {
            at_start |= self.reached[place];
            let whole = in_value || (bare && in_name);
            next.reached[place] = whole;
            let Some(&byte) = self.topic.get(place) else {
                break;
            };
            let value = self.is_value(place, false);
            (at_start, in_name, in_value) = (
                whole && separator.as_bytes() == [byte],
                (at_start || in_name) && value,
                (in_name && byte == b'=') || (in_value && value),
            );
        }
        next
    }

    /// Whether the byte at a place may be a part of a value (RFC 6570 §1.5).
    fn is_value(&self, place: usize, reserved: bool) -> bool {
        let byte = self.topic[place];
        byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || (byte == b'%' && self.is_encoding(place))
            || (reserved && b":/?#[]@!$&'()*+,;=".contains(&byte))
    }

    /// Whether a percent-encoded byte begins at a place.
    fn is_encoding(&self, place: usize) -> bool {
        matches!(self.topic.get(place..place + 3), Some([b'%', high, low])
            if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    }

    /// Whether a place is within a percent-encoded byte, which is one character.
    fn is_within_encoding(&self, place: usize) -> bool {
        (1..=2).any(|back| {
            place
                .checked_sub(back)
                .is_some_and(|begin| self.is_encoding(begin))
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn matches(template: &str, topic: &str) -> bool {
        Template::read(template).unwrap().matches(topic)
    }

    #[test]
    fn the_forms_that_occur() {
        for (template, topic) in [
            (
                "https://example.org/books/{id}",
                "https://example.org/books/1",
            ),
            (
                "https://example.org/books/{id}",
                "https://example.org/books/",
            ),
            (
                "https://example.org/books/{id}",
                "https://example.org/books/a%2Fb",
            ),
            (
                "https://example.org/books/{id}.jsonld",
                "https://example.org/books/1.jsonld",
            ),
            ("{scheme}://example.org/{x}", "https://example.org/1"),
            ("/subscriptions{/topic}{/subscriber}", "/subscriptions/a"),
            ("/subscriptions{/topic}{/subscriber}", "/subscriptions/a/b"),
            ("/subscriptions{/topic}{/subscriber}", "/subscriptions"),
            ("/books{?page}", "/books?page=2"),
            ("/books{?page}", "/books"),
            ("/books{?page,size}", "/books?size=3"),
            ("/books{?page,size}", "/books?page=1&size=3"),
            ("/books?x=1{&page}", "/books?x=1&page="),
            ("/a{;x,y}", "/a;x=1;y"),
            ("/a{.x}", "/a.json"),
            ("/a{#x}", "/a#b/c?d"),
            ("/a{+x}", "/a/b/c"),
            ("/a{/x*}", "/a/b/c"),
            ("/a{?x*}", "/a?k=1&l=2"),
            ("/{x,y}", "/1,2"),
            ("/{x:3}", "/abc"),
            ("/{x:2}/b", "/%41b/b"),
            ("{+all}", "https://example.org/x"),
        ] {
            assert!(matches(template, topic), "{template} {topic}");
        }
        for (template, topic) in [
            (
                "https://example.org/books/{id}",
                "https://example.org/books/1/2",
            ),
            (
                "https://example.org/books/{id}",
                "https://example.org/book/1",
            ),
            (
                "https://example.org/books/{id}",
                "https://example.org/books/1?x",
            ),
            (
                "https://example.org/books/{id}",
                "https://example.org/books/é",
            ),
            (
                "https://example.org/books/{id}",
                "https://example.org/books/%zz",
            ),
            ("/books{?page}", "/books?size=2"),
            ("/books{?page}", "/books?page"),
            ("/books{?page,size}", "/books?size=3&page=1"),
            ("/a{;x}", "/a;y=1"),
            ("/a{/x}", "/a/b/c"),
            ("/a{?x*}", "/a?k=1&&l=2"),
            ("/a{?x*}", "/a?k"),
            ("/{x:3}", "/abcd"),
            ("/a{+x}", "/b"),
        ] {
            assert!(!matches(template, topic), "{template} {topic}");
        }
    }

    #[test]
    fn what_is_no_template() {
        for text in [
            "",
            "a",
            "{}",
            "{",
            "}",
            "a{b",
            "a}b{c}",
            "{a}}",
            "{a b}",
            "{a,}",
            "{a:0}",
            "{a:12345}",
            "{a:+1}",
            "{a:1*}",
            "{=a}",
            "{a{b}}",
        ] {
            assert_eq!(Template::read(text), None, "{text}");
        }
    }

    #[test]
    fn segments_for_an_index() {
        use Segment::{Any, Literal, Rest};
        let segments = |text: &str| format!("{:?}", Template::read(text).unwrap().segments());
        let expect = |list: &[Segment<'_>]| format!("{list:?}");
        assert_eq!(
            segments("https://e/books/{id}"),
            expect(&[
                Literal("https:"),
                Literal(""),
                Literal("e"),
                Literal("books"),
                Any
            ])
        );
        assert_eq!(
            segments("/a-{id}.x/b"),
            expect(&[Literal(""), Any, Literal("b")])
        );
        assert_eq!(segments("/a{/x}/b"), expect(&[Literal(""), Rest]));
        assert_eq!(segments("/a{?x}"), expect(&[Literal(""), Any]));
        assert_eq!(segments("{+x}"), expect(&[Rest]));
    }

    proptest! {
        /// Whatever simple values there are, the topic that they give is matched; and the index's
        /// segments fit that topic.
        #[test]
        fn an_expansion_matches(
            before in "[a-z/]{0,8}",
            value in "([a-z0-9._~-]|%2F){0,8}",
            after in "[a-z/]{0,8}",
        ) {
            let template = Template::read(&format!("{before}{{x}}{after}")).unwrap();
            let topic = format!("{before}{value}{after}");
            prop_assert!(template.matches(&topic));
            let segments = template.segments();
            prop_assert_eq!(segments.len(), topic.split('/').count());
            for (segment, piece) in segments.iter().zip(topic.split('/')) {
                prop_assert!(*segment == Segment::Any || *segment == Segment::Literal(piece));
            }
        }

        #[test]
        fn no_template_panics(template in "[a-z{}/?&;:*+#.,0-9]{0,24}", topic in "\\PC{0,24}") {
            if let Some(template) = Template::read(&template) {
                template.matches(&topic);
                template.segments();
            }
        }
    }
}
