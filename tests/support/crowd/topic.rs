//! What is published and who should see it.

/// Tokens are `t0` to `t199`.
pub const TOKENS: u16 = 200;
/// Ids of clients are `c0` to `c49`.
pub const IDS: u16 = 50;

/// Whom an event is for.
#[derive(Debug, Clone)]
pub struct Target {
    to: Vec<To>,
    except: Option<u16>,
}

#[derive(Debug, Clone)]
enum To {
    Token(u16),
    /// Tokens whose name begins so.
    Prefix(String),
    Everyone,
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
            _ => vec![To::Token(random.u16(..TOKENS))],
        };
        let except = (random.u8(..5) == 0).then(|| random.u16(..IDS));
        Self { to, except }
    }

    /// As a JSON line that asks for an answer.
    pub fn line(&self, data: &str) -> String {
        let names = self.to.iter().map(|to| match to {
            To::Token(number) => format!("t{number}"),
            To::Prefix(prefix) => format!("{prefix}*"),
            To::Everyone => "*".to_owned(),
        });
        let mut line = serde_json::json!({
            "to": names.collect::<Vec<_>>(), "data": data, "ack": true,
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
}

impl Interest {
    pub fn random(random: &mut fastrand::Rng) -> Self {
        let all = random.u8(..50) == 0;
        let tokens = [random.u16(..TOKENS), random.u16(..TOKENS)];
        Self {
            tokens: (!all).then_some(tokens),
            id: random.u16(..IDS),
        }
    }

    pub fn query(&self) -> String {
        match self.tokens {
            None => format!("subscribe=*&id=c{}", self.id),
            Some([one, two]) => format!("subscribe=t{one}-t{two}&id=c{}", self.id),
        }
    }

    pub fn is_everything(&self) -> bool {
        self.tokens.is_none()
    }

    /// Whether an event for `target` is for this client.
    pub fn meets(&self, target: &Target) -> bool {
        let Some(tokens) = self.tokens else {
            return target.except != Some(self.id);
        };
        let meets = |to: &To| match to {
            To::Token(number) => tokens.contains(number),
            To::Prefix(prefix) => tokens
                .iter()
                .any(|token| format!("t{token}").starts_with(prefix)),
            To::Everyone => true,
        };
        target.except != Some(self.id) && target.to.iter().any(meets)
    }
}
