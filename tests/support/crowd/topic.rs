//! What is published and who should see it.

/// Tokens are `t0` to `t199`; half of what is published to one token alone goes to `t0`.
pub const TOKENS: u16 = 200;
/// Ids of clients are `c0` to `c49`.
pub const IDS: u16 = 50;

/// Whom an event is for.
#[derive(Debug, Clone)]
pub struct Target {
    to: Vec<To>,
    except: Option<u16>,
}

/// What an event can be published to; each has a history of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum To {
    Token(u16),
    /// Tokens whose name begins so.
    Prefix(String),
    Everyone,
}

impl To {
    /// As publishers write it.
    pub fn name(&self) -> String {
        match self {
            Self::Token(number) => format!("t{number}"),
            Self::Prefix(prefix) => format!("{prefix}*"),
            Self::Everyone => "*".to_owned(),
        }
    }

    fn named(name: &str) -> Self {
        match name.strip_suffix('*') {
            Some("") => Self::Everyone,
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Token(name[1..].parse().expect("a token's number")),
        }
    }

    /// Whether what is published to it is for a token.
    pub fn reaches(&self, token: u16) -> bool {
        match self {
            Self::Token(number) => *number == token,
            Self::Prefix(prefix) => format!("t{token}").starts_with(prefix),
            Self::Everyone => true,
        }
    }
}

/// How a stream shows what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Plain,
    /// Each event as one line of JSON.
    Json,
    /// Positions as events.
    Ping,
}

impl Target {
    /// Mostly one token; sometimes several, many or all; sometimes somebody is spared.
    pub fn random(random: &mut fastrand::Rng) -> Self {
        let to = match random.u8(..100) {
            0 => vec![To::Everyone],
            1 => vec![To::Prefix("t1".to_owned())],
            2..6 => vec![To::Prefix(format!("t{}", random.u8(10..20)))],
            6..16 => (0..3).map(|_| To::Token(random.u16(..TOKENS))).collect(),
            16..18 => vec![To::Token(random.u16(..TOKENS)), To::Prefix("t7".to_owned())],
            18..59 => vec![To::Token(0)],
            _ => vec![To::Token(random.u16(..TOKENS))],
        };
        let except = (random.u8(..5) == 0).then(|| random.u16(..IDS));
        Self { to, except }
    }

    /// What it was published to.
    pub fn to(&self) -> &[To] {
        &self.to
    }

    /// As a JSON line that asks for an answer.
    pub fn line(&self, data: &str, key: Option<&str>) -> String {
        let names = self.to.iter().map(To::name);
        let mut line = serde_json::json!({
            "to": names.collect::<Vec<_>>(), "data": data, "ack": true, "key": key,
        });
        if let Some(id) = self.except {
            line["except"] = format!("c{id}").into();
        }
        format!("{line}\n")
    }
}

/// What one client subscribes to, all its life.
#[derive(Debug)]
pub struct Interest {
    /// None for every token.
    tokens: Option<[u16; 2]>,
    id: u16,
    pub form: Form,
}

impl Interest {
    pub fn random(random: &mut fastrand::Rng) -> Self {
        let all = random.u8(..50) == 0;
        let chatty = random.u8(..20) == 0;
        let first = if chatty { 0 } else { random.u16(..TOKENS) };
        let tokens = [first, random.u16(..TOKENS)];
        Self {
            tokens: (!all).then_some(tokens),
            id: random.u16(..IDS),
            form: match random.u8(..10) {
                0 => Form::Json,
                1 => Form::Ping,
                _ => Form::Plain,
            },
        }
    }

    pub fn query(&self) -> String {
        let form = match self.form {
            Form::Plain => "",
            Form::Json => "&format=json",
            Form::Ping => "&ping=1",
        };
        match self.tokens {
            None => format!("subscribe=*&id=c{}{form}", self.id),
            Some([one, two]) => format!("subscribe=t{one}-t{two}&id=c{}{form}", self.id),
        }
    }

    pub fn is_everything(&self) -> bool {
        self.tokens.is_none()
    }

    /// Which of its tokens a gap names; both where it names none.
    pub(super) fn named(&self, gap: &serde_json::Value) -> [bool; 2] {
        let Some(names) = gap["tokens"].as_array() else {
            assert_ne!(self.form, Form::Json, "its gaps name tokens: {gap}");
            return [true; 2];
        };
        let Some(tokens) = self.tokens else {
            assert_eq!(*names, ["*"], "it listens to everything");
            return [true; 2];
        };
        let names: Vec<_> = names
            .iter()
            .map(|name| To::named(name.as_str().unwrap()))
            .collect();
        let own = tokens.map(To::Token);
        assert!(
            !names.is_empty() && names.iter().all(|name| own.contains(name)),
            "{gap}"
        );
        own.map(|token| names.contains(&token))
    }

    /// The data of an event as `format=json` shows it.
    pub(super) fn data(&self, id: u64, line: &str) -> String {
        let shown: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(shown["id"], id);
        let to = match &shown["to"] {
            serde_json::Value::Array(names) => names.iter().collect(),
            name => vec![name],
        };
        for name in &to {
            let name = name.as_str().expect("a name");
            assert!(self.listens_to(&To::named(name)), "{name} for {self:?}");
        }
        assert!(!to.is_empty(), "{line}");
        shown["data"].as_str().expect("data").to_owned()
    }

    /// Whether what is published to this is for it.
    pub fn listens_to(&self, to: &To) -> bool {
        let Some(tokens) = self.tokens else {
            return true;
        };
        tokens.iter().any(|token| to.reaches(*token))
    }

    /// Whether what is published to this is for one of its tokens that are `named`.
    pub fn listens_by(&self, named: [bool; 2], to: &To) -> bool {
        let Some(tokens) = self.tokens else {
            return true;
        };
        let mut named = tokens.iter().zip(named).filter(|(_, named)| *named);
        named.any(|(token, _)| to.reaches(*token))
    }

    /// Whether an event for `target` is for this client.
    pub fn meets(&self, target: &Target) -> bool {
        target.except != Some(self.id) && target.to.iter().any(|to| self.listens_to(to))
    }
}
