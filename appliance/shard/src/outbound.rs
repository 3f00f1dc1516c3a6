//! Where packets from the inside go: the SPD of a tenant, over all shards.

use crate::Shard;
use crate::io::{Message, ShardId};
use hawser_esp::Spd;
use hawser_esp::packet::PacketInfo;
use hawser_policy::TrafficSelector;

/// Where a packet from the inside goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Target {
    /// To this pair.
    Pair(usize),
    /// To another shard, for its pair with this owner number.
    Shard(ShardId, u64),
}

/// The outbound policies of one tenant.
#[derive(Default)]
pub(crate) struct Outbound {
    all: Spd<Target>,
    /// Only this shard's pairs: for packets that another shard has handed over, which are never
    /// handed on, also while two shards disagree.
    own: Spd<usize>,
}

impl Outbound {
    pub(crate) fn insert_own(
        &mut self,
        pair: usize,
        local: &[TrafficSelector],
        remote: &[TrafficSelector],
    ) {
        self.all.insert(Target::Pair(pair), local, remote);
        self.own.insert(pair, local, remote);
    }

    pub(crate) fn remove_own(&mut self, pair: usize) {
        self.all.remove(Target::Pair(pair));
        self.own.remove(pair);
    }

    /// What a packet takes; `handed` over from another shard, only a pair of this one.
    pub(crate) fn lookup(&self, info: &PacketInfo, handed: bool) -> Option<Target> {
        if handed {
            self.own.lookup(info).map(Target::Pair)
        } else {
            self.all.lookup(info)
        }
    }
}

impl Shard {
    /// What other shards tell of their pairs.
    pub(crate) fn others_selectors(&mut self, message: &Message) {
        match message {
            Message::SelectorsAdded {
                shard,
                tenant,
                owner,
                local,
                remote,
            } => {
                if let Some(tables) = self.spds.get_mut(usize::from(tenant.0)) {
                    let target = Target::Shard(*shard, *owner);
                    tables.all.insert(target, local, remote);
                }
            }
            Message::SelectorsRemoved {
                shard,
                tenant,
                owner,
            } => {
                if let Some(tables) = self.spds.get_mut(usize::from(tenant.0)) {
                    tables.all.remove(Target::Shard(*shard, *owner));
                }
            }
            _ => {}
        }
    }
}
