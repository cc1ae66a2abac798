//! An outsider that floods the nodes: it knows their addresses, their cluster and the form of
//! requests, but not their key.

use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;
use std::time::Duration;
use synod::ballot::NodeId;
use synod::kv::{Command, Store};
use synod::multi::{MessageOf, Operation, Request};

/// The number of requests that each node is sent at once.
const BURST: u64 = 64;

/// An actor that sends as much as the network takes.
pub(super) struct Flood {
    /// The number of nodes.
    pub(super) nodes: usize,
}

impl Flood {
    fn burst(&self, me: Id, out: &mut Out<Self>) {
        // The next burst follows at once.
        out.set_timer((), Duration::ZERO..Duration::ZERO);
        for (seq, node) in (0..BURST).flat_map(|seq| (0..self.nodes).map(move |node| (seq, node))) {
            let operation = Operation::Do {
                session: 0,
                seq,
                acked: 0,
                command: Command::Put {
                    key: "key 0".into(),
                    value: "forged".into(),
                },
            };
            let client = NodeId(usize::from(me) as u32);
            out.send(
                node.into(),
                MessageOf::<Store>::Request(Request { client, operation }),
            );
        }
    }
}

impl Actor for Flood {
    type Msg = MessageOf<Store>;
    type State = ();
    type Timer = ();
    type Random = ();
    type Storage = ();

    fn on_start(&self, me: Id, _: &Option<()>, out: &mut Out<Self>) {
        self.burst(me, out);
    }

    fn on_timeout(&self, me: Id, _: &mut Cow<()>, (): &(), out: &mut Out<Self>) {
        self.burst(me, out);
    }
}
