//! The phases of a client: what entering one and leaving one needs, and what is known of a client in any.
//! The order of these steps stands at the head of session.rs.

use super::Registry;
use super::mercure::as_routed;
use super::session::Phase;
use crate::model::{ClientId, Subscription};

impl Registry {
    /// A client has all that was before now.
    pub(super) fn go_live(&mut self, client: u32, subscription: &Subscription) {
        if let Some(position) = self.position(subscription.form) {
            self.pool.send_all(&[client], &position);
        }
        self.enter(client, Phase::Live);
        self.pool.set_live(client, true);
        self.routes.join(client, &as_routed(subscription));
        self.count_form(subscription.form);
        if let Some(listener) = subscription.hub.as_deref() {
            self.join_hub(client, listener);
        }
        self.appear(client, subscription);
    }

    /// Takes a client out of all that sends it events.
    pub(super) fn leave(&mut self, client: u32) {
        self.enter(client, Phase::Connected);
    }

    /// Puts a client into a phase, with all that leaving the former one needs.
    pub(super) fn enter(&mut self, client: u32, phase: Phase) {
        let former = self.sessions.set_phase(client, phase);
        if former == phase {
            return;
        }
        match former {
            Phase::Connected => {}
            Phase::Waiting => {
                self.let_go(client);
            }
            Phase::Replaying => {
                self.give_up_replay(client);
            }
            Phase::Live => {
                self.pool.set_live(client, false);
                self.leave_hub(client);
                let was_in = self.routes.leave(client);
                debug_assert!(was_in, "a live client is in the routes");
                self.uncount_form(client);
            }
        }
        if phase == Phase::Connected {
            self.disappear(client);
            self.sessions.forget_end(client);
        }
    }

    /// The name that a client gave itself.
    pub(super) fn id(&self, client: u32) -> Option<&ClientId> {
        match self.replays.get(client) {
            None => self.routes.id(client),
            Some(subscription) => subscription.id.as_ref(),
        }
    }

    /// What a client listens to.
    pub(super) fn subscribes(&self, client: u32) -> Vec<String> {
        let replayed = self.replays.get(client);
        match replayed.or_else(|| self.waits(client)) {
            None => {
                let mut names = self.routes.subscribes(client);
                if let Some(hub) = &self.hub {
                    names.extend(hub.wide(client).map(str::to_owned));
                }
                names
            }
            Some(subscription) => {
                let Subscription { tokens, all, .. } = subscription;
                let all = all.then(|| "*".to_string());
                all.into_iter()
                    .chain(tokens.iter().map(ToString::to_string))
                    .collect()
            }
        }
    }
}
