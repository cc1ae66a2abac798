//! Traces that tests write and change.

use serde_json::{Value, json};
use synod::certify::{File, Report, certify};

/// The traces of one run; those of the nodes come first.
#[derive(Clone)]
pub(super) struct Traces {
    pub(super) files: Vec<File>,
}

impl Traces {
    /// Traces of nodes that have taken no steps.
    pub(super) fn empty(nodes: usize, protocol: impl Into<Value>) -> Self {
        let protocol = protocol.into();
        let header = json!({"run": {"cluster": 7, "nodes": nodes, "protocol": protocol}});
        let file = |node| File {
            name: format!("node-{node}"),
            bytes: format!("{header}\n").into_bytes(),
        };
        Traces {
            files: (0..nodes).map(file).collect(),
        }
    }

    /// The lines of a file, of which the first is about the run.
    pub(super) fn lines(&self, file: usize) -> Vec<Value> {
        let text = String::from_utf8_lossy(&self.files[file].bytes);
        let lines = text.lines().map(serde_json::from_str);
        lines.map(|line| line.expect("a line of JSON")).collect()
    }

    pub(super) fn push(&mut self, file: usize, line: &Value) {
        let bytes = &mut self.files[file].bytes;
        bytes.extend(format!("{line}\n").as_bytes());
    }

    /// Replaces the lines of a file.
    pub(super) fn write(&mut self, file: usize, lines: &[Value]) {
        self.files[file].bytes.clear();
        lines.iter().for_each(|line| self.push(file, line));
    }

    /// Changes the first line that has something in a list.
    pub(super) fn change(&mut self, file: usize, list: &str, change: fn(&mut Vec<Value>)) {
        let mut lines = self.lines(file);
        let lists = lines
            .iter_mut()
            .filter_map(|line| line.get_mut(list)?.as_array_mut());
        let first = lists.into_iter().find(|list| !list.is_empty());
        change(first.expect("such a line"));
        self.write(file, &lines);
    }

    /// Removes what the last step of a node saves.
    pub(super) fn unsave(&mut self, node: usize) {
        let mut lines = self.lines(node);
        lines.last_mut().expect("a step")["saves"] = Value::Null;
        self.write(node, &lines);
    }

    /// Adds a step.
    pub(super) fn step(
        &mut self,
        node: usize,
        event: Value,
        saves: Value,
        sends: &[(usize, Value)],
    ) {
        let step = json!({
            "node": node, "us": 0, "event": event, "clock": [], "saves": saves, "sends": sends,
        });
        self.push(node, &step);
    }

    /// Adds a step that receives the last message from one node to another.
    pub(super) fn deliver(
        &mut self,
        from: usize,
        to: usize,
        saves: Value,
        sends: &[(usize, Value)],
    ) {
        let steps = self.lines(from).into_iter().rev();
        let mut sent = steps.flat_map(|step| step["sends"].as_array().cloned().unwrap_or_default());
        let last = sent.find(|it| it[0] == to).expect("a message");
        self.step(to, json!({"message": [from, last[1]]}), saves, sends);
    }

    /// Adds a step that sends something, without a reason that is recorded.
    pub(super) fn send(&mut self, node: usize, timer: Value, sends: &[(usize, Value)]) {
        self.step(node, json!({"timeout": timer}), Value::Null, sends);
    }

    /// The state that a node of Basic Paxos or Fast Paxos saved last.
    pub(super) fn saved(&self, node: usize) -> Option<Value> {
        let lines = self.lines(node).into_iter().rev();
        let mut saved = lines.map(|line| line["saves"][0].clone());
        saved.find(|saved| !saved.is_null())
    }

    pub(super) fn report(&self) -> Report {
        certify(&self.files).expect("traces of one run")
    }
}

/// The same message to each of the other nodes.
pub(super) fn to_others(nodes: usize, me: usize, message: &Value) -> Vec<(usize, Value)> {
    let others = (0..nodes).filter(|node| *node != me);
    others.map(|to| (to, message.clone())).collect()
}
