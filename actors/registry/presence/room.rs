//! One token: its members, and those who are told of them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use foldhash::HashMap;

use super::{Info, NodeChange, What};
use crate::model::{ClientId, Token};
use crate::wire::sse::Frame;

/// Members, and bytes of their list, up to which listeners are told of each.
const MOST_MEMBERS: usize = 1000;
const MOST_BYTES: usize = 64 * 1024;

/// A member.
#[derive(Debug)]
pub(super) struct Here {
    /// What is shown of it: what its newest stream, on whatever node, brought.
    info: Info,
    since: u64,
    /// Streams on this node.
    pub(super) own: u32,
    /// When it leaves this node, without a stream.
    pub(super) leaves_at: Option<u64>,
    /// What its streams on this node brought, and since when it is on this node; none: it is not.
    pub(super) own_info: Info,
    pub(super) own_since: Option<u64>,
    /// Other nodes on which it is, and with how many streams.
    elsewhere: Vec<(u64, u32)>,
}

impl Here {
    /// A member by its first stream on this node.
    pub(super) fn own(info: Info, since: u64) -> Self {
        Self {
            own: 1,
            leaves_at: None,
            own_info: info.clone(),
            own_since: Some(since),
            info,
            since,
            elsewhere: Vec::new(),
        }
    }

    /// A member that was here before a restart.
    pub(super) fn remembered(info: Info, since: u64, due: u64) -> Self {
        Self {
            own: 0,
            leaves_at: Some(due),
            ..Self::own(info, since)
        }
    }
}

/// A member came, or what is shown of it changed, or it left.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// Where this stands among all that happens.
    step: u64,
    id: ClientId,
    /// What was shown of it before, if it was there, and what is now.
    before: Option<Info>,
    pub(super) here: Option<Info>,
}

impl Change {
    pub(super) fn name(&self) -> &'static str {
        match self.here {
            Some(_) => "join",
            None => "leave",
        }
    }

    /// As JSON.
    pub(super) fn data(&self, token: &str) -> String {
        let info = self.here.as_ref().or(self.before.as_ref());
        let info = info.cloned().flatten();
        let token = serde_json::json!(token);
        format!("{{\"token\":{token},{}}}", shown(&self.id, &info))
    }
}

/// What is shown of a member, as the inside of an object.
fn shown(id: &ClientId, info: &Info) -> String {
    let id = serde_json::json!(id.as_str());
    let info = info.as_deref().unwrap_or("null");
    format!("\"id\":{id},\"info\":{info}")
}

/// Bytes of a member in the list.
fn length(id: &ClientId, info: &Info) -> usize {
    id.as_str().len() + info.as_deref().map_or(4, str::len) + "{\"id\":\"\",\"info\":},".len()
}

/// A token whose members are known.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) token: Token,
    members: BTreeMap<ClientId, Here>,
    /// Bytes of the list of members.
    bytes: usize,
    /// Streams without an id: on this node, and on others.
    pub(super) anonymous: usize,
    elsewhere: Vec<(u64, u32)>,
    /// Whether others do not know yet how many of this node's have none.
    pub(super) recounted: bool,
    /// Clients that are told, and at which step they knew all.
    pub(super) listeners: HashMap<u32, u64>,
    /// What has happened since it was told last, in order.
    log: Vec<Change>,
    /// Members that have come to this node or left it since, or show something else; and those with false have more
    /// or fewer streams.
    pub(super) own_changes: BTreeMap<ClientId, bool>,
    /// Whether changes wait to be told.
    pub(super) gathers: bool,
    /// Whether listeners are told totals alone.
    pub(super) large: bool,
    pub(super) total_at: Option<u64>,
    pub(super) total_waits: bool,
}

impl Room {
    pub(super) fn new(token: Token) -> Self {
        Self {
            token,
            members: BTreeMap::new(),
            bytes: 0,
            anonymous: 0,
            elsewhere: Vec::new(),
            recounted: false,
            listeners: HashMap::default(),
            log: Vec::new(),
            own_changes: BTreeMap::new(),
            gathers: false,
            large: false,
            total_at: None,
            total_waits: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.all_anonymous() == 0 && !self.gathers
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Streams without an id, of all nodes.
    pub(super) fn all_anonymous(&self) -> usize {
        self.anonymous + streams(&self.elsewhere)
    }

    pub(super) fn get_mut(&mut self, id: &ClientId) -> Option<&mut Here> {
        self.members.get_mut(id)
    }

    /// A member comes.
    pub(super) fn enter(&mut self, id: ClientId, here: Here, step: u64) {
        self.log.push(Change {
            step,
            id: id.clone(),
            before: None,
            here: Some(here.info.clone()),
        });
        self.remember(id, here);
    }

    /// A member is there, of whom all know already.
    pub(super) fn remember(&mut self, id: ClientId, here: Here) {
        self.bytes += length(&id, &here.info);
        self.members.insert(id, here);
    }

    /// Shows this of a member from now on; whether that is another thing than before.
    pub(super) fn show(&mut self, id: &ClientId, info: &Info, step: u64) -> bool {
        let Some(here) = self.members.get_mut(id).filter(|here| here.info != *info) else {
            return false;
        };
        let before = std::mem::replace(&mut here.info, info.clone());
        self.bytes = self.bytes + length(id, info) - length(id, &before);
        self.log.push(Change {
            step,
            id: id.clone(),
            before: Some(before),
            here: Some(info.clone()),
        });
        true
    }

    /// A member has left this node; whether it was on it.
    pub(super) fn leave_own(&mut self, id: &ClientId, step: u64) -> bool {
        let Some(here) = self.members.get_mut(id) else {
            return false;
        };
        here.leaves_at = None;
        here.own_info = None;
        let was = here.own_since.take().is_some();
        self.leave_if_nowhere(id, step);
        was
    }

    /// Another node tells of somebody; whether listeners are to know.
    pub(super) fn hear(&mut self, node: u64, what: What, step: u64) -> bool {
        match what {
            What::Here {
                id,
                streams,
                since,
                info,
            } => self.come_elsewhere(&id, (node, streams), &(info, since), step),
            What::Gone(id) => self.leave_elsewhere(&id, node, step),
            What::Streams(id, streams) => {
                let counts = match &id {
                    None => Some(&mut self.elsewhere),
                    Some(id) => (self.members.get_mut(id)).map(|here| &mut here.elsewhere),
                };
                if let Some(counts) = counts {
                    // A member is on that node only if that was told before.
                    let known = counts.len();
                    counts.retain(|(one, _)| *one != node);
                    if counts.len() < known || id.is_none() && streams > 0 {
                        counts.push((node, streams));
                    }
                }
                false
            }
        }
    }

    /// A member is on another node.
    fn come_elsewhere(
        &mut self,
        id: &ClientId,
        on: (u64, u32),
        (info, since): &(Info, u64),
        step: u64,
    ) -> bool {
        match self.members.get_mut(id) {
            Some(here) => {
                here.elsewhere.retain(|(node, _)| *node != on.0);
                here.elsewhere.push(on);
                here.since = here.since.min(*since);
                self.show(id, info, step)
            }
            None => {
                let here = Here {
                    own: 0,
                    own_info: None,
                    own_since: None,
                    elsewhere: vec![on],
                    ..Here::own(info.clone(), *since)
                };
                self.enter(id.clone(), here, step);
                true
            }
        }
    }

    /// A member has left another node; whether it is nowhere now.
    fn leave_elsewhere(&mut self, id: &ClientId, node: u64, step: u64) -> bool {
        let Some(here) = self.members.get_mut(id) else {
            return false;
        };
        here.elsewhere.retain(|(one, _)| *one != node);
        self.leave_if_nowhere(id, step)
    }

    /// The members that are on another node, and none for its streams without an id.
    pub(super) fn on(&self, node: u64) -> Vec<Option<ClientId>> {
        let is = |elsewhere: &[(u64, u32)]| elsewhere.iter().any(|(one, _)| *one == node);
        let members = self.members.iter();
        let on = members.filter(|(_, here)| is(&here.elsewhere));
        let on = on.map(|(id, _)| Some(id.clone()));
        on.chain(is(&self.elsewhere).then_some(None)).collect()
    }

    /// This node's own members, and its streams without an id.
    pub(super) fn own(&self) -> impl Iterator<Item = NodeChange> {
        let own = self.members.iter();
        let own = own.filter(|(_, here)| here.own_since.is_some());
        let own = own.map(|(id, _)| self.what(id, true));
        let anonymous = (self.anonymous > 0).then(|| self.what_anonymous());
        own.chain(anonymous).map(|what| self.node_change(what))
    }

    fn node_change(&self, what: What) -> NodeChange {
        let token = self.token.clone();
        NodeChange { token, what }
    }

    /// What is so of a member on this node; `shown`: all that is shown of it.
    fn what(&self, id: &ClientId, shown: bool) -> What {
        let here = self.members.get(id);
        match here.and_then(|here| Some((here, here.own_since?))) {
            None => What::Gone(id.clone()),
            Some((here, since)) if shown => What::Here {
                id: id.clone(),
                streams: here.own,
                since,
                info: here.own_info.clone(),
            },
            Some((here, _)) => What::Streams(Some(id.clone()), here.own),
        }
    }

    fn what_anonymous(&self) -> What {
        What::Streams(None, u32::try_from(self.anonymous).unwrap_or(u32::MAX))
    }

    fn leave_if_nowhere(&mut self, id: &ClientId, step: u64) -> bool {
        let nowhere = |here: &Here| here.own_since.is_none() && here.elsewhere.is_empty();
        if !self.members.get(id).is_some_and(nowhere) {
            return false;
        }
        if let Some(here) = self.members.remove(id) {
            self.bytes -= length(id, &here.info);
            self.log.push(Change {
                step,
                id: id.clone(),
                before: Some(here.info),
                here: None,
            });
        }
        true
    }

    /// What other nodes are to know.
    pub(super) fn node_changes(&mut self) -> Vec<NodeChange> {
        let changed = std::mem::take(&mut self.own_changes).into_iter();
        let recounted = std::mem::take(&mut self.recounted);
        let changed = changed.map(|(id, shown)| self.what(&id, shown));
        let changed = changed.chain(recounted.then(|| self.what_anonymous()));
        changed.map(|what| self.node_change(what)).collect()
    }

    /// What has changed since it was told last, for those who knew all then.
    pub(super) fn changes(&self) -> Vec<Change> {
        net(&self.log)
    }

    /// All that happened is told.
    pub(super) fn forget_log(&mut self) {
        self.log = Vec::new();
    }

    /// Whether there are too many members to be told of each. It takes fewer to become small again, so
    /// that a room on the edge does not change with each of them.
    pub(super) fn is_over(&self) -> bool {
        let (members, bytes) = if self.large {
            (MOST_MEMBERS * 9 / 10, MOST_BYTES * 9 / 10)
        } else {
            (MOST_MEMBERS, MOST_BYTES)
        };
        self.members.len() > members || self.bytes > bytes
    }

    /// Whether listeners are told totals.
    pub(super) fn is_large(&self) -> bool {
        self.large || self.is_over()
    }

    /// The joins and leaves for each listener: the same for all who knew all before, and for others what
    /// has happened since their first view.
    pub(super) fn tell_changes(&mut self, changes: &[Change]) -> Vec<(Vec<u32>, Rc<Frame>)> {
        let first = self.log.first().map_or(u64::MAX, |change| change.step);
        let mut by_step: HashMap<u64, Vec<u32>> = HashMap::default();
        for (client, step) in &mut self.listeners {
            let knew = std::mem::replace(step, 0);
            let knew = if knew < first { 0 } else { knew };
            by_step.entry(knew).or_default().push(*client);
        }
        let mut frames = Vec::new();
        for (knew, clients) in by_step {
            let frame = match knew {
                0 => self.frame(changes),
                knew => {
                    let from = self.log.partition_point(|change| change.step <= knew);
                    self.frame(&net(&self.log[from..]))
                }
            };
            frames.extend(frame.map(|frame| (clients, frame)));
        }
        frames
    }

    fn frame(&self, changes: &[Change]) -> Option<Rc<Frame>> {
        let blocks = changes.iter().map(|change| {
            let data = change.data(self.token.as_str());
            (change.name(), data)
        });
        let blocks: Vec<_> = blocks.collect();
        (!blocks.is_empty()).then(|| Rc::new(Frame::of_blocks(&blocks)))
    }

    /// The whole list for all listeners.
    pub(super) fn tell_members(&mut self) -> Option<(Vec<u32>, Rc<Frame>)> {
        if self.listeners.is_empty() {
            return None;
        }
        let frame = Rc::new(Frame::of_blocks(&[("members", self.members_json())]));
        Some((self.listeners.keys().copied().collect(), frame))
    }

    /// The total for all listeners.
    pub(super) fn tell_total(&mut self, now: u64) -> Option<(Vec<u32>, Rc<Frame>)> {
        self.total_at = Some(now);
        self.tell_members()
    }

    /// The data of `members`.
    pub(super) fn members_json(&self) -> String {
        let token = serde_json::json!(self.token.as_str());
        let anonymous = self.all_anonymous();
        if self.is_large() {
            let total = self.members.len();
            return format!("{{\"token\":{token},\"total\":{total},\"anonymous\":{anonymous}}}");
        }
        let members = self.members.iter();
        let members = members.map(|(id, here)| format!("{{{}}}", shown(id, &here.info)));
        let members = members.collect::<Vec<_>>().join(",");
        format!("{{\"token\":{token},\"members\":[{members}],\"anonymous\":{anonymous}}}")
    }

    /// At most `most` members behind an id, as the inside of a list, and the id of the last if there are
    /// more.
    pub(super) fn page(&self, after: Option<&ClientId>, most: usize) -> (String, Option<ClientId>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut members = self.members.range::<ClientId, _>((from, Bound::Unbounded));
        let mut last = None;
        let rows = members.by_ref().take(most).map(|(id, here)| {
            last = Some(id);
            let streams = here.own as usize + streams(&here.elsewhere);
            let since = here.since;
            let shown = shown(id, &here.info);
            format!("{{{shown},\"streams\":{streams},\"since\":{since}}}")
        });
        let rows = rows.collect::<Vec<_>>().join(",");
        let more = members.next().is_some();
        (rows, last.filter(|_| more).cloned())
    }
}

/// How many streams other nodes have together.
fn streams(elsewhere: &[(u64, u32)]) -> usize {
    elsewhere.iter().map(|(_, streams)| *streams as usize).sum()
}

/// What several changes come to: one for each member that is not as it was before them.
fn net(log: &[Change]) -> Vec<Change> {
    let mut places: HashMap<&ClientId, usize> = HashMap::default();
    let mut net: Vec<Change> = Vec::new();
    for change in log {
        match places.get(&change.id) {
            Some(&place) => net[place].here.clone_from(&change.here),
            None => {
                places.insert(&change.id, net.len());
                net.push(change.clone());
            }
        }
    }
    net.retain(|change| change.before != change.here);
    net
}
