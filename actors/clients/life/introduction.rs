//! Whom a client's connection speaks for, where it belongs to a trusted proxy.

use super::Context;
use crate::clients::ClientHandle;
use crate::messages::registry::FromClient;
use crate::net::peer::{Peer, counted};
use crate::wire::http::{Refused, Request, forwarded};
use crate::wire::proxy_protocol::{self, Beginning};

/// What a trusted proxy says of the client, gathered up to the end of its request. Of all others
/// nothing is read here, and what they say in `X-Forwarded-For` is ignored.
pub(super) struct Introduction<'a> {
    handle: &'a ClientHandle,
    context: &'a Context,
    /// A PROXY protocol header may still come.
    header: bool,
    client: Option<Peer>,
}

impl<'a> Introduction<'a> {
    /// `first`: nothing has come on the connection yet.
    pub(super) fn new(handle: &'a ClientHandle, context: &'a Context, first: bool) -> Self {
        Self {
            handle,
            context,
            header: first && handle.is_proxy(),
            client: None,
        }
    }

    /// Takes a PROXY protocol header off the connection's first bytes, if there is one; whether what
    /// is in `input` then is the request.
    pub(super) fn read(&mut self, input: &mut Vec<u8>) -> Result<bool, Refused> {
        if !self.header {
            return Ok(true);
        }
        let Some(beginning) = proxy_protocol::begins(input)? else {
            return Ok(false);
        };
        self.header = false;
        if let Beginning::Header { length, client } = beginning {
            input.drain(..length);
            if let Some(client) = client.map(Peer::from) {
                // The client may be a proxy that is trusted as well.
                let trusted = self.context.settings.now().trust_proxy.believes(&client);
                self.handle.set_proxy(trusted);
                self.client = Some(client);
            }
        }
        Ok(true)
    }

    /// Tells the registry who the client is, now that its request is there or refused.
    pub(super) fn complete(mut self, request: Option<&Request>) {
        if self.handle.is_proxy()
            && let Some(field) = request.and_then(|request| request.x_forwarded_for.as_deref())
        {
            let trusted = &self.context.settings.now().trust_proxy;
            if let Some(client) = forwarded::client(field, |address| trusted.includes(address)) {
                self.client = Some(client.into());
            }
        }
        let limited = self.context.settings.now().max_clients_per_ip.is_some();
        if limited
            && self.handle.is_proxy()
            && self.client.is_none()
            && request.is_some()
            && !self.context.told_of_proxy.replace(true)
        {
            log::warn!(
                "a proxy of --trust-proxy sends no X-Forwarded-For, so --max-clients-per-ip cannot tell its \
                 clients apart"
            );
        }
        if let Some(peer) = self.client {
            let prefix = self.context.settings.now().ip6_prefix;
            (self.handle).set_address(peer.ip().map(|address| counted(address, prefix)));
            let key = self.handle.key();
            self.context.cast(FromClient::Introduced { key, peer });
        }
    }
}
